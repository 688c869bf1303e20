# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation of ``lastack.linux.agent_bundle``, whose work ``plugins/action/agent_bundle.py`` does."""

from __future__ import annotations

DOCUMENTATION = r"""
module: agent_bundle
short_description: Install the agent as one file
version_added: 0.1.0
description:
  - Builds the agent from this collection on the controller, as one file that the Python of the host runs, and copies it
    to the host unless the host has the same bytes already.
  - Two builds of one version of the collection are the same, byte for byte, wherever they are made.
  - The role P(lastack.linux.tcp_agent#role) uses it, and does all that the agent needs beside its file.
author:
  - the lastack authors (@lastack)
extends_documentation_fragment:
  - lastack.linux.attributes
options:
  dest:
    description:
      - The file on the host, or an existing folder for it. Nothing but the file is made.
      - Without it nothing is installed, and O(configuration) is checked alone.
    type: path
  owner:
    description: The user who owns the file, as in C(ansible.builtin.copy).
    type: str
  group:
    description: The group that owns the file, as in C(ansible.builtin.copy).
    type: str
  mode:
    description: The file's permissions, as in C(ansible.builtin.copy).
    type: raw
    default: "0644"
  validate:
    description:
      - A command that has to succeed before the file is put in its place, with C(%s) for the new file.
      - It is not run in check mode.
    type: str
  configuration:
    description:
      - What the agent's C(agent.json) is going to hold. What the agent would not take is refused, with one sentence
        that names the key, before anything is built or copied, also in check mode. It is not written anywhere.
      - One of O(dest) and O(configuration) is needed.
    type: dict
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
    details: Shows versions and hashes; the file is an archive.
  action:
    support: full
    details: It builds the file there and lets C(ansible.builtin.copy) do the rest.
  platform:
    support: full
    platforms: linux
seealso:
  - module: lastack.linux.tcp_facts
    description: Takes up what the agent says of the applications that it watches.
"""

EXAMPLES = r"""
- name: Install the agent
  lastack.linux.agent_bundle:
    dest: /usr/local/lib/lastack/lastack-agent.pyz
    owner: root
    group: root
    validate: /usr/bin/python3 -I -S -B %s --version
  become: true

- name: Refuse what the agent would not take
  lastack.linux.agent_bundle:
    configuration:
      interval_s: 15
      exclude: [batch-*]
"""

RETURN = r"""
dest:
  description: The file on the host.
  returned: success, with O(dest)
  type: str
  sample: /usr/local/lib/lastack/lastack-agent.pyz
version:
  description: The version of the agent.
  returned: success, with O(dest)
  type: str
  sample: 0.1.0
sha256:
  description: The hash of the bundle's bytes. Everyone who builds this version gets the same.
  returned: success, with O(dest)
  type: str
  sample: 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
size:
  description: The size of the bundle in bytes.
  returned: success, with O(dest)
  type: int
  sample: 401234
modules:
  description: The number of Python modules in the bundle.
  returned: success, with O(dest)
  type: int
  sample: 60
"""

from ansible.module_utils.basic import AnsibleModule


def main() -> None:
    """Say that there is nothing to run on a host."""
    module = AnsibleModule(
        argument_spec={
            "dest": {"type": "path"},
            "owner": {"type": "str"},
            "group": {"type": "str"},
            "mode": {"type": "raw", "default": "0644"},
            "validate": {"type": "str"},
            "configuration": {"type": "dict"},
        },
        required_one_of=[("dest", "configuration")],
        supports_check_mode=True,
    )
    module.fail_json(msg="agent_bundle runs on the controller; its action plugin was not found.")


if __name__ == "__main__":
    main()
