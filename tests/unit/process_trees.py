# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Trees that look like /proc, as small as a test needs them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

__all__ = ["INITIAL_PID_NAMESPACE", "STATUS", "add_process", "add_self"]

INITIAL_PID_NAMESPACE = "pid:[4026531836]"
STATUS = "Name:\t{name}\nPPid:\t{parent}\nUid:\t{uid}\t{uid}\t{uid}\t{uid}\nFDSize:\t64\nNSpid:\t{pids}\n"
_LIMITS = (
    "Limit                     Soft Limit           Hard Limit           Units     \n"
    "Max processes             96365                unlimited            processes \n"
    "Max open files            {soft:<20} {hard:<20} files     \n"
)


def add_process(  # noqa: PLR0913 - a process has many sides
    proc: Path,
    pid: int,
    *,
    comm: bytes = b"server",
    parent: int = 1,
    start_ticks: int = 1000,
    uid: int = 1000,
    pids: str | None = None,
    links: Mapping[int, str] | None = None,
    cgroup: str = "0::/\n",
    soft: int | str = 1024,
    hard: int | str = 4096,
    executable: str = "/usr/bin/server",
    cmdline: bytes = b"server\0--port\0",
    maps: bytes = b"",
    namespace: int = 4026531833,
) -> Path:
    """Add ``/proc/PID``; ``links`` are what its descriptors point at. Returns the folder."""
    folder = proc / str(pid)
    (folder / "fd").mkdir(parents=True)
    (folder / "ns").mkdir()
    (folder / "task" / str(pid)).mkdir(parents=True)
    for number, link in (links or {}).items():
        (folder / "fd" / str(number)).symlink_to(link)
    (folder / "ns/net").symlink_to(f"net:[{namespace}]")
    (folder / "exe").symlink_to(executable)
    fields = [b"S", b"%d" % parent, *[b"0"] * 17, b"%d" % start_ticks, b"0", b"0"]
    (folder / "stat").write_bytes(b"%d (%b) " % (pid, comm) + b" ".join(fields) + b"\n")
    (folder / "comm").write_bytes(comm + b"\n")
    status = STATUS.format(name="x", parent=parent, uid=uid, pids=pids or pid)
    (folder / "status").write_text(status)
    (folder / "limits").write_text(_LIMITS.format(soft=soft, hard=hard))
    (folder / "cgroup").write_text(cgroup)
    (folder / "cmdline").write_bytes(cmdline)
    (folder / "maps").write_bytes(maps)
    return folder


def add_self(proc: Path, *, namespace: str = INITIAL_PID_NAMESPACE) -> None:
    """Add what tells that this procfs shows every process: our pid namespace, and the first process."""
    (proc / "self/ns").mkdir(parents=True)
    (proc / "self/ns/pid").symlink_to(namespace)
    if not (proc / "1").exists():
        add_process(proc, 1, comm=b"systemd", parent=0)
