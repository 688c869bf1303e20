# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Proof of what a probe reads: whether it opens or follows any process's descriptors.

strace sees every system call; where it is missing, Python's audit events (PEP 578) tell of every folder that is opened
or listed.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

__all__ = ["DescriptorsRead", "descriptors_read"]

CALLS = "open,openat,openat2,readlink,readlinkat,getxattr,lgetxattr,pidfd_getfd,kcmp"
# /proc/PID/fd as a path, or "fd" below an open /proc/PID (-y prints the path of the folder's descriptor).
PATTERN = re.compile(r'/proc/(?:\d+|self|thread-self)/fd(?:info)?(?:[/"\'>]|$)|</proc/\d+>, "fd')
LIMIT_S = 180

AUDIT = """
import runpy, sys
out = open(sys.argv[1], "w", encoding="utf-8", buffering=1)
def hook(event, arguments):
    if event in ("open", "os.listdir", "os.scandir") and isinstance(arguments[0], (str, bytes)):
        out.write(event + " " + repr(arguments[0]) + "\\n")
sys.addaudithook(hook)
sys.argv = sys.argv[2:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


class DescriptorsRead(NamedTuple):
    """The system calls or events that touched a process's descriptors."""

    lines: list[str]
    sentence: str


def descriptors_read(command: tuple[str, ...]) -> DescriptorsRead:
    """Run a Python command and return which of its calls opened or followed ``/proc/PID/fd``."""
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "log"
        if shutil.which("strace"):
            how, traced = "strace", ["strace", "-f", "-y", "-o", str(log), "-e", f"trace={CALLS}", *command]
        else:
            how, traced = "Python's audit events", [sys.executable, "-c", AUDIT, str(log), *command]
        subprocess.run(traced, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=LIMIT_S)
        seen = log.read_text(encoding="utf-8", errors="replace").splitlines()
    lines = [line for line in seen if PATTERN.search(line)]
    verdict = "None touched" if not lines else f"{len(lines)} touched"
    sentence = f"`lastack probe` opened or followed {len(seen):,} paths ({how}). {verdict} a process's descriptors."
    return DescriptorsRead(lines, "\n".join([sentence, *lines[:10]]))
