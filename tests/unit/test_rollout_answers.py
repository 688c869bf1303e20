# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What hosts answer to roll-out and roll-back, right and wrong, in words and statuses."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.lastack.linux.plugins.plugin_utils.rollback import rollback_outcome
from ansible_collections.lastack.linux.plugins.plugin_utils.rollout_answers import (
    apply_trouble,
    changed_keys,
    changed_subjects,
    prediction,
    restore_trouble,
    timers,
)
from ansible_collections.lastack.linux.plugins.plugin_utils.task_results import plain, trouble
from hypothesis import given
from hypothesis import strategies as st
from rollout_samples import GONE, applied, predicted, restored, skipped

BROKEN = {"failed": True, "msg": "The ledger is corrupt."}
CONFLICT = {
    "changed": False,
    "conflicts": ["net.core.x"],
    "failures": ["net.core.x was changed by somebody else."],
    "restored": [{"subject": "net.core.x", "status": "conflict"}],
}
NOTHING = {"changed": False, "failures": [], "conflicts": [], "restored": []}
SCRAP = st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.just([None, "x", {"key": 1, "status": []}])
NAMES = (
    "changed",
    "failed",
    "msg",
    "skipped",
    "unreachable",
    "sysctls",
    "units",
    "users",
    "failures",
    "conflicts",
    "restored",
    "failed_limits",
)
RESULT = SCRAP | st.fixed_dictionaries({}, optional=dict.fromkeys(NAMES, SCRAP))


def test_prediction() -> None:
    assert prediction(predicted()) == ("waiting", "")
    assert prediction(predicted(**applied(before="4096"))) == ("already", "")
    assert prediction(predicted(sysctls=skipped(), limits={"changed": True})) == ("waiting", "")
    assert prediction(predicted(sysctls=GONE)) == ("unreachable", "unreachable (timed out)")
    assert prediction(predicted(sysctls=BROKEN)) == ("refused", "The change would fail: The ledger is corrupt.")


def test_what_is_changed_is_told_by_its_name() -> None:
    answers = applied("net.ipv4.tcp_fin_timeout", "60", "30")
    assert (changed_keys(answers), changed_subjects(answers)) == (["net.ipv4.tcp_fin_timeout"],) * 2
    assert timers(answers) == [30.0]
    # Nothing runs differently, but the file is not there yet.
    kept = applied(before="4096", changed=True)
    assert (changed_keys(kept), changed_subjects(kept)) == ([], ["/etc/sysctl.d/99.conf"])
    limits = {"changed": True, "units": [{"name": "a", "status": "needs_restart"}, {"name": "b", "status": "kept"}]}
    assert changed_subjects({"limits": {**limits, "users": [{"name": "@web", "status": "changed"}]}}) == ["a", "@web"]


def test_a_host_cannot_write_to_the_screen() -> None:
    assert "\x1b" not in apply_trouble({"problem": "no\x1b[2J\nway"})
    subjects = changed_subjects(applied("evil\x1b[2J\n", "1", "2"))
    assert not any("\x1b" in one or "\n" in one for one in subjects)


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        ({}, ""),
        ({"sysctls": BROKEN}, "The ledger is corrupt."),
        ({"limits": None}, "its task ended without a result: see Ansible's own output"),
        ({"sysctls": CONFLICT}, "net.core.x was changed by somebody else."),
        ({"limits_left": GONE}, "it could not be read back: unreachable (timed out)"),
        ({"sysctls_left": {"changed": True}}, "read back, it is not as the ledger says"),
    ],
)
def test_a_restoration_is_only_believed_when_read_back(more: dict[str, Any], sentence: str) -> None:
    assert restore_trouble(restored(**more)) == sentence


@pytest.mark.parametrize(
    ("more", "outcome"),
    [
        ({}, ("restored", "")),
        ({"sysctls": NOTHING}, ("nothing", "")),
        ({"sysctls": CONFLICT}, ("conflict", "net.core.x was changed by somebody else.")),
        ({"sysctls": CONFLICT, "limits": BROKEN}, ("failed", "net.core.x was changed by somebody else.")),
        ({"limits": GONE}, ("unreachable", "unreachable (timed out)")),
        ({"limits_left": GONE}, ("unreachable", "unreachable (timed out)")),
        ({"sysctls_left": {"changed": True}}, ("failed", "read back, it is not as the ledger says")),
        ({"sysctls": None}, ("failed", "its task ended without a result: see Ansible's own output")),
    ],
)
def test_roll_back(more: dict[str, Any], outcome: tuple[str, str]) -> None:
    assert rollback_outcome(restored(**more), check=False) == outcome


def test_a_failure_is_not_hidden_behind_a_conflict() -> None:
    both = {**CONFLICT, "failures": ["x.", "y."], "restored": [*CONFLICT["restored"], {"status": "failed"}]}  # type: ignore[misc]
    assert rollback_outcome(restored(sysctls=both), check=False) == ("failed", "x. y.")


def test_in_check_mode_nothing_was_read_back() -> None:
    left = {"changed": True}
    assert rollback_outcome(restored(sysctls_left=left, limits_left=left), check=True) == ("restored", "")


@given(st.fixed_dictionaries({}, optional=dict.fromkeys([*predicted(), *restored()], RESULT)))
def test_no_answer_of_a_host_raises(answers: dict[str, Any]) -> None:
    assert prediction(answers)[0] in ("missing", "unreachable", "refused", "waiting", "already")
    assert isinstance(apply_trouble(answers), str)
    assert isinstance(restore_trouble(answers), str)
    assert all(isinstance(one, str) for one in [*changed_keys(answers), *changed_subjects(answers)])
    assert all(isinstance(one, float) for one in timers(answers))
    assert rollback_outcome(answers, check=False)[0] in ("restored", "nothing", "conflict", "failed", "unreachable")


def test_results_in_words() -> None:
    assert trouble({"changed": True}) == ""
    assert trouble({"failed": True}) == "no reason given"
    assert trouble(skipped()) == trouble(None) == "its task ended without a result: see Ansible's own output"
    assert trouble(GONE) == "unreachable (timed out)"

    class Marked(str):
        __slots__ = ()

    copied = plain({Marked("a"): (Marked("b"), 1, True, None, 2.5), "deep": [[1]]})
    assert copied == {"a": ["b", 1, True, None, 2.5], "deep": [[1]]}
    assert copied["a"][0].__class__ is str
