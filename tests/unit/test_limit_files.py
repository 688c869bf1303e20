# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which file decides a limit of open files, as systemd reads them, and whose a file says that it is."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from ansible_collections.lastack.linux.plugins.module_utils.observe.file_owners import FileOwners
from ansible_collections.lastack.linux.plugins.module_utils.observe.unit_limits import (
    FileLimit,
    limit_lines,
    read_default_limit,
    read_unit_limits,
)
from hypothesis import given
from hypothesis import strategies as st

if TYPE_CHECKING:
    from pathlib import Path

UNITS = "/usr/lib/systemd/system/"
ETC = "/etc/systemd/system/"


def put(root: Path, path: str, content: str | bytes) -> None:
    file = root / path.lstrip("/")
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content.encode() if isinstance(content, str) else content)


def service(limit: str) -> str:
    return f"[Unit]\nDescription=x\n[Service]\nLimitNOFILE={limit}\n"


def decided(root: Path, unit: str, files: dict[str, str]) -> str | None:
    """The line that decides for a unit, as its place."""
    for path, text in files.items():
        put(root, path, text)
    found = read_unit_limits([unit], root=str(root)).get(unit)
    return None if found is None else f"{found.soft}:{found.hard} {found.place}"


@pytest.mark.parametrize(
    ("unit", "files", "expected"),
    [
        ("a.service", {}, None),
        ("a.service", {f"{UNITS}a.service": "[Service]\nExecStart=/a\n"}, None),
        ("a.service", {f"{UNITS}a.service": service("4096")}, f"4096:4096 {UNITS}a.service:4"),
        (
            "a.service",
            {f"{UNITS}a.service": service("1:2"), f"{ETC}a.service": service("3:4")},
            f"3:4 {ETC}a.service:4",
        ),
        # A drop-in comes after the unit wherever that stands, and of several the last by name.
        (
            "a.service",
            {
                f"{ETC}a.service": service("1"),
                f"{UNITS}a.service.d/20-b.conf": service("3"),
                f"{ETC}a.service.d/10-a.conf": service("2"),
            },
            f"3:3 {UNITS}a.service.d/20-b.conf:4",
        ),
        # Of the same name the stronger directory hides the other, and the unit's own hides that of all services.
        (
            "a.service",
            {
                f"{UNITS}a.service.d/20-b.conf": service("3"),
                f"{ETC}a.service.d/20-b.conf": "[Service]\n",
                f"{ETC}a.service.d/10-a.conf": service("2"),
            },
            f"2:2 {ETC}a.service.d/10-a.conf:4",
        ),
        ("a.service", {f"{ETC}service.d/10-all.conf": service("7")}, f"7:7 {ETC}service.d/10-all.conf:4"),
        ("foo-bar.service", {f"{ETC}foo-.service.d/x.conf": service("7")}, f"7:7 {ETC}foo-.service.d/x.conf:4"),
        ("w@.service", {f"{UNITS}w@.service": service("infinity")}, f"-1:-1 {UNITS}w@.service:4"),
        ("w@1.service", {f"{UNITS}w@.service": service("5")}, f"5:5 {UNITS}w@.service:4"),
        ("w@1.service", {f"{ETC}w@1.service.d/x.conf": service("6")}, f"6:6 {ETC}w@1.service.d/x.conf:4"),
        ("a.service", {f"{ETC}a.service.d/.x.conf": service("7"), f"{ETC}a.service.d/x.txt": service("7")}, None),
        ("../a.service", {f"{UNITS}a.service": service("1")}, None),
        ("session-1.scope", {f"{UNITS}session-1.scope": service("1")}, None),
    ],
)
def test_the_line_that_decides(unit: str, files: dict[str, str], expected: str | None, tmp_path: Path) -> None:
    assert decided(tmp_path, unit, files) == expected


