# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lower half of a ticket: how to verify the fix, and what the audit behind the ticket has not seen."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from ansible_collections.lastack.linux.plugins.module_utils.diagnose.wording import age_phrase
from ansible_collections.lastack.linux.plugins.plugin_utils.render.inert_markdown import (
    code,
    shell_endpoint,
    shell_word,
)
from ansible_collections.lastack.linux.plugins.plugin_utils.render.phrases import count, data, plural, rows
from ansible_collections.lastack.linux.plugins.plugin_utils.render.unseen import gravity, left_out_words, warning_words

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ansible_collections.lastack.linux.plugins.plugin_utils.ticket_evidence import AppEvidence

__all__ = ["unseen_lines", "verify_lines", "waiting_s"]

_LEAST_S, _MOST_S, _UNKNOWN_S = 600.0, 86_400.0, 3_600.0
_ENOUGH = 10
"""Sockets that would have come back: fewer could be chance."""
_MIN_AGE_S = 60.0
_NAMED = 5
_EPHEMERAL = 32_768
"""Ports from here on are given out anew (ip-sysctl, ip_local_port_range)."""


def waiting_s(row: Mapping[str, Any]) -> float:
    """Return for how long to watch after the fix: until at the earlier pace ten sockets would have leaked again.

    Between ten minutes and a day; an hour where no pace is known.
    """
    held, growth = row["sockets"] or row["dead"], row["growth_per_min"]
    wanted = min(_ENOUGH, held) or 1
    at_least = (row["age_s"] or {}).get("at_least")
    if isinstance(growth, (int, float)) and growth > 0:
        wait = wanted * 60 / growth
    elif held and at_least:
        wait = wanted * at_least / held
    else:
        wait = _UNKNOWN_S
    return min(max(wait + _MIN_AGE_S, _LEAST_S), _MOST_S)


def verify_lines(evidence: AppEvidence, row: Mapping[str, Any]) -> list[str]:
    """Return the commands to run after the fix, what they have to show, and after what time."""
    wait = waiting_s(row)
    others = " and those that it started" if evidence.held_twice else ""
    span = age_phrase({"at_least": wait, "at_most": wait})
    lines = [
        "## How to verify the fix",
        "",
        f"1. Deploy the change and restart the program{others} on {code(row['host'])}; the old process keeps what it"
        " holds.",
        f"2. Bring about what led to it: {_trigger(evidence)}.",
        f"   Then its usual work for {span}: at its earlier pace the leak would show again by then.",
        "3. Run there as root, twice, two minutes apart:",
        "",
        "```sh",
        *_commands(evidence, row),
        "```",
        "",
    ]
    if any("-t PID" in line or "-p PID" in line for line in lines):
        unit = shell_word(row["unit"])
        asked = f": `systemctl show --property MainPID --value {unit}`" if unit and "@" not in unit else ""
        lines += [f"PID is the new process, as the host numbers it{asked}.", ""]
    ports = [int(port) for port in re.findall(r"(?:dst \S+|sport = ):(\d+)", " ".join(_commands(evidence, row)))]
    if any(port >= _EPHEMERAL for port in ports):
        lines += ["If such a port has changed with the restart, ask by the new process: `grep pid=` behind `ss`.", ""]
    lines += ["It is fixed when all of this holds; empty output counts only after traffic, failing requests too:", ""]
    wanted = {one.finding for one in evidence.sections()}
    lines += [f"- {text}" for finding, text in _WANTED.items() if finding in wanted]
    if evidence.trend.result():
        lines.append("- The resident agent no longer calls it a leak.")
    return [*lines, "- The next audit no longer lists the application under this ticket's id."]


_TRIGGERS = {
    "close_wait.leak": "let the peers end connections (their idle time-out, or a restart of the peer in a test), and"
    " let requests fail",
    "close_wait.unread_body": "the same requests, those that fail or are given up too, and wait until the peer has"
    " ended them (its time-out, or its restart in a test)",
    "close_wait.idle_pool": "let the pool fill, then let the peer end the connections: wait for longer than its"
    " idle time-out without a request, or restart it in a test",
    "close_wait.stuck_accept": "more clients at once than it has workers, and clients that give up early",
    "close_wait.inherited": "open connections, start the other program, and let the peer end the connections (its idle"
    " time-out, or its restart in a test)",
    "fd.dead_sockets": "let connections fail: the peer resets them, or is gone for a while",
    "time_wait.closed_here": "the load at which it was seen",
    "listen.overflow": "the load at which it was seen",
}
_SERVED = "clients that leave before they are answered, while what the workers wait for is slow"
_RESTARTED = "restart the database in a test, while the pool is filled and idle"


def _trigger(evidence: AppEvidence) -> str:
    """What has to happen before a fixed program can be told from one that was lucky."""
    worst = evidence.sections()[0]
    if worst.finding == "close_wait.idle_pool":
        if worst.served:
            return _SERVED
        if 2 * worst.causes["eof_unnoticed_farewell"] > worst.count:
            return _RESTARTED
    return _TRIGGERS[worst.finding]


