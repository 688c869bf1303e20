# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Processes of fixture trees and real ones, with hostile names and while they vanish."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Self

import pytest
from ansible_collections.lastack.linux.plugins.module_utils.observe import mapped_files, processes
from ansible_collections.lastack.linux.plugins.module_utils.observe.processes import (
    all_processes_visible,
    count_descriptors,
    list_pids,
    parse_cgroup,
    parse_limits,
    parse_stat,
    parse_status,
    read_comm,
    read_limits,
    read_parent,
    read_process,
)
from hypothesis import given
from hypothesis import strategies as st
from process_trees import add_process, add_self

HOSTILE_NAMES = [
    b"\x1b[31mred\x1b[0m",
    b"<script>1",
    b"\xff\xfe\x80bad",
    b"two\nlines",
    b") S 9 9 9",
    b"a (b) c)",
]
# Ends by itself with its standard input, so that no test can leave one behind.
PROGRAM = """
import ctypes, sys
ctypes.CDLL(None).prctl(15, ctypes.c_char_p(bytes.fromhex(sys.argv[1])), 0, 0, 0)
print("ready", flush=True)
sys.stdin.read()
"""


class Program:
    """A child that has renamed itself and waits."""

    def __init__(self, name: bytes, *arguments: str) -> None:
        self._child = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, name.hex(), *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={},  # arguments and environment share one limit
        )
        assert self._child.stdout is not None
        assert self._child.stdout.readline() == b"ready\n"
        self.pid = self._child.pid

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *__: object) -> None:
        self._child.communicate()


@pytest.mark.parametrize("name", HOSTILE_NAMES)
def test_a_real_process_with_a_hostile_name(name: bytes) -> None:
    with Program(name) as program:
        process = read_process(program.pid, with_arguments=True)
    assert process is not None
    assert process.comm == name.decode("utf-8", "backslashreplace")
    assert process.uid == os.geteuid()
    assert process.executable == os.path.realpath(sys.executable)
    assert process.age_s is not None
    assert 0 <= process.age_s < 600
    assert process.arguments is not None
    assert process.arguments[1:] == ("-c", PROGRAM, name.hex())


def test_a_command_line_of_two_megabytes_is_cut() -> None:
    # One argument is at most 128 KiB (MAX_ARG_STRLEN), so it takes many.
    with Program(b"long", *["x" * 100_000] * 20) as program:
        whole = Path(f"/proc/{program.pid}/cmdline").stat()
        process = read_process(program.pid, with_arguments=True)
    assert whole.st_size == 0
    assert process is not None
    assert process.arguments is not None
    assert sum(len(argument) + 1 for argument in process.arguments) - 1 == 65536
    assert process.arguments[4].startswith("xxx")


def test_an_own_process_in_full() -> None:
    with socket.socket():
        process = read_process(os.getpid())
    assert process is not None
    assert process.pid == os.getpid()
    assert process.namespace == Path("/proc/self/ns/net").stat().st_ino
    assert process.open_descriptors is not None
    assert process.open_descriptors >= 4
    assert process.soft_limit == os.sysconf("SC_OPEN_MAX")
    assert process.arguments is None
    assert process.tls_library is None
    assert (process.container_name, process.container_id, process.container_image) == (None, None, None)


def test_a_mapped_tls_library_is_seen() -> None:
    code = "import ssl, os\nprint('ready', flush=True)\nos.read(0, 1)"
    child = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        assert child.stdout is not None
        assert child.stdout.readline() == b"ready\n"
        process = read_process(child.pid, with_arguments=True)
    finally:
        child.communicate()
    assert process is not None
    assert process.tls_library is True


def test_a_fixture_in_full(tmp_path: Path) -> None:
    (tmp_path / "uptime").write_text("110.50 300.00\n")
    (tmp_path / "passwd").write_text("root:x:0:0::/:/bin/sh\nbroken\napp:x:1000:1000::/:/bin/sh\nalias:x:1000:0::/:\n")
    add_process(
        tmp_path,
        42,
        comm=b"java",
        start_ticks=50 * os.sysconf("SC_CLK_TCK"),
        pids="42 7 1",
        links={0: "/dev/null", 3: "socket:[5]"},
        cgroup="1:name=systemd:/system.slice/app.service\n0::/\n",
        soft=1024,
        hard="unlimited",
        executable="/opt/app/bin/app (deleted)",
        cmdline=b"app\0\0-x\0\xff\0\0\0\0",
    )
    process = read_process(42, proc=str(tmp_path), users=str(tmp_path / "passwd"), with_arguments=True)
    assert process is not None
    assert process._asdict() == {
        "pid": 42,
        "container_pid": 1,
        "age_s": pytest.approx(60.5),
        "comm": "java",
        "executable": "/opt/app/bin/app",
        "uid": 1000,
        "user": "app",
        "cgroup": "/system.slice/app.service",
        "namespace": 4026531833,
        "open_descriptors": 2,
        "soft_limit": 1024,
        "hard_limit": -1,
        "arguments": ("app", "", "-x", "\\xff"),
        "tls_library": None,
        "container_name": None,
        "container_id": None,
        "container_image": None,
        "runtime": None,
        "start_ticks": 50 * os.sysconf("SC_CLK_TCK"),
        "mapped": None,
    }


