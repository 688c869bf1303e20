# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the registered result of a task says, whatever a host or a skipped task left there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible_collections.lastack.linux.plugins.plugin_utils.plain_text import one_line

__all__ = ["is_unreachable", "plain", "texts", "trouble"]

_SIGNS_OF_SSH = "Failed to connect to the host via ssh: "
_LONGEST = 240
_DEEPEST = 20


def is_unreachable(result: object) -> bool:
    """Tell whether the host did not answer."""
    return isinstance(result, Mapping) and bool(result.get("unreachable"))


def trouble(result: object) -> str:
    """Return in one line why a task gave no result; empty if it gave one."""
    if not isinstance(result, Mapping) or (result.get("skipped") and not result.get("unreachable")):
        return "its task ended without a result: see Ansible's own output"
    if not (result.get("unreachable") or result.get("failed")):
        return ""
    message = one_line(str(result.get("msg") or "no reason given"), _LONGEST).replace(_SIGNS_OF_SSH, "")
    return f"unreachable ({message})" if result.get("unreachable") else message


def texts(value: object) -> list[str]:
    """Return the texts of a list, each as one harmless line."""
    return [one_line(str(item), _LONGEST) for item in value] if isinstance(value, list) else []


def plain(value: object, depth: int = _DEEPEST) -> Any:  # noqa: ANN401 - JSON
    """Return a copy in plain types for JSON: Ansible marks values with types of its own."""
    if depth <= 0:
        return None
    if isinstance(value, Mapping):
        return {str(key): plain(item, depth - 1) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item, depth - 1) for item in value]
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, (int, float)):
        return int(value) if isinstance(value, int) else float(value)
    return str(value)
