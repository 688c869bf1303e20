# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The only files that may be changed, and what hostile trees do to whoever changes them: nothing."""

from __future__ import annotations

import errno
import os
import socket
from typing import TYPE_CHECKING

import pytest
from ansible_collections.lastack.linux.plugins.module_utils.tune import guarded_files
from ansible_collections.lastack.linux.plugins.module_utils.tune.guarded_files import (
    MAX_BYTES,
    FileState,
    RefusedPath,
    check_writable,
    kind_of,
    missing_directory,
    read_state,
    remove_file,
    remove_leftover,
    remove_made_directory,
    write_file,
)
from host_trees import LIMITS, SYSCTL_CONF, SYSCTL_DROPIN, UNIT_DROPIN, build_host, picture, put

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

needs_uid_0 = pytest.mark.skipif(os.getuid() != 0, reason="only root may give files away")
ALL = (SYSCTL_DROPIN, SYSCTL_CONF, UNIT_DROPIN, LIMITS)


@pytest.fixture
def host(tmp_path: Path) -> Path:
    return build_host(tmp_path)


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        (SYSCTL_DROPIN, "sysctl_dropin"),
        ("/etc/sysctl.d/with blank.conf", "sysctl_dropin"),
        (SYSCTL_CONF, "sysctl_conf"),
        (UNIT_DROPIN, "unit_dropin"),
        ("/etc/systemd/system/foo@a\\x2db.service.d/90-x.conf", "unit_dropin"),
        (LIMITS, "limits_dropin"),
    ],
)
def test_four_kinds_of_path(path: str, kind: str) -> None:
    assert kind_of(path) == kind


@pytest.mark.parametrize(
    "path",
    [
        "/etc/shadow",
        "etc/sysctl.conf",
        "//etc/sysctl.conf",
        "/etc/sysctl.conf/",
        "/etc/sysctl.conf\n",
        "/etc/sysctl.d/../shadow",
        "/etc/sysctl.d/../../etc/shadow.conf",
        "/etc/sysctl.d/sub/a.conf",
        "/etc/sysctl.d/.hidden.conf",
        "/etc/sysctl.d/.conf",
        "/etc/sysctl.d/a..conf",
        "/etc/sysctl.d/a.conf~",
        "/etc/sysctl.d/a\n.conf",
        "/etc/sysctl.d/a\0.conf",
        "/etc/sysctl.d/a\x1b.conf",
        "/etc/sysctl.d/" + "a" * 300 + ".conf",
        "/etc/sysctl.d/\udcff.conf",
        "/etc/systemd/system/web.service",
        "/etc/systemd/system/web.socket.d/90-x.conf",
        "/etc/systemd/system/../x.service.d/90-x.conf",
        "/etc/systemd/system/..service.d/90-x.conf",
        "/etc/security/limits.conf",
        "/usr/lib/sysctl.d/a.conf",
        "",
    ],
)
def test_no_other_path_is_read_written_or_removed(host: Path, path: str) -> None:
    root = str(host)
    before = picture(host)
    calls: list[Callable[[], object]] = [
        lambda: kind_of(path),
        lambda: read_state(path, root=root),
        lambda: write_file(path, b"x", root=root),
        lambda: remove_file(path, root=root),
        lambda: remove_leftover(path, root=root),
        lambda: missing_directory(path, root=root),
        lambda: check_writable(path, root=root),
    ]
    for call in calls:
        with pytest.raises(RefusedPath, match="is none of the files that lastack may change"):
            call()
    assert picture(host) == before


@pytest.mark.parametrize("directory", ["/etc", "/etc/systemd/system", "/tmp", "/etc/sysctl.d/..", "/"])
def test_only_directories_that_could_be_ours_are_removed(host: Path, directory: str) -> None:
    with pytest.raises(RefusedPath):
        remove_made_directory(directory, root=str(host))


@pytest.mark.parametrize("path", ALL)
def test_written_read_and_removed(host: Path, path: str) -> None:
    root = str(host)
    before = picture(host)
    made = missing_directory(path, root=root)
    assert read_state(path, root=root) is None
    mask = os.umask(0o077)
    try:
        write_file(path, b"one\n", root=root)
    finally:
        os.umask(mask)
    assert read_state(path, root=root) == FileState(b"one\n", 0o644, os.getuid(), os.getgid(), None)
    assert (host / path.lstrip("/")).parent.stat().st_mode & 0o777 == 0o755
    remove_file(path, root=root)
    remove_file(path, root=root)
    if made is not None:
        remove_made_directory(made, root=root)
        remove_made_directory(made, root=root)
    assert picture(host) == before


