# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The sysctls of a generated host: most are as everywhere, some differ, by a file, by a manager or by nobody."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from random import Random

__all__ = ["sysctls"]

# The value that most hosts have, and what some have instead, with the file that sets it.
_SYSCTLS: dict[str, tuple[str, tuple[tuple[str, str | None], ...]]] = {
    "net.core.somaxconn": ("4096", (("128", None), ("65535", "/etc/sysctl.d/90-tuning.conf:3"))),
    "net.ipv4.tcp_fin_timeout": ("60", (("30", "/etc/sysctl.d/90-tuning.conf:4"), ("15", "/etc/sysctl.conf:12"))),
    "net.ipv4.tcp_tw_reuse": ("2", (("1", "/etc/sysctl.conf:13"), ("0", None))),
    "net.ipv4.tcp_keepalive_time": ("7200", (("600", "/etc/sysctl.d/60-keepalive.conf:1"),)),
    "net.ipv4.ip_local_port_range": ("32768 60999", (("1024 65535", "/etc/sysctl.d/90-tuning.conf:7"),)),
    "net.ipv4.tcp_max_syn_backlog": ("2048", (("1024", None), ("8192", "/etc/sysctl.d/90-tuning.conf:5"))),
    "net.ipv4.tcp_max_tw_buckets": ("131072", (("262144", None), ("65536", None))),
    "net.ipv4.tcp_syncookies": ("1", ()),
    "net.ipv4.tcp_timestamps": ("1", (("0", "/etc/sysctl.d/99-legacy.conf:2"),)),
    "net.ipv4.tcp_slow_start_after_idle": ("1", (("0", "/etc/sysctl.d/90-tuning.conf:9"),)),
    "net.ipv4.tcp_rmem": ("4096 131072 33554432", (("4096 131072 6291456", None),)),
    "net.ipv4.tcp_wmem": ("4096 16384 4194304", ()),
    "net.ipv4.tcp_mem": ("287898 383867 575796", (("93210 124281 186420", None),)),
    "fs.file-max": ("2466170", (("9223372036854775807", None),)),
    "net.netfilter.nf_conntrack_max": ("262144", (("65536", None),)),
    **dict.fromkeys(
        (
            *("net.ipv4.tcp_syn_retries", "net.ipv4.tcp_synack_retries", "net.ipv4.tcp_keepalive_intvl"),
            *("net.ipv4.tcp_keepalive_probes", "net.ipv4.tcp_orphan_retries", "net.ipv4.tcp_max_orphans"),
            *("net.ipv4.tcp_tw_reuse_delay", "net.ipv4.tcp_rfc1337", "net.ipv4.tcp_abort_on_overflow"),
            *("net.ipv4.tcp_retries2", "net.core.netdev_max_backlog", "net.core.rmem_max", "net.core.wmem_max"),
            *("net.ipv4.tcp_notsent_lowat", "net.ipv4.tcp_migrate_req", "net.ipv4.tcp_rto_max_ms", "fs.nr_open"),
        ),
        ("5", ()),
    ),
}
_DRIFTS = 0.06
_TUNED_SHARE = 0.04
_TUNED = {"net.core.somaxconn": "2048", "net.ipv4.tcp_rmem": "4096 131072 16777216"}


def sysctls(random: Random, drift: float) -> dict[str, dict[str, Any]]:
    """Return ``sysctls`` of a host report; ``drift`` is the share of keys that are odd beyond the usual one."""
    merged = {}
    tuned = random.random() < _TUNED_SHARE
    for key, (usual, others) in _SYSCTLS.items():
        value, winner = random.choice(others) if others and random.random() < _DRIFTS + drift else (usual, None)
        state: dict[str, Any] = {"current": value, "configured": value if winner else None, "winner": winner}
        if winner is not None and "tuning" in winner:
            state["owner"] = "ansible"
        if tuned and key in _TUNED:
            place = "/usr/lib/tuned/throughput-performance/tuned.conf"
            state |= {"current": _TUNED[key], "manager": {"name": "tuned", "value": _TUNED[key], "place": place}}
        merged[key] = state
    return merged
