# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The role tcp_baseline on real hosts over ssh: applied, unchanged the second time, honest, and taken back."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest
from lab import HostSpec, Lab, why_no_suite, why_not

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.needs_root

HOST = "base"
DROPIN = "/etc/sysctl.d/99-tcp-lastack.conf"
KEEPALIVE, SOMAXCONN = "net.ipv4.tcp_keepalive_time", "net.core.somaxconn"
PLAY = """\
- name: Apply the baseline
  hosts: all
  gather_facts: false
  roles:
    - lastack.linux.tcp_baseline
"""


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    """One host of its own; each test leaves it as it found it."""
    if reason := why_not() or why_no_suite("bookworm"):
        pytest.skip(reason)
    with Lab([HostSpec(HOST, "bookworm")]) as made:
        (made.folder / "play.yml").write_text(PLAY, encoding="utf-8")
        yield made


@pytest.fixture
def host(lab: Lab) -> Iterator[Lab]:
    """The host, restored and checked to be what it was after the test."""
    before = state(lab)
    yield lab
    role(lab, tcp_baseline_state="restored", tcp_baseline_force=True)
    assert state(lab) == before
    assert lab.execute(HOST, "ls", "-A", "/var/lib/lastack", check=False).stdout == ""


def state(lab: Lab) -> str:
    """Every file below /etc that lastack may touch, with content, owner and mode, and the running values."""
    script = (
        "cd /etc; find sysctl.d sysctl.conf security/limits.d systemd/system -type f -printf '%p %m %U:%G\\n' "
        "-exec sha256sum {} ';' | sort; "
        "sysctl -a 2>/dev/null | grep -E 'net.ipv4.(tcp_keep|tcp_fin|ip_local)|somaxconn'"
    )
    return lab.execute(HOST, "sh", "-c", script).stdout


def role(lab: Lab, *more: str, **variables: object) -> subprocess.CompletedProcess[str]:
    command = ["ansible-playbook", "-i", str(lab.inventory), str(lab.folder / "play.yml"), "-e", json.dumps(variables)]
    return lab.run(*command, *more)


def recap(done: subprocess.CompletedProcess[str]) -> dict[str, int]:
    found = re.search(rf"^{HOST}\s*: (.+)$", done.stdout, re.MULTILINE)
    assert found, done.stdout
    return {name: int(number) for name, number in re.findall(r"(\w+)=(\d+)", found[1])}


def summary(done: subprocess.CompletedProcess[str]) -> str:
    """Return the lines that a person reads, as one text with single blanks."""
    found = re.search(r'"msg": (\[.*?\n    \])', done.stdout, re.DOTALL)
    assert found, done.stdout
    return " ".join(" ".join(json.loads(found[1])).split())


def value(lab: Lab, key: str) -> str:
    return lab.execute(HOST, "sysctl", "-n", key).stdout.strip()


def test_applied_once_and_then_unchanged(host: Lab) -> None:
    host.execute(HOST, "sysctl", "-w", f"{SOMAXCONN}=65535")
    predicted = role(host, "--check", "--diff", tcp_baseline_profile="mixed")
    assert recap(predicted)["changed"] == 1
    assert "check mode: nothing was changed" in summary(predicted)
    assert "+net.ipv4.tcp_keepalive_time = 200" in predicted.stdout
    assert value(host, KEEPALIVE) == "7200"

    first = role(host, tcp_baseline_profile="mixed")
    assert (recap(first)["changed"], recap(first)["failed"]) == (1, 0)
    told = summary(first)
    assert "changed net.ipv4.tcp_keepalive_time 7200 → 200" in told
    assert "kept net.core.somaxconn 65535 stronger than 4096" in told
    assert "gated net.ipv4.tcp_tw_reuse 2, not 1" in told
    assert "No setting ends a CLOSE_WAIT connection" in told
    assert value(host, KEEPALIVE) == "200"
    assert value(host, SOMAXCONN) == "65535"
    assert "net.ipv4.tcp_keepalive_time = 200" in host.execute(HOST, "cat", DROPIN).stdout

    second = role(host, tcp_baseline_profile="mixed")
    assert (recap(second)["changed"], recap(second)["failed"]) == (0, 0)
    assert "nothing to change" in summary(second)
    host.execute(HOST, "sysctl", "-w", f"{SOMAXCONN}=4096")


