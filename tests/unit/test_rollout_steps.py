# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The steps of a roll-out over made answers: who goes on, who waits, who is restored, and what the record keeps."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from ansible_collections.lastack.linux.plugins.plugin_utils.rollout import Next, Rollout
from ansible_collections.lastack.linux.plugins.plugin_utils.rollout_options import RolloutOptionError, RolloutOptions
from ansible_collections.lastack.linux.plugins.plugin_utils.rollout_record import RolloutError, RolloutRecord
from rollout_samples import GONE, applied, look, predicted, restored, skipped

if TYPE_CHECKING:
    from pathlib import Path

HOSTS = ("a", "b", "c")
SHORT: dict[str, Any] = {"baseline_s": 10, "soak_s": 10, "soak_limit_s": 30, "batches": [1, "100%"]}


def made(folder: Path, *, check: bool = False, hosts: tuple[str, ...] = HOSTS, **options: Any) -> Rollout:  # noqa: ANN401
    given = RolloutOptions(**{**SHORT, **options})
    return Rollout(RolloutRecord.start(folder / "run", hosts=hosts, options=given._asdict(), check=check))


def set_out(rollout: Rollout, *hosts: str, **answers: dict[str, Any]) -> None:
    """Take a roll-out to the moment before its first batch is changed; ``answers`` replace those of some hosts."""
    everybody = {host: answers.get(host, predicted()) for host in rollout.record.hosts}
    rollout.predicted(everybody, 0)
    rollout.begun(hosts, 10)
    rollout.measured({host: {"look": look(10)} for host in hosts}, 10)


def change(rollout: Rollout, *hosts: str) -> None:
    """Take it to the soak of its first batch."""
    set_out(rollout, *hosts)
    assert rollout.ready({}).hosts == hosts
    assert rollout.applied({host: {**applied(), "look": look(11)} for host in hosts}, 11).go


def statuses(rollout: Rollout) -> dict[str, str]:
    return {host: entry["status"] for host, entry in rollout.record.hosts.items()}


def test_a_healthy_batch_passes_and_the_next_may_begin(tmp_path: Path) -> None:
    rollout = made(tmp_path)
    assert rollout.predicted({host: predicted() for host in HOSTS}, 0) == Next(go=True, hosts=HOSTS)
    assert rollout.record.document["sizes"] == [1, 2]
    begun = rollout.begun(["a"], 4)
    assert (begun.go, begun.wait_s, begun.why) == (True, 6.0, "batch 1 of 2: watching how it is before the change")
    assert rollout.measured({"a": {"look": look(10)}}, 10) == Next(go=True)
    assert rollout.ready({}) == Next(go=True, hosts=("a",))
    assert statuses(rollout)["a"] == "changing"
    soak = rollout.applied({"a": {**applied(), "look": look(11)}}, 11)
    assert (soak.go, soak.wait_s, soak.hosts) == (True, 10.0, ("a",))
    assert rollout.judged({"a": {"look": look(21)}}, 21) == Next(go=True)
    assert rollout.must_restore({}, ["a"]) == Next(go=True)
    assert statuses(rollout) == {"a": "passed", "b": "waiting", "c": "waiting"}
    assert rollout.begun(["b", "c"], 22).go
    assert rollout.record.batch["number"] == 2


def test_who_has_it_already_has_no_turn_and_check_mode_sets_nobody_out(tmp_path: Path) -> None:
    there = predicted(**applied(before="4096"))
    rollout = made(tmp_path)
    assert rollout.predicted({"a": there, "b": predicted(), "c": {"first": GONE}}, 0).hosts == ("b",)
    assert statuses(rollout) == {"a": "already", "b": "waiting", "c": "unreachable"}
    check = made(tmp_path / "check", check=True)
    assert check.predicted({host: predicted() for host in HOSTS}, 0) == Next(go=False, hosts=HOSTS)
    assert check.record.document["state"] == "predicted"


def test_the_soak_is_twice_the_longest_timer_that_changes(tmp_path: Path) -> None:
    rollout = made(tmp_path, soak_s=None, soak_limit_s=None)
    timer = applied("net.ipv4.tcp_keepalive_time", "7200", "300")
    rollout.predicted({"a": predicted(**timer), "b": predicted(), "c": predicted()}, 0)
    assert (rollout.record.document["soak_s"], rollout.record.document["soak_limit_s"]) == (600.0, 1800.0)


def test_a_host_that_turns_bad_stops_it_and_the_whole_batch_is_restored(tmp_path: Path) -> None:
    rollout = made(tmp_path, batches=[2, "100%"])
    change(rollout, "a", "b")
    bad = {"a": {"look": look(21)}, "b": {"look": look(21, ListenOverflows=142)}}
    assert rollout.judged(bad, 21) == Next(go=False)
    assert rollout.must_restore({}, ["a", "b"]) == Next(hosts=("a", "b"))
    assert rollout.record.document["state"] == "stopped"
    rollout.restored({"a": restored(), "b": restored()})
    assert statuses(rollout) == {"a": "restored", "b": "restored", "c": "waiting"}
    assert rollout.failures() == {"b": "ListenOverflows 0.0 → 14.2 a second since the change (limit 0.1)"}
    with pytest.raises(RolloutError, match="no later batch is touched"):
        rollout.begun(["c"], 30)


