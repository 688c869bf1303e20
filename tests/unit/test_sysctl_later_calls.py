# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an earlier call left and what somebody did since: values, lines, files, the ledger, and what a check tells."""

from __future__ import annotations

import errno
import os
import shutil
from typing import TYPE_CHECKING, Any

import pytest
from ansible_collections.lastack.linux.plugins.module_utils.observe.records import PortPressure
from ansible_collections.lastack.linux.plugins.module_utils.tune.ledger import LedgerError, open_ledger
from ansible_collections.lastack.linux.plugins.module_utils.tune.results import as_return, failures
from sysctl_hosts import DROPIN, FakeHost

if TYPE_CHECKING:
    from pathlib import Path

    from ansible_collections.lastack.linux.plugins.module_utils.tune.results import BaselineResult

SOMAXCONN, FIN, KEEPALIVE = "net.core.somaxconn", "net.ipv4.tcp_fin_timeout", "net.ipv4.tcp_keepalive_time"
RESERVED, RANGE = "net.ipv4.ip_local_reserved_ports", "net.ipv4.ip_local_port_range"
CONTROL = "net.ipv4.tcp_congestion_control"
PATH = f"/{DROPIN}"


@pytest.fixture
def host(tmp_path: Path) -> FakeHost:
    host = FakeHost(tmp_path / "host")
    for key, value in ((SOMAXCONN, "128"), (FIN, "60"), (KEEPALIVE, "7200")):
        host.set(key, value)
    return host


def queue(value: str, **fields: Any) -> dict[str, Any]:  # noqa: ANN401 - fields of a setting
    return {"key": SOMAXCONN, "value": value, "match": "at_least", **fields}


def timeout(value: str, **fields: Any) -> dict[str, Any]:  # noqa: ANN401 - the same
    return {"key": FIN, "value": value, "match": "at_most", "allowed": [[1, 60]], **fields}


def twice(host: FakeHost, *entries: dict[str, Any], **options: Any) -> BaselineResult:  # noqa: ANN401 - Baseline's own
    """Predict, run, and hold the one against the other."""
    before = host.picture()
    predicted = host.apply(*entries, check=True, **options)
    assert host.picture() == before
    result = host.apply(*entries, **options)
    assert as_return(predicted) == as_return(result)
    return result


class TestOurOwnValue:
    """What an earlier call set is no stronger value of an administrator's."""

    def test_it_can_be_lowered_again(self, host: FakeHost) -> None:
        host.apply(queue("16384"))
        (one,) = twice(host, queue("8192")).keys
        assert (one.status, one.before, one.after) == ("changed", "16384", "8192")
        assert host.dropin() == ["net.core.somaxconn = 8192"]
        host.apply(state="restored")
        assert host.get(SOMAXCONN) == "128"

    def test_what_was_there_before_stays_a_stronger_value(self, host: FakeHost) -> None:
        host.set(SOMAXCONN, "4096")
        host.apply(queue("16384"))
        assert twice(host, queue("1024")).keys[0].after == "4096"
        assert twice(host, queue("1024")).keys[0].status == "kept"

    def test_what_somebody_set_since_is_theirs(self, host: FakeHost) -> None:
        host.apply(queue("16384"))
        host.set(SOMAXCONN, "20000")
        assert twice(host, queue("8192")).keys[0].status == "kept"

    def test_a_file_of_others_still_counts(self, host: FakeHost) -> None:
        host.apply(queue("16384"))
        host.file("etc/sysctl.d/50-admin.conf", f"{SOMAXCONN} = 9000\n")
        assert twice(host, queue("8192")).keys[0].after == "9000"

    def test_a_list_of_ports_shrinks_to_what_others_reserved(self, host: FakeHost) -> None:
        host.set(RESERVED, "8080")
        host.apply({"key": RESERVED, "value": "9000-9003", "match": "union"})
        assert host.get(RESERVED) == "8080,9000-9003"
        assert twice(host, {"key": RESERVED, "value": "9000", "match": "union"}).keys[0].after == "8080,9000"

    def test_ports_that_were_filled_in_stay(self, host: FakeHost) -> None:
        for key, value in ((RESERVED, ""), (RANGE, "32768\t60999"), ("net.ipv4.tcp_timestamps", "1")):
            host.set(key, value)
        wanted = (
            {"key": RESERVED, "value": "", "match": "union", "needs": "port_pressure"},
            {"key": RANGE, "value": "16384 65535", "match": "wider", "needs": "port_pressure"},
        )
        evidence = PortPressure(90.0, "10.0.0.1:443", frozenset({20000}))
        assert host.apply(*wanted, evidence=lambda: evidence).changed
        assert not twice(host, *wanted).changed
        assert host.get(RESERVED) == "20000"