def test_the_word_of_the_operator_opens_the_gate_and_an_exclusion_holds(host: Lab) -> None:
    done = role(
        host,
        tcp_baseline_profile="server",
        tcp_baseline_idle_cutter=True,
        tcp_baseline_exclude=["net.ipv4.tcp_keepalive_probes"],
        tcp_baseline_settings=[{"key": "net/ipv4/tcp_fin_timeout", "value": "30", "reason": "Peers never close."}],
    )
    assert recap(done)["failed"] == 0
    assert value(host, KEEPALIVE) == "300"
    assert value(host, "net.ipv4.tcp_keepalive_probes") == "9"
    assert value(host, "net.ipv4.tcp_fin_timeout") == "30"
    assert "# Peers never close." in host.execute(HOST, "cat", DROPIN).stdout


def test_a_host_that_fails_says_which_keys_after_all_others_are_set(host: Lab) -> None:
    host.execute(HOST, "sh", "-c", "echo 'net.ipv4.tcp_keepalive_time = 7200' > /etc/sysctl.d/zz-late.conf")
    variables: dict[str, Any] = {
        "tcp_baseline_profile": "mixed",
        "tcp_baseline_settings": [
            {"key": "net.ipv4.tcp_tw_recycle", "value": "1"},
            {"key": SOMAXCONN, "value": "8192"},
        ],
    }
    try:
        done = role(host, **variables)
        assert recap(done)["failed"] == 1
        assert "net.ipv4.tcp_tw_recycle = 1 is refused" in done.stdout
        assert "/etc/sysctl.d/zz-late.conf:1" in done.stdout
        told = summary(done)
        assert "refused net.ipv4.tcp_tw_recycle" in told
        assert "shadowed net.ipv4.tcp_keepalive_time" in told
        assert value(host, SOMAXCONN) == "8192"
        reported = role(host, **variables, tcp_baseline_on_error="report")
        assert recap(reported)["failed"] == 0
        assert "refused net.ipv4.tcp_tw_recycle" in summary(reported)
    finally:
        host.execute(HOST, "rm", "/etc/sysctl.d/zz-late.conf")


def test_limits_by_tag_and_back(host: Lab) -> None:
    units = [{"name": "ssh.service", "soft": 2048}]
    done = role(host, "--tags", "tcp_baseline_limits", tcp_baseline_profile="mixed", tcp_baseline_limits_units=units)
    assert recap(done)["failed"] == 0, done.stdout
    assert "ssh.service" in summary(done)
    assert value(host, KEEPALIVE) == "7200"
    shown = host.execute(HOST, "systemctl", "show", "-p", "LimitNOFILESoft", "ssh.service").stdout
    assert "2048" in shown


@pytest.mark.parametrize(
    ("variables", "sentence"),
    [
        ({"tcp_baseline_profile": "database"}, "must be one of: server, client, mixed"),
        ({}, "There is nothing to apply: give profile, settings or both."),
        (
            {"tcp_baseline_profile": "server", "tcp_baseline_exclude": ["net.core.somaxcon"]},
            "exclude names net.core.somaxcon",
        ),
        ({"tcp_baseline_settings": [{"key": SOMAXCONN, "value": True}]}, 'write value: \\"1\\"'),
        ({"tcp_baseline_profile": "server", "tcp_baseline_catalogue": "/no/such.yml"}, "cannot be read"),
    ],
)
def test_a_mistake_fails_with_one_sentence_and_changes_nothing(
    lab: Lab, variables: dict[str, Any], sentence: str
) -> None:
    before = state(lab)
    done = role(lab, **variables)
    assert (recap(done)["failed"], recap(done)["changed"]) == (1, 0)
    assert sentence in done.stdout
    assert state(lab) == before


def test_a_catalogue_of_ones_own(host: Lab, tmp_path: Path) -> None:
    own = tmp_path / "own.yml"
    own.write_text(
        "keys:\n  net.core.somaxconn:\n    summary: Ours.\n    scope: ns\n    reason: Measured.\n    match: at_least\n"
        '    profiles:\n      server: {value: "16384", when: always}\n',
        encoding="utf-8",
    )
    assert recap(role(host, tcp_baseline_profile="server", tcp_baseline_catalogue=str(own)))["failed"] == 0
    assert value(host, SOMAXCONN) == "16384"


def test_lines_go_and_running_values_stay(host: Lab) -> None:
    units = [{"name": "ssh.service", "soft": 2048}]
    role(host, tcp_baseline_profile="mixed", tcp_baseline_limits_units=units)
    gone = role(host, tcp_baseline_state="absent")
    assert recap(gone)["failed"] == 0, gone.stdout
    assert host.execute(HOST, "ls", DROPIN, check=False).returncode != 0
    assert "2048" not in host.execute(HOST, "systemctl", "show", "-p", "LimitNOFILESoft", "ssh.service").stdout
    assert value(host, KEEPALIVE) == "200"