_WANTED = {
    "close_wait.leak": "`lastack probe` does not list it under CLOSE_WAIT, and `ss` prints no line that is there both"
    " times: a socket that is just being closed is gone at the second look.",
    "close_wait.unread_body": "No socket in CLOSE_WAIT with a Recv-Q above 1 is there both times, and `lastack probe`"
    " does not list it.",
    "close_wait.idle_pool": "Connections that the peer has closed leave within the pool's own eviction time (in a"
    " server: the time-out of its reads), also while the program is idle; none is older than that.",
    "close_wait.stuck_accept": "The listener's Recv-Q is 0 or near it, and no line of CLOSE_WAIT stands without a"
    " process.",
    "close_wait.inherited": "Each line of `ss` names one program only behind `users:`.",
    "fd.dead_sockets": "`lastack probe` shows no dead sockets of it, and the number that `lsof` counts does not grow.",
    "time_wait.closed_here": "The number in TIME_WAIT on this port is far below the one above, under the same load.",
    "listen.overflow": "The listener's Recv-Q stays far below its Send-Q, and TcpExtListenOverflows does not grow.",
}


def _commands(evidence: AppEvidence, row: Mapping[str, Any]) -> list[str]:
    wanted = {one.finding for one in evidence.sections()}
    inside = "" if row["namespace"] in (None, "", "host") else "nsenter -t PID -n "
    ports = [port["port"] for port in row["local_ports"] if isinstance(port.get("port"), int)]
    for __, __, places in row["problems"]:
        ports += [place["port"] for place in places or () if isinstance(place.get("port"), int)]
    sources = " or ".join(f"sport = :{port}" for port in dict.fromkeys(ports[:3]))
    both = " or ".join(filter(None, (sources, _peers(row))))
    lines = ["lastack probe"]
    if any(finding.startswith("close_wait.") for finding in wanted):
        lines.append(f"{inside}ss -Htnp state close-wait{_quoted(both)}")
    if "fd.dead_sockets" in wanted:
        lines.append(f"{inside}lsof -nP -p PID | grep -c 'protocol: TCP'")
    if "time_wait.closed_here" in wanted:
        lines.append(f"{inside}ss -Htan state time-wait{_quoted(sources)} | wc -l")
    if wanted & {"listen.overflow", "close_wait.stuck_accept"}:
        lines.append(f"{inside}ss -tln{_quoted(sources)}")
        lines.append(f"{inside}nstat -az TcpExtListenOverflows")
    return lines


def _quoted(expression: str) -> str:
    return f" '( {expression} )'" if expression else ""


def _peers(row: Mapping[str, Any]) -> str:
    # A peer without a port is a client: its address says nothing that the local port does not.
    served = [peer for peer in row["peers"] if peer.get("port") is not None]
    named = [shell_endpoint(peer.get("address"), peer.get("port")) for peer in served]
    return " or ".join(f"dst {name}" for name in named if name)


def unseen_lines(evidence: AppEvidence, fleet: Mapping[str, Any]) -> list[str]:
    """Return what the ticket cannot know: hosts that were not looked at, looks that were cut short, facts not had."""
    hosts = data(fleet, "hosts")
    lines = [*_silent_hosts(hosts), *_partial_looks(evidence)]
    left_out = left_out_words(fleet)
    if left_out:
        lines.append(f"- Some looks were told to leave parts out: {left_out}.")
    if not lines:
        meant = plural(int(hosts.get("meant") or 0), "host")
        lines = [f"- All answered ({meant}), and every look at this program was complete."]
    return ["## What was not seen", "", *lines, *_not_known(evidence)]


def _silent_hosts(hosts: Mapping[str, Any]) -> list[str]:
    silent = int(hosts.get("meant") or 0) - int(hosts.get("audited") or 0)
    if silent <= 0:
        return []
    named = [
        f"{code(one['host'])} ({one['outcome']}: {code(one['reason'])})" for one in rows(hosts, "not_audited")[:_NAMED]
    ]
    more = f" and {count(silent - len(named))} more" if silent > len(named) else ""
    return [f"- {plural(silent, 'host')} of {count(hosts['meant'])} could not be looked at: {', '.join(named)}{more}."]


def _partial_looks(evidence: AppEvidence) -> list[str]:
    lines = []
    if evidence.incomplete.seen:
        lines.append(f"- On {plural(evidence.incomplete.seen, 'host')} of this ticket the look was not complete:")
        for entry in evidence.incomplete.ranked()[:_NAMED]:
            warnings = sorted(entry["warnings"], key=lambda warning: gravity(warning["code"]))
            said = "; ".join(code(warning_words(warning)) for warning in warnings) or "the host does not say what"
            lines.append(f"    - {code(entry['host'])}: {said}")
        left = evidence.incomplete.seen - _NAMED
        lines += [f"    - and {plural(left, 'more host')}"] if left > 0 else []
    if evidence.cut_hosts:
        lines.append(
            f"- On {plural(evidence.cut_hosts, 'host')} the list of applications was cut: sockets of this one in"
            " further namespaces there are not counted."
        )
    return lines


def _not_known(evidence: AppEvidence) -> list[str]:
    if not (evidence.sockets or evidence.dead):
        return []
    lines = []
    facts = evidence.facts
    if not facts["runtime"].ranked():
        lines.append(
            "- The runtime is not known: no interpreter, no build information of Go, or the file is not readable."
        )
    if not facts["exe"].ranked() and evidence.sockets:
        lines.append(
            "- The path of the executable is not known (a process of another namespace or user, or it has ended)."
        )
    if not evidence.libraries:
        lines.append(
            "- No library was recognised in the process. Pure Python and npm packages cannot be seen from outside."
        )
    lines.append(
        "- Which line of the source opened these connections: no look from outside can tell. The peer and the port can."
    )
    return lines
