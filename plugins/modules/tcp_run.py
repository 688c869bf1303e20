# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation of ``lastack.linux.tcp_run``, which runs on the controller alone (``plugins/action/tcp_run.py``)."""

from __future__ import annotations

DOCUMENTATION = r"""
module: tcp_run
short_description: Start and finish the run folder of a TCP audit
version_added: 0.1.0
description:
  - With O(state=started), makes the folder on the controller in which M(lastack.linux.tcp_facts) stores the hosts'
    reports, before any host is touched. A folder that cannot be written, holds something else, or is in use by
    another audit is refused with the reason.
  - With O(state=finished), merges all reports into C(fleet.json), renders C(report.html) and C(report.txt), and shows
    the first screen.
  - Runs on the controller and never connects to a host, so it also works when no host is reachable.
  - Works under any strategy. Under C(free) and C(host_pinned), where C(run_once) is not honoured, every host runs it,
    the first one starts the run and the last one finishes it.
  - A finished run in the same folder is replaced as a whole.
  - The options of M(lastack.linux.tcp_facts) that it takes, too, are only checked and kept in the run's manifest, so
    that a wrong value is refused before any host is touched.
author:
  - the lastack authors (@lastack)
extends_documentation_fragment:
  - lastack.linux.attributes
  - lastack.linux.look
options:
  state:
    description: Whether to start or to finish the run.
    type: str
    choices: [started, finished]
    required: true
  path:
    description:
      - The run folder on the controller. Relative to the current directory.
      - Without it, O(state=started) makes C(lastack-runs/<UTC time>) in the current directory.
      - Required with O(state=finished).
    type: path
  hosts:
    description:
      - The hosts that the audit is meant for. Those without a result at the end are reported as missing.
      - Without it, the hosts of the play.
    type: list
    elements: str
  screen:
    description: Whether to show the first screen at the end, as plain text.
    type: bool
    default: true
  profile:
    description:
      - Hold every host's running sysctls against this profile of the baseline, and show the keys that differ from it.
      - Keys that need evidence of port pressure are judged only on hosts whose report shows it. The keepalive keys of
        V(server), which only an operator can ask for, are not judged.
    type: str
    choices: [server, client, mixed]
  variables_prefix:
    description:
      - Refuse variables that start with this prefix but are none of the audit's, because they are typing errors.
      - Also put before the names of options in messages.
    type: str
  become:
    description: Only checked, so that a wrong value is refused before any host is touched.
    type: bool
attributes:
  check_mode:
    support: full
    details: Does in check mode everything that it does otherwise, because the run folder is the output.
  diff_mode:
    support: none
    details: Nothing on a host changes.
  action:
    support: full
    details: It has no other part.
  bypass_host_loop:
    description: Runs once for all hosts.
    support: none
    details: Use C(run_once) where the strategy honours it.
  platform:
    support: full
    platforms: posix
    details: The controller's, because nothing runs on a host.
seealso:
  - module: lastack.linux.tcp_facts
    description: Looks at each host and stores its report in the run folder.
"""

EXAMPLES = r"""
- name: Start the run
  lastack.linux.tcp_run:
    state: started
    path: lastack-runs/before-the-release
  run_once: true
  register: run

- name: Look at TCP on every host
  lastack.linux.tcp_facts:
    store: "{{ run.path }}"
  become: true
  ignore_unreachable: true

- name: Merge and show the reports
  lastack.linux.tcp_run:
    state: finished
    path: "{{ run.path }}"
  run_once: true
"""

RETURN = r"""
path:
  description: The run folder.
  returned: success
  type: str
  sample: /srv/lastack-runs/20261123T043000Z
id:
  description: The id of the run.
  returned: success
  type: str
  sample: 20261123T043000Z-5f0c1a
finished:
  description: Whether all hosts are merged. False while other hosts are still looked at.
  returned: success
  type: bool
  sample: true
html:
  description: The report to open in a browser.
  returned: when this task has merged the run
  type: str
  sample: /srv/lastack-runs/20261123T043000Z/report.html
text:
  description: The first screen as a file.
  returned: when this task has merged the run
  type: str
  sample: /srv/lastack-runs/20261123T043000Z/report.txt
summary:
  description: The few numbers to act on.
  returned: when this task has merged the run
  type: dict
  sample:
    hosts: {meant: 3, audited: 3, failed: 0, unreachable: 0, invalid: 0, missing: 0, incomplete: 0}
    close_wait: {total: 4886, leaked: 4862, undecided: 6, apps: 3, hosts: 2}
    findings: {critical: 2, warning: 4, info: 1}
"""

from ansible.module_utils.basic import AnsibleModule


def main() -> None:
    """Say that there is nothing to run on a host."""
    module = AnsibleModule(
        argument_spec={
            "state": {"type": "str", "choices": ["started", "finished"], "required": True},
            "path": {"type": "path"},
            "hosts": {"type": "list", "elements": "str"},
            "screen": {"type": "bool", "default": True},
            "profile": {"type": "str", "choices": ["server", "client", "mixed"]},
            "variables_prefix": {"type": "str"},
            "namespaces": {"type": "str", "choices": ["all", "host"]},
            "top": {"type": "int"},
            "min_age_s": {"type": "float"},
            "sockets": {"type": "bool"},
            "gather": {"type": "list", "elements": "str"},
            "redact": {"type": "bool"},
            "timeout_s": {"type": "float"},
            "agent": {"type": "bool"},
            "become": {"type": "bool"},
        },
        supports_check_mode=True,
    )
    module.fail_json(msg="tcp_run works on the controller alone; its action plugin was not found.")


if __name__ == "__main__":
    main()
