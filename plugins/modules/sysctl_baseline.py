# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The Ansible module ``lastack.linux.sysctl_baseline``: a whole baseline of sysctls, set, persisted and reversible."""

from __future__ import annotations

DOCUMENTATION = r"""
module: sysctl_baseline
short_description: Apply a vetted baseline of sysctls in one call, and undo it exactly
version_added: 0.1.0
description:
  - Brings many sysctls to a vetted value in one round trip. The kernel is set through C(/proc/sys), and what it
    accepted is persisted in one file of C(sysctl.d). Both are verified by reading back.
  - Says of each key what it was and is, and which line of which file decides it at the next boot (by the rules of
    C(systemd-sysctl)) and on reload (by the rules of C(sysctl --system), which this module never runs).
  - A value of an administrator that is stronger than what is asked for stays, whether it runs or stands in a file. A
    value that an earlier call has set is none.
  - Before the first change, the values and the exact former content or absence of each file are recorded in a ledger
    on the host, C(/var/lib/lastack/ledger.json), which root alone may read. O(state=restored) brings back exactly that.
  - From inside a container nothing is written of which the whole machine has one value.
  - No sysctl closes a socket that a program forgot, so none of them helps against C(CLOSE_WAIT).
author:
  - the lastack authors (@lastack)
requirements:
  - Python 3.9 or newer on the host
extends_documentation_fragment:
  - lastack.linux.attributes
  - lastack.linux.sysctl_settings
options:
  profile:
    description:
      - The vetted profile to start from. V(server) for hosts that accept connections, V(client) for hosts that open
        many, V(mixed) for those that do both.
      - Without it only O(settings) are applied.
    type: str
    choices: [server, client, mixed]
  exclude:
    description:
      - Keys of the profile to leave alone, in dot or slash notation.
      - A key that neither the catalogue nor O(settings) has is an error, because it is most likely misspelt.
    type: list
    elements: str
    default: []
  idle_cutter:
    description:
      - Say V(true) where NAT, a firewall or a load balancer between the host and its peers forgets idle connections.
      - The keepalive keys of the profile V(server) are applied only then, and are C(gated) otherwise.
    type: bool
    default: false
  catalogue:
    description:
      - A YAML file on the controller that adds keys to the vetted catalogue or replaces entries of it, valid by the
        JSON Schema C(lastack.catalogue/1).
    type: path
  state:
    description:
      - With V(present), kernel and file hold the settings. The file holds these settings and no others, so a second
        task needs another O(path). A key that an earlier call had given a line and that is not named any more runs
        again with its value of before, unless somebody has changed it since.
      - A key that is refused, C(invalid), C(absent), C(read_only) or C(gated) keeps the line that it has in the file.
      - With V(absent), the lines of the named keys leave the file, and all lines if no key is named. Running values
        stay.
      - With V(restored), all sysctls and sysctl files that the ledger knows are again exactly what they were, with
        content, owner, mode and SELinux context. What somebody has changed since is a conflict and stays. A file of
        this module that the ledger does not know is a failure, because the ledger was lost.
    type: str
    choices: [present, absent, restored]
    default: present
  path:
    description:
      - The file, C(/etc/sysctl.d/NAME.conf). The default sorts after the link C(99-sysctl.conf) of the distributions.
      - A file that this module did not write is refused unless O(force=true). What somebody has changed by hand in one
        that it wrote is replaced, with a warning that names the lines.
    type: path
    default: /etc/sysctl.d/99-tcp-lastack.conf
  persist:
    description:
      - Whether to write the file. Without it the values hold until the next boot, and a file of an earlier call stays,
        with a warning.
      - A stronger value that was kept is written too, so that it also runs after the next boot, unless a file of
        somebody else already sets one that is as good.
    type: bool
    default: true
  force:
    description:
      - With O(state=present), take over a file at O(path) that this module did not write.
      - With O(state=restored), also bring back what somebody has changed since.
    type: bool
    default: false
  on_error:
    description:
      - V(fail) applies everything that can be applied and then fails with the list of what could not.
      - V(report) returns the same list without failing.
    type: str
    choices: [fail, report]
    default: fail
  remove_harmful:
    description:
      - Remove lines that set a key for which no value is right, such as C(net.ipv4.tcp_tw_recycle), from
        C(/etc/sysctl.conf) and C(/etc/sysctl.d). The files are recorded in the ledger before.
      - Such lines are returned in RV(harmful_lines) in any case.
    type: bool
    default: false
  _never:
    description:
      - Not for tasks. The keys for which no value is right, with the reason, which the part on the controller hands
        over. What a task sets here is replaced.
    type: dict
    default: {}
attributes:
  check_mode:
    support: full
    details: >-
      Predicts each status and a ledger or file that cannot be written, except that only the kernel knows which texts it
      takes and which values it rounds.
  diff_mode:
    support: full
    details: Shows the running values and each file.
  action:
    support: full
    details: Profile and catalogue become settings on the controller.
  platform:
    support: full
    platforms: linux
seealso:
  - module: lastack.linux.tcp_facts
notes:
  - Needs root.
  - Two runs at once on one host are refused, and the message names the other process.
"""