def test_a_user_without_a_line_is_named_by_the_number(tmp_path: Path) -> None:
    add_process(tmp_path, 42, uid=4242)
    (tmp_path / "passwd").write_text("root:x:0:0::/:/bin/sh\n")
    for users in ("passwd", "missing"):
        process = read_process(42, proc=str(tmp_path), users=str(tmp_path / users))
        assert process is not None
        assert process.user == "4242"


@pytest.mark.parametrize(
    ("executable", "maps", "expected"),
    [
        ("/usr/bin/app", b"7f-80 r-xp 0 08:01 1 /usr/lib/libssl.so.3\n", True),
        ("/usr/bin/app", b"7f-80 r-xp 0 08:01 1 /usr/lib/libssl.so.3 (deleted)\n", True),
        ("/usr/bin/app", b"7f-80 r-xp 0 08:01 1 /usr/lib/libgnutls.so.30\n", True),
        ("/usr/bin/python3", b"7f-80 r-xp 0 08:01 1 /usr/lib/python3/_ssl.cpython-39-x86_64-linux-gnu.so\n", True),
        ("/usr/bin/app", b"7f-80 r-xp 0 08:01 1 /usr/lib/libc.so.6\n", False),
        ("/usr/bin/app", b"7f-80 r-xp 0 08:01 1 /srv/libssl.d/data\n7f-80 r-xp 0 08:01 1 /lib/libc-2.31.so\n", False),
        ("/usr/bin/node", b"7f-80 r-xp 0 08:01 1 /usr/lib/libc.so.6\n", True),
        ("/usr/lib/jvm/bin/java", b"", True),
        ("/usr/bin/go-app", b"00400000-00500000 r-xp 0 08:01 1 /usr/bin/go-app\nc000000000-c000400000 rw-p 0\n", None),
        ("/usr/bin/cgo", b"7f-80 r-xp 0 08:01 1 /lib/ld-linux.so.2\nc000000000-c000400000 rw-p 0\n", None),
        ("/usr/bin/static", b"00400000-00500000 r-xp 0 08:01 1 /usr/bin/static\n", None),
        ("/usr/bin/app", b"7f-80 r-xp 0 08:01 1 /usr/lib/libc.so.6\n" + b"x\n" * (1 << 19), None),
    ],
)
def test_tls_from_mapped_files(tmp_path: Path, executable: str, maps: bytes, *, expected: bool | None) -> None:
    add_process(tmp_path, 42, executable=executable, maps=maps)
    process = read_process(42, proc=str(tmp_path), with_arguments=True)
    assert process is not None
    assert process.tls_library is expected
    assert process.runtime == ("go" if b"c000000000-" in maps else None)


@pytest.mark.parametrize(
    ("missing", "fields"),
    [
        ("status", {"uid": None, "user": None, "container_pid": None}),
        ("comm", {"comm": None}),
        ("exe", {"executable": None}),
        ("limits", {"soft_limit": None, "hard_limit": None}),
        ("cgroup", {"cgroup": None}),
        ("cmdline", {"arguments": None}),
        ("maps", {"tls_library": None}),
        ("ns/net", {"namespace": None}),
    ],
)
def test_what_is_missing_is_unknown(tmp_path: Path, missing: str, fields: dict[str, None]) -> None:
    folder = add_process(tmp_path, 42)
    (folder / missing).unlink()
    process = read_process(42, proc=str(tmp_path), with_arguments=True)
    assert process is not None
    assert {name: getattr(process, name) for name in fields} == fields


@pytest.mark.parametrize("name", ["stat", "status", "comm", "limits", "cgroup", "cmdline", "maps"])
def test_a_process_that_vanishes_at_any_read_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    folder = add_process(tmp_path, 42)
    original = processes.try_read_head
    head = processes.read_head

    def vanish(path: str) -> None:
        if path.endswith(f"42/{name}"):
            folder.rename(tmp_path / "gone")

    def try_read_head(path: str, limit: int) -> bytes | None:
        vanish(path)
        return original(path, limit)

    def read_head(path: str, limit: int) -> bytes:
        vanish(path)
        return head(path, limit)

    monkeypatch.setattr(processes, "try_read_head", try_read_head)
    monkeypatch.setattr(mapped_files, "try_read_head", try_read_head)
    monkeypatch.setattr(processes, "read_head", read_head)
    assert read_process(42, proc=str(tmp_path), with_arguments=True) is None
    assert (tmp_path / "gone").exists()


