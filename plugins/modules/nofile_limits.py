# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Soft and hard limits of open files for services, logins and running processes, recorded first and reversible."""

from __future__ import annotations

DOCUMENTATION = r"""
module: nofile_limits
short_description: Set limits of open files for services, logins and running processes
version_added: 0.1.0
description:
  - Sets C(RLIMIT_NOFILE), the limit behind "Too many open files", where it is decided. For a service that is a drop-in
    of its systemd unit, for a login a file in C(limits.d), for a running process C(prlimit).
  - One call for all of them, with one question to systemd and, only when a drop-in changed, one C(daemon-reload).
  - A running service keeps its limit until it is restarted. Without O(restart) nothing is restarted, and the result
    names the running processes that have less than was asked for.
  - By default a higher limit that an administrator has set stays as it is.
  - Every limit is a number. C(infinity) is refused, because it means C(fs.nr_open), a billion on some systems, and
    programs that size tables or loop over it hang. More than C(fs.nr_open), or in a container more than its first
    process may have, is cut to that and reported as C(capped); C(fs.nr_open) itself is never changed.
  - What was there before is written to a ledger on the host first, C(/var/lib/lastack/ledger.json), readable by root
    alone. O(state=restored) brings back exactly that, and leaves what somebody else has changed since.
  - Raising a limit helps a program that needs more descriptors. It only delays the end of one that leaks them.
author:
  - the lastack authors (@lastack)
options:
  units:
    description:
      - Services and what they should have. Only services, because C(LimitNOFILE=) stands in their section
        C([Service]); sockets, slices and others are refused.
      - A template such as C(worker@.service) stands for all its instances, C(worker@1.service) for one of them.
      - The drop-in is C(/etc/systemd/system/UNIT.d/90-lastack-nofile.conf).
      - A unit that the host does not have is C(absent) and warned of.
      - With O(state=absent) only the names count.
    type: list
    elements: dict
    default: []
    suboptions: &limits
      name:
        description: The name; for a unit with or without C(.service).
        type: str
        required: true
      soft:
        description:
          - The soft limit, which is what a program runs into, from 64 to 1073741824.
          - Without it, as it is configured.
          - Where it rises above 1024 there is a warning, one for the whole call, because C(select) in C programs
            corrupts memory with a larger descriptor.
        type: raw
      hard:
        description:
          - The hard limit, up to which a program may raise its soft limit itself.
          - Without it, as it is configured, and at least the soft limit. For a login without a configured one there is
            no line for it, and the login's own hard limit caps the soft limit.
        type: raw
      match:
        description: Whether a higher configured limit stays (V(at_least)) or is lowered (V(exact)).
        type: str
        choices: [at_least, exact]
        default: at_least
  users:
    description:
      - Logins and what they should have. A user, C(@group) or C(*).
      - All stand in C(/etc/security/limits.d/90-lastack.conf); those of earlier calls stay there.
      - Read by C(pam_limits) at login. Services never see it. The result names the line that decides.
      - On Debian and Ubuntu root has only what a line with the name C(root) says.
      - A name that is not in the files of the host is warned of where C(nsswitch.conf) has no other source.
      - With O(state=absent) only the names count.
    type: list
    elements: dict
    default: []
    suboptions: *limits
  processes:
    description:
      - Running processes whose limits are raised at once. Never lowered, and gone when they end.
      - Each names exactly one of O(processes[].unit), O(processes[].pid) and O(processes[].program).
    type: list
    elements: dict
    default: []
    suboptions:
      unit:
        description: All processes of this running service.
        type: str
      pid:
        description: This process.
        type: int
      program:
        description: All processes with this name as C(/proc/PID/comm) has it.
        type: str
      soft:
        description: The least soft limit.
        type: raw
      hard:
        description: The least hard limit. Without it, at least O(processes[].soft).
        type: raw
  state:
    description:
      - V(present) applies O(units), O(users) and O(processes).
      - V(absent) removes the drop-ins of the named units and the lines of the named users, or all that this module
        wrote if nothing is named.
      - V(restored) brings back everything that the ledger knows of descriptor limits, running processes too. It fails
        and names the file where one that this module wrote stands and the ledger does not know what was there before.
    type: str
    choices: [present, absent, restored]
    default: present
  restart:
    description: Whether to restart the running services that have less than is asked for.
    type: bool
    default: false
  force:
    description: With O(state=restored), also bring back what somebody else has changed since.
    type: bool
    default: false
  on_error:
    description:
      - What to do when something could not be done as asked, after everything else was.
      - V(fail) fails the task with the list, V(report) only returns it.
    type: str
    choices: [fail, report]
    default: fail
attributes:
  check_mode:
    description: Can run in check mode and says what the run would do.
    support: full
  diff_mode:
    description: Shows the files before and after.
    support: full
  platform:
    description: Operating systems it works on.
    support: full
    platforms: linux
seealso:
  - module: lastack.linux.tcp_facts
"""