class TestKeysThatAreNoLongerNamed:
    def test_line_and_value_go(self, host: FakeHost) -> None:
        before = host.picture()
        host.apply(queue("4096"), timeout("30"))
        result = twice(host, queue("4096"))
        assert [(one.key, one.status) for one in result.keys] == [(SOMAXCONN, "ok"), (FIN, "restored")]
        one = result.keys[1]
        assert (one.before, one.after, one.reason, one.boot) == ("30", "60", "no longer named", None)
        assert (result.changed, result.failed_keys) == (True, ())
        assert result.diff[0]["after"] == f"{FIN} = 60\n"
        assert (host.get(FIN), host.dropin()) == ("60", ["net.core.somaxconn = 4096"])
        with open_ledger(root=str(host.root), check=True) as ledger:
            assert list(ledger.runtime) == [SOMAXCONN]
        assert [one.key for one in twice(host, queue("4096")).keys] == [SOMAXCONN]
        assert not failures(host.apply(state="restored"))
        assert host.picture() == before

    def test_what_somebody_changed_since_is_left_and_said(self, host: FakeHost) -> None:
        host.apply(queue("4096"), timeout("30"))
        host.set(FIN, "45")
        result = twice(host, queue("4096"))
        one = result.keys[1]
        assert (one.status, one.before, one.after) == ("conflict", "45", "45")
        assert one.reason == (
            "no longer named; net.ipv4.tcp_fin_timeout was changed to '45' by somebody else since; it was left as it is"
        )
        assert (result.failed_keys, host.dropin()) == ((), ["net.core.somaxconn = 4096"])
        # It can still be forced back.
        assert not failures(host.apply(state="restored", force=True))
        assert host.get(FIN) == "60"

    def test_a_value_that_was_there_before_stays(self, host: FakeHost) -> None:
        host.apply(queue("4096"), timeout("60"))
        result = twice(host, queue("4096"))
        assert (result.keys[1].status, result.keys[1].after, host.get(FIN)) == ("ok", "60", "60")
        assert result.keys[1].reason == "no longer named; the ledger holds no former value, so what runs stays"

    def test_a_key_that_has_gone(self, host: FakeHost) -> None:
        host.apply(queue("4096"), timeout("30"))
        host.key_file(FIN).unlink()
        assert twice(host, queue("4096")).keys[1].status == "absent"

    def test_a_key_that_moved_to_another_file_of_ours_runs_on(self, host: FakeHost) -> None:
        other = "/etc/sysctl.d/99-other.conf"
        host.apply(queue("4096"), timeout("30"))
        host.apply(timeout("30", match="exact"), path=other)
        one = twice(host, queue("4096")).keys[1]
        assert (one.status, host.get(FIN)) == ("ok", "30")
        assert one.reason == f"no longer named for {PATH}, and {other}:4 sets it"

    def test_a_second_file_takes_nothing_from_the_first(self, host: FakeHost) -> None:
        host.apply(queue("4096"))
        host.apply(timeout("30"), path="/etc/sysctl.d/99-other.conf")
        assert not twice(host, queue("4096")).changed
        assert (host.get(SOMAXCONN), host.get(FIN)) == ("4096", "30")

    def test_forward_and_back_is_identity(self, host: FakeHost) -> None:
        before = host.picture()
        for entries in ([queue("4096"), timeout("30")], [timeout("20")], [queue("9000")], [queue("100"), timeout("9")]):
            twice(host, *entries)
        assert not failures(twice(host, state="restored"))
        assert host.picture() == before


