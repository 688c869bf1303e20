# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Hosts with a service under load, and the playbooks of the roll-out over them."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import tarfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from lab import SUITES, HostSpec, why_no_suite

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from lab import Lab

__all__ = [
    "DROPIN",
    "HOSTS",
    "LEDGER",
    "OWN_CATALOGUE",
    "PORT",
    "SHORT",
    "Run",
    "collections",
    "command",
    "newest_record",
    "on_all",
    "play",
    "serve",
    "snapshot",
    "specs",
    "start",
]

HOSTS = ("web-1", "web-2", "web-3", "web-4", "web-5")
PORT = 8080
DROPIN = "/etc/sysctl.d/99-tcp-lastack.conf"
LEDGER = "/var/lib/lastack"
Result = TypeVar("Result")
ROOT = Path(__file__).resolve().parents[2]
PROGRAMS = Path(__file__).parent / "programs"

SHORT: dict[str, Any] = {
    "tcp_rollout_batches": [1, 2, "100%"],
    "tcp_rollout_baseline_s": 1.5,
    "tcp_rollout_soak_s": 1.5,
    "tcp_rollout_soak_limit_s": 6,
}
"""Windows for tests. 100 connections a second on loopback make enough traffic in them."""

OWN_CATALOGUE = """\
# Somebody's own: a short accept queue everywhere.
keys:
  net.core.somaxconn:
    summary: Ceiling of the accept queue that a program may ask for with listen().
    unit: connections
    range: [0, 2147483647]
    default: "4096"
    scope: ns
    match: exact
    allowed: [[128, 65535]]
    recommendation: As short as may be.
    reason: In a short queue nobody waits for long.
    effect: when a program calls listen()
    improves: Clients learn early of an overload.
    cannot: Serve more clients.
    risk: A service that accepts in bursts drops connections.
    source: listen(2)
"""

# Every file that could be changed with owner, mode and content, and the sysctls of TCP.
_LOOK = r"""
find /etc/sysctl.conf /etc/sysctl.d /etc/security /etc/systemd/system /var/lib/lastack -printf '%p %y %m %u %g %l\n' \
  -type f -exec sha256sum {} + 2>/dev/null | sort
cd /proc/sys/net
for key in core/somaxconn ipv4/tcp_keepalive_* ipv4/tcp_syn* ipv4/tcp_t* ipv4/ip_local_*; do
  echo "$key = $(cat $key)"
done
"""


class Run(NamedTuple):
    """A playbook that has run."""

    status: int
    output: str
    screen: str
    """What it said at the end, between Ansible's own lines."""
    record: dict[str, Any]
    """The newest record of a roll-out beside the playbook, if there is one."""

    @property
    def statuses(self) -> dict[str, str]:
        """Of each host in the record."""
        return {host: entry["status"] for host, entry in self.record["hosts"].items()}


def specs() -> list[HostSpec]:
    """Return five hosts, of more than one distribution where those can be had; their order is that of Ansible."""
    suites = [
        suite if suite == "bookworm" or (suite in SUITES and not why_no_suite(suite)) else "bookworm"
        for suite in ("bookworm", "bookworm", "bookworm", "bullseye", "trixie")
    ]
    return [HostSpec(name, suite) for name, suite in zip(HOSTS, suites, strict=True)]


def serve(lab: Lab, *hosts: str, pause_s: float = 0.01, rate: float = 100, spread: float = 1.3) -> None:
    """Start a service and its clients on hosts, or start them anew; a rate of 0 is no clients."""
    run = "systemd-run --quiet --unit={} python3 -I /opt/steady_{}.py {}"
    lines = ["systemctl stop client service 2>/dev/null; systemctl reset-failed", "tar --extract --directory=/opt"]
    lines.append(run.format("service", "listener", f"{PORT} {pause_s}"))
    if rate:
        lines.append(run.format("client", "client", f"{PORT} {rate} {spread}"))
    on_all(hosts, lambda host: lab.execute(host, "sh", "-c", "; ".join(lines), text=_programs()))


def _programs() -> str:
    """Return the programs in a tar archive, which is text as they are."""
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for program in ("steady_listener.py", "steady_client.py"):
            tar.add(PROGRAMS / program, program)
    return archive.getvalue().decode("ascii")


def on_all(hosts: Iterable[str], do: Callable[[str], Result]) -> dict[str, Result]:
    """Return what came of it for each host; all at once."""
    names = list(hosts)
    with ThreadPoolExecutor(len(names)) as pool:
        return dict(zip(names, pool.map(do, names), strict=True))


def snapshot(lab: Lab, host: str) -> str:
    """Return everything on a host that a roll-out could change, as text."""
    return lab.execute(host, "sh", "-c", _LOOK).stdout


def play(lab: Lab, folder: Path, playbook: str, *flags: str, **variables: object) -> Run:
    """Run ``lastack.linux.PLAYBOOK``; the record of a roll-out goes below ``folder``."""
    done = lab.run(
        *command(lab, playbook, *flags, **variables),
        cwd=folder,
        ANSIBLE_COLLECTIONS_PATH=collections(),
        ANSIBLE_TIMEOUT="5",
    )
    return Run(done.returncode, done.stdout, _screen(done.stdout), newest_record(folder))


def start(lab: Lab, folder: Path, playbook: str, **variables: object) -> subprocess.Popen[str]:
    """Start it as ``play`` does, in a session of its own, for whoever ends it before its end."""
    program, *rest = command(lab, playbook, **variables)
    return subprocess.Popen(
        [str(Path(sys.executable).parent / program), *rest],
        cwd=folder,
        env=lab.environment(ANSIBLE_COLLECTIONS_PATH=collections()),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )


def command(lab: Lab, playbook: str, *flags: str, **variables: object) -> list[str]:
    """Return the command line of a playbook of the collection."""
    return [
        "ansible-playbook",
        f"lastack.linux.{playbook}",
        "-i",
        str(lab.inventory),
        "-e",
        json.dumps(variables),
        *flags,
    ]


def collections() -> str:
    """Return the value of ANSIBLE_COLLECTIONS_PATH that finds this checkout."""
    return str(ROOT / "collections")


def newest_record(folder: Path) -> dict[str, Any]:
    """Return the newest record of a roll-out below a folder; empty if there is none."""
    found = sorted(folder.glob("lastack-runs/*/rollout.json"), key=lambda path: path.stat().st_mtime_ns)
    return dict(json.loads(found[-1].read_text())) if found else {}


def _screen(output: str) -> str:
    """Return what stands after the last header of a task that shows a screen, up to Ansible's next line."""
    for header in ("TASK [Say what stopped the roll-out] ", "TASK [Show the screen] "):
        __, found, rest = output.rpartition(header)
        text = rest.partition("\n")[2].lstrip("\n")
        lines: list[str] = []
        for line in text.splitlines():
            if line.startswith(("ok: ", "skipping: ", "TASK [", "fatal: ", "[ERROR]")):
                break
            lines.append(line)
        if found and any(lines):
            return "\n".join(lines).rstrip("\n")
    return ""
