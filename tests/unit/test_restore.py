# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Back to the ledger: exactly what was, and never over what somebody else has changed since."""

from __future__ import annotations

import errno
import os
import resource
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from ansible_collections.lastack.linux.plugins.module_utils.tune.guarded_files import write_file
from ansible_collections.lastack.linux.plugins.module_utils.tune.ledger import Ledger, open_ledger
from ansible_collections.lastack.linux.plugins.module_utils.tune.restore import Restored, restore
from host_trees import LIMITS, SYSCTL_CONF, SYSCTL_DROPIN, UNIT_DROPIN, build_host, picture, put
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

if TYPE_CHECKING:
    from collections.abc import Iterator

KEY = "net.ipv4.tcp_x"
ALL = frozenset({"sysctl", "nofile"})


@pytest.fixture
def host(tmp_path: Path) -> Path:
    return build_host(tmp_path)


def value_file(host: Path) -> Path:
    return host / "proc/sys/net/ipv4/tcp_x"


def apply_file(host: Path, ledger: Ledger, path: str, content: bytes) -> None:
    ledger.record_file(path, content)
    write_file(path, content, root=str(host))
    ledger.confirm_file(path)


def apply_all(host: Path) -> None:
    with open_ledger(root=str(host)) as ledger:
        for path in (SYSCTL_DROPIN, SYSCTL_CONF, UNIT_DROPIN, LIMITS):
            apply_file(host, ledger, path, b"ours\n")
        ledger.record_runtime(KEY, value_file(host).read_text().strip(), "5")
        value_file(host).write_text("5\n")
        ledger.confirm_runtime(KEY, "5")


def back(host: Path, *, check: bool = False, force: bool = False, what: frozenset[str] = ALL) -> list[Restored]:
    with open_ledger(root=str(host), check=check) as ledger:
        return restore(ledger, what=what, root=str(host), proc=str(host / "proc"), force=force, check=check)


def statuses(answers: list[Restored]) -> dict[str, str]:
    return {answer.subject: answer.status for answer in answers}


def test_everything_is_as_it_was(host: Path) -> None:
    put(host, SYSCTL_CONF, b"# theirs \xff", mode=0o600)
    put(host, LIMITS, "")
    value_file(host).write_text("1\n")
    before = picture(host)
    apply_all(host)
    applied = picture(host)
    predicted = back(host, check=True)
    assert picture(host) == applied
    answers = back(host)
    assert predicted == answers
    assert set(statuses(answers).values()) == {"restored"}
    assert [answer.subject for answer in answers] == [LIMITS, SYSCTL_CONF, SYSCTL_DROPIN, UNIT_DROPIN, KEY]
    assert answers[1] == Restored(SYSCTL_CONF, "file", "restored", "ours\n", "# theirs \\xff", None)
    assert answers[4] == Restored(KEY, "runtime", "restored", "5", "1", None)
    assert picture(host) == before
    assert back(host) == []


STATE = st.none() | st.tuples(st.binary(max_size=40), st.sampled_from([0o644, 0o600, 0o640, 0o4755]))
STATES = st.fixed_dictionaries(dict.fromkeys((SYSCTL_DROPIN, SYSCTL_CONF, UNIT_DROPIN, LIMITS), STATE))
STEP = st.tuples(st.sampled_from((SYSCTL_DROPIN, SYSCTL_CONF, UNIT_DROPIN, LIMITS)), st.binary(max_size=20))


@given(start=STATES, value=st.integers(0, 9), steps=st.lists(STEP, max_size=6), killed=st.booleans())
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_apply_and_restore_is_identity(
    tmp_path_factory: pytest.TempPathFactory,
    start: dict[str, tuple[bytes, int] | None],
    value: int,
    steps: list[tuple[str, bytes]],
    *,
    killed: bool,
) -> None:
    host = build_host(tmp_path_factory.mktemp("host"))
    for path, state in start.items():
        if state is not None:
            put(host, path, state[0], mode=state[1])
    value_file(host).write_text(f"{value}\n")
    before = picture(host)
    for number, (path, content) in enumerate(steps):
        with open_ledger(root=str(host)) as ledger:
            ledger.record_runtime(KEY, value_file(host).read_text().strip(), str(number))
            value_file(host).write_text(f"{number}\n")
            ledger.record_file(path, content)
            write_file(path, content, root=str(host))
            if not killed:
                ledger.confirm_file(path)
                ledger.confirm_runtime(KEY, str(number))
    back(host)
    assert picture(host) == before


