# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation of ``lastack.linux.tcp_rollout_step``, which runs on the controller alone (``plugins/action``)."""

from __future__ import annotations

DOCUMENTATION = r"""
module: tcp_rollout_step
short_description: Take one step of a roll-out that stops itself
version_added: 0.1.0
description:
  - The decisions of the playbooks C(lastack.linux.tcp_rollout) and C(lastack.linux.tcp_rollback). It takes what the
    hosts of a batch have answered, decides what follows, waits, and keeps the record of the roll-out.
  - Run once for all hosts of a batch, under a strategy that keeps step.
  - Runs on the controller and never connects to a host.
  - Meant for those playbooks. Use them rather than this module.
author:
  - the lastack authors (@lastack)
extends_documentation_fragment:
  - lastack.linux.attributes
options:
  state:
    description:
      - The step. V(started) makes the record, V(predicted) finds who needs the change, V(begun), V(measured) and
        V(ready) watch a batch before the change, V(applied) and V(judged) after it, V(decided) says who is to be
        restored, V(restored) ends a batch that was, and V(finished) ends the roll-out.
      - V(rolled_back) shows the screen of a roll-back.
    type: str
    required: true
    choices:
      [started, predicted, begun, measured, ready, applied, judged, decided, restored, finished, rolled_back]
  path:
    description:
      - The folder of the record. With O(state=started), a new one, by default C(lastack-runs/<UTC time>-rollout).
      - Required for the other steps of a roll-out.
    type: path
  results:
    description: The names of the answers that the step takes, and of the variables that hold them on each host.
    type: dict
  variables_prefix:
    description: Refuse variables that start with this prefix and are not known, because they are typing errors.
    type: str
  known_variables:
    description: Variables, without the prefix, that are no options of this module.
    type: list
    elements: str
  batches:
    description: How many hosts are changed together, as numbers and as shares of all hosts that need the change.
    type: list
    elements: raw
    default: [1, 5%, 25%, 100%]
  baseline_s:
    description: The seconds for which a host is watched before the change.
    type: float
    default: 120.0
  baseline_limit_s:
    description: A first look that is older than so many seconds is taken anew.
    type: float
    default: 1800.0
  soak_s:
    description:
      - The seconds for which a host is watched after the change.
      - By default 120, or twice the longest timer that is changed if that is longer.
    type: float
  soak_limit_s:
    description:
      - Where a host cannot be judged yet, watch for up to so many seconds.
      - By default 600, or three soaks if that is longer.
    type: float
  inconclusive:
    description: What follows if a host cannot be judged then.
    type: str
    choices: [stop, go_on]
    default: stop
  least_opens:
    description: The connections begun in a window below which there is too little traffic.
    type: int
    default: 30
  least_segments:
    description: The segments sent in a window below which there is too little traffic.
    type: int
    default: 300
  false_alarm:
    description: The chance that the whole roll-out stops although nothing has changed.
    type: float
    default: 0.001
  thresholds:
    description:
      - Other rules and numbers for some counters, as for the filter P(lastack.linux.tcp_health_verdict#filter).
    type: dict
attributes:
  check_mode:
    support: full
    details: Keeps a record and shows the screen in check mode, too, because they are the output.
  diff_mode:
    support: none
    details: Nothing on a host changes.
  action:
    support: full
    details: It has no other part.
  platform:
    support: full
    platforms: posix
    details: The controller's, because nothing runs on a host.
seealso:
  - module: lastack.linux.tcp_health
  - module: lastack.linux.sysctl_baseline
"""

EXAMPLES = r"""
- name: Start the record of a roll-out
  lastack.linux.tcp_rollout_step:
    state: started
    soak_s: 300
  run_once: true
  register: rollout
"""

RETURN = r"""
path:
  description: The folder of the record.
  returned: for a roll-out
  type: str
  sample: /srv/lastack-runs/20261123T094544Z-rollout
go:
  description: Whether the batch goes on.
  returned: for every step of a roll-out but V(started)
  type: bool
  sample: true
again:
  description: Whether the step is to be taken again.
  returned: for every step of a roll-out but V(started)
  type: bool
  sample: false
hosts:
  description: The hosts that the next step is for.
  returned: for every step of a roll-out but V(started)
  type: list
  elements: str
  sample: [web-1, web-2]
screen:
  description: What was shown.
  returned: when the roll-out or the roll-back has ended
  type: str
  sample: "6 hosts have the baseline; 6 changed in 3 batches"
failures:
  description: One sentence for each host that is not as it should be.
  returned: when the roll-out or the roll-back has ended
  type: dict
  sample: {web-22: ListenOverflows 0.0 → 14.2 a second since the change (limit 0.1)}
"""

from ansible.module_utils.basic import AnsibleModule


def main() -> None:
    """Say that there is nothing to run on a host."""
    module = AnsibleModule(
        argument_spec={
            "state": {
                "type": "str",
                "required": True,
                "choices": [
                    "started",
                    "predicted",
                    "begun",
                    "measured",
                    "ready",
                    "applied",
                    "judged",
                    "decided",
                    "restored",
                    "finished",
                    "rolled_back",
                ],
            },
            "path": {"type": "path"},
            "results": {"type": "dict"},
            "variables_prefix": {"type": "str"},
            "known_variables": {"type": "list", "elements": "str"},
            "batches": {"type": "list", "elements": "raw", "default": [1, "5%", "25%", "100%"]},
            "baseline_s": {"type": "float", "default": 120.0},
            "baseline_limit_s": {"type": "float", "default": 1800.0},
            "soak_s": {"type": "float"},
            "soak_limit_s": {"type": "float"},
            "inconclusive": {"type": "str", "choices": ["stop", "go_on"], "default": "stop"},
            "least_opens": {"type": "int", "default": 30},
            "least_segments": {"type": "int", "default": 300},
            "false_alarm": {"type": "float", "default": 0.001},
            "thresholds": {"type": "dict"},
        },
        supports_check_mode=True,
    )
    module.fail_json(msg="tcp_rollout_step works on the controller alone; its action plugin was not found.")


if __name__ == "__main__":
    main()
