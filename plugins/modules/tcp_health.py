# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The Ansible module ``lastack.linux.tcp_health``: one look at the counters by which a change is judged."""

from __future__ import annotations

DOCUMENTATION = r"""
module: tcp_health
short_description: Read the TCP health counters of a host once
version_added: 0.1.0
description:
  - Reads the counters of the kernel that tell whether TCP is well, such as C(ListenOverflows) and C(RetransSegs). Two
    looks give rates, and the rates before and after a change tell whether it did harm. See the filter
    C(lastack.linux.tcp_health_verdict).
  - Looks at the network namespace that the module runs in alone, which is the host's own over ssh. It is the one
    that M(lastack.linux.sysctl_baseline) changes. Containers have counters of their own.
  - Reads five small files and starts no program.
author:
  - the lastack authors (@lastack)
requirements:
  - Python 3.9 or newer on the host
extends_documentation_fragment:
  - lastack.linux.attributes
options: {}
attributes:
  check_mode:
    support: full
    details: Only looks, so check mode makes no difference.
  diff_mode:
    support: none
    details: Nothing changes.
  action:
    support: none
  platform:
    support: full
    platforms: linux
seealso:
  - module: lastack.linux.sysctl_baseline
  - module: lastack.linux.tcp_facts
notes:
  - Needs no privileges.
"""

EXAMPLES = r"""
- name: Look at a host twice before a change
  lastack.linux.tcp_health:
  register: before
  loop: [first, second]
  loop_control: {pause: 60}

- name: Change it
  lastack.linux.sysctl_baseline:
    profile: server

- name: Look at it twice after the change
  lastack.linux.tcp_health:
  register: after
  loop: [first, second]
  loop_control: {pause: 60}

- name: Judge it
  ansible.builtin.debug:
    msg: "{{ before.results | lastack.linux.tcp_health_verdict(after.results) }}"
"""

RETURN = r"""
boot_id:
  description: The boot that the counters belong to. Counters of two boots cannot be compared.
  returned: always
  type: str
  sample: 0b0b6a2e-8a5c-4a2d-9a74-6f3f0f6f1c11
namespace:
  description: The inode of the network namespace that was looked at.
  returned: always
  type: int
  sample: 4026531840
boottime_s:
  description: The seconds since that boot at the look, with the time that the machine slept (C(CLOCK_BOOTTIME)).
  returned: always
  type: float
  sample: 93234.118
opens:
  description: Connections begun since boot, by this host or by others. Null if unknown.
  returned: always
  type: int
  sample: 481516
segments:
  description: Segments sent since boot. Null if unknown.
  returned: always
  type: int
  sample: 2342108
counters:
  description:
    - The health counters by the names that the kernel gives them. Null where the kernel has none of that name.
    - C(SoftnetDropped) is the second column of C(/proc/net/softnet_stat). It counts for the whole machine and is null
      inside a container.
  returned: always
  type: dict
  sample: {ListenOverflows: 0, ListenDrops: 0, RetransSegs: 412, PAWSOldAck: null}
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.lastack.linux.plugins.module_utils.observe.health import read_health
from ansible_collections.lastack.linux.plugins.module_utils.tune.enclosure import enclosure


def main() -> None:
    """Look once."""
    module = AnsibleModule(argument_spec={}, supports_check_mode=True)
    module.exit_json(changed=False, **read_health(machine=not enclosure())._asdict())


if __name__ == "__main__":
    main()
