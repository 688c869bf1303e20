# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A host as a folder: what lastack may change, with sysctls that are plain files, and a picture of all of it."""

from __future__ import annotations

import stat
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["LIMITS", "SYSCTL_CONF", "SYSCTL_DROPIN", "UNIT_DROPIN", "build_host", "picture", "put"]

SYSCTL_DROPIN = "/etc/sysctl.d/99-tcp-lastack.conf"
SYSCTL_CONF = "/etc/sysctl.conf"
UNIT_DROPIN = "/etc/systemd/system/web.service.d/90-lastack-nofile.conf"
LIMITS = "/etc/security/limits.d/90-lastack.conf"

_FOLDERS = ("var/lib", "etc/sysctl.d", "etc/systemd/system", "etc/security/limits.d", "proc/sys/net/ipv4")


def build_host(root: Path) -> Path:
    """Make the folders of a host; every one 0755 whatever the umask is."""
    for folder in _FOLDERS:
        path = root
        for part in folder.split("/"):
            path /= part
            path.mkdir(exist_ok=True)
            path.chmod(0o755)
    return root


def put(root: Path, path: str, content: bytes | str, *, mode: int = 0o644) -> Path:
    """Write a file of the host, with its folder."""
    file = root / path.lstrip("/")
    if not file.parent.exists():
        file.parent.mkdir()
        file.parent.chmod(0o755)
    file.write_bytes(content.encode() if isinstance(content, str) else content)
    file.chmod(mode)
    return file


def picture(root: Path) -> dict[str, tuple[str, int, int, int, bytes]]:
    """Return everything below the root but times: type, mode, owner, group, content by path."""
    found = {}
    for path in sorted(root.rglob("*")):
        status = path.lstat()
        content = b""
        if stat.S_ISREG(status.st_mode):
            content = path.read_bytes()
        elif stat.S_ISLNK(status.st_mode):
            content = bytes(path.readlink())
        kind = oct(stat.S_IFMT(status.st_mode))
        mode = stat.S_IMODE(status.st_mode)
        found[str(path.relative_to(root))] = (kind, mode, status.st_uid, status.st_gid, content)
    return found
