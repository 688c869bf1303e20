# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Figures of one host report that several screens need; no words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ansible_collections.lastack.linux.plugins.plugin_utils.render.phrases import data, endpoint, rows

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["app_label", "dead", "leaked", "name", "peers", "sockets", "worst_descriptors"]


def name(report: Mapping[str, Any]) -> str:
    """The name under which the host is known: in the inventory, else its own."""
    host = data(report, "host")
    return str(host.get("inventory_name") or host.get("name") or "this host")


def sockets(report: Mapping[str, Any]) -> int:
    """All sockets of all states that could be counted."""
    return sum(number for number in data(report, "states").values() if isinstance(number, int))


def leaked(report: Mapping[str, Any]) -> int:
    """CLOSE_WAIT sockets that are neither in transit nor undecided."""
    part, seen = data(report, "close_wait"), data(data(report, "completeness"), "close_wait")
    listed = sum(int(app.get("count") or 0) for app in rows(part, "offenders"))
    if not part.get("truncated"):
        return listed
    rest = int(seen.get("seen") or 0) - int(seen.get("in_transit") or 0) - int(seen.get("undecided") or 0)
    return max(listed, rest)


def dead(report: Mapping[str, Any]) -> int:
    """Descriptors whose connection no longer exists."""
    return sum(int(app.get("count") or 0) for app in rows(data(report, "dead_sockets"), "offenders"))


def worst_descriptors(report: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The process nearest to its descriptor limit, as the report lists it."""
    known = [row for row in rows(data(report, "descriptors"), "processes") if row.get("used_percent") is not None]
    return max(known, key=lambda row: row["used_percent"], default=None)


def app_label(app: Mapping[str, Any]) -> str:
    """An application with its runtime: "checkout-api (java)", for a listener with its port: ":8443 gateway (go)"."""
    runtime = f" ({app['runtime']})" if app.get("runtime") else ""
    ports = rows(app, "local_ports")
    port = f":{ports[0].get('port')} " if app.get("kind") == "listener" and ports else ""
    return f"{port}{app.get('app')}{runtime}"


def peers(app: Mapping[str, Any]) -> list[str]:
    """The peers of an offender as ADDRESS:PORT, the one with most sockets first."""
    return [endpoint(peer.get("address"), peer.get("port")) for peer in rows(app, "peers")]
