# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the attributes of a module mean; each module says which of them it supports."""

from __future__ import annotations

__all__ = ["ModuleDocFragment"]


class ModuleDocFragment:
    """The fragments ``lastack.linux.attributes`` and ``lastack.linux.attributes.facts``."""

    DOCUMENTATION = r"""
options: {}
attributes:
  check_mode:
    description: Can run in C(check_mode), and then changes nothing on the host.
  diff_mode:
    description: Returns what it changes, or in check mode would change, when C(diff) is on.
  action:
    description: Has a part that runs on the controller.
  platform:
    description: Operating systems that it works on.
"""

    FACTS = r"""
options: {}
attributes:
  facts:
    description: Returns facts under C(ansible_facts).
"""
