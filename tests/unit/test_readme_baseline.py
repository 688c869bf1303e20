# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The tables on settings in the READMEs repeat the catalogue and the role's contract: they are held to both."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.lastack.linux.plugins.plugin_utils.catalogue import PROFILES, load_catalogue

ROOT = Path(__file__).parents[2]
ROLE = ROOT / "roles/tcp_baseline"
CATALOGUE = load_catalogue()
READMES = {"role": ROLE / "README.md", "project": ROOT / "README.md"}
SPECS: dict[str, Any] = yaml.safe_load((ROLE / "meta/argument_specs.yml").read_text(encoding="utf-8"))
OPTIONS: dict[str, Any] = SPECS["argument_specs"]["main"]["options"]
_SIGNS = {"exact": "", "at_least": "≥ ", "at_most": "≤ ", "wider": "⊇ "}


def rows(name: str, pattern: str) -> list[tuple[str, ...]]:
    return re.findall(pattern, READMES[name].read_text(encoding="utf-8"), re.MULTILINE)


def cell(key: Any, profile: str) -> str:  # noqa: ANN401 - a key of the catalogue
    said = key.profiles.get(profile)
    if said is None:
        return "–"  # noqa: RUF001 - the dash of an empty cell
    value = f"{_SIGNS[key.match]}{said['value']}" if said["value"] else "listeners"
    return value if said["when"] == "always" else f"{value} if {said['when']}"


@pytest.mark.parametrize("name", sorted(READMES))
def test_the_snippet_with_every_verdict(name: str) -> None:
    told = rows(name, r"^\| `(net\.[a-z0-9_.]+ = \d+)` \| (\w+) \| (.+) \|$")
    # Once a README has the table, it has all of it.
    assert told == [(one.setting, one.verdict, one.today) for one in CATALOGUE.snippet] or (
        name == "project" and not told
    )


def test_the_snippet_is_as_long_as_it_is_said() -> None:
    assert len(CATALOGUE.snippet) == 11
    assert "the same eleven lines of sysctl" in READMES["project"].read_text(encoding="utf-8")


@pytest.mark.parametrize("name", sorted(READMES))
def test_the_profiles(name: str) -> None:
    told = rows(name, r"^\| `(net\.[a-z0-9_.]+)` \| (.+?) \| (.+?) \| (.+?) \| (.+?) \| (.+) \|$")
    wanted = [
        (key.name, *(cell(key, profile) for profile in PROFILES), key.improves, key.cannot)
        for key in CATALOGUE.keys.values()
        if key.profiles
    ]
    assert told == wanted or (name == "project" and not told)


def test_what_a_gate_needs_and_what_no_setting_does() -> None:
    text = READMES["role"].read_text(encoding="utf-8")
    assert f"**{CATALOGUE.close_wait}**" in text
    for evidence in CATALOGUE.evidence.values():
        assert f"- `{evidence.name}`: {evidence.needs}" in text


def test_every_variable_of_the_role_is_described_once_and_used() -> None:
    told = {row[0]: row[1] for row in rows("role", r"^\| `(tcp_baseline_\w+)` \| (.+?) \| .+ \|$")}
    assert set(told) == set(OPTIONS)
    defaults = yaml.safe_load((ROLE / "defaults/main.yml").read_text(encoding="utf-8"))
    assert defaults == {name: option["default"] for name, option in OPTIONS.items() if "default" in option}
    for name, option in OPTIONS.items():
        if "default" in option:
            assert yaml.safe_load(told[name].strip("`")) == option["default"], name
    tasks = "".join(path.read_text(encoding="utf-8") for path in (ROLE / "tasks").iterdir())
    assert [name for name in OPTIONS if name not in tasks] == []
    used = set(re.findall(r"tcp_baseline_[a-z_]+", tasks))
    assert used - set(OPTIONS) <= {"tcp_baseline_sysctls", "tcp_baseline_limits", "tcp_baseline_said"}


@pytest.mark.parametrize("option", ["tcp_baseline_profile", "tcp_baseline_state", "tcp_baseline_on_error"])
def test_the_choices_are_the_modules(option: str) -> None:
    source = (ROOT / "plugins/modules/sysctl_baseline.py").read_text(encoding="utf-8")
    documented = yaml.safe_load(source.split('DOCUMENTATION = r"""')[1].split('"""')[0])["options"]
    assert OPTIONS[option]["choices"] == documented[option.removeprefix("tcp_baseline_")]["choices"]
