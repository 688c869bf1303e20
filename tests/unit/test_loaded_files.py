# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a process has loaded, from trees that look like /proc: names only, bounded, and nothing false."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from ansible_collections.lastack.linux.plugins.module_utils.observe import loaded_files
from ansible_collections.lastack.linux.plugins.module_utils.observe.deadline import Deadline
from ansible_collections.lastack.linux.plugins.module_utils.observe.loaded_files import read_loaded_files
from ansible_collections.lastack.linux.plugins.module_utils.observe.mapped_files import MappedFiles, parse_maps
from ansible_collections.lastack.linux.plugins.module_utils.observe.named_processes import NamedProcesses
from ansible_collections.lastack.linux.plugins.module_utils.observe.processes import read_process
from hypothesis import given
from hypothesis import strategies as st
from process_trees import add_process
from test_go_build_info import MODULES, build_info, elf

if TYPE_CHECKING:
    from pathlib import Path

    from ansible_collections.lastack.linux.plugins.module_utils.observe.go_build_info import GoModule
    from ansible_collections.lastack.linux.plugins.module_utils.observe.loaded_files import LoadedFiles

SITE = "/opt/venv/lib/python3.11/site-packages"
MAPS = (
    b"00400000-00500000 r-xp 00000000 08:02 1311 /usr/bin/python3.11\n"
    b"00700000-00800000 rw-p 00000000 00:00 0                  [heap]\n"
    b"7f00-7f10 r--p 00000000 08:02 1 /opt/venv/lib/python3.11/site-packages/aiohttp/_http_parser.cpython-311.so\n"
    b"7f10-7f20 r-xp 00010000 08:02 1 /opt/venv/lib/python3.11/site-packages/aiohttp/_http_parser.cpython-311.so\n"
    b"7f20-7f30 r--p 00000000 08:02 2 /usr/lib/libcurl.so.4.8.0 (deleted)\n"
    b"7f30-7f40 r--p 00000000 08:02 3 /usr/share/java/httpclient-4.5.14.jar\n"
    b"7f40-7f50 r--p 00000000 08:02 4 /usr/lib/locale/C.utf8/LC_CTYPE\n"
    b"7f50-7f60 r--p 00000000 08:02 5 /usr/lib/libc.so.6\n"
)
FLAGS = "pos:\t0\nflags:\t{:o}\nmnt_id:\t29\n"


def look(proc: Path, pid: int = 42, deadline: Deadline | None = None) -> LoadedFiles | None:
    process = read_process(pid, proc=str(proc), with_arguments=True)
    assert process is not None
    return read_loaded_files(process, proc=str(proc), deadline=deadline or Deadline())


def add_flags(proc: Path, number: int, flags: int, pid: int = 42) -> None:
    folder = proc / str(pid) / "fdinfo"
    folder.mkdir(exist_ok=True)
    (folder / str(number)).write_text(FLAGS.format(flags))


def test_the_mapped_files_with_code_in_them() -> None:
    mapped = parse_maps(MAPS, "/usr/bin/python3.11")
    assert mapped == MappedFiles(
        tls_library=False,
        go=False,
        names=(
            f"{SITE}/aiohttp/_http_parser.cpython-311.so",
            "/usr/lib/libcurl.so.4.8.0",
            "/usr/share/java/httpclient-4.5.14.jar",
            "/usr/lib/libc.so.6",
        ),
        executable_device=(8, 2),
    )


def test_go_is_known_by_its_heap_and_by_the_names_it_gives_its_memory() -> None:
    assert parse_maps(b"c000000000-c000400000 rw-p 00000000 00:00 0 \n", None).go
    assert parse_maps(b"1234000000-1234400000 rw-p 00000000 00:00 0    [anon: Go: heap]\n", None).go
    assert not parse_maps(b"1234000000-1234400000 rw-p 00000000 00:00 0    [anon:malloc]\n", None).go


@given(st.binary(max_size=2000))
def test_no_map_does_harm(data: bytes) -> None:
    mapped = parse_maps(data, "/usr/bin/x")
    assert all(len(name) <= 4 * 512 for name in mapped.names)


def test_names_of_mapped_files_are_bounded() -> None:
    lines = [b"7f00-7f10 r--p 00000000 08:02 1 /srv/lib%d.so" % number for number in range(3000)]
    lines.insert(0, b"7f00-7f10 r--p 00000000 08:02 1 /" + b"x" * 600 + b".so")
    mapped = parse_maps(b"\n".join(lines), None)
    assert len(mapped.names) == 1024
    assert mapped.names[0] == "/srv/lib0.so"


