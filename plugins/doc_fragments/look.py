# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options that say how to look at a host's TCP sockets; ``tcp_facts`` adds the defaults."""

from __future__ import annotations

__all__ = ["ModuleDocFragment"]


class ModuleDocFragment:
    """The fragment ``lastack.linux.look``."""

    DOCUMENTATION = r"""
options:
  namespaces:
    description:
      - Which network namespaces to read.
      - With V(all), those of containers and the named ones too, which needs root.
      - With V(host), only the one in which the module runs.
    type: str
    choices: [all, host]
  top:
    description:
      - How many entries each list of the report keeps, worst first. What is cut is counted.
      - From 1 to 1000.
    type: int
  min_age_s:
    description:
      - A connection in C(CLOSE_WAIT) for less than so many seconds is in transit and no offence.
      - Where the kernel shows only that the age may lie on either side, the socket counts as undecided.
    type: float
  sockets:
    description:
      - Also list the C(CLOSE_WAIT) sockets one by one, up to a cap.
    type: bool
  gather:
    description:
      - Which parts to look at. V(all) is all of them, and a name with V(!) in front leaves one out.
      - The names are V(close_wait), V(dead_sockets), V(time_wait), V(ports), V(listeners), V(descriptors),
        V(memory), V(conntrack), V(counters) and V(sysctls).
      - The counts of all TCP states always belong to the report.
    type: list
    elements: str
  redact:
    description:
      - Replace what may carry a secret (names in paths, credentials in names) before the report leaves the host.
    type: bool
  timeout_s:
    description:
      - Deadline for the whole look, in seconds, above 0 and up to 3600. What it cut short is said in the report.
    type: float
  agent:
    description:
      - Take up what a resident agent has watched on the host, its local fact C(lastack.local/1), where there is one.
      - Each offender then has a C(trend) (verdict, growth, forecast), and a leak that grows becomes the finding
        C(close_wait.growing).
      - The fact is read as data. It is never executed, and no link to it is followed. A stale one gives no trend and
        is said in the report.
    type: bool
"""
