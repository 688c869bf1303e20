# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Answers of hosts to the tasks of a roll-out, as Ansible registers them."""

from __future__ import annotations

from typing import Any

from ansible_collections.lastack.linux.plugins.plugin_utils.health_thresholds import THRESHOLDS

__all__ = ["GONE", "applied", "look", "predicted", "restored", "skipped"]

GONE = {"unreachable": True, "changed": False, "msg": "Failed to connect to the host via ssh: timed out"}
_NAMES = sorted({name for one in THRESHOLDS.values() for name in one.counters})


def look(at: float = 0.0, *, rate: float = 100.0, boot: str = "b", **counters: int) -> dict[str, Any]:
    """Return a look of ``tcp_health`` at a host that has had ``rate`` connections a second for ``at`` seconds."""
    return {
        "changed": False,
        "boot_id": boot,
        "namespace": 1,
        "boottime_s": 1000.0 + at,
        "opens": int(rate * at),
        "segments": int(10 * rate * at),
        "counters": {**dict.fromkeys(_NAMES, 0), **counters},
    }


def applied(
    key: str = "net.core.somaxconn", before: str = "128", after: str = "4096", **more: object
) -> dict[str, Any]:
    """Return what the role's tasks have registered after they changed one key."""
    entry = {"key": key, "before": before, "after": after, "status": "ok" if before == after else "changed"}
    result = {"changed": before != after, "sysctls": [entry], "failures": [], "dropin": "/etc/sysctl.d/99.conf"}
    return {"sysctls": {**result, **more}, "limits": skipped()}


def predicted(**more: object) -> dict[str, Any]:
    """Return the first answers of a host that needs the change."""
    return {"first": look(), "profile": "server", "problem": "", **applied(), **more}


def restored(**more: object) -> dict[str, Any]:
    """Return the answers of the four tasks of a restoration that went well."""
    done = {"changed": True, "failures": [], "conflicts": [], "restored": []}
    nothing = {"changed": False, "failed_limits": [], "conflicts": [], "restored": []}
    left = {"changed": False}
    return {"sysctls": done, "limits": nothing, "sysctls_left": left, "limits_left": left, **more}


def skipped() -> dict[str, Any]:
    """Return what a skipped task registers."""
    return {"changed": False, "skipped": True, "skip_reason": "Conditional result was False"}