def test_only_the_last_directory_is_made(host: Path) -> None:
    (host / "etc/systemd/system").rmdir()
    assert missing_directory(UNIT_DROPIN, root=str(host)) == "/etc/systemd/system/web.service.d"
    for call in (
        lambda: write_file(UNIT_DROPIN, b"", root=str(host)),
        lambda: check_writable(UNIT_DROPIN, root=str(host)),
    ):
        with pytest.raises(FileNotFoundError):
            call()


def test_a_directory_with_something_in_it_stays(host: Path) -> None:
    write_file(UNIT_DROPIN, b"", root=str(host))
    remove_made_directory("/etc/systemd/system/web.service.d", root=str(host))
    assert read_state(UNIT_DROPIN, root=str(host)) is not None


@needs_uid_0
def test_owner_and_mode_come_back(host: Path) -> None:
    file = put(host, SYSCTL_CONF, "a = 1\n", mode=0o4640)
    os.chown(file, 0, 1234)
    file.chmod(0o4640)
    state = read_state(SYSCTL_CONF, root=str(host))
    assert state is not None
    write_file(SYSCTL_CONF, b"ours", root=str(host))
    write_file(SYSCTL_CONF, state.content, root=str(host), like=state)
    assert read_state(SYSCTL_CONF, root=str(host)) == state == FileState(b"a = 1\n", 0o4640, 0, 1234, None)


def selinux_of(file: Path, name: str) -> bytes | None:
    try:
        return os.getxattr(file, name)
    except OSError:
        return None


