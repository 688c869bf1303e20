# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Flows that nf_conntrack tracks in one network namespace, against its cap."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ansible_collections.lastack.linux.plugins.module_utils.observe.bounded_files import try_read_head
from ansible_collections.lastack.linux.plugins.module_utils.observe.namespaces import call_inside
from ansible_collections.lastack.linux.plugins.module_utils.observe.records import Conntrack

if TYPE_CHECKING:
    from ansible_collections.lastack.linux.plugins.module_utils.observe.records import NetworkNamespace

__all__ = ["read_conntrack"]

_MAX_DIGITS = 20


def read_conntrack(namespace: NetworkNamespace, *, proc: str = "/proc") -> Conntrack | None:
    """Read the number of flows and the cap (0: none); ``None`` when the module is not there or not readable.

    Raises ``NamespaceUnreadable`` when the namespace cannot be entered. Source: nf_conntrack-sysctl.rst.
    """

    def read() -> Conntrack | None:
        flows = _read_number(f"{proc}/sys/net/netfilter/nf_conntrack_count")
        maximum = _read_number(f"{proc}/sys/net/netfilter/nf_conntrack_max")
        return None if flows is None or maximum is None else Conntrack(flows=flows, maximum=maximum)

    return call_inside(namespace, read)


def _read_number(path: str) -> int | None:
    text = (try_read_head(path, 64) or b"").decode("ascii", "replace").strip()
    return int(text) if text.isascii() and text.isdigit() and len(text) <= _MAX_DIGITS else None