EXAMPLES = r"""
- name: Apply the vetted baseline for servers
  lastack.linux.sysctl_baseline:
    profile: server
  become: true

- name: The same behind a load balancer, with a longer accept queue, and one key left alone
  lastack.linux.sysctl_baseline:
    profile: server
    idle_cutter: true
    exclude: [net.ipv4.tcp_timestamps]
    settings:
      - key: net.core.somaxconn
        value: "8192"
        match: at_least
        reason: The gateway asks for a queue of 8192.
  become: true

- name: Set a few keys without a profile, and go on where one cannot be set
  lastack.linux.sysctl_baseline:
    settings:
      - key: net.ipv4.tcp_rmem
        value: "4096 131072 16777216"
        match: at_least
      - key: net.ipv4.conf.eth0/100.rp_filter
        value: "1"
    path: /etc/sysctl.d/99-gateway.conf
    on_error: report
  become: true

- name: Take one key out of the file
  lastack.linux.sysctl_baseline:
    state: absent
    settings:
      - key: net.ipv4.tcp_fin_timeout
  become: true

- name: Bring everything back to what it was
  lastack.linux.sysctl_baseline:
    state: restored
  become: true
"""

RETURN = r"""
sysctls:
  description: What became of each setting, in their order.
  returned: with O(state=present) and O(state=absent)
  type: list
  elements: dict
  contains:
    key:
      description: The sysctl in dot notation.
      returned: always
      type: str
      sample: net.core.somaxconn
    status:
      description:
        - C(ok), C(changed), C(kept) (something stronger was there), C(clamped) (the kernel made another value of it or
          a right is missing), C(absent) (no such key in this kernel or namespace), C(read_only), C(shadowed) (another
          file wins), C(invalid) (the kernel refused it), C(never) (refused here) or C(gated) (only reported).
        - Keys that are no longer named come last, as C(restored), C(conflict) (changed by somebody else since, left),
          C(failed), C(absent) or C(ok) (the ledger holds no former value, or another file of this module sets it).
      returned: always
      type: str
      sample: changed
    match:
      description: How the values were compared.
      returned: always
      type: str
      sample: at_least
    wanted:
      description: What was asked for.
      returned: always
      type: str
      sample: "4096"
    before:
      description: The running value before, white space collapsed. Null where there is no such key.
      returned: always
      type: str
      sample: "128"
    after:
      description: The running value now, or in check mode as it would be.
      returned: always
      type: str
      sample: "4096"
    boot:
      description:
        - The line that C(systemd-sysctl) applies at the next boot. Null where there is none, and where a file that was
          not read may decide instead, which RV(sysctls[].reason) names then.
      returned: always
      type: dict
      sample: {value: "4096", file: /etc/sysctl.d/99-tcp-lastack.conf, line: 4}
    reload:
      description: The line that stands after C(sysctl --system). Null where there is none or that is not certain.
      returned: always
      type: dict
      sample: {value: "128", file: /etc/sysctl.conf, line: 68}
    shadowed_by:
      description: The place that wins over the file of this module. Empty unless it is C(shadowed).
      returned: always
      type: str
      sample: /etc/sysctl.conf:68
    reason:
      description: Why it is so, or why it is asked for.
      returned: always
      type: str
      sample: /etc/sysctl.conf:68 wins on sysctl --system
    error:
      description: What went wrong.
      returned: always
      type: str
      sample: ""
failed_keys:
  description: The keys that are not as asked for.
  returned: always
  type: list
  elements: str
  sample: [net.core.somaxconn]
failures:
  description: One sentence for each thing that failed.
  returned: always
  type: list
  elements: str
  sample: ["net.core.somaxconn is set to something weaker by /etc/sysctl.conf:68."]
dropin:
  description: The file, O(path).
  returned: always
  type: str
  sample: /etc/sysctl.d/99-tcp-lastack.conf
ledger:
  description: Where the former state is recorded.
  returned: always
  type: str
  sample: /var/lib/lastack/ledger.json
restored:
  description: What became of each subject of the ledger.
  returned: with O(state=restored)
  type: list
  elements: dict
  sample:
    - subject: net.core.somaxconn
      kind: runtime
      status: restored
      before: "4096"
      after: "128"
      error: null
conflicts:
  description: What somebody else has changed since, and that therefore stays as it is.
  returned: always
  type: list
  elements: str
  sample: [/etc/sysctl.d/99-tcp-lastack.conf]
harmful_lines:
  description: Lines that set a key for which no value is right.
  returned: always
  type: list
  elements: dict
  sample:
    - key: net.ipv4.tcp_tw_recycle
      place: /etc/sysctl.conf:12
      file: /etc/sysctl.conf
      reason: It dropped connections of clients behind NAT, and Linux 4.12 removed it.
      removed: true
      error: ""
removed_lines:
  description: The places of the harmful lines that were removed, or in check mode would be.
  returned: always
  type: list
  elements: str
  sample: ["/etc/sysctl.conf:12"]
managers:
  description: Who else would set one of the keys to something weaker, later than the files of C(sysctl.d).
  returned: always
  type: list
  elements: dict
  sample:
    - name: ufw
      evidence: /etc/ufw/sysctl.conf
      overrides:
        net.ipv4.tcp_syncookies: {value: "0", place: "/etc/ufw/sysctl.conf:61"}
      when: when the firewall starts
      yields: false
remarks:
  description: What else an operator should know, a sentence each. They are shown as warnings, too.
  returned: always
  type: list
  elements: str
  sample:
    - >-
      /etc/sysctl.d/99-tcp-lastack.conf was changed by hand and is written anew; these lines go:
      net.core.somaxconn = 999.
unseen:
  description: What could not be read, so that which file wins is not certain.
  returned: always
  type: list
  elements: dict
  sample: []
"""