def test_a_recycled_number_is_not_a_mixture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = add_process(tmp_path, 42, start_ticks=1000)
    add_process(tmp_path / "new", 42, start_ticks=2000)
    original = processes.read_comm

    def recycle(pid: int, *, proc: str) -> str | None:
        (folder / "stat").write_bytes((tmp_path / "new/42/stat").read_bytes())
        return original(pid, proc=proc)

    monkeypatch.setattr(processes, "read_comm", recycle)
    assert read_process(42, proc=str(tmp_path)) is None


def test_a_process_that_denies_everything_is_known_by_its_number(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_process(tmp_path, 42)

    def deny(path: str, _limit: int) -> bytes:
        raise PermissionError(1, "Operation not permitted", path)

    monkeypatch.setattr(processes, "read_head", deny)
    process = read_process(42, proc=str(tmp_path))
    assert process is not None
    assert process.pid == 42
    assert set(process[1:]) == {None}


def test_no_such_process(tmp_path: Path) -> None:
    assert read_process(42, proc=str(tmp_path)) is None
    assert read_comm(42, proc=str(tmp_path)) is None
    assert read_limits(42, proc=str(tmp_path)) == (None, None)
    assert read_parent(42, proc=str(tmp_path)) is None
    assert count_descriptors(42, proc=str(tmp_path)) is None
    assert list_pids(str(tmp_path / "missing")) == []


def test_pids_are_the_plain_numbers(tmp_path: Path) -> None:
    for name in ("10", "9", "self", "sys", "1x", "\u0663", "-1"):
        (tmp_path / name).mkdir()
    assert list_pids(str(tmp_path)) == [9, 10]
    assert os.getpid() in list_pids()


def test_whether_every_process_is_visible(tmp_path: Path) -> None:
    assert not all_processes_visible(str(tmp_path))
    add_self(tmp_path / "first")
    assert all_processes_visible(str(tmp_path / "first"))
    # hidepid=2: the first process is not there.
    (tmp_path / "first/1/stat").unlink()
    assert not all_processes_visible(str(tmp_path / "first"))
    add_self(tmp_path / "container", namespace="pid:[4026532777]")
    assert not all_processes_visible(str(tmp_path / "container"))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b"0::/system.slice/nginx.service\n", "/system.slice/nginx.service"),
        (b"0::/\n", "/"),
        (b"9:name=systemd:/docker/abc\n8:pids:/docker/abc\n0::/\n", "/docker/abc"),
        (b"1:name=systemd:/a\n0::/b\n", "/b"),
        (b"4:memory:/only/v1\n", None),
        (b"2:cpu,cpuacct:/x\n1:name=systemd:/y\n", "/y"),
        (b"0::/gone.service (deleted)\n", "/gone.service"),
        (b"0::/with:colons:in/it\n", "/with:colons:in/it"),
        (b"0::/bad\xff\n", "/bad\\xff"),
        (b"", None),
    ],
)
def test_cgroup_path(text: bytes, expected: str | None) -> None:
    assert parse_cgroup(text) == expected


def test_limits() -> None:
    assert parse_limits(b"Max open files            1024                 524288               files     \n") == (
        1024,
        524288,
    )
    assert parse_limits(b"Max open files            unlimited            unlimited            files     \n") == (-1, -1)
    assert parse_limits(b"Max open files            1024") == (None, None)
    assert parse_limits(b"Max open files            x                    y                    files     \n") == (
        None,
        None,
    )
    assert parse_limits(b"Max processes             1                    2                    processes \n") == (
        None,
        None,
    )


@given(st.binary())
def test_parsers_take_any_bytes(data: bytes) -> None:
    stat = parse_stat(data)
    assert stat is None or isinstance(stat.start_ticks, int)
    parse_status(data)
    parse_limits(data)
    path = parse_cgroup(data)
    assert path is None or path.encode("utf-8").decode() == path


@given(st.binary(max_size=15), st.integers(0, 1 << 22), st.integers(0, 1 << 60))
def test_no_name_shifts_the_fields_of_stat(name: bytes, parent: int, start: int) -> None:
    fields = [b"S", b"%d" % parent, *[b"7"] * 17, b"%d" % start, b"0"]
    parsed = parse_stat(b"42 (" + name + b") " + b" ".join(fields))
    assert parsed is not None
    assert (parsed.parent, parsed.start_ticks) == (parent, start)


@given(st.text(alphabet=st.characters(exclude_characters="\n", exclude_categories=["Cs"]), max_size=64))
def test_no_name_forges_a_line_of_status(name: str) -> None:
    data = f"Name:\t{name}\nUid:\t1\t2\t3\t4\nNSpid:\t5\t6\nFDSize:\t64\nUid:\t9\t9\t9\t9\n".encode()
    status = parse_status(data)
    assert (status.uid, status.pids, status.table_size) == (2, (5, 6), 64)
