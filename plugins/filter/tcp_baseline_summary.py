# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The Ansible filter ``lastack.linux.tcp_baseline_summary``: what the role ``tcp_baseline`` did, for a person."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ansible.errors import AnsibleFilterError
from ansible_collections.lastack.linux.plugins.plugin_utils.catalogue import load_catalogue
from ansible_collections.lastack.linux.plugins.plugin_utils.render.baseline import baseline_summary

if TYPE_CHECKING:
    from collections.abc import Callable

DOCUMENTATION = r"""
name: tcp_baseline_summary
short_description: Sum up what the TCP baseline did on a host
version_added: 0.1.0
description:
  - Turns the results of M(lastack.linux.sysctl_baseline) and M(lastack.linux.nofile_limits) into a screen for a person,
    and names what could not be set.
positional: _limits
options:
  _input:
    description: The registered result of M(lastack.linux.sysctl_baseline), or an empty mapping.
    type: dict
    required: true
  _limits:
    description: The registered result of M(lastack.linux.nofile_limits), or an empty mapping.
    type: dict
    default: {}
  host:
    description: Name of the host for the first line.
    type: str
    default: ""
  check:
    description: Whether the results are those of a run in check mode.
    type: bool
    default: false
"""

EXAMPLES = r"""
- name: Say what was changed
  ansible.builtin.debug:
    msg: "{{ (sysctls | lastack.linux.tcp_baseline_summary(limits, host=inventory_hostname)).lines }}"
"""

RETURN = r"""
_value:
  description: The C(lines) of the screen, and C(failed), one sentence for each setting that could not be made.
  type: dict
"""


class FilterModule:
    """The filters of this file."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Return the filter by its name."""
        return {"tcp_baseline_summary": tcp_baseline_summary}


def tcp_baseline_summary(
    sysctls: object, limits: object = None, *, host: str = "", check: bool = False
) -> dict[str, list[str]]:
    """Return ``lines`` and ``failed`` of one host; raises ``AnsibleFilterError`` for what is no result of a task."""
    for result in (sysctls, limits or {}):
        if not isinstance(result, dict):
            raise AnsibleFilterError("tcp_baseline_summary needs the registered results of the two modules.")
    summary = baseline_summary(sysctls, limits or {}, catalogue=load_catalogue(), host=host, check=check)  # type: ignore[arg-type]
    return {"lines": summary.lines, "failed": summary.failed}