def test_jars_logs_and_nothing_else(tmp_path: Path) -> None:
    jar, war = tmp_path / "httpclient-4.5.14.jar", tmp_path / "shop.war"
    links = {
        0: "/dev/null",
        1: "/var/log/shop/out.log",
        2: "/var/log/shop/out.log",
        3: str(jar),
        4: "socket:[99]",
        5: "/srv/shop/read-only.log",
        6: "/srv/shop/app.log.1",
        7: "/srv/shop/logs/audit",
        8: "/srv/shop/gone.log (deleted)",
        9: str(war),
        10: "/proc/self/log",
        11: "/srv/shop/fourth.log",
        12: "/srv/shop/data.db",
    }
    add_process(tmp_path, 42, executable="/usr/lib/jvm/bin/java", links=links)
    for number in links:
        add_flags(tmp_path, number, os.O_RDONLY if number == 5 else os.O_WRONLY | os.O_APPEND)
    found = look(tmp_path)
    assert found is not None
    assert set(found.archives) == {str(jar), str(war)}
    # The kernel lists descriptors in order, a folder of the test does not.
    assert len(found.log_files) == 3
    assert set(found.log_files) <= {
        "/var/log/shop/out.log",
        "/srv/shop/app.log.1",
        "/srv/shop/logs/audit",
        "/srv/shop/fourth.log",
    }
    # Paths are never opened: none of them exists.
    assert not jar.exists()


@pytest.mark.parametrize("fdinfo", [None, "", "flags:\tnonsense\n", FLAGS.format(os.O_RDONLY), "pos:\t0\n"])
def test_a_log_that_is_not_known_to_be_written_is_none(tmp_path: Path, fdinfo: str | None) -> None:
    folder = add_process(tmp_path, 42, links={3: "/var/log/shop.log"})
    if fdinfo is not None:
        (folder / "fdinfo").mkdir()
        (folder / "fdinfo/3").write_text(fdinfo)
    found = look(tmp_path)
    assert found is not None
    assert found.log_files == ()


def test_only_so_many_descriptors_are_looked_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    links = {number: f"/srv/lib{number}.jar" for number in range(40)}
    add_process(tmp_path, 42, executable="/usr/bin/java", links=links)
    monkeypatch.setattr(loaded_files, "_DESCRIPTORS", 25)
    found = look(tmp_path)
    assert found is not None
    assert len(found.archives) == 25


def test_behind_many_sockets_no_file_is_looked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []
    add_process(tmp_path, 42, links={number: f"socket:[{number}]" for number in range(40)})
    monkeypatch.setattr(loaded_files, "_QUIET", 10)
    link = loaded_files._Links._link

    def count(self: loaded_files._Links, number: str) -> str:
        read.append(number)
        return link(self, number)

    monkeypatch.setattr(loaded_files._Links, "_link", count)
    assert look(tmp_path) is not None
    assert len(read) == 10


def test_the_deadline_ends_the_reading_of_descriptors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    add_process(tmp_path, 42, executable="/usr/bin/java", links={n: f"/srv/lib{n}.jar" for n in range(40)})
    monkeypatch.setattr(loaded_files, "_CHECK_TIME_EVERY", 10)
    found = look(tmp_path, deadline=Deadline(0))
    assert found is not None
    assert len(found.archives) == 9


def test_maps_are_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    add_process(tmp_path, 42, executable="/usr/bin/python3.11", maps=MAPS)
    add_process(tmp_path, 43, executable="/usr/bin/java", maps=MAPS)
    processes = NamedProcesses(proc=str(tmp_path), deadline=Deadline(), keep_mapped=100)
    processes.read([42, 43])
    read: list[int] = []

    def count(pid: int, executable: str | None, *, proc: str) -> MappedFiles:
        assert proc == str(tmp_path)
        read.append(pid)
        return parse_maps(MAPS, executable)

    monkeypatch.setattr(loaded_files, "read_mapped_files", count)
    for pid in (42, 43):
        found = read_loaded_files(processes.by_pid[pid], proc=str(tmp_path), deadline=Deadline())
        assert found is not None
        assert "/usr/lib/libcurl.so.4.8.0" in found.mapped
    # Java's TLS is known without, so nobody had read its maps before.
    assert read == [43]


