# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""First process of a test host: names it, gives it a /run and an /etc of its own, starts a leak, becomes sshd."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

__all__: list[str] = []


def main() -> None:
    given = json.loads(sys.argv[1])
    socket.sethostname(given["hostname"])
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", "/run"], check=True)
    Path("/run/sshd").mkdir(mode=0o755)
    Path("/run/ansible-tmp").mkdir()
    Path("/run/ansible-tmp").chmod(0o1777)
    # A copy in this mount namespace alone: what a test writes below /etc never reaches the machine's.
    subprocess.run(["cp", "-a", "/etc", "/run/etc"], check=True)
    subprocess.run(["mount", "--bind", "/run/etc", "/etc"], check=True)
    if given["leak"]:
        subprocess.Popen([sys.executable, given["leak"]], stdin=subprocess.DEVNULL)
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    os.execv("/usr/sbin/sshd", ["/usr/sbin/sshd", "-D", "-e", "-f", given["config"]])


if __name__ == "__main__":
    main()
