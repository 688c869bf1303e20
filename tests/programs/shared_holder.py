# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A client that leaks connections and lets a helper program inherit them: closing its own end would free nothing."""

from __future__ import annotations

import subprocess
import sys
import threading

from idle_pool import POOL, fill

__all__: list[str] = []

if __name__ == "__main__":
    fill(int(sys.argv[1]), int(sys.argv[2]), None)
    subprocess.Popen(["sleep", "600"], pass_fds=[connection.sock.fileno() for connection in POOL])
    threading.Event().wait()
