# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Print what may be touched on this host, as JSON: files below the named paths, byte for byte, and TCP's sysctls."""

from __future__ import annotations

import base64
import json
import stat
import sys
from pathlib import Path

KEYS = ("net/core/*", "net/ipv4/ip_local_*", "net/ipv4/tcp_*")


def of(path: Path) -> dict[str, object]:
    """Return all of a file that a restore has to bring back."""
    found = path.lstat()
    told: dict[str, object] = {"mode": oct(found.st_mode), "uid": found.st_uid, "gid": found.st_gid}
    if path.is_symlink():
        told["target"] = str(path.readlink())
    elif stat.S_ISREG(found.st_mode):
        told["content"] = base64.b64encode(path.read_bytes()).decode()
    return told


def value(path: Path) -> str | None:
    """Return what the kernel has."""
    try:
        return path.read_text(encoding="ascii").strip()
    except OSError:
        # Some can only be written.
        return None


def main() -> None:
    """Look at both and print."""
    tops = [Path(name) for name in sys.argv[1:]]
    paths = [path for top in tops for path in (top, *top.rglob("*")) if path.exists() or path.is_symlink()]
    sysctls = Path("/proc/sys")
    keys = sorted(path for pattern in KEYS for path in sysctls.glob(pattern) if path.is_file())
    answer = {
        "files": {str(path): of(path) for path in paths},
        "values": {".".join(path.relative_to(sysctls).parts): value(path) for path in keys},
    }
    json.dump(answer, sys.stdout, indent=1, sort_keys=True)


if __name__ == "__main__":
    main()
