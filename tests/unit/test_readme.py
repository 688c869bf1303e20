# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The README's tables repeat data of the code: they are held to it."""

from __future__ import annotations

import re
from pathlib import Path

from ansible_collections.lastack.linux.plugins.module_utils.diagnose.finding import REMEDIES
from ansible_collections.lastack.linux.plugins.plugin_utils.audit_options import LOOK_OPTIONS
from ansible_collections.lastack.linux.plugins.plugin_utils.explain import load_page

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def rows(pattern: str) -> list[tuple[str, ...]]:
    return re.findall(pattern, README, re.MULTILINE)


def test_findings_are_those_of_the_code() -> None:
    table = rows(r"^\| `([a-z_]+\.[a-z_]+)` \| (app|kernel|limits|none) \| (.+) \|$")
    assert {name: remedy for name, remedy, __ in table} == REMEDIES
    assert {name: title for name, __, title in table} == {name: load_page(name).title for name in REMEDIES}


def test_variables_are_those_of_the_playbook() -> None:
    used = set(re.findall(r"tcp_audit_[a-z_]+", (ROOT / "playbooks/tcp_audit.yml").read_text(encoding="utf-8")))
    told = set(re.findall(r"`(tcp_audit_[a-z_]+)`", README))
    assert told == {name for name in used if not name.endswith("_")}


def test_module_options_are_told() -> None:
    for name in {"store", *LOOK_OPTIONS} - {"top"}:
        assert f"`{name}`" in README, name


def test_links_lead_somewhere() -> None:
    for target in re.findall(r"\]\(([^)#:]+)\)", README):
        assert (ROOT / target).exists(), target


def test_figures_are_those_of_the_benchmark() -> None:
    bench = (ROOT / "docs/bench.md").read_text(encoding="utf-8")
    for program, digits in (("lastack: all states counted", 2), ("ss -tan", 2), ("ss -tanp", 1), ("lastack probe", 2)):
        medians = re.findall(rf"^\| {re.escape(program)} \| ([\d.]+) s", bench, re.MULTILINE)
        median = float(medians[0])
        assert f"{median:.{digits}f} s" in README, program


def test_nothing_was_left_to_fill_in() -> None:
    assert "@@" not in README