def test_killed_between_record_and_write_is_no_conflict(host: Path) -> None:
    put(host, LIMITS, "theirs")
    value_file(host).write_text("1\n")
    before = picture(host)
    with open_ledger(root=str(host)) as ledger:
        for path in (LIMITS, UNIT_DROPIN):
            ledger.record_file(path, b"never written")
        ledger.record_runtime(KEY, "1", "5")
    left = host / "etc/security/limits.d/.90-lastack.conf.lastack-new"
    left.write_bytes(b"half")
    assert set(statuses(back(host)).values()) == {"unchanged"}
    assert picture(host) == before


def test_killed_between_write_and_confirmation_is_no_conflict(host: Path) -> None:
    value_file(host).write_text("1\n")
    before = picture(host)
    with open_ledger(root=str(host)) as ledger:
        ledger.record_file(UNIT_DROPIN, b"written")
        write_file(UNIT_DROPIN, b"written", root=str(host))
        ledger.record_runtime(KEY, "1", "5")
        value_file(host).write_text("5\n")
    assert set(statuses(back(host)).values()) == {"restored"}
    assert picture(host) == before


def test_what_somebody_changed_is_left_unless_forced(host: Path) -> None:
    put(host, SYSCTL_CONF, "before\n")
    value_file(host).write_text("1\n")
    before = picture(host)
    apply_all(host)
    put(host, SYSCTL_CONF, "an administrator's\n")
    put(host, UNIT_DROPIN, "an administrator's\n")
    value_file(host).write_text("7\n")
    changed = picture(host)
    for check in (True, False):
        answers = {answer.subject: answer for answer in back(host, check=check)}
        assert statuses(list(answers.values())) == {
            SYSCTL_CONF: "conflict",
            SYSCTL_DROPIN: "restored",
            UNIT_DROPIN: "conflict",
            LIMITS: "restored",
            KEY: "conflict",
        }
        assert answers[UNIT_DROPIN] == Restored(
            UNIT_DROPIN,
            "file",
            "conflict",
            "an administrator's\n",
            "an administrator's\n",
            f"{UNIT_DROPIN} was changed by somebody else since; it was left as it is.",
        )
        assert answers[KEY].error == f"{KEY} was changed to '7' by somebody else since; it was left as it is."
    for path in (SYSCTL_CONF, UNIT_DROPIN):
        assert picture(host)[path[1:]] == changed[path[1:]]
    assert value_file(host).read_text() == "7\n"
    assert set(statuses(back(host, force=True)).values()) == {"restored"}
    assert picture(host) == before


def test_a_file_that_somebody_removed(host: Path) -> None:
    put(host, SYSCTL_CONF, "before\n")
    value_file(host).write_text("1\n")
    apply_all(host)
    for path in (SYSCTL_CONF, UNIT_DROPIN):
        (host / path[1:]).unlink()
    found = statuses(back(host))
    assert found[SYSCTL_CONF] == "conflict"
    # That it is not there is what it was.
    assert found[UNIT_DROPIN] == "unchanged"
    assert not (host / UNIT_DROPIN[1:]).parent.exists()


def test_a_directory_goes_with_the_last_of_our_files_only(host: Path) -> None:
    value_file(host).write_text("1\n")
    apply_all(host)
    put(host, UNIT_DROPIN.replace("90", "50"), "theirs")
    back(host)
    assert [file.name for file in (host / UNIT_DROPIN[1:]).parent.iterdir()] == ["50-lastack-nofile.conf"]


@pytest.mark.parametrize(
    ("what", "subjects"), [("sysctl", {SYSCTL_CONF, SYSCTL_DROPIN, KEY}), ("nofile", {UNIT_DROPIN, LIMITS})]
)
def test_one_room_at_a_time(host: Path, what: str, subjects: set[str]) -> None:
    value_file(host).write_text("1\n")
    apply_all(host)
    assert {answer.subject for answer in back(host, what=frozenset({what}))} == subjects
    with open_ledger(root=str(host), check=True) as ledger:
        assert not subjects & (ledger.files.keys() | ledger.runtime.keys())
        assert not ledger.is_empty


def test_hostile_trees_fail_and_the_others_go_on(host: Path) -> None:
    value_file(host).write_text("1\n")
    apply_all(host)
    (host / "precious").write_bytes(b"precious")
    (host / LIMITS[1:]).unlink()
    (host / LIMITS[1:]).symlink_to(host / "precious")
    (host / "etc/systemd/system/web.service.d").rename(host / "elsewhere")
    (host / "etc/systemd/system/web.service.d").symlink_to(host / "elsewhere")
    for force in (False, True):
        answers = {answer.subject: answer for answer in back(host, force=force)}
        assert answers[LIMITS].status == answers[UNIT_DROPIN].status == "failed"
        assert answers[LIMITS].error == f"{LIMITS} is a symbolic link; it was neither followed nor changed."
    assert (host / "precious").read_bytes() == b"precious"
    assert (host / "elsewhere/90-lastack-nofile.conf").read_bytes() == b"ours\n"
    assert value_file(host).read_text().strip() == "1"


