# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The Ansible module ``lastack.linux.tcp_facts``: one look at a host's TCP sockets, returned as a fact."""

from __future__ import annotations

DOCUMENTATION = r"""
module: tcp_facts
short_description: Tell a host's leaked, lingering and overflowing TCP connections apart
version_added: 0.1.0
description:
  - Looks once at every TCP socket of a host, in every network namespace, and reports what is wrong with them as
    one C(lastack.host/1) report.
  - Names the applications that hold connections in C(CLOSE_WAIT), says why, since when, and how close they are
    to their limit of open files.
  - Says whether C(TIME_WAIT) matters at all, which ports, listen queues, descriptors and tables are under
    pressure, and which file sets the kernel's TCP settings.
  - Changes nothing on the host, ends no process, closes no socket, and installs nothing.
  - No command line leaves the host.
author:
  - the lastack authors (@lastack)
requirements:
  - Python 3.9 or newer on the host
extends_documentation_fragment:
  - lastack.linux.attributes
  - lastack.linux.attributes.facts
  - lastack.linux.look
options:
  namespaces:
    default: all
  top:
    default: 20
  min_age_s:
    default: 60.0
  sockets:
    default: false
  gather:
    default: [all]
  redact:
    default: true
  timeout_s:
    default: 30.0
  agent:
    default: true
  store:
    description:
      - A folder on the controller. Each host's whole report is written there, and the fact becomes a summary of
        less than 4 KiB, so that thousands of hosts fit into memory.
      - The folder is one run (C(lastack.run/1)). M(lastack.linux.tcp_run) starts and finishes it; without that
        this module starts it, and C(lastack report) renders it.
      - Hosts that are unreachable, fail or send an invalid report are recorded there with the reason.
      - It is written in check mode too, because it is the output.
      - Needs the result, so it cannot be used with C(async) and C(poll=0).
    type: path
  _catalogue:
    description:
      - Not for tasks. The sysctl catalogue, which the part on the controller hands over, because a host has no YAML
        reader. What a task sets here is replaced.
    type: dict
    default: {}
attributes:
  check_mode:
    support: full
    details: Does in check mode everything that it does otherwise, because it only reads.
  diff_mode:
    support: none
    details: Nothing changes.
  facts:
    support: full
  async:
    description: Can be used with the C(async) keyword.
    support: full
    details: With O(store) only when C(poll) is above 0.
  action:
    support: full
  platform:
    support: full
    platforms: linux
seealso:
  - module: lastack.linux.tcp_run
    description: Starts and finishes the folder in which O(store) keeps the reports of many hosts.
notes:
  - Needs no privileges, but sees only its own processes and namespace without root, and says so in the report.
"""

EXAMPLES = r"""
- name: Look at TCP on the host
  lastack.linux.tcp_facts:
  become: true

- name: Stop where an application is leaking connections
  ansible.builtin.assert:
    that: ansible_facts.lastack.findings | selectattr('severity', 'eq', 'critical') | list | length == 0
    fail_msg: "{{ ansible_facts.lastack.findings | map(attribute='summary') | join(' ') }}"

- name: Look only at leaks that are at least ten minutes old, socket by socket
  lastack.linux.tcp_facts:
    gather: [close_wait, dead_sockets]
    min_age_s: 600
    sockets: true
  become: true

- name: Keep the reports of many hosts in a folder on the controller
  lastack.linux.tcp_facts:
    store: lastack-runs/before-the-release
  become: true
"""

