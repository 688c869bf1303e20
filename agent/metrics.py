# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The agent's metrics in the Prometheus text format 0.0.4, for the textfile collector of node_exporter.

Strict in both directions: root reads what the agent wrote sample by sample, takes only families of this table with
exactly their labels, and writes its own lines. Whoever owns the agent's user cannot speak for another exporter.
"""

from __future__ import annotations

import math
import re
from collections import defaultdict
from typing import TYPE_CHECKING, NamedTuple

from ansible_collections.lastack.linux.agent.records import VERDICTS
from ansible_collections.lastack.linux.plugins.module_utils.diagnose.clean import clean_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from ansible_collections.lastack.linux.agent.records import AppKey, AppLook, Pass, Trend
    from ansible_collections.lastack.linux.agent.status import AgentStatus

__all__ = [
    "FAMILIES",
    "MAX_METRICS_BYTES",
    "InvalidMetrics",
    "Sample",
    "build_metrics",
    "parse_metrics",
    "render_metrics",
]

MAX_METRICS_BYTES = 256 * 1024
_MAX_APPLICATIONS = 200
_MAX_SERIES = 2_000
_MAX_LABEL = 256
_END = "# EOF"
"""The last line, a comment to Prometheus: a file without it was not written to its end."""


class InvalidMetrics(ValueError):  # noqa: N818 - it says what the bytes are
    """Bytes that are not the agent's metrics; the text is the reason, one clause."""


class Family(NamedTuple):
    """One metric: its name, type, help text, and labels in their order."""

    name: str
    kind: str
    help: str
    labels: tuple[str, ...] = ()


class Sample(NamedTuple):
    """One line: a family's name, the values of its labels, and a figure."""

    name: str
    labels: tuple[str, ...]
    value: float


_BY_APP = ("app", "namespace")
FAMILIES = (
    Family(
        "lastack_close_wait_sockets",
        "gauge",
        "Sockets in CLOSE_WAIT, without those half-closed by design.",
        (*_BY_APP, "verdict"),
    ),
    Family("lastack_close_wait_growth_per_minute", "gauge", "Robust growth of their number.", _BY_APP),
    Family(
        "lastack_close_wait_exhaustion_seconds",
        "gauge",
        "Until a process of the application runs out of descriptors; only where the evidence supports it.",
        _BY_APP,
    ),
    Family(
        "lastack_close_wait_oldest_seconds",
        "gauge",
        "Lower bound of the time that the oldest of them has been in CLOSE_WAIT.",
        _BY_APP,
    ),
    Family(
        "lastack_close_wait_applications_left_out",
        "gauge",
        "Applications without series of their own, the least urgent ones.",
    ),
    Family("lastack_agent_last_look_timestamp_seconds", "gauge", "When the agent last looked, in seconds since 1970."),
    Family("lastack_agent_interval_seconds", "gauge", "Time between two looks, stretched to keep to the CPU budget."),
    Family("lastack_agent_cpu_seconds_total", "counter", "CPU time of the agent, user and system."),
    Family("lastack_agent_resident_memory_bytes", "gauge", "Resident memory of the agent."),
    Family("lastack_agent_dropped_total", "counter", "What the agent's bounded tables left out.", ("what",)),
    Family("lastack_agent_complete", "gauge", "1 if nothing was missing in the last look, else 0."),
    Family("lastack_agent_build_info", "gauge", "Always 1; the label is the agent's version.", ("version",)),
)
_INDEX = {family.name: index for index, family in enumerate(FAMILIES)}
_WORDS = {"verdict": VERDICTS, "what": ("sockets", "applications")}
_NEEDED = ("lastack_agent_last_look_timestamp_seconds", "lastack_agent_build_info")
_ESCAPES = {"\\": "\\\\", '"': '\\"', "\n": "\\n"}
_VALUE = r"(-?[0-9]{1,20}(?:\.[0-9]{1,20})?(?:e[+-]?[0-9]{1,3})?)"
_LABEL = r'"((?:[^"\\]|\\[\\"n])*)"'