from typing import TYPE_CHECKING

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.lastack.linux.plugins.module_utils.tune.baseline import Baseline, apply_baseline
from ansible_collections.lastack.linux.plugins.module_utils.tune.guarded_files import RefusedPath
from ansible_collections.lastack.linux.plugins.module_utils.tune.ledger import LedgerError
from ansible_collections.lastack.linux.plugins.module_utils.tune.results import as_return
from ansible_collections.lastack.linux.plugins.module_utils.tune.settings import SettingsError, parse_settings

if TYPE_CHECKING:
    from ansible_collections.lastack.linux.plugins.module_utils.observe.records import PortPressure


def _port_pressure() -> PortPressure:
    from ansible_collections.lastack.linux.plugins.module_utils.port_pressure import (  # noqa: PLC0415 - see below
        read_port_pressure,
    )

    # A host compiles what it imports in every run; the survey is a fifth of that, and most runs need no evidence.
    return read_port_pressure()


def main() -> None:
    """Apply, take back or restore the baseline, as the task asks."""
    module = AnsibleModule(
        argument_spec={
            # The first four are the controller's: it makes settings of them.
            "profile": {"type": "str", "choices": ["server", "client", "mixed"]},
            "exclude": {"type": "list", "elements": "str", "default": []},
            "idle_cutter": {"type": "bool", "default": False},
            "catalogue": {"type": "path"},
            "settings": {
                "type": "list",
                "elements": "dict",
                "default": [],
                "options": {
                    "key": {"type": "str", "required": True, "no_log": False},
                    "value": {"type": "raw"},
                    "match": {"type": "str", "choices": ["exact", "at_least", "at_most", "wider", "union"]},
                    "reason": {"type": "str"},
                    "persist": {"type": "bool", "default": True},
                    "never": {"type": "str"},
                    "gated": {"type": "str"},
                    "needs": {"type": "str", "choices": ["", "port_pressure"]},
                    "scope": {"type": "str", "choices": ["", "ns", "ro", "init", "global"]},
                    "accepts": {"type": "list", "elements": "str"},
                    "allowed": {"type": "list", "elements": "list"},
                    "range": {"type": "list", "elements": "raw"},
                },
            },
            "state": {"type": "str", "choices": ["present", "absent", "restored"], "default": "present"},
            "path": {"type": "path", "default": "/etc/sysctl.d/99-tcp-lastack.conf"},
            "persist": {"type": "bool", "default": True},
            "force": {"type": "bool", "default": False},
            "on_error": {"type": "str", "choices": ["fail", "report"], "default": "fail"},
            "remove_harmful": {"type": "bool", "default": False},
            "_never": {"type": "dict", "default": {}},
        },
        supports_check_mode=True,
    )
    given = module.params
    try:
        result = apply_baseline(
            Baseline(
                settings=parse_settings(given["settings"], values=given["state"] == "present"),
                state=given["state"],
                path=given["path"],
                persist=given["persist"],
                check=module.check_mode,
                force=given["force"],
                remove_harmful=given["remove_harmful"],
                never=given["_never"],
                evidence=_port_pressure,
            )
        )
    except LedgerError as error:
        module.fail_json(msg=error.told)
    except (RefusedPath, SettingsError) as error:
        module.fail_json(msg=str(error))
    except OSError as error:
        module.fail_json(msg=f"{given['path']} cannot be read ({error.strerror}); nothing was changed.")
    for remark in result.remarks:
        module.warn(remark)
    answer = as_return(result)
    if answer["failures"] and given["on_error"] == "fail":
        module.fail_json(msg=" ".join(answer["failures"]), **answer)
    module.exit_json(**answer)


if __name__ == "__main__":
    main()
