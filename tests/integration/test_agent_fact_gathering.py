# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The published fact through Ansible's own fact gathering: any playbook can use it, and no text in it is a template."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from ansible_collections.lastack.linux.agent.fact import build_fact
from ansible_collections.lastack.linux.agent.publish import publish, read_now
from ansible_collections.lastack.linux.agent.records import AppKey, AppLook, Pass, Trend
from ansible_collections.lastack.linux.agent.status import AgentStatus

if TYPE_CHECKING:
    from ansible_collections.lastack.linux.agent.publish import Now

TICKET = (
    "{{ offender.app }} on {{ inventory_hostname }} since {{ offender.trend.first_seen }}:"
    " {{ offender.count }} sockets, {{ offender.cause }},"
    " descriptors gone in {{ (offender.trend.exhaustion_in_s / 60) | int }} min. {{ offender.remedy }}"
)


def fact_of(app: str, now: Now) -> bytes:
    moment = now.boottime_s - 1
    trend = Trend(
        "leak", 812, 900, 88, 12.0, 1.0, moment - 600, (600.0, None), None, 5_400.0, 11, "Grew over 14 looks."
    )
    offender = {
        "app": app,
        "count": 812,
        "causes": {"eof_read": 812},
        "role": "client",
        "pids": [11],
        "local_ports": [],
        "peers": [{"address": "10.0.0.1", "port": 443, "count": 812}],
    }
    trends = {AppKey(app, "interpreter", "host"): (trend, AppLook({}, None, offender))}
    look = Pass(moment, {}, frozenset(), (), 812)
    status = AgentStatus(
        version="1",
        boot_id=now.boot_id,
        started_s=0.0,
        watching_since_s=0.0,
        now_s=moment,
        wall_s=now.wall_s - 1,
        interval_s=15.0,
        fresh_for_s=180.0,
        passes=9,
        cpu_s=1.0,
        cpu_pass_s=0.1,
        resident_bytes=None,
        dropped_sockets=0,
        dropped_applications=0,
    )
    return build_fact(trends, look, status)


def published(root: Path, app: str) -> Path:
    """Publish as root would; return the folder of facts."""
    for folder in ("var/lib/lastack-agent", "etc/ansible/facts.d"):
        path = root
        for part in folder.split("/"):
            path /= part
            path.mkdir(exist_ok=True)
            path.chmod(0o755)
    fact = root / "var/lib/lastack-agent/fact.json"
    fact.write_bytes(fact_of(app, read_now()))
    fact.chmod(0o644)
    assert publish(str(root)) == 0
    return root / "etc/ansible/facts.d"


def test_a_playbook_opens_a_ticket_and_runs_no_name(tmp_path: Path) -> None:
    """Whoever starts an application chooses its name: it must stay text through facts, cache, set_fact and copy."""
    owned = tmp_path / "owned"
    app = "{{ lookup('pipe', 'touch " + str(owned) + "') }}{{ 7 * 7 }}{% set x = 1 %}.py"
    folder = published(tmp_path, app)
    setup = {"ansible.builtin.setup": {"fact_path": str(folder), "gather_subset": ["!all", "!min", "local"]}}
    ticket = {
        "ansible.builtin.copy": {"content": TICKET + "\n", "dest": f"{tmp_path}/ticket"},
        "vars": {"offender": "{{ ansible_local.lastack.offenders[0] }}"},
    }
    again = [
        {"ansible.builtin.set_fact": {"kept": "{{ ansible_local.lastack }}"}},
        {"ansible.builtin.copy": {"content": "{{ kept.offenders[0].app }}", "dest": f"{tmp_path}/kept"}},
    ]
    plays = [{"hosts": "localhost", "gather_facts": False, "tasks": tasks} for tasks in ([setup], [ticket, *again])]
    playbook = tmp_path / "play.yml"
    playbook.write_text(json.dumps(plays), encoding="utf-8")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_")}
    environment |= {
        "HOME": str(tmp_path),
        "ANSIBLE_HOME": f"{tmp_path}/ansible",
        "ANSIBLE_CACHE_PLUGIN": "jsonfile",
        "ANSIBLE_CACHE_PLUGIN_CONNECTION": f"{tmp_path}/cache",
        "ANSIBLE_PYTHON_INTERPRETER": sys.executable,
    }
    command = [str(Path(sys.executable).parent / "ansible-playbook"), "-i", "localhost,", "-c", "local", str(playbook)]
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert (tmp_path / "kept").read_text(encoding="utf-8") == app
    text = (tmp_path / "ticket").read_text(encoding="utf-8")
    assert text.startswith(f"{app} on localhost since 20")
    assert "812 sockets, eof_read, descriptors gone in 90 min. Close the socket on every path of" in text
    assert not owned.exists()
