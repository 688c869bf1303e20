# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The catalogued sysctls of this host: what the kernel has and which files decide it."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

from ansible_collections.lastack.linux.plugins.module_utils.observe.bounded_files import try_read_head
from ansible_collections.lastack.linux.plugins.module_utils.observe.records import SysctlState, Unseen
from ansible_collections.lastack.linux.plugins.module_utils.observe.sysctl_files import (
    Resolution,
    resolve,
    sysctl_key,
    sysctl_path,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["collapse", "read_sysctls"]

# ip_local_reserved_ports is the longest: a list of up to 65,536 ports.
_MAX_VALUE_BYTES = 1 << 19
_MAX_FOREIGN_KEYS = 64
# Only plain names: a key in a file must not lead anywhere else in the file system.
_FOREIGN = re.compile(r"net\.ipv4\.tcp_[a-z0-9_]{1,64}\Z")


def read_sysctls(
    keys: Sequence[str], *, proc: str = "/proc", root: str = "/"
) -> tuple[list[SysctlState], list[Unseen]]:
    """Read each key's value and the files that set it; one state per key, in the order asked for.

    Keys ``net.ipv4.tcp_*`` that a file sets although they are neither in ``keys`` nor in this kernel follow, sorted.
    The values of ``net.*`` are those of the calling thread's network namespace. Never raises. Sources: proc(5),
    sysctl.d(5), sysctl(8), sd_booted(3).
    """
    wanted = list(dict.fromkeys(sysctl_key(sysctl_path(key)) for key in keys))
    existing = {key for key in wanted if _exists(proc, key)}
    files = resolve(root=root, keys=existing)
    unseen = list(files.unseen)
    foreign = sorted(
        key
        for key in (files.boot.keys() | files.reload.keys()) - set(wanted)
        if _FOREIGN.match(key) and not _exists(proc, key)
    )[:_MAX_FOREIGN_KEYS]
    booted = os.path.isdir(os.path.join(root, "run/systemd/system"))  # noqa: PTH112,PTH118 - never raises, Path may
    if not booted and any(key in files.boot or key in files.reload for key in (*wanted, *foreign)):
        unseen.append(
            Unseen(
                "sysctl_boot_loader_unknown", 1, "this host does not boot with systemd: which file wins is not known"
            )
        )
    certain = files.certain and booted
    return [_state(key, key in existing, files, proc=proc, certain=certain) for key in (*wanted, *foreign)], unseen


def collapse(value: str) -> str:
    """Return a value with each run of white space turned into one blank, as two spellings of it are compared."""
    return " ".join(value.split())


def _state(key: str, exists: bool, files: Resolution, *, proc: str, certain: bool) -> SysctlState:  # noqa: FBT001 - a field's value
    boot, reload = files.boot.get(key), files.reload.get(key)
    data = try_read_head(_path(proc, key), _MAX_VALUE_BYTES) if exists else None
    return SysctlState(
        key=key,
        current=None if data is None else collapse(data.decode("utf-8", "backslashreplace")),
        exists=exists,
        configured=None if boot is None else collapse(boot.value),
        winner=None if boot is None else boot.place,
        reload_configured=None if reload is None else collapse(reload.value),
        reload_winner=None if reload is None else reload.place,
        shadowed=tuple(line.place for line in files.shadowed.get(key, ())),
        overridden=tuple(line.place for line in files.overridden.get(key, ())),
        certain=certain,
    )


def _path(proc: str, key: str) -> str:
    return f"{proc}/sys/{sysctl_path(key)}"


def _exists(proc: str, key: str) -> bool:
    try:
        return Path(_path(proc, key)).is_file()
    except (OSError, ValueError):
        return False
