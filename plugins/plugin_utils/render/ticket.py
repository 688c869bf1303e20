# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A ticket: one application, everything its developer needs, in Markdown that can be posted to any tracker."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ansible_collections.lastack.linux.plugins.plugin_utils.render.inert_markdown import code
from ansible_collections.lastack.linux.plugins.plugin_utils.render.phrases import data, moment
from ansible_collections.lastack.linux.plugins.plugin_utils.render.ticket_advice import (
    cause_lines,
    change_lines,
    process_lines,
    useless_lines,
)
from ansible_collections.lastack.linux.plugins.plugin_utils.render.ticket_checks import unseen_lines, verify_lines
from ansible_collections.lastack.linux.plugins.plugin_utils.render.ticket_facts import (
    evidence_lines,
    heading_lines,
    what_lines,
    where_lines,
)
from ansible_collections.lastack.linux.plugins.plugin_utils.render.ticket_short import short_lines

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ansible_collections.lastack.linux.plugins.plugin_utils.ticket_evidence import AppEvidence

__all__ = ["render_ticket"]


def render_ticket(ticket_id: str, evidence: AppEvidence, fleet: Mapping[str, Any]) -> str:
    """Return the ticket as Markdown (CommonMark with tables), the same text for the same run.

    ``fleet`` is the run's ``lastack.fleet/1``. Names from hosts stand in code spans only.
    """
    run = data(fleet, "run")
    worst = evidence.worst.ranked()[0]
    parts = [
        heading_lines(evidence),
        short_lines(evidence),
        what_lines(evidence, int(data(fleet, "hosts").get("audited") or 0)),
        where_lines(evidence),
        evidence_lines(evidence),
        cause_lines(evidence),
        change_lines(evidence),
        useless_lines(evidence),
        process_lines(evidence, worst),
        verify_lines(evidence, worst),
        unseen_lines(evidence, fleet),
        [
            "---",
            "",
            "`lastack` is the command of those who ran this audit. What it says of this case stands above; further"
            " pages (`lastack explain …`) and a new look (`lastack probe`) they have.",
            "",
            f"Ticket {code(ticket_id)}, severity {evidence.severity}, from the lastack run {code(run.get('id'))} of"
            f" {moment(run.get('started_at'))}. Every run gives it the same id: update this ticket, open no other.",
        ],
    ]
    return "\n\n".join("\n".join(part) for part in parts if part) + "\n"