def build_metrics(trends: Mapping[AppKey, tuple[Trend, AppLook]], look: Pass, status: AgentStatus) -> bytes:
    """Return the metrics file that root will check and publish, at most ``MAX_METRICS_BYTES``.

    Applications that share a name in a namespace are one series. The least urgent ones go where there are too many, and
    are counted in ``lastack_close_wait_applications_left_out``.
    """
    ranked = sorted(trends.items(), key=lambda item: (VERDICTS.index(item[1][0].verdict), -item[1][0].count, item[0]))
    kept = ranked[:_MAX_APPLICATIONS]
    while True:
        left_out = len(ranked) - len(kept)
        samples = [*_of_applications(kept), *_of_agent(left_out, look, status)]
        data = render_metrics(samples)
        if (len(data) <= MAX_METRICS_BYTES and len(samples) <= _MAX_SERIES) or not kept:
            return data
        kept = kept[: len(kept) // 2]


def parse_metrics(data: bytes) -> list[Sample]:
    """Return the samples of a file that ``build_metrics`` wrote, or that says it did; raises ``InvalidMetrics``.

    Taken are the lines of ``FAMILIES`` alone, without time stamps, each series once, label texts that ``clean_text``
    would not change, finite figures, and only up to a proper end.
    """
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise InvalidMetrics("is not UTF-8 text") from error
    if not text.endswith(f"\n{_END}\n"):
        raise InvalidMetrics("ends before its end")
    samples: dict[tuple[str, tuple[str, ...]], Sample] = {}
    # Not splitlines(), which knows line ends that Prometheus does not.
    for number, line in enumerate(text[: -len(_END) - 2].split("\n"), 1):
        if line in _COMMENTS:
            continue
        sample = _parse(line)
        if sample is None:
            raise InvalidMetrics(f"has a line {number} that is no metric of the agent")
        if (sample.name, sample.labels) in samples:
            raise InvalidMetrics(f"has the series of line {number} twice")
        samples[sample.name, sample.labels] = sample
        if len(samples) > _MAX_SERIES:
            raise InvalidMetrics(f"has more than {_MAX_SERIES:,} series")
    names = {sample.name for sample in samples.values()}
    for name in _NEEDED:
        if name not in names:
            raise InvalidMetrics(f"has no {name}")
    return list(samples.values())


def _of_applications(kept: Sequence[tuple[AppKey, tuple[Trend, AppLook]]]) -> list[Sample]:
    sockets: dict[tuple[str, ...], int] = defaultdict(int)
    growth: dict[tuple[str, ...], float] = defaultdict(float)
    exhaustion: dict[tuple[str, ...], float] = {}
    oldest: dict[tuple[str, ...], float] = {}
    for key, (trend, __) in kept:
        app = clean_text(key.app, _MAX_LABEL), clean_text(key.namespace, _MAX_LABEL)
        sockets[(*app, trend.verdict)] += max(0, trend.count)
        if trend.growth_per_min is not None:
            growth[app] += trend.growth_per_min
        if trend.exhaustion_in_s is not None:
            exhaustion[app] = min(trend.exhaustion_in_s, exhaustion.get(app, math.inf))
        if trend.oldest is not None:
            oldest[app] = max(trend.oldest[0], oldest.get(app, 0.0))
    tables: tuple[Mapping[tuple[str, ...], float], ...] = (sockets, growth, exhaustion, oldest)
    return [
        Sample(family.name, labels, round(value, 3))
        for family, table in zip(FAMILIES, tables)
        for labels, value in table.items()
        if math.isfinite(value)
    ]


def _of_agent(left_out: int, look: Pass, status: AgentStatus) -> list[Sample]:
    figures: list[tuple[str, tuple[str, ...], float | None]] = [
        ("lastack_close_wait_applications_left_out", (), left_out),
        ("lastack_agent_last_look_timestamp_seconds", (), status.wall_s - (status.now_s - look.moment_s)),
        ("lastack_agent_interval_seconds", (), status.interval_s),
        ("lastack_agent_cpu_seconds_total", (), status.cpu_s),
        ("lastack_agent_resident_memory_bytes", (), status.resident_bytes),
        ("lastack_agent_dropped_total", ("sockets",), status.dropped_sockets),
        ("lastack_agent_dropped_total", ("applications",), status.dropped_applications),
        ("lastack_agent_complete", (), 0 if look.unseen or status.unseen else 1),
        ("lastack_agent_build_info", (clean_text(status.version),), 1),
    ]
    return [
        Sample(name, labels, round(value, 3))
        for name, labels, value in figures
        if value is not None and math.isfinite(value)
    ]


def render_metrics(samples: Iterable[Sample]) -> bytes:
    """Return samples as lines: by family, each with HELP and TYPE, and an end that says that nothing is missing."""
    lines = []
    last = None
    for sample in sorted(samples, key=lambda sample: _INDEX[sample.name]):
        family = FAMILIES[_INDEX[sample.name]]
        if family.name != last:
            lines += _comments(family)
            last = family.name
        pairs = ",".join(f'{name}="{_escaped(value)}"' for name, value in zip(family.labels, sample.labels))
        lines.append(f"{sample.name}{{{pairs}}} {sample.value!r}" if pairs else f"{sample.name} {sample.value!r}")
    return ("\n".join([*lines, _END]) + "\n").encode("utf-8")


def _comments(family: Family) -> list[str]:
    return [f"# HELP {family.name} {family.help}", f"# TYPE {family.name} {family.kind}"]


def _escaped(text: str) -> str:
    return "".join(_ESCAPES.get(character, character) for character in text)


def _unescaped(text: str) -> str:
    return re.sub(r"\\(.)", lambda match: "\n" if match[1] == "n" else match[1], text)


def _line_pattern(family: Family) -> re.Pattern[str]:
    labels = ",".join(f"{label}={_LABEL}" for label in family.labels)
    return re.compile(family.name + (rf"\{{{labels}\}}" if labels else "") + " " + _VALUE)


_PATTERNS = {family.name: _line_pattern(family) for family in FAMILIES}
_COMMENTS = {line for family in FAMILIES for line in _comments(family)}


def _parse(line: str) -> Sample | None:
    """Return the sample of a line; ``None`` if it is none of the agent's."""
    name = line.partition("{")[0].partition(" ")[0]
    match = _PATTERNS[name].fullmatch(line) if name in _PATTERNS else None
    if match is None:
        return None
    *escaped, written = match.groups()
    labels = tuple(map(_unescaped, escaped))
    for label, text in zip(FAMILIES[_INDEX[name]].labels, labels):
        if text not in _WORDS.get(label, (text,)) or clean_text(text, _MAX_LABEL) != text:
            return None
    value = float(written) if set(written) & set(".e") else int(written)
    return Sample(name, labels, value) if math.isfinite(value) else None
