# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A fleet report as metrics: OpenMetrics 1.0 that is Prometheus' text format 0.0.4 as well.

The textfile collector of node_exporter and Pushgateway read only the latter, so every metric is a gauge, has no time
stamp, and nothing is escaped that one of the two formats would read otherwise. What is not known has no sample.
Series are bounded: applications and findings as many as the fleet report holds, keys of drift by their number of hosts.
"""

from __future__ import annotations

import datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from ansible_collections.lastack.linux.plugins.module_utils.diagnose.clean import clean_text
from ansible_collections.lastack.linux.plugins.plugin_utils.render.phrases import data, rows

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["render_openmetrics"]

_MAX_LABEL = 128
_MAX_APPLICATIONS = 50
_MAX_FINDINGS = 100
_MAX_KEYS = 100
_ESCAPES = str.maketrans({"\\": "\\\\", '"': '\\"', "\n": "\\n"})
_OUTCOMES = {"audited": "ok", **{name: name for name in ("failed", "unreachable", "invalid", "missing")}}

_HELP = {
    "run_info": "Always 1; the labels say what made the run.",
    "run_start_timestamp_seconds": "When the run began, in seconds since 1970.",
    "run_end_timestamp_seconds": "When the run ended, in seconds since 1970; none if it was cut short.",
    "run_duration_seconds": "How long the run took.",
    "hosts": "Hosts of the run by outcome; only those with ok are in the other figures.",
    "hosts_incomplete": "Hosts with the outcome ok that were seen in part.",
    "agents": "Hosts by what their resident agent says; none is a host without one.",
    "sockets": "TCP sockets by state, over the hosts that can see it.",
    "close_wait_leaked_sockets": "Sockets in CLOSE_WAIT that their application has to close.",
    "close_wait_undecided_sockets": "Sockets in CLOSE_WAIT too young to tell.",
    "close_wait_leaking_hosts": "Hosts with leaked sockets.",
    "close_wait_leaking_applications": "Applications with leaked sockets.",
    "application_leaked_sockets": "Sockets in CLOSE_WAIT that this application has to close.",
    "application_leaking_hosts": "Hosts on which this application has such sockets.",
    "application_oldest_seconds": "Lower bound of the age of the oldest of them.",
    "application_descriptors_used_ratio": "Descriptors in use of the soft limit, 1 is full, on the worst host.",
    "application_growth_per_minute": "Growth as the agents have watched it, over the hosts where it grows.",
    "application_dead_sockets": "Descriptors that point to connections which no longer exist.",
    "applications_left_out": "Leaking applications without series of their own, the least urgent ones.",
    "finding_hosts": "Hosts with this finding; the severity is the one of the worst host.",
    "findings_left_out": "Findings without series of their own, the mildest ones.",
    "setting_values": "How many values a kernel setting has; only settings that differ.",
    "settings_left_out": "Settings that differ without series of their own.",
    "time_wait_overflowing_hosts": "Hosts on which the limit of TIME_WAIT was reached.",
}


class _Sample(NamedTuple):
    name: str
    value: float | None
    labels: Mapping[str, object] = {}


def render_openmetrics(fleet: Mapping[str, Any]) -> str:
    """Return the metrics of a ``lastack.fleet/1`` report, ended by ``# EOF`` and a line feed."""
    by_name: dict[str, dict[str, str]] = {name: {} for name in _HELP}
    for sample in _samples(fleet):
        if sample.value is not None:
            # Two names may be one when they are cleaned and cut; the worse stands first.
            by_name[sample.name].setdefault(_labels(sample.labels), _figure(sample.value))
    lines = []
    for name, series in by_name.items():
        if series:
            full = f"lastack_fleet_{name}"
            lines += [f"# HELP {full} {_HELP[name]}", f"# TYPE {full} gauge"]
            lines += [f"{full}{labels} {figure}" for labels, figure in series.items()]
    return "\n".join([*lines, "# EOF", ""])


