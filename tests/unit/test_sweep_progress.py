# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How far a sweep is: counts, what is left, and the names of slow hosts."""

from __future__ import annotations

import io

import pytest
from ansible_collections.lastack.linux.sweep.lifeline import Lifeline
from ansible_collections.lastack.linux.sweep.progress import Progress, progress_line, slow_hosts
from ansible_collections.lastack.linux.sweep.run_sweep import Counts


def running(**ages: float) -> dict[str, Lifeline]:
    lines = {}
    for host, age in ages.items():
        lines[host] = Lifeline(60)
        lines[host].started -= age
        lines[host].ends -= age
    return lines


def test_the_line_says_done_failed_left_and_slow() -> None:
    counts = Counts(300, ok=140, not_ok=10, running=running(fast=0.5, slow=23.2, slower=31.4))
    line = progress_line(counts, 30.0)
    assert line == (
        "150 of 300 hosts · 10 without a report · about 30 s left · 3 at work · "
        "slow: slower (31 s, connecting), slow (23 s, connecting)"
    )
    assert progress_line(Counts(10_000, 1000, 0, {}), 60.0).endswith("about 9 min left · 0 at work")
    assert "left" not in progress_line(Counts(3, 3, 0, {}), 1.0)


def test_the_last_hosts_may_take_their_whole_time_and_their_names_come_first() -> None:
    # What the others took says nothing of a host that hangs.
    line = progress_line(Counts(27, ok=22, not_ok=4, running=running(hangs=20.2)), 20.2)
    assert line == "26 of 27 hosts · 4 without a report · slow: hangs (20 s, connecting) · at most 40 s left"
    assert len(line.partition(" · at most")[0]) < 80


def test_only_the_slowest_have_names() -> None:
    shown = slow_hosts(running(**{f"h{number}": 10.0 + number for number in range(6)}))
    assert shown == ["h5 (15 s, connecting)", "h4 (14 s, connecting)", "h3 (13 s, connecting)", "3 more"]


def test_a_hostile_name_cannot_steer_the_terminal() -> None:
    assert "\x1b" not in slow_hosts(running(**{"a\x1b[2J\nb": 9.0}))[0]
    assert "\n" not in slow_hosts(running(**{"a\x1b[2J\nb": 9.0}))[0]


@pytest.mark.parametrize("quiet", [False, True])
def test_piped_it_is_a_line_every_ten_seconds(*, quiet: bool) -> None:
    now, stream = [100.0], io.StringIO()
    with Progress(quiet=quiet, stream=stream, clock=lambda: now[0]) as progress:
        for __ in range(25):
            now[0] += 1.0
            progress.show(Counts(9, 1, 0, {}))
    lines = stream.getvalue().splitlines()
    assert len(lines) == (0 if quiet else 2)
    assert all(line.startswith("sweep: 1 of 9 hosts") for line in lines)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_on_a_terminal_the_line_is_taken_away_at_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    now, stream = [0.0], Terminal()
    with Progress(stream=stream, clock=lambda: now[0]) as progress:
        now[0] += 1.0
        progress.show(Counts(9, 1, 0, running(**{"[red]web[/red]": 20.0})))
        shown = stream.getvalue()
        assert "1 of 9 hosts" in shown
        # The name is text, not a markup of the library.
        assert "[red]web[/red] (20 s" in shown
    after = stream.getvalue()[len(shown) :]
    assert "\x1b[2K" in after
    assert "\x1b[?25h" in after


def test_a_reader_that_went_away_ends_no_sweep() -> None:
    class Gone(io.StringIO):
        def write(self, __: str) -> int:
            raise BrokenPipeError

    now = [0.0]
    with Progress(stream=Gone(), clock=lambda: now[0]) as progress:
        now[0] = 60.0
        progress.show(Counts(9, 1, 0, {}))
