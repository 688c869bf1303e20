# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One host of a sweep: what is tried again and what never is, and what stands in the report."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from ansible_collections.lastack.linux.sweep import attempt
from ansible_collections.lastack.linux.sweep.attempt import Answer, Looker
from ansible_collections.lastack.linux.sweep.client_keys import AuthenticationError
from ansible_collections.lastack.linux.sweep.conversation import AnswerError
from ansible_collections.lastack.linux.sweep.dial import DialError
from ansible_collections.lastack.linux.sweep.host_keys import HostKeyError
from ansible_collections.lastack.linux.sweep.inventory import Entry
from ansible_collections.lastack.linux.sweep.lifeline import CutError, Lifeline
from ansible_collections.lastack.linux.sweep.payload import build_body, new_marker
from ansible_collections.lastack.linux.sweep.ssh_settings import Overrides, SettingsError
from ansible_collections.lastack.linux.sweep.target import Passwords, Target, target_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LIFE_S = 60.0
MARKER = new_marker()


def target(**variables: object) -> Target:
    given = {f"ansible_{name}": value for name, value in variables.items()}
    return target_of(Entry("web-1", given), Passwords(), marker=MARKER, life_s=60)


def looker(body: bytes = b"", retries: int = 2) -> Looker:
    return Looker(body, retries=retries, overrides=Overrides(), config_files=(), life_s=LIFE_S)


@pytest.fixture
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attempt, "_FIRST_PAUSE_S", 0.001)


def fails_with(monkeypatch: pytest.MonkeyPatch, errors: list[Exception]) -> list[str]:
    """Let each attempt end with the next of the errors, and with a report after them; return the attempts."""
    attempts: list[str] = []
    left: Iterator[Exception] = iter(errors)

    def once(__: Looker, one: Target, ___: Lifeline) -> Answer:
        attempts.append(one.host)
        for error in left:
            raise error
        return Answer("ok", None, {"schema": "lastack.host/1"})

    monkeypatch.setattr(Looker, "_once", once)
    return attempts


REFUSED = DialError("port 22: connection refused", transient=True)


@pytest.mark.usefixtures("_no_pauses")
def test_what_may_pass_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    attempts = fails_with(monkeypatch, [REFUSED, AnswerError("the connection ended", transient=True)])
    assert looker().look(target(), Lifeline(LIFE_S)).outcome == "ok"
    assert len(attempts) == 3


@pytest.mark.usefixtures("_no_pauses")
@pytest.mark.parametrize("retries", [0, 2])
def test_retries_are_bounded_and_told(monkeypatch: pytest.MonkeyPatch, retries: int) -> None:
    attempts = fails_with(monkeypatch, [REFUSED] * 9)
    answer = looker(retries=retries).look(target(), Lifeline(LIFE_S))
    assert len(attempts) == retries + 1
    told = "port 22: connection refused" + (" (3 attempts)" if retries else "")
    assert answer == Answer("unreachable", told)


@pytest.mark.usefixtures("_no_pauses")
@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (HostKeyError("another key"), "unreachable"),
        (AuthenticationError("no key was taken"), "unreachable"),
        (DialError("no such name", transient=False), "unreachable"),
        (AnswerError("sudo refused the password"), "failed"),
        (AnswerError("the report is not JSON", outcome="invalid"), "invalid"),
        (SettingsError("an option is not understood"), "failed"),
        (CutError("timed out"), "unreachable"),
    ],
)
def test_what_will_not_pass_is_never_tried_again(
    monkeypatch: pytest.MonkeyPatch, error: Exception, outcome: str
) -> None:
    attempts = fails_with(monkeypatch, [error])
    assert looker().look(target(), Lifeline(LIFE_S)) == Answer(outcome, str(error))
    assert len(attempts) == 1


def test_no_attempt_begins_that_the_host_s_time_does_not_allow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attempt, "_FIRST_PAUSE_S", LIFE_S * 10)
    attempts = fails_with(monkeypatch, [REFUSED] * 9)
    answer = looker().look(target(), Lifeline(LIFE_S))
    assert (answer.outcome, answer.reason) == ("unreachable", "port 22: connection refused")
    assert len(attempts) == 1


def test_an_interrupt_is_no_fault_of_the_host(monkeypatch: pytest.MonkeyPatch) -> None:
    fails_with(monkeypatch, [AuthenticationError("connection lost")])
    lifeline = Lifeline(LIFE_S)
    lifeline.cut("the sweep was interrupted")
    assert looker().look(target(), lifeline) == Answer("missing", "the sweep was interrupted")


def test_an_interrupt_after_the_report_does_not_take_it_away(monkeypatch: pytest.MonkeyPatch) -> None:
    report = Answer("ok", None, {"schema": "lastack.host/1"})

    def once(__: Looker, ___: Target, lifeline: Lifeline) -> Answer:
        lifeline.cut("the sweep was interrupted")
        return report

    monkeypatch.setattr(Looker, "_once", once)
    assert looker().look(target(), Lifeline(LIFE_S)) == report


def test_a_local_host_is_looked_at_by_a_shell_here() -> None:
    body = build_body(MARKER, {"gather": ["memory"], "namespaces": "host", "agent": False})
    answer = looker(body).look(target(connection="local"), Lifeline(LIFE_S))
    assert (answer.outcome, answer.reason) == ("ok", None)
    assert answer.report is not None
    assert answer.report["collector"]["name"] == "sweep"


def test_a_local_look_that_hangs_is_ended(tmp_path: Path) -> None:
    hangs = tmp_path / "python"
    hangs.write_text("#!/bin/sh\nexec sleep 60\n", encoding="ascii")
    hangs.chmod(0o755)
    answer = looker(b"x" * 300_000).look(target(connection="local", python_interpreter=str(hangs)), Lifeline(1.0))
    assert answer.outcome == "failed"
    assert "no report within 1 s" in str(answer.reason)


def test_an_interpreter_that_cannot_be_quoted_is_a_reason() -> None:
    answer = looker().look(target(connection="local", python_interpreter="/opt/it's"), Lifeline(LIFE_S))
    assert answer.outcome == "failed"
    assert "command line" in str(answer.reason)
