# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The look for dead descriptors on fixture trees."""

from __future__ import annotations

import errno
import os
import shutil
from typing import TYPE_CHECKING, Any

import pytest
from ansible_collections.lastack.linux.plugins.module_utils.observe import dead_descriptors
from ansible_collections.lastack.linux.plugins.module_utils.observe.dead_descriptors import find_dead_descriptors
from ansible_collections.lastack.linux.plugins.module_utils.observe.deadline import Deadline
from ansible_collections.lastack.linux.plugins.module_utils.observe.peeked_sockets import PeekedSocket, PeekRefused
from ansible_collections.lastack.linux.plugins.module_utils.observe.records import DeadDescriptors
from process_trees import add_process, add_self

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture
def proc(tmp_path: Path) -> Path:
    add_self(tmp_path)
    return tmp_path


@pytest.fixture(autouse=True)
def protocols(monkeypatch: pytest.MonkeyPatch) -> dict[str, bytes]:
    """What each ``socket:[inode]`` of a tree is: TCP unless a test says otherwise."""
    names: dict[str, bytes] = {}

    def getxattr(path: str, attribute: str) -> bytes:
        assert attribute == "system.sockprotoname"
        link = os.readlink(path)  # noqa: PTH115 - as the original
        assert link.startswith("socket:[")
        return names.get(link, b"TCP\0")

    monkeypatch.setattr(dead_descriptors.os, "getxattr", getxattr)
    return names


def sockets(*inodes: int) -> dict[int, str]:
    return {0: "/dev/null", 1: "pipe:[1]", **{3 + at: f"socket:[{inode}]" for at, inode in enumerate(inodes)}}


def answers(*sets: set[int] | None) -> Callable[[], set[int] | None]:
    left = iter(sets)
    return lambda: next(left)


DEAD = PeekedSocket(closed=True, was_connected=True, quiet_s=100.0)
FIXTURE: dict[str, Any] = {"minimum_open": 3, "settle_s": 0, "peek": lambda _pid, _descriptor: DEAD}


def find(proc: Path, *live: set[int] | None, **options: Any) -> DeadDescriptors:  # noqa: ANN401 - the original's
    return find_dead_descriptors(answers(*live), proc=str(proc), **{**FIXTURE, **options})


@pytest.mark.parametrize(
    ("peeked", "counted", "elsewhere"),
    [
        (DEAD, {10: 1}, 0),
        (None, {}, 0),
        (DEAD._replace(was_connected=False), {}, 0),
        (DEAD._replace(quiet_s=59.0), {}, 0),
        (DEAD._replace(closed=False), {}, 1),
    ],
)
def test_a_suspect_counts_only_if_it_says_so_itself(
    proc: Path, peeked: PeekedSocket | None, counted: dict[int, int], elsewhere: int
) -> None:
    add_process(proc, 10, links=sockets(7))
    asked: list[tuple[int, int]] = []

    def peek(pid: int, descriptor: int) -> PeekedSocket | None:
        asked.append((pid, descriptor))
        return peeked

    found = find(proc, set(), set(), peek=peek, min_quiet_s=60)
    assert (found.by_pid, found.elsewhere, found.complete) == (counted, elsewhere, not elsewhere)
    assert asked == [(10, 3)]


def test_no_verdict_where_nobody_may_ask(proc: Path) -> None:
    add_process(proc, 10, links=sockets(7))

    def refuse(pid: int, descriptor: int) -> PeekedSocket | None:
        raise PeekRefused(f"{pid} {descriptor}: Function not implemented")

    found = find(proc, set(), set(), peek=refuse)
    assert (found.by_pid, found.complete, found.refused) == ({}, False, "10 3: Function not implemented")


def test_too_many_descriptors_are_not_read(proc: Path) -> None:
    add_process(proc, 10, links=sockets(7))
    found = find(proc, set(), set(), most_descriptors=2)
    assert (found.by_pid, found.complete, found.processes_examined) == ({}, False, 0)


def test_dead_is_what_neither_dump_shows(proc: Path) -> None:
    add_process(proc, 10, links=sockets(7, 8, 9, 10))
    add_process(proc, 11, links=sockets(9))
    assert find(proc, {7}, {8}) == DeadDescriptors({10: 2, 11: 1}, 2, 0, complete=True)


def test_all_alive_asks_only_once(proc: Path) -> None:
    add_process(proc, 10, links=sockets(7, 8))
    assert find(proc, {7, 8}) == DeadDescriptors({}, 1, 0, complete=True)


def test_only_tcp_counts(proc: Path, protocols: dict[str, bytes]) -> None:
    protocols.update(
        {"socket:[7]": b"TCPv6\0", "socket:[8]": b"MPTCP\0", "socket:[9]": b"UNIX-STREAM\0", "socket:[10]": b"UDP\0"}
    )
    add_process(proc, 10, links=sockets(7, 8, 9, 10))
    assert find(proc, set(), set()).by_pid == {10: 1}