EXAMPLES = r"""
- name: Give the web server room for 65536 descriptors, and say whether it has to be restarted
  lastack.linux.nofile_limits:
    units:
      - name: nginx
        soft: 65536
        hard: 65536
  become: true
  register: limits

- name: Limits of services and logins, with the restart
  lastack.linux.nofile_limits:
    units:
      - {name: postgresql@.service, soft: 16384}
    users:
      - {name: deploy, soft: 8192, hard: 65536}
    restart: true
  become: true

- name: Raise what runs now, during an incident
  lastack.linux.nofile_limits:
    processes:
      - {unit: nginx, soft: 65536}
  become: true

- name: Back to what was
  lastack.linux.nofile_limits:
    state: restored
  become: true
"""

RETURN = r"""
units:
  description: What became of each unit.
  returned: success
  type: list
  elements: dict
  contains: &subject
    name:
      description: As it was given.
      type: str
    status:
      description:
        - C(ok), C(changed), C(kept) (more is configured already), C(needs_restart) (configured, but running processes
          have less), C(absent) (no such unit, or masked).
        - Failures are C(capped) (the host allows less), C(shadowed) (another file wins with less), C(refused) and
          C(failed).
      type: str
    before:
      description: What was configured, as C(soft) and C(hard); -1 is unlimited, null unknown.
      type: dict
    after:
      description: What is configured now.
      type: dict
    wanted:
      description: What was asked for.
      type: dict
    allowed:
      description: The highest limit on this host, if that is less than wanted.
      type: int
    path:
      description: The file that decides; for a login with the line.
      type: str
    shadowed_by:
      description: The file that wins over ours with less.
      type: str
    reason:
      description: Why it is so, one sentence.
      type: str
    unit:
      description: The unit's own name, if another name of it was given.
      type: str
    needs_restart:
      description: Whether running processes from before the change have less than was asked for.
      type: bool
    restarted:
      description: Whether it was restarted.
      type: bool
    running:
      description: The processes with less than was asked for, with C(pid), C(start_ticks) and C(limits).
      type: list
      elements: dict
  sample:
    - name: nginx
      status: changed
      before: {soft: 1024, hard: 524288}
      after: {soft: 65536, hard: 524288}
      path: /etc/systemd/system/nginx.service.d/90-lastack-nofile.conf
      needs_restart: true
      running: [{pid: 812, start_ticks: 4711, limits: {soft: 1024, hard: 524288}}]
users:
  description: What became of each login.
  returned: success
  type: list
  elements: dict
  contains: *subject
processes:
  description: What became of each running process, with C(pid), C(name), C(status), C(before), C(after), C(reason).
  returned: success
  type: list
  elements: dict
failed_limits:
  description: One sentence for each thing that could not be done as asked.
  returned: always
  type: list
  elements: str
restored:
  description: What became of each thing that the ledger knew.
  returned: with O(state=restored)
  type: list
  elements: dict
conflicts:
  description: Those among RV(restored) that somebody else has changed since, and that were left.
  returned: with O(state=restored)
  type: list
  elements: str
ledger:
  description: The ledger on the host.
  returned: success
  type: str
  sample: /var/lib/lastack/ledger.json
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.lastack.linux.plugins.module_utils.tune.ledger import LedgerError
from ansible_collections.lastack.linux.plugins.module_utils.tune.nofile import (
    NofileError,
    NofileOptions,
    as_answer,
    set_limits,
)


def main() -> None:
    """Bring the limits to what the task asks for."""
    limits = {
        "name": {"type": "str", "required": True},
        "soft": {"type": "raw"},
        "hard": {"type": "raw"},
        "match": {"type": "str", "choices": ["at_least", "exact"], "default": "at_least"},
    }
    process = {
        "unit": {"type": "str"},
        "pid": {"type": "int"},
        "program": {"type": "str"},
        "soft": {"type": "raw"},
        "hard": {"type": "raw"},
    }
    module = AnsibleModule(
        argument_spec={
            "units": {"type": "list", "elements": "dict", "default": [], "options": limits},
            "users": {"type": "list", "elements": "dict", "default": [], "options": limits},
            "processes": {"type": "list", "elements": "dict", "default": [], "options": process},
            "state": {"type": "str", "choices": ["present", "absent", "restored"], "default": "present"},
            "restart": {"type": "bool", "default": False},
            "force": {"type": "bool", "default": False},
            "on_error": {"type": "str", "choices": ["fail", "report"], "default": "fail"},
        },
        supports_check_mode=True,
    )
    on_error = module.params.pop("on_error")
    plain = {"LC_ALL": "C", "SYSTEMD_COLORS": "0", "SYSTEMD_PAGER": ""}
    run = (lambda command: module.run_command(list(command), environ_update=plain)) if _has_systemctl(module) else None
    try:
        result = set_limits(NofileOptions(**module.params), run=run, check=module.check_mode)
    except LedgerError as error:
        module.fail_json(msg=error.told, failed_limits=[error.told])
    except NofileError as error:
        module.fail_json(msg=str(error), failed_limits=[str(error)])
    for text in result.warnings:
        module.warn(text)
    answer = as_answer(result)
    if answer["failed_limits"] and on_error == "fail":
        module.fail_json(msg=" ".join(answer["failed_limits"]), **answer)
    module.exit_json(**answer)


def _has_systemctl(module: AnsibleModule) -> bool:
    return module.get_bin_path("systemctl") is not None


if __name__ == "__main__":
    main()
