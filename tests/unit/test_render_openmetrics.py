# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Metrics of a fleet: valid for promtool, right in both text formats, bounded, and no host can add a line."""

from __future__ import annotations

import re
import subprocess
from typing import Any

import pytest
from ansible_collections.lastack.linux.plugins.plugin_utils.render.openmetrics import render_openmetrics
from debian_programs import NoProgram, unpacked
from hypothesis import given
from hypothesis import strategies as st
from sample_reports import healthy_fleet, hostile, sample
from stored_samples import fleet_of, not_audited, varied

# OpenMetrics 1.0, section 4: the grammar of what is used here, which the format 0.0.4 shares.
NAME = r"lastack_fleet_[a-z_]+"
LABELS = r'(?:\{[a-z_]+="(?:[^"\\\n]|\\[\\"n])*"(?:,[a-z_]+="(?:[^"\\\n]|\\[\\"n])*")*\})?'
SAMPLE = re.compile(rf"({NAME})({LABELS}) (-?[0-9]+(?:\.[0-9]+)?(?:e[+-]?[0-9]+)?)")
HELP = re.compile(rf'# HELP ({NAME}) [^"\\\n]+\.')
TYPE = re.compile(rf"# TYPE ({NAME}) gauge")


def _figures(text: str) -> dict[str, float]:
    """The samples by name and labels; the text is checked line by line."""
    assert text.endswith("\n# EOF\n")
    figures: dict[str, float] = {}
    told, typed = "", ""
    for line in text[: -len("# EOF\n")].rstrip("\n").split("\n"):
        if help_line := HELP.fullmatch(line):
            assert told != help_line[1]
            told = help_line[1]
        elif type_line := TYPE.fullmatch(line):
            typed = type_line[1]
            assert told == typed
            assert not any(key.split("{")[0] == typed for key in figures), "a family stands in one piece"
        else:
            found = SAMPLE.fullmatch(line)
            assert found, line
            assert found[1] == typed
            assert found[1] + found[2] not in figures, "a series stands once"
            figures[found[1] + found[2]] = float(found[3])
    return figures


def test_what_the_fleet_says() -> None:
    figures = _figures(render_openmetrics(fleet_of(varied())))
    assert {key: value for key, value in figures.items() if key.startswith("lastack_fleet_hosts{")} == {
        'lastack_fleet_hosts{outcome="ok"}': 4,
        'lastack_fleet_hosts{outcome="failed"}': 0,
        'lastack_fleet_hosts{outcome="unreachable"}': 1,
        'lastack_fleet_hosts{outcome="invalid"}': 1,
        'lastack_fleet_hosts{outcome="missing"}': 1,
    }
    assert figures["lastack_fleet_hosts_incomplete"] == 1
    assert figures["lastack_fleet_run_duration_seconds"] == 41.25
    assert figures["lastack_fleet_run_start_timestamp_seconds"] == 1795408200
    fleet = fleet_of(varied())
    assert figures["lastack_fleet_close_wait_leaked_sockets"] == fleet["close_wait"]["leaked"]
    app = next(app for app in fleet["apps"] if app["app"] == "checkout-api")
    assert figures['lastack_fleet_application_leaked_sockets{app="checkout-api"}'] == app["sockets"]
    used = figures['lastack_fleet_application_descriptors_used_ratio{app="checkout-api"}']
    assert used == pytest.approx(app["worst_descriptors"]["used_percent"] / 100)
    worst = 'lastack_fleet_finding_hosts{finding="close_wait.unread_body",subject="checkout-api",severity="critical"}'
    assert figures[worst] == next(item["hosts"] for item in fleet["findings"] if item["id"] == "close_wait.unread_body")


def test_what_is_unknown_has_no_sample() -> None:
    fleet = fleet_of([not_audited("web")])
    fleet["run"]["finished_at"] = None
    figures = _figures(render_openmetrics(fleet))
    names = {key.split("{")[0] for key in figures}
    assert not names & {"lastack_fleet_sockets", "lastack_fleet_run_end_timestamp_seconds"}
    assert "lastack_fleet_run_duration_seconds" not in names
    assert "lastack_fleet_run_start_timestamp_seconds" in names


def _many(fleet: dict[str, Any], number: int) -> dict[str, Any]:
    app, finding, drift = fleet["apps"][0], fleet["findings"][0], fleet["drift"][0]
    fleet["apps"] = [{**app, "app": f"app-{index}"} for index in range(number)]
    fleet["dead_sockets"] = [{**fleet["dead_sockets"][0], "app": f"app-{index}"} for index in range(number)]
    fleet["findings"] = [{**finding, "subject": f"app-{index}"} for index in range(number)]
    fleet["drift"] = [{**drift, "key": f"net.ipv4.key_{index}"} for index in range(number)]
    return fleet


def test_series_are_bounded_and_what_is_left_out_is_counted() -> None:
    few, many = (_figures(render_openmetrics(_many(sample("fleet"), number))) for number in (300, 3_000))
    assert len(few) == len(many) < 600
    assert many["lastack_fleet_applications_left_out"] - few["lastack_fleet_applications_left_out"] == 2_700
    assert many["lastack_fleet_findings_left_out"] - few["lastack_fleet_findings_left_out"] == 2_700
    assert many["lastack_fleet_settings_left_out"] - few["lastack_fleet_settings_left_out"] == 2_700


def test_names_that_become_one_are_one_series() -> None:
    fleet = sample("fleet")
    app = fleet["apps"][0]
    fleet["apps"] = [{**app, "app": "a" * 200 + end, "sockets": sockets} for end, sockets in (("x", 9), ("y", 4))]
    figures = _figures(render_openmetrics(fleet))
    assert [value for key, value in figures.items() if "application_leaked_sockets" in key] == [9]


@given(st.text())
def test_any_name_is_one_label(text: str) -> None:
    fleet = sample("fleet")
    fleet["apps"][0]["app"] = text
    fleet["findings"][0]["subject"] = text
    fleet["drift"][0]["key"] = text
    fleet["run"]["version"] = text
    assert len(_figures(render_openmetrics(fleet))) == len(_figures(render_openmetrics(sample("fleet"))))


def test_promtool_finds_nothing_to_complain_about() -> None:
    try:
        promtool = unpacked("promtool", "prometheus")
    except NoProgram as reason:
        pytest.skip(f"{reason}")
    for fleet in (sample("fleet"), sample("growing_fleet"), healthy_fleet(), hostile("fleet"), fleet_of(varied())):
        checked = subprocess.run(
            [promtool, "check", "metrics"],
            input=render_openmetrics(fleet),
            check=False,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")
