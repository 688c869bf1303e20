# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Records made up for tests of ``diagnose``: sockets, processes and scans with unremarkable defaults."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
from ansible_collections.lastack.linux.plugins.module_utils.observe.records import (
    Holder,
    OwnerScan,
    Process,
    TcpInfo,
    TcpSocket,
)

__all__ = ["HOST", "check_section", "info", "listener", "process", "scan", "socket"]

HOST = 4026531840

_SCHEMA = json.loads(
    (Path(__file__).parents[2] / "plugins/plugin_utils/schemas/lastack.host-1.json").read_text(encoding="utf-8")
)


def info(**values: Any) -> TcpInfo:  # noqa: ANN401 - any field of the record
    """A client that asked and was answered 100 s ago and whose peer closed 90 s ago."""
    return TcpInfo(100_100, 100_000, 90_000, 501, 101)._replace(**values)


def socket(**values: Any) -> TcpSocket:  # noqa: ANN401 - any field of the record
    """A client's CLOSE_WAIT socket in the host's namespace, only the FIN unread."""
    return TcpSocket(
        HOST, 4, "CLOSE_WAIT", "10.0.0.4", 40_000, "10.0.0.9", 8081, 1, 0, 1000, 500, 77, None, info()
    )._replace(**values)


def listener(**values: Any) -> TcpSocket:  # noqa: ANN401 - any field of the record
    """A listener on port 8080 of every IPv4 address with nothing in its queue."""
    return TcpSocket(HOST, 4, "LISTEN", "0.0.0.0", 8080, "0.0.0.0", 0, 0, 128, 1000, 900, 78, None, None)._replace(
        **values
    )


def process(pid: int = 100, **values: Any) -> Process:  # noqa: ANN401 - any field of the record
    """A program of its own, started a day ago, using 10 of 1,024 descriptors."""
    return Process(
        pid=pid,
        container_pid=None,
        age_s=86_400.0,
        comm="program",
        executable="/usr/sbin/program",
        uid=1000,
        user="app",
        cgroup="/",
        namespace=HOST,
        open_descriptors=10,
        soft_limit=1024,
        hard_limit=4096,
        arguments=("program",),
        tls_library=None,
        container_name=None,
        container_id=None,
        container_image=None,
    )._replace(**values)


def scan(holders: dict[int, list[int]], *, exhaustive: bool = True) -> OwnerScan:
    """A scan that found these pids by inode."""
    found = {inode: [Holder(pid, 10 + at) for at, pid in enumerate(pids)] for inode, pids in holders.items()}
    return OwnerScan(found, len(found), 0, complete=True, exhaustive=exhaustive)


def check_section(name: str, section: object) -> None:
    """Hold one section of a report to the host schema."""
    schema = {"$defs": _SCHEMA["$defs"], **_SCHEMA["properties"][name]}
    jsonschema.Draft202012Validator(schema).validate(section)
