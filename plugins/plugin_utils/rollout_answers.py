# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the hosts answered to the tasks of a roll-out or a roll-back, put into words and statuses."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ansible_collections.lastack.linux.plugins.plugin_utils.task_results import is_unreachable, texts, trouble

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["apply_trouble", "changed_keys", "changed_subjects", "prediction", "restore_trouble", "timers", "unexpected"]

# Sysctls that are a time in seconds: what they change shows only after it (tcp_timer.c).
_TIMERS = ("net.ipv4.tcp_keepalive_time", "net.ipv4.tcp_keepalive_intvl", "net.ipv4.tcp_fin_timeout")


def restore_trouble(answers: Mapping[str, Any]) -> str:
    """Return why a host is not back to its ledger, from the results of the four tasks; empty if it is."""
    for name in ("sysctls", "limits"):
        problem = trouble(answers.get(name))
        if problem:
            return problem
        told = texts(answers[name].get("failures")) + texts(answers[name].get("failed_limits"))
        if told:
            return " ".join(told)
    for name in ("sysctls_left", "limits_left"):
        problem = trouble(answers.get(name))
        if problem:
            return f"it could not be read back: {problem}"
        if answers[name].get("changed"):
            return "read back, it is not as the ledger says"
    return ""


def prediction(answers: Mapping[str, Any]) -> tuple[str, str]:
    """Return status and reason of a host, from its first look and the answers in check mode."""
    first = answers.get("first")
    if first is None:
        return "missing", "its task ended without a result: see Ansible's own output"
    for result in (first, answers.get("sysctls"), answers.get("limits")):
        if is_unreachable(result):
            return "unreachable", trouble(result)
    if trouble(first):
        return "refused", f"The counters could not be read: {trouble(first)}"
    problem = apply_trouble(answers)
    if problem:
        return "refused", f"The change would fail: {problem}"
    changed = any(
        isinstance(answers.get(name), dict) and answers[name].get("changed") for name in ("sysctls", "limits")
    )
    return ("waiting", "") if changed else ("already", "")


def apply_trouble(answers: Mapping[str, Any]) -> str:
    """Return why the role did not do all of it: its own sentence, or that of a task that gave no result."""
    if answers.get("problem"):
        return " ".join(texts([answers["problem"]]))
    for name in ("sysctls", "limits"):
        result = answers.get(name)
        if not isinstance(result, dict) or (result.get("skipped") and not is_unreachable(result)):
            continue
        problem = trouble(result)
        if problem:
            return problem
    return ""


def changed_keys(answers: Mapping[str, Any]) -> list[str]:
    """Return the sysctls whose running value the role changed, or in check mode would."""
    result = answers.get("sysctls")
    found = result.get("sysctls") if isinstance(result, dict) else None
    entries = [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []
    return [str(one.get("key")) for one in entries if one.get("before") != one.get("after")]


def changed_subjects(answers: Mapping[str, Any]) -> list[str]:
    """Return what a person is told of the prediction: keys, the file, units and users."""
    subjects = changed_keys(answers)
    result = answers.get("sysctls")
    if isinstance(result, dict) and result.get("changed") and not subjects:
        subjects.append(str(result.get("dropin")))
    limits = answers.get("limits")
    for kind in ("units", "users"):
        found = limits.get(kind) if isinstance(limits, dict) else None
        for one in found if isinstance(found, list) else ():
            if isinstance(one, dict) and one.get("status") in ("changed", "needs_restart", "capped"):
                subjects.append(str(one.get("name")))
    return texts(subjects)


def unexpected(answers: Mapping[str, Any]) -> str:
    """Return what ended the tasks of a batch on a host although it should not; empty if nothing did."""
    return " ".join(texts([answers["unexpected"]])) if answers.get("unexpected") else ""


def timers(answers: Mapping[str, Any]) -> list[float]:
    """Return the seconds of the timers that are changed."""
    result = answers.get("sysctls")
    found = result.get("sysctls") if isinstance(result, dict) else None
    values = [
        str(one.get("after"))
        for one in (found if isinstance(found, list) else ())
        if isinstance(one, dict) and one.get("key") in _TIMERS and one.get("before") != one.get("after")
    ]
    return [float(value) for value in values if value.isdecimal()]