@pytest.mark.parametrize("name", ["security.selinux", "user.selinux"])
def test_the_selinux_context_comes_back(host: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """The real attribute where this kernel and file system take it from us, and a plain one in its place."""
    file = put(host, SYSCTL_CONF, "a = 1\n")
    monkeypatch.setattr(guarded_files, "_SELINUX", name)
    context = b"system_u:object_r:system_conf_t:s0\0"
    try:
        os.setxattr(file, name, context)
    except OSError as error:
        pytest.skip(f"{name} cannot be set here: {error.strerror}")
    state = read_state(SYSCTL_CONF, root=str(host))
    assert state is not None
    assert state.selinux == "system_u:object_r:system_conf_t:s0"
    write_file(SYSCTL_CONF, b"ours", root=str(host))
    assert selinux_of(file, name) != context
    write_file(SYSCTL_CONF, b"a = 1\n", root=str(host), like=state)
    assert selinux_of(file, name) == context
    assert read_state(SYSCTL_CONF, root=str(host)) == state


def test_a_context_that_cannot_be_set_leaves_the_file_alone(host: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(host, SYSCTL_CONF, "old")

    def refused(*_arguments: object) -> None:
        raise OSError(errno.ENOTSUP, "Operation not supported")

    monkeypatch.setattr(os, "setxattr", refused)
    before = picture(host)
    with pytest.raises(OSError, match="not supported"):
        write_file(
            SYSCTL_CONF, b"new", root=str(host), like=FileState(b"", 0o644, os.getuid(), os.getgid(), "x:y:z:s0")
        )
    assert picture(host) == before


def refuses_everything(host: Path, path: str, sentence: str) -> None:
    before = picture(host)
    calls: list[Callable[[], object]] = [
        lambda: read_state(path, root=str(host)),
        lambda: write_file(path, b"ours", root=str(host)),
        lambda: remove_file(path, root=str(host)),
    ]
    for call in calls:
        with pytest.raises(RefusedPath) as refused:
            call()
        assert str(refused.value) == sentence
    assert picture(host) == before


@pytest.mark.parametrize("target", ["/etc/shadow", "../../precious", "nowhere"])
def test_a_symlinked_file_is_refused(host: Path, target: str) -> None:
    (host / "precious").write_bytes(b"precious")
    (host / SYSCTL_DROPIN.lstrip("/")).symlink_to(target)
    refuses_everything(host, SYSCTL_DROPIN, f"{SYSCTL_DROPIN} is a symbolic link; it was neither followed nor changed.")


@pytest.mark.parametrize("component", ["etc", "etc/systemd", "etc/systemd/system", "etc/systemd/system/web.service.d"])
def test_a_symlinked_directory_is_refused(host: Path, component: str) -> None:
    write_file(UNIT_DROPIN, b"theirs", root=str(host))
    (host / component).rename(host / "elsewhere")
    (host / component).symlink_to(host / "elsewhere")
    refuses_everything(host, UNIT_DROPIN, f"/{component} is a symbolic link; nothing behind it is read or changed.")


def test_a_file_in_place_of_a_directory_is_refused(host: Path) -> None:
    (host / "etc/sysctl.d").rmdir()
    (host / "etc/sysctl.d").write_bytes(b"")
    refuses_everything(host, SYSCTL_DROPIN, "/etc/sysctl.d is no directory; nothing behind it is read or changed.")


@pytest.mark.parametrize("what", ["fifo", "socket", "directory"])
def test_what_is_no_file_is_refused_without_waiting(host: Path, what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    path = host / SYSCTL_DROPIN.lstrip("/")
    with socket.socket(socket.AF_UNIX) as server:
        if what == "fifo":
            os.mkfifo(path)
        elif what == "socket":
            monkeypatch.chdir(path.parent)
            server.bind(path.name)
        else:
            path.mkdir()
        refuses_everything(host, SYSCTL_DROPIN, f"{SYSCTL_DROPIN} is no regular file; it was neither read nor changed.")


def test_hard_links_are_refused(host: Path) -> None:
    os.link(put(host, SYSCTL_DROPIN, "x"), host / "other")
    refuses_everything(
        host,
        SYSCTL_DROPIN,
        f"{SYSCTL_DROPIN} has 2 names (hard links); writing one of them would part them, it was not changed.",
    )


def test_a_huge_file_is_refused(host: Path) -> None:
    os.truncate(put(host, SYSCTL_DROPIN, "x"), 1 << 40)
    with pytest.raises(RefusedPath, match=f"{SYSCTL_DROPIN} is larger than {MAX_BYTES} bytes"):
        read_state(SYSCTL_DROPIN, root=str(host))
    with pytest.raises(RefusedPath, match="would be larger than"):
        write_file(LIMITS, b"x" * (MAX_BYTES + 1), root=str(host))
    put(host, LIMITS, b"x" * MAX_BYTES)
    state = read_state(LIMITS, root=str(host))
    assert state is not None
    assert len(state.content) == MAX_BYTES


@needs_uid_0
def test_what_others_own_is_refused(host: Path) -> None:
    file = put(host, SYSCTL_DROPIN, "x")
    os.chown(file, 1234, 0)
    refuses_everything(
        host, SYSCTL_DROPIN, f"{SYSCTL_DROPIN} belongs to uid 1234 and not to root; it was neither used nor changed."
    )
    os.chown(file, 0, 0)
    os.chown(file.parent, 1234, 0)
    refuses_everything(
        host, SYSCTL_DROPIN, "/etc/sysctl.d belongs to uid 1234 and not to root; nothing in it is read or changed."
    )


@needs_uid_0
@pytest.mark.parametrize(("mode", "group"), [(0o757, 0), (0o1777, 0), (0o775, 1234)])
def test_directories_that_others_may_write_are_refused(host: Path, mode: int, group: int) -> None:
    os.chown(host / "etc/sysctl.d", 0, group)
    (host / "etc/sysctl.d").chmod(mode)
    refuses_everything(
        host,
        SYSCTL_DROPIN,
        f"/etc/sysctl.d can be written by others than root (mode {mode:04o}); nothing in it is changed.",
    )


def test_a_file_that_appears_while_it_is_opened_is_checked_again(host: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between the look and the opening somebody may put a link there: the opening does not follow it either."""
    file = put(host, SYSCTL_DROPIN, "x")
    real = guarded_files._is_there

    def swapped(directory: int, name: str, path: str) -> bool:
        there = real(directory, name, path)
        file.unlink()
        file.symlink_to("/etc/hostname")
        return there

    monkeypatch.setattr(guarded_files, "_is_there", swapped)
    with pytest.raises(OSError, match="symbolic links"):
        read_state(SYSCTL_DROPIN, root=str(host))


@pytest.mark.parametrize("call", ["write", "fsync", "rename", "fchmod"])
def test_a_failure_leaves_the_old_file_and_nothing_else(host: Path, monkeypatch: pytest.MonkeyPatch, call: str) -> None:
    put(host, SYSCTL_CONF, "old")
    before = picture(host)

    def full(*_arguments: object, **_more: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, call, full)
    with pytest.raises(OSError, match="No space left"):
        write_file(SYSCTL_CONF, b"new", root=str(host))
    monkeypatch.undo()
    assert picture(host) == before


def test_short_writes_are_continued(host: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, data: real(descriptor, data[:3]))
    write_file(SYSCTL_CONF, b"0123456789", root=str(host))
    assert (host / "etc/sysctl.conf").read_bytes() == b"0123456789"


def test_what_a_killed_run_left_is_used_up(host: Path) -> None:
    left = host / "etc/.sysctl.conf.lastack-new"
    left.symlink_to("/etc/hostname")
    write_file(SYSCTL_CONF, b"new", root=str(host))
    assert not left.is_symlink()
    assert (host / "etc/sysctl.conf").read_bytes() == b"new"
    for clean in (remove_leftover, remove_file):
        left.write_bytes(b"half")
        clean(SYSCTL_CONF, root=str(host))
        assert not left.exists()


def test_a_read_only_file_system_is_predicted(host: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    check_writable(UNIT_DROPIN, root=str(host))
    monkeypatch.setattr(os, "access", lambda *_arguments, **_more: False)
    with pytest.raises(PermissionError):
        check_writable(UNIT_DROPIN, root=str(host))