def test_a_masked_unit_and_unreadable_files_are_no_error(tmp_path: Path) -> None:
    put(tmp_path, f"{UNITS}a.service", service("4096"))
    (tmp_path / "etc/systemd/system/a.service.d").mkdir(parents=True)
    (tmp_path / "etc/systemd/system/a.service").symlink_to("/dev/null")
    os.mkfifo(tmp_path / "etc/systemd/system/a.service.d/pipe.conf")
    (tmp_path / "etc/systemd/system/a.service.d/gone.conf").symlink_to("/nowhere")
    put(tmp_path, f"{ETC}a.service.d/late.conf", b"\xff\xfe[Service]\n[Service]\nLimitNOFILE=9\n")
    assert decided(tmp_path, "a.service", {}) == f"9:9 {ETC}a.service.d/late.conf:3"


def test_what_services_get_by_default(tmp_path: Path) -> None:
    assert read_default_limit(root=str(tmp_path)) is None
    put(tmp_path, "/usr/lib/systemd/system.conf", "[Manager]\nDefaultLimitNOFILE=1:2\n")
    put(tmp_path, "/etc/systemd/system.conf", "[Manager]\n#DefaultLimitNOFILE=1024:524288\n")
    assert read_default_limit(root=str(tmp_path)) is None
    put(tmp_path, "/etc/systemd/system.conf.d/50.conf", "[Manager]\nDefaultLimitNOFILE=4096:8192\n")
    assert read_default_limit(root=str(tmp_path)) == FileLimit(4096, 8192, "/etc/systemd/system.conf.d/50.conf", 2)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[Service]\nLimitNOFILE=1\nLimitNOFILE=2:3\n", [(1, 1, 2), (2, 3, 3)]),
        ("[Unit]\nLimitNOFILE=1\n[Service]\n# LimitNOFILE=2\n;LimitNOFILE=3\n", []),
        ("[Service]\nLimitNOFILE=\\\n# between\n 5\n", [(5, 5, 2)]),
        ("[Service]\nLimitNOFILE=3:2\nLimitNOFILE=x\nLimitNOFILE=infinity:5\nLimitNOFILE=\n", []),
        ("[Service]\nLimitNOFILE=1\\", [(1, 1, 2)]),
    ],
)
def test_lines_of_one_file(text: str, expected: list[tuple[int, int, int]]) -> None:
    assert [(one.soft, one.hard, one.line) for one in limit_lines(text, "f")] == expected


@given(st.text(alphabet="[]ServiceLmtNOFIL=:0123456789\\\n #infty", max_size=200))
def test_no_text_breaks_the_reading(text: str) -> None:
    for one in limit_lines(text):
        assert one.hard == -1 or 0 <= one.soft <= one.hard


@pytest.mark.parametrize(
    ("text", "owner"),
    [
        ("# Written by lastack.linux.sysctl_baseline; the next run replaces what is changed here.\n", "lastack"),
        ("# Ansible managed\nfs.nr_open = 1\n", "ansible"),
        ("a = 1\n# BEGIN ANSIBLE MANAGED BLOCK\nb = 1\n", "ansible"),
        ("# This file is managed by Puppet. DO NOT EDIT.\n", "puppet"),
        ("# Generated by Chef for web-1\n", "chef"),
        ("; This file is managed by Salt, do not edit\n", "salt"),
        ("# Created by cloud-init v. 23\n", "cloud-init"),
        ("# tuned by hand\nfs.nr_open = 1\n", None),
        ("key = managed by puppet\n", None),
        ("", None),
    ],
)
def test_whose_a_file_is(text: str, owner: str | None, tmp_path: Path) -> None:
    put(tmp_path, "/etc/sysctl.d/10-a.conf", text)
    put(tmp_path, "/usr/lib/sysctl.d/10-a.conf", text)
    owners = FileOwners(str(tmp_path))
    assert owners.of("/etc/sysctl.d/10-a.conf:3") == owner
    assert owners.of("/usr/lib/sysctl.d/10-a.conf:3") == (owner or "package")


def test_no_owner_of_what_is_no_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    owners = FileOwners(str(tmp_path))
    assert [owners.of(place) for place in (None, "", "credential:1", "/absent:1", "/pipe:1", "/a\0b:1")] == [None] * 6
    put(tmp_path, "/etc/late", "# Ansible managed\n")
    for number in range(200):
        owners.of(f"/etc/{number}:1")
    assert owners.of("/etc/late:1") is None
