# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every controller over every distribution: one test a pair, so that ``-k bullseye`` or ``-k core-2.16`` picks some."""

from __future__ import annotations

import json
import re
from importlib.metadata import version
from typing import TYPE_CHECKING

import pytest
import yaml
from controllers import CONTROLLERS
from matrix import LEAKS, ROOT, target

if TYPE_CHECKING:
    from controllers import Controller
    from matrix import Matrix
    from seats import Audit

pytestmark = pytest.mark.needs_root

OS = {"bullseye": "Debian GNU/Linux 11", "bookworm": "Debian GNU/Linux 12", "trixie": "Debian GNU/Linux 13"}
COMPLAINT = re.compile(r"Traceback|\[DEPRECATION WARNING\]|\[WARNING\]|\[ERROR\]")


VAULT_WORD = "the-vault-word"
VAULTED = (  # "vaulted-user"
    "$ANSIBLE_VAULT;1.1;AES256\n"
    "39663164336664333638373739383738383961663062653836303237396563326663323662353530\n"
    "3566383436343363313232383737303262363834393864640a363438666261636435376236373064\n"
    "31636261643864343461353232373766313166333036643334623234646334626530633233633965\n"
    "3765353037316261340a333437373031353635376134383564663731646433353766633235386638\n"
    "6162\n"
)


def holds(audit: Audit, suites: list[str], suite: str) -> None:
    assert audit.status == 0, audit.output
    assert not COMPLAINT.search(audit.output), audit.output
    manifest = audit.load("manifest.json")
    assert manifest["finished"] is True
    hosts = {target(one) for one in suites}
    assert {host: entry["outcome"] for host, entry in manifest["hosts"].items()} == dict.fromkeys(hosts, "ok")
    report = audit.report(target(suite))
    assert report["host"]["os"].startswith(OS[suite])
    # The leak is known: so many sockets of one unit, and nothing else on this host.
    found = [(one["app"], one["kind"], one["count"]) for one in report["close_wait"]["offenders"]]
    assert found == [("leaking.service", "unit", LEAKS[suite])]
    assert report["close_wait"]["total"] == LEAKS[suite]
    assert report["completeness"]["close_wait"]["attributed"] == LEAKS[suite]
    fleet = audit.load("fleet.json")
    assert (fleet["hosts"]["meant"], fleet["hosts"]["audited"]) == (len(hosts), len(hosts))
    assert [(one["app"], one["sockets"]) for one in fleet["apps"]] == [
        ("leaking.service", sum(LEAKS[one] for one in suites))
    ]
    assert "leaking.service" in (audit.folder / "report.html").read_text(encoding="utf-8")
    assert (audit.folder / "report.txt").read_text(encoding="utf-8").splitlines()[0] in audit.output


def test_audit(matrix: Matrix, controller: Controller, suite: str) -> None:
    holds(matrix.audit(controller, suite, check=False), matrix.suites, suite)


def test_check_mode_without_pipelining(matrix: Matrix, controller: Controller, suite: str) -> None:
    holds(matrix.audit(controller, suite, check=True), matrix.suites, suite)


def test_seat_holds_the_release_and_its_documentation(matrix: Matrix, controller: Controller) -> None:
    seat = matrix.seat(controller)
    status, output = seat.ansible("playbook", "--version")
    assert status == 0
    assert output.startswith(f"ansible-playbook [core {controller.pins[0].partition('==')[2]}]"), output
    status, output = seat.ansible("doc", "-t", "module", "lastack.linux.tcp_facts")
    assert status == 0
    assert "min_age_s" in output
    assert not COMPLAINT.search(output), output


def test_the_inventory_of_a_sweep_is_read(matrix: Matrix, controller: Controller) -> None:
    user = json.dumps(VAULTED)
    request = {
        "sources": ["web-1,web-2,"],
        "pattern": "all",
        "limit": "web-1",
        "extra_vars": ["{ansible_port: '{{ 2000 + 22 }}', ansible_become: true, ansible_user: !vault " + user + "}"],
        "vault_passwords": [VAULT_WORD],
        "vault_files": [],
        "user": None,
        "key_file": None,
        "become": False,
    }
    status, output = matrix.seat(controller).run_program("sweep/inventory_reader.py", json.dumps(request) + "\n")
    assert status == 0, output
    hosts, host = (json.loads(line) for line in output.splitlines())
    assert hosts["hosts"] == ["web-1"]
    assert "problem" not in host, host
    variables = host["variables"]
    assert (str(variables["ansible_port"]), variables["ansible_user"]) == ("2022", "vaulted-user")
    assert variables["ansible_become"] is True


def test_oldest_controller_is_the_one_that_the_collection_promises() -> None:
    promised = yaml.safe_load((ROOT / "meta" / "runtime.yml").read_text(encoding="utf-8"))["requires_ansible"]
    assert promised == f">={CONTROLLERS[0].core}.0"


def test_gate_has_the_oldest_the_newest_and_the_one_of_this_environment() -> None:
    own = ".".join(version("ansible-core").split(".")[:2])
    in_gate = [one.core for one in CONTROLLERS if one.gate]
    assert {CONTROLLERS[0].core, CONTROLLERS[-1].core} <= set(in_gate)
    assert own in in_gate or own in {one.core for one in CONTROLLERS if one.in_host}
