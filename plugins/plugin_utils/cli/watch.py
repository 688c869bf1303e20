# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``lastack probe --watch``: look after look, and what changed between them."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from ansible_collections.lastack.linux.plugins.plugin_utils.cli.outcome import SUCCESS, exit_status
from ansible_collections.lastack.linux.plugins.plugin_utils.cli.probe import as_json
from ansible_collections.lastack.linux.plugins.plugin_utils.cli.terminal import (
    on_terminal,
    screen_width,
    wants_colour,
    write,
)
from ansible_collections.lastack.linux.plugins.plugin_utils.render import unseen, waiting
from ansible_collections.lastack.linux.plugins.plugin_utils.render.phrases import (
    CAUSE_WORDS,
    age,
    cause_words,
    clean,
    count,
    data,
    dominant_cause,
    limit_words,
    rows,
)
from ansible_collections.lastack.linux.plugins.plugin_utils.render.table import cut

if TYPE_CHECKING:
    import argparse

__all__ = ["Look", "fit", "run", "summarise"]

_STATES = ("CLOSE_WAIT", "TIME_WAIT", "ESTABLISHED")
"""Always in the line; others only while they change or are many."""
_SIGNS = ("SYN_RECV", "FIN_WAIT2", "LAST_ACK")
_MANY = 100
_LINES = 8
"""Looks that the live view keeps above the screen of the last one."""

Report = Mapping[str, Any]


class Look(NamedTuple):
    """One look and when it was made."""

    report: Report
    moment_s: float
    """Of the monotonic clock, for rates."""


def run(arguments: argparse.Namespace, look: Callable[[], dict[str, Any]]) -> int:
    """Call ``look`` every ``arguments.watch`` seconds and show it, until Ctrl-C or a finding of ``--fail-on``."""
    try:
        if arguments.json:
            return _repeat(arguments, look, _show_json)
        if on_terminal():
            return _live(arguments, look)
        return _repeat(arguments, look, _show_line)
    except KeyboardInterrupt:
        # It is how one ends a watch, so it is no failure.
        return SUCCESS


def summarise(now: Look, before: Look | None) -> str:
    """One line: the time, the states of interest with their change per minute, and the worst offender."""
    parts = [str(now.report.get("collected_at") or "")[11:19]]
    minutes = (now.moment_s - before.moment_s) / 60 if before else 0.0
    states, earlier = data(now.report, "states"), data(before.report, "states") if before else {}
    for state in (*_STATES, *_SIGNS):
        number = states.get(state)
        if not isinstance(number, int):
            continue
        change = _change(number, earlier.get(state), minutes)
        if state in _STATES or number >= _MANY or change:
            parts.append(f"{state} {count(number)}{change}")
    parts.append(_leak(now.report))
    dead = data(now.report, "dead_sockets").get("total")
    if isinstance(dead, int) and dead:
        parts.append(f"dead sockets {count(dead)}")
    if data(now.report, "completeness").get("complete") is not True:
        parts.append("PARTIAL")
    return "  ".join(parts)


def _change(number: int, earlier: object, minutes: float) -> str:
    if not isinstance(earlier, int) or minutes <= 0 or number == earlier:
        return ""
    return f" ({(number - earlier) / minutes:+,.0f}/min)"


def _leak(report: Report) -> str:
    """The worst offender, or that there is none; never that there is none where nobody could see one."""
    part, sockets = data(report, "close_wait"), waiting.of_host(report)
    offender = next((app for app in rows(part, "offenders") if app.get("count")), None)
    if offender is not None:
        return _offender(offender)
    if "close_wait" in unseen.left_out(report):
        return "leaks not judged"
    if part.get("truncated"):
        return "worst not listed: raise --top"
    whole = data(report, "completeness").get("complete") is True and not unseen.own_namespace_only(report)
    said = "no leak" if whole else "no leak seen"
    return f"{said}, {count(sockets.undecided)} undecided" if sockets.undecided else said


def _offender(offender: Report) -> str:
    cause = dominant_cause(data(offender, "causes"))
    use = limit_words(data(offender, "descriptors"))
    words = [
        count(offender.get("count")),
        age(data(offender, "age_s")),
        cause_words(cause if cause in CAUSE_WORDS else "unknown", offender.get("role")),
        f"descriptors {use}" if use else "",
    ]
    return f"worst: {clean(offender.get('app'))} " + ", ".join(word for word in words if word)


def _repeat(
    arguments: argparse.Namespace, look: Callable[[], dict[str, Any]], show: Callable[[Look, Look | None], None]
) -> int:
    before = None
    while True:
        started = time.monotonic()
        now = Look(look(), started)
        show(now, before)
        if status := exit_status(now.report, arguments.fail_on):
            return status
        before = now
        time.sleep(max(0.0, arguments.watch - (time.monotonic() - started)))


def _show_json(now: Look, before: Look | None) -> None:
    del before
    write(as_json(now.report, one_line=True))


def _show_line(now: Look, before: Look | None) -> None:
    write(summarise(now, before))


def _live(arguments: argparse.Namespace, look: Callable[[], dict[str, Any]]) -> int:
    # Rich and the text renderer are for this view alone: a piped watch starts without them.
    from ansible_collections.lastack.linux.plugins.plugin_utils.render.text import render_host  # noqa: PLC0415
    from rich.console import Console  # noqa: PLC0415
    from rich.live import Live  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    colour = wants_colour(arguments.colour)
    history: deque[str] = deque(maxlen=_LINES)
    console = Console(no_color=not colour, highlight=False)
    last = ""
    try:
        # A screen of its own: what stood in the terminal comes back, and nothing scrolls away line by line.
        with Live(console=console, auto_refresh=False, screen=True, vertical_overflow="crop") as live:

            def show(now: Look, before: Look | None) -> None:
                nonlocal last
                history.append(summarise(now, before))
                width, height = console.size
                last = render_host(now.report, colour=colour, width=min(width, screen_width())).rstrip()
                lines = fit(list(history), last.split("\n"), width=width, height=height)
                hint = Text(cut(f"every {arguments.watch:g} s; Ctrl-C ends it", width), style="dim")
                view = Text("\n", no_wrap=True, overflow="crop").join([*map(Text.from_ansi, lines), hint])
                live.update(view, refresh=True)

            return _repeat(arguments, look, show)
    finally:
        if last:
            write(last)


def fit(history: Sequence[str], screen: Sequence[str], *, width: int, height: int) -> list[str]:
    """The lines of the live view but for its last one, which is the hint: at most ``height`` - 1 lines.

    ``history`` holds a line per look, the last one newest; each is cut to ``width`` columns. What does not fit of
    ``screen`` is counted in a line of its own.
    """
    room = max(1, height - 1)
    # The newest look is worth more than the old ones when there is no room for all.
    kept = [cut(line, width) for line in history[-max(1, min(_LINES, room // 4)) :]]
    room -= len(kept) + 2
    if room < 1:
        return kept[: max(1, height - 1)]
    body = list(screen)
    if len(body) > room:
        more = len(body) - (room - 1)
        body = [*body[: room - 1], cut(f"… {more} more lines: lastack probe", width)]
    return [*kept, "", *body, ""]