def test_names_are_kept_for_so_many_processes_only(tmp_path: Path) -> None:
    for pid in (42, 43, 44):
        add_process(tmp_path, pid, executable="/usr/bin/python3.11", maps=MAPS)
    processes = NamedProcesses(proc=str(tmp_path), deadline=Deadline(), keep_mapped=8)
    processes.read([42, 43, 44])
    assert [processes.by_pid[pid].mapped is not None for pid in (42, 43, 44)] == [True, True, False]
    # The agent, which remembers its processes, keeps none.
    frugal = NamedProcesses(proc=str(tmp_path), deadline=Deadline())
    frugal.read([42])
    assert (frugal.by_pid[42].mapped, frugal.by_pid[42].tls_library) == (None, False)


@pytest.mark.parametrize("change", ["gone", "restarted", "another program", "nothing to read"])
def test_what_became_another_process_gives_no_hint(tmp_path: Path, change: str) -> None:
    folder = add_process(tmp_path, 42, executable="/usr/bin/python3.11", maps=MAPS)
    process = read_process(42, proc=str(tmp_path), with_arguments=True)
    assert process is not None
    if change == "gone":
        folder.rename(tmp_path / "gone")
    elif change == "restarted":
        stat = folder / "stat"
        stat.write_bytes(stat.read_bytes().replace(b" 1000 ", b" 2000 "))
    elif change == "another program":
        (folder / "exe").unlink()
        (folder / "exe").symlink_to("/usr/bin/sleep")
    else:
        process = process._replace(mapped=None)
        (folder / "maps").unlink()
        (folder / "fd").rename(folder / "denied")
    assert read_loaded_files(process, proc=str(tmp_path), deadline=Deadline()) is None


GO_MAPS = b"00400000-00500000 r-xp 00000000 %b 1311 %b\nc000000000-c000400000 rw-p 00000000 00:00 0 \n"
MOUNT = "29 1 {} / / rw,relatime shared:1 - {} /dev/root rw\n"


@pytest.mark.parametrize(
    ("device", "mounts", "expected"),
    [
        (b"08:02", "", MODULES),
        (b"08:02", MOUNT.format("8:2", "ext4"), MODULES),
        (b"00:2a", MOUNT.format("0:42", "overlay"), MODULES),
        (b"00:2a", MOUNT.format("0:42", "btrfs"), MODULES),
        (b"00:2a", MOUNT.format("0:42", "nfs4"), ()),
        (b"00:2a", MOUNT.format("0:42", "fuse.sshfs"), ()),
        (b"08:02", MOUNT.format("8:2", "fuseblk"), ()),
        (b"00:2a", MOUNT.format("0:43", "ext4"), ()),
        (b"00:2a", "", ()),
        (b"nonsense", MOUNT.format("8:2", "ext4"), ()),
    ],
)
def test_a_program_is_read_only_where_reading_cannot_hang(
    tmp_path: Path, device: bytes, mounts: str, expected: tuple[GoModule, ...]
) -> None:
    program = tmp_path / "api"
    program.write_bytes(elf(build_info()))
    maps = GO_MAPS % (device, os.fsencode(program))
    folder = add_process(tmp_path, 42, executable=str(program), maps=maps)
    (folder / "mountinfo").write_text(mounts)
    found = look(tmp_path)
    assert found is not None
    assert found.go_modules == expected


def test_a_program_that_is_not_go_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "api"
    program.write_bytes(elf(build_info()))
    add_process(
        tmp_path, 42, executable=str(program), maps=b"00400000-00500000 r-xp 0 08:02 1 %b\n" % os.fsencode(program)
    )
    monkeypatch.setattr(loaded_files, "read_go_modules", lambda __: pytest.fail("read"))
    found = look(tmp_path)
    assert found is not None
    assert found.go_modules == ()


def test_names_that_are_no_text(tmp_path: Path) -> None:
    folder = add_process(tmp_path, 42, executable="/usr/bin/java")
    (folder / "fd/3").symlink_to(os.fsdecode(b"/srv/\xff\x1b[31m.jar"))
    (folder / "fd/4").symlink_to("/srv/" + "x" * 600 + ".jar")
    found = look(tmp_path)
    assert found is not None
    assert found.archives == ("/srv/\\xff\x1b[31m.jar",)