def test_a_key_that_has_gone(host: Path) -> None:
    value_file(host).write_text("1\n")
    apply_all(host)
    value_file(host).unlink()
    answer = back(host)[-1]
    assert answer == Restored(KEY, "runtime", "unchanged", None, None, f"{KEY} does not exist any more.")
    with open_ledger(root=str(host), check=True) as ledger:
        assert ledger.is_empty


def test_a_key_that_cannot_be_written_keeps_its_entry(host: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    value_file(host).write_text("1\n")
    apply_all(host)
    real = os.open

    def read_only(path: str, flags: int, *arguments: int, dir_fd: int | None = None) -> int:
        if str(path).endswith("/tcp_x") and flags & os.O_WRONLY:
            raise OSError(errno.EROFS, "Read-only file system")
        return real(path, flags, *arguments, dir_fd=dir_fd)

    monkeypatch.setattr(os, "open", read_only)
    for check in (True, False):
        answer = back(host, check=check)[-1]
        assert (answer.status, answer.error) == ("failed", f"{KEY} cannot be restored (Read-only file system).")
    monkeypatch.undo()
    assert statuses(back(host)) == {KEY: "restored"}


def test_a_full_disk_keeps_the_entry(host: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(host, SYSCTL_CONF, "before\n")
    value_file(host).write_text("1\n")
    apply_all(host)
    real = os.rename

    def full(source: str, target: str, *, src_dir_fd: int, dst_dir_fd: int) -> None:
        if target == "sysctl.conf":
            raise OSError(errno.ENOSPC, "No space left on device")
        real(source, target, src_dir_fd=src_dir_fd, dst_dir_fd=dst_dir_fd)

    monkeypatch.setattr(os, "rename", full)
    answer = back(host)[1]
    assert answer.error == f"{SYSCTL_CONF} cannot be restored (No space left on device)."
    monkeypatch.undo()
    assert statuses(back(host)) == {SYSCTL_CONF: "restored"}


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        yield process
        process.kill()


def start_of(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[19])


def record_raised(host: Path, pid: int, key: str) -> tuple[int, int]:
    """Raise the soft limit of a process of ours by nothing but what it may itself."""
    soft, hard = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    with open_ledger(root=str(host)) as ledger:
        ledger.record_process(key, before=(100, hard), wanted=(soft, hard))
    return soft, hard


def back_with_real_proc(host: Path, *, force: bool = False, check: bool = False) -> Restored:
    with open_ledger(root=str(host), check=check) as ledger:
        (answer,) = restore(ledger, root=str(host), proc="/proc", force=force, check=check)
    return answer


def test_limits_of_a_running_process_come_back(host: Path, sleeper: subprocess.Popen[bytes]) -> None:
    key = f"{sleeper.pid}:{start_of(sleeper.pid)}"
    soft, hard = record_raised(host, sleeper.pid, key)
    predicted = back_with_real_proc(host, check=True)
    assert resource.prlimit(sleeper.pid, resource.RLIMIT_NOFILE) == (soft, hard)
    assert back_with_real_proc(host) == predicted
    assert predicted == Restored(key, "process", "restored", f"{soft}:{hard}", f"100:{hard}", None)
    assert resource.prlimit(sleeper.pid, resource.RLIMIT_NOFILE) == (100, hard)


def test_limits_that_somebody_changed_are_left(host: Path, sleeper: subprocess.Popen[bytes]) -> None:
    key = f"{sleeper.pid}:{start_of(sleeper.pid)}"
    __, hard = record_raised(host, sleeper.pid, key)
    resource.prlimit(sleeper.pid, resource.RLIMIT_NOFILE, (200, hard))
    answer = back_with_real_proc(host)
    assert answer.status == "conflict"
    assert answer.error == (
        f"The limits of process {sleeper.pid} were changed by somebody else since; they were left as they are."
    )
    assert resource.prlimit(sleeper.pid, resource.RLIMIT_NOFILE) == (200, hard)
    assert back_with_real_proc(host, force=True).status == "restored"


def test_a_recycled_pid_is_never_touched(host: Path, sleeper: subprocess.Popen[bytes]) -> None:
    key = f"{sleeper.pid}:{start_of(sleeper.pid) - 1}"
    limits = record_raised(host, sleeper.pid, key)
    answer = back_with_real_proc(host, force=True)
    assert (answer.status, answer.error) == ("unchanged", f"Process {sleeper.pid} has ended.")
    assert resource.prlimit(sleeper.pid, resource.RLIMIT_NOFILE) == limits
    with open_ledger(root=str(host), check=True) as ledger:
        assert ledger.is_empty