def test_too_little_traffic_extends_the_soak_up_to_its_limit_then_stops_or_goes_on(tmp_path: Path) -> None:
    for way, verdict, status in (("stop", "failed", "inconclusive"), ("go_on", "passed", "unjudged")):
        rollout = made(tmp_path / way, inconclusive=way)
        change(rollout, "a")
        quiet = {"a": {"look": look(21, rate=0) | {"opens": 1101, "segments": 11010}}}
        more = rollout.judged(quiet, 21)
        assert (more.again, more.wait_s) == (True, 10.0)
        assert more.why.startswith("batch 1 of 2: watching on, a: Too little traffic after the change: 1 opens")
        assert rollout.judged(quiet, 40).wait_s == 1.0
        assert rollout.judged(quiet, 41.5).again is False
        assert (rollout.record.batch["verdict"], statuses(rollout)["a"]) == (verdict, status)
        assert rollout.must_restore({}, ["a"]).hosts == (("a",) if way == "stop" else ())


def test_a_restart_after_the_change_is_looked_at_anew(tmp_path: Path) -> None:
    rollout = made(tmp_path)
    change(rollout, "a")
    again = rollout.judged({"a": {"look": look(2, boot="other")}}, 21)
    assert "the host has restarted between the two looks" in again.why
    assert rollout.judged({"a": {"look": look(12, boot="other")}}, 31).go
    assert statuses(rollout)["a"] == "passed"


def test_no_window_before_the_change_refuses_the_host_and_nothing_is_changed(tmp_path: Path) -> None:
    rollout = made(tmp_path)
    rollout.predicted({host: predicted() for host in HOSTS}, 0)
    rollout.begun(["a"], 10)
    quiet = {"a": {"look": look(10, rate=1)}}
    assert rollout.measured(quiet, 10).again
    assert rollout.measured(quiet, 20).again
    assert rollout.measured(quiet, 41).go
    assert rollout.ready({}) == Next()
    assert rollout.must_restore({}, ["a"]) == Next()
    assert statuses(rollout) == {"a": "refused", "b": "waiting", "c": "waiting"}
    assert rollout.failures()["a"].startswith("Too little traffic before the change")


def test_an_old_first_look_is_taken_anew(tmp_path: Path) -> None:
    rollout = made(tmp_path, baseline_limit_s=100)
    rollout.predicted({host: predicted() for host in HOSTS}, 0)
    assert rollout.begun(["a"], 200).wait_s == 0
    again = rollout.measured({"a": {"look": look(200)}}, 200)
    assert (again.again, again.wait_s) == (True, 10.0)
    assert again.why == "batch 1 of 2: a: its first look is too old"
    assert rollout.measured({"a": {"look": look(210)}}, 210).go
    assert rollout.record.hosts["a"]["before"]["seconds"] == 10.0


def test_who_is_off_at_its_turn_is_passed_over(tmp_path: Path) -> None:
    rollout = made(tmp_path)
    rollout.predicted({host: predicted() for host in HOSTS}, 0)
    rollout.begun(["a"], 10)
    rollout.measured({"a": {"look": GONE}}, 10)
    assert rollout.ready({}) == Next()
    assert rollout.must_restore({}, ["a"]) == Next(go=True)
    assert statuses(rollout)["a"] == "unreachable"
    assert rollout.begun(["b", "c"], 10).go


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ({"look": {"failed": True, "msg": "no /proc"}}, "After the change: no /proc"),
        ({"look": GONE}, "After the change: unreachable (timed out)"),
        ({}, "After the change: its task ended without a result: see Ansible's own output"),
        (
            {"look": look(21), "probe": {"failed": True, "msg": "rc 1"}},
            "The probe passed before the change and fails now: rc 1",
        ),
    ],
)
def test_a_host_that_does_not_answer_well_after_the_change_fails(
    tmp_path: Path, answer: dict[str, Any], reason: str
) -> None:
    rollout = made(tmp_path)
    change(rollout, "a")
    assert rollout.judged({"a": answer}, 21) == Next()
    assert rollout.record.hosts["a"]["reasons"] == [reason]
    assert rollout.must_restore({}, ["a"]).hosts == ("a",)


def test_a_probe_that_fails_before_the_change_refuses_the_host(tmp_path: Path) -> None:
    rollout = made(tmp_path)
    set_out(rollout, "a")
    assert rollout.ready({"a": {"probe": {"failed": True, "msg": "status 503"}}}) == Next()
    assert rollout.record.hosts["a"]["reasons"] == ["The probe failed before the change: status 503"]
    assert rollout.record.document["state"] == "stopped"