def test_a_process_with_few_descriptors_is_left_out(proc: Path) -> None:
    add_process(proc, 10, links=sockets(7))
    add_process(proc, 11, links=sockets(8, 9))
    assert find(proc, set(), set(), minimum_open=4) == DeadDescriptors({11: 2}, 1, 0, complete=True)


@pytest.mark.parametrize("live", [(None,), ({1}, None)])
def test_no_verdict_when_a_namespace_cannot_be_read(proc: Path, live: tuple[set[int] | None, ...]) -> None:
    add_process(proc, 10, links=sockets(7))
    found = find(proc, *live)
    assert found.by_pid == {}
    assert not found.complete


@pytest.mark.parametrize("now", ["socket:[70]", None])
def test_a_descriptor_that_is_another_afterwards_does_not_count(proc: Path, now: str | None) -> None:
    folder = add_process(proc, 10, links=sockets(7, 8))
    calls = []

    def live() -> set[int]:
        calls.append(1)
        if len(calls) == 2:
            (folder / "fd/3").unlink()
            if now is not None:
                (folder / "fd/3").symlink_to(now)
        return set()

    found = find_dead_descriptors(live, proc=str(proc), **FIXTURE)
    assert found.by_pid == {10: 1}
    assert len(calls) == 2


def test_a_process_that_vanishes_meanwhile_does_not_count(proc: Path) -> None:
    folder = add_process(proc, 10, links=sockets(7, 8))
    calls = []

    def live() -> set[int]:
        calls.append(1)
        if len(calls) == 2:
            shutil.rmtree(folder)
        return set()

    assert find_dead_descriptors(live, proc=str(proc), **FIXTURE) == DeadDescriptors({}, 1, 0, complete=True)


@pytest.mark.parametrize("step", ["measure_descriptors", "readlink", "getxattr"])
def test_vanishing_at_any_read_is_no_error(proc: Path, monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    folder = add_process(proc, 10, links=sockets(7))
    add_process(proc, 11, links=sockets(8))
    owner: Any = dead_descriptors if step == "measure_descriptors" else dead_descriptors.os
    original = getattr(owner, step)

    def vanish(*args: Any, **options: Any) -> Any:  # noqa: ANN401 - stands in for several
        result = original(*args, **options)
        if folder.exists():
            shutil.rmtree(folder)
            if step != "measure_descriptors":
                raise FileNotFoundError(errno.ENOENT, "No such file or directory")
        return result

    monkeypatch.setattr(owner, step, vanish)
    # The tree is listed in order of size and number, so 10 is the one that goes.
    found = find(proc, set(), set())
    assert found.by_pid == {11: 1}
    assert found.complete


@pytest.mark.parametrize("number", [errno.EOPNOTSUPP, errno.ENODATA, errno.EPERM])
def test_a_kernel_that_does_not_name_the_protocol_gives_no_verdict(
    proc: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    add_process(proc, 10, links=sockets(7))

    def refuse(*__: object) -> bytes:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(dead_descriptors.os, "getxattr", refuse)
    found = find(proc, set(), set())
    assert found.by_pid == {}
    assert not found.complete


@pytest.mark.parametrize("step", ["open", "measure_descriptors"])
def test_denied_processes_are_counted(proc: Path, monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    add_process(proc, 10, links=sockets(7))
    add_process(proc, 11, links=sockets(8))
    owner: Any = dead_descriptors if step == "measure_descriptors" else dead_descriptors.os
    original = getattr(owner, step)

    def deny(what: Any, *args: Any, **options: Any) -> Any:  # noqa: ANN401 - stands in for several
        if what == 10 or str(what).endswith("/10/fd"):
            raise PermissionError(errno.EACCES, "Permission denied")
        return original(what, *args, **options)

    monkeypatch.setattr(owner, step, deny)
    assert find(proc, set(), set()) == DeadDescriptors({11: 1}, 1, 1, complete=False)


def test_the_deadline_cuts(proc: Path) -> None:
    add_process(proc, 10, links=sockets(7))
    assert find(proc, set(), deadline=Deadline(0)) == DeadDescriptors({}, 0, 0, complete=False)


def test_a_container_sees_all_of_itself(tmp_path: Path) -> None:
    add_self(tmp_path, namespace="pid:[4026532777]")
    add_process(tmp_path, 10, links=sockets(7))
    assert find(tmp_path, set(), set()) == DeadDescriptors({10: 1}, 1, 0, complete=True)


def test_hidden_processes_may_have_more(proc: Path) -> None:
    add_process(proc, 10, links=sockets(7))
    (proc / "1/stat").unlink()
    assert find(proc, set(), set()) == DeadDescriptors({10: 1}, 1, 0, complete=False)