def _samples(fleet: Mapping[str, Any]) -> Iterator[_Sample]:
    yield from _run(data(fleet, "run"))
    hosts = data(fleet, "hosts")
    for key, outcome in _OUTCOMES.items():
        yield _Sample("hosts", hosts.get(key), {"outcome": outcome})
    yield _Sample("hosts_incomplete", hosts.get("incomplete"))
    agents = data(fleet, "agents")
    for state in ("fresh", "stale", "unusable", "none"):
        yield _Sample("agents", agents.get(state), {"state": state})
    for state, figures in data(fleet, "states").items():
        yield _Sample("sockets", figures["sum"], {"state": state})
    yield _Sample("time_wait_overflowing_hosts", data(fleet, "time_wait").get("overflowing_hosts"))
    yield from _applications(fleet)
    yield from _findings_and_settings(fleet)


def _run(run: Mapping[str, Any]) -> Iterator[_Sample]:
    started, finished = _seconds(run.get("started_at")), _seconds(run.get("finished_at"))
    yield _Sample("run_info", 1, {"made_by": run.get("made_by"), "version": run.get("version")})
    yield _Sample("run_start_timestamp_seconds", started)
    yield _Sample("run_end_timestamp_seconds", finished)
    if started is not None and finished is not None:
        yield _Sample("run_duration_seconds", max(0.0, round(finished - started, 3)))


def _applications(fleet: Mapping[str, Any]) -> Iterator[_Sample]:
    close_wait = data(fleet, "close_wait")
    yield _Sample("close_wait_leaked_sockets", close_wait.get("leaked"))
    yield _Sample("close_wait_undecided_sockets", close_wait.get("undecided"))
    yield _Sample("close_wait_leaking_hosts", close_wait.get("hosts"))
    yield _Sample("close_wait_leaking_applications", close_wait.get("apps"))
    apps = rows(fleet, "apps")
    for app in apps[:_MAX_APPLICATIONS]:
        labels = {"app": app["app"]}
        used = data(app, "worst_descriptors").get("used_percent")
        yield _Sample("application_leaked_sockets", app["sockets"], labels)
        yield _Sample("application_leaking_hosts", app["hosts"], labels)
        yield _Sample("application_oldest_seconds", data(app, "oldest_s").get("at_least"), labels)
        yield _Sample("application_descriptors_used_ratio", None if used is None else used / 100, labels)
        yield _Sample("application_growth_per_minute", data(app, "trend").get("growth_per_min"), labels)
    dead = rows(fleet, "dead_sockets")
    for app in dead[:_MAX_APPLICATIONS]:
        yield _Sample("application_dead_sockets", app["count"], {"app": app["app"]})
    cut = max(0, len(apps) - _MAX_APPLICATIONS)
    yield _Sample("applications_left_out", int(fleet.get("apps_truncated") or 0) + cut)


def _findings_and_settings(fleet: Mapping[str, Any]) -> Iterator[_Sample]:
    findings, drift = rows(fleet, "findings"), rows(fleet, "drift")
    for finding in findings[:_MAX_FINDINGS]:
        labels = {"finding": finding["id"], "subject": finding["subject"], "severity": finding["severity"]}
        yield _Sample("finding_hosts", finding["hosts"], labels)
    cut = max(0, len(findings) - _MAX_FINDINGS)
    yield _Sample("findings_left_out", int(fleet.get("findings_truncated") or 0) + cut)
    for item in drift[:_MAX_KEYS]:
        values = sum(1 for value in rows(item, "values") if value["value"] is not None)
        yield _Sample("setting_values", values + int(item.get("values_truncated") or 0), {"key": item["key"]})
    yield _Sample("settings_left_out", max(0, len(drift) - _MAX_KEYS))


def _labels(labels: Mapping[str, object]) -> str:
    pairs = (f'{name}="{clean_text(str(value), _MAX_LABEL).translate(_ESCAPES)}"' for name, value in labels.items())
    return "{" + ",".join(pairs) + "}" if labels else ""


def _figure(value: float) -> str:
    # Whole numbers to their last digit; repr of a float is exact and never a locale's.
    return str(int(value)) if value == int(value) else repr(value)


def _seconds(time: object) -> float | None:
    try:
        return datetime.datetime.fromisoformat(str(time)).timestamp()
    except ValueError:
        return None