class TestLinesThatStay:
    """A key that could not be set keeps the line that it has."""

    @pytest.mark.parametrize("value", ["-1", "30 # seconds"])
    def test_refused_and_invalid(self, host: FakeHost, value: str) -> None:
        host.apply(timeout("30", reason="Half a minute", match="exact"))
        before = (host.root / DROPIN).read_bytes()
        result = twice(host, timeout(value, reason="Another reason", match="exact"))
        assert result.keys[0].status in ("never", "invalid")
        assert (result.changed, host.get(FIN)) == (False, "30")
        assert (host.root / DROPIN).read_bytes() == before

    def test_gated(self, host: FakeHost) -> None:
        entry = {"key": KEEPALIVE, "value": "300", "match": "at_most"}
        host.apply(entry)
        result = twice(host, entry | {"gated": "Nobody said so"})
        assert (result.keys[0].status, result.changed) == ("ok", False)
        assert host.dropin() == ["net.ipv4.tcp_keepalive_time = 300"]
        host.set(KEEPALIVE, "7200")
        assert twice(host, entry | {"gated": "Nobody said so"}).keys[0].status == "gated"
        assert host.dropin() == ["net.ipv4.tcp_keepalive_time = 300"]

    def test_absent_with_all_its_comments(self, host: FakeHost) -> None:
        host.apply(timeout("30", reason="Half a minute"))
        before = (host.root / DROPIN).read_bytes()
        host.key_file(FIN).unlink()
        assert not twice(host, timeout("30", reason="Half a minute")).changed
        assert (host.root / DROPIN).read_bytes() == before

    def test_no_line_that_nobody_should_write(self, host: FakeHost) -> None:
        host.apply(queue("4096"), timeout("30"))
        host.file(DROPIN, (host.root / DROPIN).read_text().replace("timeout = 30", "timeout = -1"))
        assert twice(host, queue("4096"), timeout("-1")).keys[1].status == "never"
        assert host.dropin() == ["net.core.somaxconn = 4096"]

    def test_none_comes_new(self, host: FakeHost) -> None:
        host.apply(queue("4096"))
        twice(host, queue("4096"), timeout("-1"))
        assert host.dropin() == ["net.core.somaxconn = 4096"]


class TestRemarks:
    def test_a_hand_edit_is_overwritten_and_said(self, host: FakeHost) -> None:
        host.set("net.core.mine", "1")
        host.apply(queue("4096"))
        edited = (host.root / DROPIN).read_text().replace("= 4096", "= 999") + "net.core.mine = 1\n"
        host.file(DROPIN, edited)
        result = twice(host, queue("4096"), {"key": "net.core.mine", "value": "2"})
        assert result.remarks == (
            f"{PATH} was changed by hand and is written anew; these lines go: "
            "net.core.somaxconn = 999; net.core.mine = 1.",
        )
        assert host.dropin() == ["net.core.somaxconn = 4096", "net.core.mine = 2"]
        assert as_return(result)["remarks"] == list(result.remarks)
        assert twice(host, queue("4096")).remarks == ()

    def test_many_lines_are_counted(self, host: FakeHost) -> None:
        host.apply(queue("4096"))
        with (host.root / DROPIN).open("a") as file:
            file.writelines(f"# \x1b[31mline {number}\n" for number in range(7))
        (remark,) = twice(host, queue("4096")).remarks
        assert remark.endswith("; # ?[31mline 4; and 2 more.")

    def test_state_absent_says_it_too(self, host: FakeHost) -> None:
        host.apply(queue("4096"))
        with (host.root / DROPIN).open("a") as file:
            file.write("# mine\n")
        (remark,) = twice(host, state="absent").remarks
        assert "; # mine" in remark

    def test_our_own_changes_are_no_hand_edit(self, host: FakeHost) -> None:
        host.apply(queue("4096"))
        assert twice(host, queue("8192")).remarks == ()

    def test_a_file_that_is_left_behind(self, host: FakeHost) -> None:
        host.apply(queue("4096"))
        result = twice(host, queue("4096"), persist=False)
        assert result.remarks == (
            f"{PATH} of an earlier call stays, and the next boot sets what it says: persist=false writes no file and "
            "takes none away; state=absent does.",
        )
        assert not result.changed
        twice(host, state="absent")
        assert twice(host, queue("4096"), persist=False).remarks == ()


class TestALostLedger:
    def test_restored_fails_and_says_what_to_do(self, host: FakeHost) -> None:
        host.apply(queue("4096"))
        shutil.rmtree(host.root / "var/lib/lastack")
        result = twice(host, state="restored")
        assert failures(result) == [
            f"This module wrote {PATH}, but the ledger /var/lib/lastack/ledger.json does not know what was there "
            "before, so that it cannot be restored: take the lines out with state=absent, and restart the host or set "
            "the former values by hand."
        ]
        assert not result.changed

    def test_it_is_no_better_after_another_run(self, host: FakeHost) -> None:
        host.apply(queue("4096"))
        shutil.rmtree(host.root / "var/lib/lastack")
        host.apply(queue("8192"))
        assert len(failures(twice(host, state="restored"))) == 1

    def test_what_is_taken_out_then_does_not_come_back(self, host: FakeHost) -> None:
        host.apply(queue("4096"))
        shutil.rmtree(host.root / "var/lib/lastack")
        twice(host, state="absent")
        assert failures(twice(host, state="restored")) == []
        assert not (host.root / DROPIN).exists()

    def test_a_file_of_somebody_else_is_no_matter(self, host: FakeHost) -> None:
        host.file("etc/sysctl.d/50-admin.conf", f"{SOMAXCONN} = 9000\n")
        (host.root / "etc/sysctl.d/link.conf").symlink_to("50-admin.conf")
        assert failures(twice(host, state="restored")) == []