def test_a_change_that_fails_halfway_is_restored_without_a_soak(tmp_path: Path) -> None:
    rollout = made(tmp_path, batches=[2])
    set_out(rollout, "a", "b")
    assert rollout.ready({}).hosts == ("a", "b")
    answers = {"a": {**applied(), "look": look(11)}, "b": {"problem": "disk full", "look": look(11), **applied()}}
    assert rollout.applied(answers, 11) == Next()
    assert rollout.must_restore({}, ["a", "b"]).hosts == ("a", "b")
    rollout.restored({"a": restored(), "b": restored(sysctls_left={"changed": True})})
    assert statuses(rollout) == {"a": "restored", "b": "not_restored", "c": "waiting"}
    assert rollout.failures() == {"b": "read back, it is not as the ledger says The change failed: disk full"}


def test_tasks_that_end_unexpectedly_stop_it(tmp_path: Path) -> None:
    rollout = made(tmp_path)
    set_out(rollout, "a")
    assert rollout.must_restore({"a": {"unexpected": "a bug"}}, ["a"]) == Next()
    assert (statuses(rollout)["a"], rollout.record.hosts["a"]["reasons"]) == ("refused", ["a bug"])
    other = made(tmp_path / "other")
    change(other, "a")
    assert other.must_restore({"a": {"unexpected": "a bug"}}, ["a"]).hosts == ("a",)
    assert other.failures() == {"a": "a bug"}
    third = made(tmp_path / "third")
    change(third, "a")
    assert third.must_restore({}, ["a"]).hosts == ("a",)
    assert third.failures()["a"].startswith("Its tasks ended before it was judged")


def test_a_batch_that_was_never_begun_stops_it(tmp_path: Path) -> None:
    rollout = made(tmp_path)
    rollout.predicted({host: predicted() for host in HOSTS}, 0)
    why = "^The batch could not be begun, and nothing of it was changed: disk full$"
    with pytest.raises(RolloutError, match=why):
        rollout.must_restore({"a": {"unexpected": "disk full"}}, ["a"])
    passed = made(tmp_path / "c")
    change(passed, "a")
    passed.judged({"a": {"look": look(21)}}, 21)
    with pytest.raises(RolloutError, match=why):
        passed.must_restore({"b": {"unexpected": "disk full"}}, ["b", "c"])


def test_the_prediction_says_who_is_unfit(tmp_path: Path) -> None:
    rollout = made(tmp_path)
    answers = {
        "a": predicted(problem="net.core.x = 1 is refused: no such key."),
        "b": predicted(first={"failed": True, "msg": "no /proc"}),
        "c": {},
    }
    assert rollout.predicted(answers, 0) == Next()
    assert statuses(rollout) == {"a": "refused", "b": "refused", "c": "missing"}
    assert rollout.failures() == {
        "a": "The change would fail: net.core.x = 1 is refused: no such key.",
        "b": "The counters could not be read: no /proc",
        "c": "its task ended without a result: see Ansible's own output",
    }
    assert rollout.finished() == Next()


@pytest.mark.parametrize("status", ["changing", "changed", "failed", "not_restored"])
def test_what_an_earlier_roll_out_left_is_judged_by_its_own_window(tmp_path: Path, status: str) -> None:
    earlier = made(tmp_path)
    change(earlier, "a")
    earlier.record.hosts["a"]["status"] = status
    # Its process is gone.
    earlier.record.document["owner"]["pid"] = 4194399
    earlier.record.save()
    given = RolloutOptions(**SHORT)
    later = Rollout(RolloutRecord.start(tmp_path / "later", hosts=HOSTS, options=given._asdict(), check=False))
    there = predicted(**applied(before="4096"))
    assert later.predicted(dict.fromkeys(HOSTS, there), 50).hosts == ("a",)
    assert later.record.hosts["a"]["before"] == earlier.record.hosts["a"]["before"]
    assert later.record.hosts["a"]["keys"] == ["net.core.somaxconn"]
    assert later.begun(["a"], 50).wait_s == 0
    assert later.measured({}, 50) == Next(go=True)
    assert later.ready({}).hosts == ("a",)


def test_a_roll_out_that_lives_keeps_its_hosts(tmp_path: Path) -> None:
    earlier = made(tmp_path)
    change(earlier, "a")
    earlier.record.save()
    later = RolloutRecord.start(tmp_path / "later", hosts=HOSTS, options=RolloutOptions()._asdict(), check=False)
    assert later.interrupted() == {}


def test_a_limits_only_change_needs_no_sysctls(tmp_path: Path) -> None:
    rollout = made(tmp_path)
    limits = {"changed": True, "units": [{"name": "nginx.service", "status": "changed"}], "failed_limits": []}
    answers = predicted(sysctls=skipped(), limits=limits)
    assert rollout.predicted(dict.fromkeys(HOSTS, answers), 0).hosts == HOSTS
    assert rollout.record.hosts["a"]["subjects"] == ["nginx.service"]


def test_a_record_with_other_options_is_refused(tmp_path: Path) -> None:
    rollout = made(tmp_path)
    rollout.record.document["options"]["soak_s"] = "soon"
    with pytest.raises(RolloutOptionError, match=r"^soak_s must be a number of seconds"):
        Rollout(rollout.record)
    rollout.record.document["options"] = {"colour": "red"}
    with pytest.raises(RolloutOptionError, match=r"^There is no option colour"):
        Rollout(rollout.record)
