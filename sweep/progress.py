# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How far a sweep is, on standard error: a live line with the slow hosts on a terminal, else a line now and then."""

from __future__ import annotations

import contextlib
import sys
import time
from typing import TYPE_CHECKING, Any, Self

from ansible_collections.lastack.linux.plugins.plugin_utils.plain_text import one_line

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import TextIO

    from ansible_collections.lastack.linux.sweep.lifeline import Lifeline
    from ansible_collections.lastack.linux.sweep.run_sweep import Counts

__all__ = ["Progress", "progress_line", "slow_hosts"]

# A look takes about a second; what takes so much longer is worth a name.
_SLOW_S = 5.0
_SLOW_SHOWN = 3
_PIPED_EVERY_S = 10.0
_REDRAW_S = 0.25
_MINUTE_S = 60


class Progress:
    """Shows the counts of a sweep; a context manager, because a terminal has to be left in order."""

    def __init__(
        self, *, quiet: bool = False, stream: TextIO | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Choose the way by what ``stream`` (standard error) is; ``quiet`` shows nothing."""
        self._stream = sys.stderr if stream is None else stream
        self._quiet = quiet
        self._clock = clock
        self._started = clock()
        self._shown = self._started
        self._live: Any = None

    def __enter__(self) -> Self:
        """Begin to show."""
        self._started = self._shown = self._clock()
        if not self._quiet and self._stream.isatty():
            with contextlib.suppress(ImportError):
                self._live = _live(self._stream)
                self._live.start()
        return self

    def __exit__(self, *__: object) -> None:
        """Take the live line away: what stays is the report."""
        if self._live is not None:
            self._live.stop()
            self._live = None

    def show(self, counts: Counts) -> None:
        """Show the counts, if enough time has passed since the last time."""
        now = self._clock()
        every = _PIPED_EVERY_S if self._live is None else _REDRAW_S
        if self._quiet or now - self._shown < every:
            return
        self._shown = now
        line = progress_line(counts, now - self._started)
        if self._live is None:
            self._say(f"sweep: {line}\n")
            return
        from rich.text import Text  # noqa: PLC0415 - only on a terminal

        self._live.update(Text(line, overflow="ellipsis", no_wrap=True), refresh=True)

    def _say(self, text: str) -> None:
        # Nobody who reads the progress is no reason to lose the report.
        with contextlib.suppress(OSError, ValueError):
            self._stream.write(text)
            self._stream.flush()


def progress_line(counts: Counts, elapsed_s: float) -> str:
    """Return one line: done, failed, how long still, and which hosts are slow."""
    parts = [f"{counts.done:,} of {counts.meant:,} hosts"]
    if counts.not_ok:
        parts.append(f"{counts.not_ok:,} without a report")
    left = counts.meant - counts.done
    slow = slow_hosts(counts.running)
    if slow and len(counts.running) == left:
        # All others are done, and what they took says nothing of these: their names and their end are what counts.
        longest = max(0.0, *(-line.seconds_late for line in counts.running.values()))
        return " · ".join([*parts, f"slow: {', '.join(slow)}", f"at most {_duration(longest)} left"])
    if counts.done and left > 0:
        parts.append(f"about {_duration(elapsed_s / counts.done * left)} left")
    parts.append(f"{len(counts.running):,} at work")
    if slow:
        parts.append(f"slow: {', '.join(slow)}")
    return " · ".join(parts)


def slow_hosts(running: Mapping[str, Lifeline]) -> list[str]:
    """Return the hosts that take long, the slowest first, each with its seconds and what it is at."""
    slow = sorted(((line.age_s, host, line.phase) for host, line in running.items()), reverse=True)
    slow = [one for one in slow if one[0] >= _SLOW_S]
    names = [f"{one_line(host, 40)} ({age:.0f} s, {phase})" for age, host, phase in slow[:_SLOW_SHOWN]]
    return [*names, f"{len(slow) - _SLOW_SHOWN} more"] if len(slow) > _SLOW_SHOWN else names


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 2 * _MINUTE_S else f"{seconds / _MINUTE_S:.0f} min"


def _live(stream: TextIO) -> Any:  # noqa: ANN401 - rich.live.Live, which is optional
    from rich.console import Console  # noqa: PLC0415 - only on a terminal
    from rich.live import Live  # noqa: PLC0415 - only on a terminal

    return Live(
        console=Console(file=stream), auto_refresh=False, transient=True, redirect_stdout=False, redirect_stderr=False
    )