class TestChecks:
    """What a run would meet is told before."""

    def test_state_absent_says_what_runs(self, host: FakeHost) -> None:
        host.apply(queue("4096"))
        (one,) = twice(host, {"key": SOMAXCONN}, state="absent").keys
        assert (one.status, one.before, one.after) == ("changed", "4096", "4096")
        assert one.reason == "its line left the file; what runs stays"

    @pytest.mark.parametrize("made", [False, True])
    def test_a_ledger_that_cannot_be_written(
        self,
        host: FakeHost,
        monkeypatch: pytest.MonkeyPatch,
        made: bool,  # noqa: FBT001 - a parameter of the test
    ) -> None:
        if made:
            host.apply(timeout("30"))
        read_only(monkeypatch, host.root / "var/lib", host.root / "var/lib/lastack")
        with pytest.raises(LedgerError) as error:
            host.apply(queue("4096"), timeout("30"), check=True)
        assert str(error.value) == (
            "/var/lib/lastack/ledger.json cannot be written (Read-only file system); nothing more was changed."
            if made
            else "/var/lib/lastack cannot be used (Read-only file system); nothing was changed."
        )
        if made:
            assert not host.apply(timeout("30"), check=True).changed

    def test_a_full_disk(self, host: FakeHost, monkeypatch: pytest.MonkeyPatch) -> None:
        full(monkeypatch, host.root / "etc/sysctl.d")
        result = host.apply(queue("4096"), check=True)
        assert failures(result) == [
            f"{PATH} could not be written (No space left on device); the values hold until the next boot."
        ]

    def test_restoring_a_file_that_never_was(self, host: FakeHost, monkeypatch: pytest.MonkeyPatch) -> None:
        folder = host.root / "etc/sysctl.d"
        real = os.unlink

        def unlink(name: Any, **options: Any) -> None:  # noqa: ANN401 - os.unlink's own
            if "lastack-new" in str(name):
                raise OSError(errno.EROFS, os.strerror(errno.EROFS))
            real(name, **options)

        with monkeypatch.context() as patch:
            patch.setattr(os, "unlink", unlink)
            assert failures(host.apply(queue("4096")))[0].startswith(f"{PATH} could not be written (Read-only")
            result = host.apply(state="restored")
        assert failures(result) == []
        assert [(one.subject, one.status) for one in result.restored] == [(PATH, "unchanged"), (SOMAXCONN, "restored")]
        assert list(folder.iterdir()) == []

    def test_a_congestion_control_that_is_not_there(self, host: FakeHost) -> None:
        host.set(CONTROL, "cubic")
        host.set("net.ipv4.tcp_available_congestion_control", "reno cubic")
        host.set("kernel.osrelease", "0-no-such-release")
        result = host.apply({"key": CONTROL, "value": "nope"}, check=True)
        assert (result.keys[0].status, result.changed) == ("invalid", False)
        assert failures(result) == [f"{CONTROL}: the kernel refused 'nope' (No such file or directory)."]
        assert host.apply({"key": CONTROL, "value": "reno"}, check=True).keys[0].status == "changed"


def read_only(monkeypatch: pytest.MonkeyPatch, *folders: Path) -> None:
    """Let these folders look like those of a read-only file system."""
    seen = {folder.stat().st_ino for folder in folders if folder.exists()}
    real, real_status = os.access, os.fstatvfs

    def access(path: Any, mode: int, **options: Any) -> bool:  # noqa: ANN401 - os.access's own
        found = os.fstat(options["dir_fd"]).st_ino if "dir_fd" in options else None
        return found not in seen and real(path, mode, **options)

    def status(descriptor: int) -> Any:  # noqa: ANN401 - os.statvfs_result
        return Changed(real_status(descriptor), f_flag=os.ST_RDONLY)

    monkeypatch.setattr(os, "access", access)
    monkeypatch.setattr(os, "fstatvfs", status)


def full(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """Let this folder look like one of a full file system."""
    number, real = folder.stat().st_ino, os.fstatvfs

    def status(descriptor: int) -> Any:  # noqa: ANN401 - os.statvfs_result
        changes = {"f_blocks": 10, "f_bfree": 0} if os.fstat(descriptor).st_ino == number else {}
        return Changed(real(descriptor), **changes)

    monkeypatch.setattr(os, "fstatvfs", status)


class Changed:
    """A result of statvfs(3) with other figures."""

    def __init__(self, real: os.statvfs_result, **changes: int) -> None:
        for name in ("f_blocks", "f_bfree", "f_frsize", "f_files", "f_ffree", "f_flag"):
            setattr(self, name, changes.get(name, getattr(real, name)))
