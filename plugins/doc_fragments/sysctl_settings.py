# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The option ``settings`` of ``sysctl_baseline``: the sysctls that are asked for, one entry a key."""

from __future__ import annotations

__all__ = ["ModuleDocFragment"]


class ModuleDocFragment:
    """The fragment ``lastack.linux.sysctl_settings``."""

    DOCUMENTATION = r"""
options:
  settings:
    description:
      - Settings of your own. One for a key of the profile replaces the profile's, and each is held to the ranges of
        the catalogue.
      - With O(state=absent) they only name keys.
    type: list
    elements: dict
    default: []
    suboptions:
      key:
        description:
          - The sysctl in dot or slash notation. In dot notation a dot in the name of an interface is written as a
            slash, as in V(net.ipv4.conf.eth0/100.rp_filter).
        type: str
        required: true
      value:
        description:
          - The wanted value, in quotes. Several numbers are separated by blanks.
          - YAML booleans are refused. Write V("1") or V("0").
          - Required unless O(state) is V(absent) or V(restored).
        type: raw
      match:
        description:
          - How the value that is there is compared. V(exact) sets it, V(at_least) and V(at_most) keep a stronger one
            element by element, V(wider) keeps a wider port range, V(union) adds to a list of ports.
          - By default as the catalogue says, and V(exact) for a key that it does not have or has no rule for.
        type: str
        choices: [exact, at_least, at_most, wider, union]
      reason:
        description: Why, as one line. It is written as a comment into the file and returned.
        type: str
      persist:
        description: Whether the key gets a line in the file.
        type: bool
        default: true
      never:
        description: "Set by the action plugin; not for playbooks. Why no value of this key is written."
        type: str
      gated:
        description: "Set by the action plugin; not for playbooks. Why the key is only reported."
        type: str
      needs:
        description:
          - Set by the action plugin; not for playbooks.
          - The evidence of the host without which the key is C(gated).
          - V(port_pressure) means that timestamps are on and that one destination uses half of the automatic ports.
        type: str
        choices: ["", port_pressure]
      scope:
        description:
          - Set by the action plugin; not for playbooks.
          - Whose the value is. V(ns) is the network namespace, the others are the machine.
        type: str
        choices: ["", ns, ro, init, global]
      accepts:
        description: "Set by the action plugin; not for playbooks. Further values that are as good under V(exact)."
        type: list
        elements: str
      allowed:
        description: "Set by the action plugin; not for playbooks. Ranges of the first number that are ever written."
        type: list
        elements: list
      range:
        description:
          - Set by the action plugin; not for playbooks.
          - The lowest and the highest number that the kernel takes, by which check mode predicts C(invalid).
        type: list
        elements: raw
"""
