# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A key that neither the catalogue nor the kernel has is warned of; an absent one that is known is not."""

from __future__ import annotations

from typing import Any

import pytest
from ansible.plugins.action import ActionBase
from ansible_collections.lastack.linux.plugins.action.sysctl_baseline import ActionModule
from ansible_collections.lastack.linux.plugins.plugin_utils.catalogue import load_catalogue
from ansible_collections.lastack.linux.plugins.plugin_utils.unknown_keys import tell_unknown_keys

CATALOGUE = load_catalogue()
SPELLING = "look at its spelling, and whether its kernel module is loaded."


@pytest.mark.parametrize(
    ("key", "status", "warning"),
    [
        ("net.core.somaxcon", "absent", "Neither the catalogue nor this kernel has {}; is it net.core.somaxconn?"),
        ("net.x.y", "absent", f"Neither the catalogue nor this kernel has {{}}; {SPELLING}"),
        ("net.ipv4.tcp_migrate_req", "absent", ""),
        ("net.x.y", "changed", ""),
        ("net.ipv4.tcp_sack", "read_only", ""),
    ],
)
def test_only_what_nobody_knows(key: str, status: str, warning: str) -> None:
    row = {"key": key, "status": status, "reason": "Ours."}
    told = [warning.format(key)] if warning else []
    assert tell_unknown_keys(CATALOGUE, {"sysctls": [row]}) == told
    assert row["reason"] == (told[0] if told else "Ours.")


@pytest.mark.parametrize("result", [{}, {"sysctls": None}, {"sysctls": ["x", {}]}, {"failed": True, "msg": "no"}])
def test_a_result_of_another_shape(result: dict[str, Any]) -> None:
    assert tell_unknown_keys(CATALOGUE, result) == []


class Shown:
    """Stands for Ansible's display."""

    def __init__(self) -> None:
        self.warnings: list[str] = []

    def warning(self, text: str) -> None:
        self.warnings.append(text)


class Task:
    """Stands for a task, as far as the plugin looks at it."""

    async_val = 0

    def __init__(self, args: dict[str, Any]) -> None:
        self.args = args


def run(monkeypatch: pytest.MonkeyPatch, answer: dict[str, Any], **arguments: object) -> tuple[dict[str, Any], Shown]:
    plugin, shown = ActionModule.__new__(ActionModule), Shown()
    plugin._task, plugin._display, plugin._connection = Task(dict(arguments)), shown, None
    monkeypatch.setattr(ActionBase, "run", lambda *_args, **_more: {})
    monkeypatch.setattr(ActionBase, "_execute_module", lambda *_args, **_more: answer)
    return plugin.run(), shown


def test_the_task_warns(monkeypatch: pytest.MonkeyPatch) -> None:
    answer = {"changed": False, "sysctls": [{"key": "net.core.somaxcon", "status": "absent"}]}
    settings = [{"key": "net.core.somaxcon", "value": "1"}]
    result, shown = run(monkeypatch, answer, settings=settings)
    assert shown.warnings == ["Neither the catalogue nor this kernel has net.core.somaxcon; is it net.core.somaxconn?"]
    assert result["sysctls"][0]["reason"] == shown.warnings[0]
    # What is to be taken away, or back, may be what was misspelt before.
    assert run(monkeypatch, answer, settings=settings, state="absent")[1].warnings == []
    assert run(monkeypatch, answer, state="restored")[1].warnings == []
