# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The process that outlives a lab's private world: starts its leader, waits for its end, removes what is left.

It holds the lab's record locked; it is in a session of its own, so that Ctrl-C reaches the owner only.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import lab_registry

__all__: list[str] = []


def main() -> None:
    folder = Path(sys.argv[1])
    listener, ready, owner, _record = (int(text) for text in sys.argv[2:6])
    lab = lab_registry.lab_of(folder)
    assert lab is not None
    passed = [descriptor for descriptor in (listener, ready, owner) if descriptor >= 0]
    # The leader is the first process of its process namespace: it and all others die with `unshare`, which dies
    # with this process. A new /proc is mounted, never the machine's own remounted.
    command = ["setpriv", "--pdeathsig", "KILL", "unshare", "--net", "--mount", "--pid", "--fork", "--kill-child"]
    command += ["--mount-proc", "--", sys.executable, str(Path(__file__).with_name("lab_leader.py")), str(folder)]
    command += [str(descriptor) for descriptor in (listener, ready, owner)]
    leader = subprocess.Popen(command, stdin=subprocess.PIPE, pass_fds=passed, cwd="/")
    for descriptor in passed:
        os.close(descriptor)
    signal.signal(signal.SIGTERM, lambda *__: leader.kill())
    leader.wait()
    lab_registry.clean(lab)


if __name__ == "__main__":
    main()
