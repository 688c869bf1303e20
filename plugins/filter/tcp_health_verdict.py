# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The Ansible filter ``lastack.linux.tcp_health_verdict``: is a host as well after a change as it was before?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ansible.errors import AnsibleFilterError
from ansible_collections.lastack.linux.plugins.plugin_utils.health_gate import (
    FALSE_ALARM,
    LEAST_OPENS,
    LEAST_SEGMENTS,
    Demands,
    judge,
    window_between,
)
from ansible_collections.lastack.linux.plugins.plugin_utils.health_thresholds import ThresholdError
from ansible_collections.lastack.linux.plugins.plugin_utils.health_thresholds import thresholds as table_of

if TYPE_CHECKING:
    from collections.abc import Callable

DOCUMENTATION = r"""
name: tcp_health_verdict
short_description: Judge a host by its TCP counters before and after a change
version_added: 0.1.0
description:
  - Compares the rates of the health counters after a change with the same host's rates before it. What makes a
    difference of rates are two looks of M(lastack.linux.tcp_health) before the change and two after it.
  - A counter fails when its rate is above its limit and chance alone would explain that in fewer cases than
    O(false_alarm) allows. The test is exact for small counts.
  - Too little traffic is C(inconclusive) and never C(passed). So are two looks of different boots or network
    namespaces, or with a counter that fell between them.
positional: after
options:
  _input:
    description: Two results of M(lastack.linux.tcp_health) before the change.
    type: list
    elements: dict
    required: true
  after:
    description: Two results of M(lastack.linux.tcp_health) after the change.
    type: list
    elements: dict
    required: true
  changed_keys:
    description:
      - The sysctls that were changed. Shorter keepalive, for example, raises C(TCPAbortOnTimeout) as it should, which
        is then only a warning.
    type: list
    elements: str
    default: []
  client:
    description: Whether the host opens many connections. Then segments rejected by timestamps fail, too.
    type: bool
    default: false
  thresholds:
    description:
      - Other rules and numbers for some counters, by name. C(rule) is V(zero), V(fail), V(sustained), V(warn) or
        V(note). The limit is the rate before the change times C(ratio), and at least that rate plus C(margin), which
        is events a second, or a share of opens or segments.
    type: dict
    default: {}
  least_opens:
    description: The connections begun in a window below which there is too little traffic.
    type: int
    default: 30
  least_segments:
    description: The segments sent in a window below which there is too little traffic.
    type: int
    default: 300
  false_alarm:
    description: The chance of C(failed) for a host on which nothing has changed.
    type: float
    default: 0.001
"""

EXAMPLES = r"""
- name: Fail if the change did harm
  ansible.builtin.assert:
    that: verdict.verdict == 'passed'
    fail_msg: "{{ (verdict.reasons + verdict.doubts) | join(' ') }}"
  vars:
    verdict: "{{ [first, second] | lastack.linux.tcp_health_verdict([third, fourth]) }}"
"""

RETURN = r"""
_value:
  description:
    - C(verdict), which is C(passed), C(failed) or C(inconclusive).
    - C(reasons), one sentence with figures for each counter that failed, the worst first. C(warnings) likewise.
    - C(doubts), why it is inconclusive. C(unjudged), the counters that this kernel does not have.
  type: dict
"""


class FilterModule:
    """The filters of this file."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Return the filter by its name."""
        return {"tcp_health_verdict": tcp_health_verdict}


def tcp_health_verdict(  # noqa: PLR0913 - keyword arguments, as the documentation has them
    before: object,
    after: object,
    *,
    changed_keys: object = (),
    client: bool = False,
    thresholds: object = None,
    least_opens: int = LEAST_OPENS,
    least_segments: int = LEAST_SEGMENTS,
    false_alarm: float = FALSE_ALARM,
) -> dict[str, Any]:
    """Return the verdict; raises ``AnsibleFilterError`` for what are no two looks, and for a wrong threshold."""
    if not isinstance(changed_keys, (list, tuple)):
        raise AnsibleFilterError("tcp_health_verdict needs a list as changed_keys.")
    try:
        table = table_of(thresholds)
    except ThresholdError as error:
        raise AnsibleFilterError(f"tcp_health_verdict: {error}") from error
    windows, doubts = [], []
    for looks, when in ((before, "before"), (after, "after")):
        if not isinstance(looks, (list, tuple)) or [isinstance(look, dict) for look in looks] != [True, True]:
            raise AnsibleFilterError(f"tcp_health_verdict needs two results of tcp_health {when} the change.")
        window = window_between(looks[0], looks[1])
        if isinstance(window, str):
            doubts.append(f"The looks {when} the change cannot be compared: {window}.")
        else:
            windows.append(window)
    if doubts:
        return {"verdict": "inconclusive", "reasons": [], "warnings": [], "doubts": doubts, "unjudged": []}
    found = judge(
        windows[0],
        windows[1],
        changed_keys=[str(key) for key in changed_keys],
        table=table,
        demands=Demands(int(least_opens), int(least_segments), float(false_alarm), bool(client)),
    )
    return {
        "verdict": found.verdict,
        "reasons": [reason.sentence for reason in found.reasons],
        "warnings": [reason.sentence for reason in found.warnings],
        "doubts": list(found.doubts),
        "unjudged": list(found.unjudged),
    }
