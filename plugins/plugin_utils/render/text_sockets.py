# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The CLOSE_WAIT sockets of a host one by one, as ``sockets: true`` asks for them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ansible_collections.lastack.linux.plugins.plugin_utils.render.phrases import (
    CAUSE_WORDS,
    age,
    count,
    data,
    endpoint,
    rows,
    thousand,
)
from ansible_collections.lastack.linux.plugins.plugin_utils.render.table import Column, Screen, Span

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["put_sockets"]

_LINES = 20
_VERDICTS = {"in_transit": "in transit", "undecided": "undecided"}


def put_sockets(screen: Screen, report: Mapping[str, Any]) -> None:
    """Add the sockets that a host report lists, by application and the worst application first, at most 20."""
    part = data(report, "close_wait")
    sockets = rows(part, "sockets")
    if not sockets:
        return
    rank = {str(app.get("app")): index for index, app in enumerate(rows(part, "offenders"))}
    ordered = sorted(
        sockets, key=lambda one: (one.get("verdict") != "offender", rank.get(str(one.get("app")), len(rank)))
    )
    screen.gap()
    screen.line(Span("Sockets", "bold"))
    columns = [
        Column("application", least=10),
        Column("local → peer", least=20),
        Column("age"),
        Column("why", least=9),
        Column("unread", right=True),
    ]
    # The end of the stream counts as one byte of the receive queue (net/ipv4/tcp_diag.c): it is no data.
    table: list[list[Span | str]] = []
    before = None
    for one in ordered[:_LINES]:
        # Nobody looks for the owner of a young socket.
        app = str(one.get("app") or ("not looked up" if one.get("verdict") == "in_transit" else "unknown"))
        table.append(
            [
                Span(app if app != before else "", "bold"),
                f"{endpoint(one.get('local_address'), one.get('local_port'))} →"
                f" {endpoint(one.get('remote_address'), one.get('remote_port'))}",
                age(one.get("age_s")),
                _why(one),
                thousand(unread) if (unread := int(one.get("receive_queue") or 0) - 1) > 0 else "",
            ]
        )
        before = app
    screen.table(columns, table)
    more = len(ordered) - min(len(ordered), _LINES)
    if more:
        screen.line(f"  … {count(more)} more with --json")
    if part.get("sockets_truncated"):
        screen.line(f"  … {count(part['sockets_truncated'])} more are not in the report")


def _why(one: Mapping[str, Any]) -> str:
    verdict, cause = str(one.get("verdict")), str(one.get("cause"))
    return _VERDICTS.get(verdict) or CAUSE_WORDS.get(cause, cause)