RETURN = r"""
ansible_facts:
  description: The facts to add.
  returned: success
  type: dict
  contains:
    lastack:
      description:
        - The report C(lastack.host/1), or with O(store) its summary.
      returned: success
      type: dict
      contains:
        schema:
          description: The contract that the report keeps.
          returned: success
          type: str
          sample: lastack.host/1
        host:
          description: Which host this is. C(name) is what it calls itself.
          returned: success
          type: dict
          sample:
            name: web-17
            inventory_name: web-17.example.org
            kernel: 6.1.0-28-amd64
            os: Debian GNU/Linux 12 (bookworm)
        collected_at:
          description: When the look began, RFC 3339 UTC.
          returned: success
          type: str
          sample: "2026-11-23T04:30:12Z"
        completeness:
          description: What was read and what was not, with the reasons.
          returned: success
          type: dict
          sample:
            complete: true
            source: sock_diag
            privileged: true
        states:
          description: How many sockets are in each of the twelve TCP states; null is unknown.
          returned: success
          type: dict
          sample:
            ESTABLISHED: 2280
            TIME_WAIT: 812
            CLOSE_WAIT: 2
        totals:
          description: The few numbers that count.
          returned: with O(store)
          type: dict
          sample:
            close_wait: 2441
            close_wait_offenders: 3
            close_wait_undecided: 3
            dead_sockets: 312
            time_wait: 11204
        close_wait:
          description:
            - The connections that an application does not close, grouped by application. Each offender has C(hints)
              of what its processes have loaded, by the names of files alone - C(libraries) with the page of their
              remedy, the C(program) that an interpreter runs, and C(log_files) that are open for writing. A loaded
              library is evidence and no proof; C(hints) is null where no process could be looked at.
          returned: without O(store), if gathered
          type: dict
          sample:
            total: 2441
            oldest_s: {at_least: 10800.4, at_most: null}
            offenders:
              - app: checkout-api
                runtime: java
                count: 2204
                hints:
                  libraries:
                    - name: Apache HttpClient 4
                      version: 4.5.14
                      seen: jar
                      page: library.apache_httpclient4
                  program: /srv/checkout/checkout-api.jar
                  log_files: [/var/log/checkout/api.log]
                advice: [close_wait.unread_body, library.apache_httpclient4, runtime.java]
            truncated: 2
        agent:
          description:
            - Whether a resident agent's word on this host was taken up. C(state) is V(fresh), V(stale) or V(unusable),
              with the reason of the last two; null if there is no agent. With a fresh one, each offender that it has
              watched has a C(trend) with verdict, growth and forecast. With O(store) only C(state).
          returned: if C(close_wait) is gathered
          type: dict
          sample:
            state: fresh
            reason: null
            version: 0.1.0
            published_at: "2026-11-23T04:29:58Z"
            age_s: 14.2
        findings:
          description: What asks for a decision, worst first, each with exactly one remedy class.
          returned: success
          type: list
          elements: dict
          sample:
            - id: close_wait.unread_body
              severity: critical
              remedy: app
              subject: checkout-api
              summary: checkout-api holds 2,198 connections whose response body it neither read nor closed.
        stored:
          description: The path of the whole report on the controller.
          returned: with O(store)
          type: str
          sample: /srv/lastack-runs/20261123T043000Z/hosts/web-17.example.org.json
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.lastack.linux.plugins.module_utils.options import Options, OptionsError
from ansible_collections.lastack.linux.plugins.module_utils.report import collect_report


def main() -> None:
    """Look at this host once, as the task asks."""
    module = AnsibleModule(
        argument_spec={
            "namespaces": {"type": "str", "choices": ["all", "host"], "default": "all"},
            "top": {"type": "int", "default": 20},
            "min_age_s": {"type": "float", "default": 60.0},
            "sockets": {"type": "bool", "default": False},
            "store": {"type": "path"},
            "gather": {"type": "list", "elements": "str", "default": ["all"]},
            "redact": {"type": "bool", "default": True},
            "timeout_s": {"type": "float", "default": 30.0},
            "agent": {"type": "bool", "default": True},
            "_catalogue": {"type": "dict", "default": {}},
        },
        supports_check_mode=True,
    )
    given = module.params
    options = Options(
        collector="tcp_facts",
        min_age_s=given["min_age_s"],
        top=given["top"],
        namespaces=given["namespaces"],
        sockets=given["sockets"],
        gather=tuple(given["gather"]),
        redact=given["redact"],
        timeout_s=given["timeout_s"],
        agent=given["agent"],
        catalogue=given["_catalogue"],
    )
    try:
        report = collect_report(options)
    except OptionsError as error:
        module.fail_json(msg=str(error))
    except OSError as error:
        module.fail_json(msg=f"The host's TCP state cannot be read: {error}.")
    module.exit_json(changed=False, ansible_facts={"lastack": report})


if __name__ == "__main__":
    main()
