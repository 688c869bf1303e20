# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The agent as a hardened unit on real hosts: it sees what it has to see, and has no right that it does not need."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from lab import Lab

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Iterator

pytestmark = pytest.mark.needs_root

PROGRAM = Path(__file__).parent / "programs/leaking_service.py"
PATIENCE_S = 300
FAST = {
    "tcp_agent_interval_s": 0.5,
    "tcp_agent_cpu_budget_percent": 50,
    "tcp_agent_min_age_s": 1,
    "tcp_agent_publish_s": 1,
}
# What a failure shows.
TRACE = """\
date; systemctl is-active shop-front shop-ledger lastack-agent lastack-agent-publish.path
python3 -I -S -B /usr/local/lib/lastack/lastack-agent.pyz status
journalctl --no-pager -n 30 -u 'shop-*' -u lastack-agent; journalctl --no-pager -n 10 -u lastack-agent-publish
cat /etc/ansible/facts.d/lastack.fact
"""
SERVICES = {
    # As any service, and as a container has it: a network namespace of its own, with the leak inside.
    "shop-front": "User=nobody",
    "shop-ledger": "User=daemon\nPrivateNetwork=yes",
}
LEAKING = {f"{service}.service" for service in SERVICES}
CAPABILITIES = {"CAP_DAC_READ_SEARCH": 1 << 2, "CAP_SYS_PTRACE": 1 << 19, "CAP_SYS_ADMIN": 1 << 21}
# What there is of the agent, and what else the role may make or change; logs, caches and backups are not listed.
SNAPSHOT = """\
find /etc /usr/local /var/lib /opt -xdev ! -path '/etc/*-' ! -path '/var/lib/systemd/*' ! -path /etc/.pwd.lock \
-printf '%p %y %m %U:%G %l\\n' | sort
cat /etc/passwd /etc/group
systemctl list-units --all --no-legend --plain 'lastack*'
"""


@pytest.fixture(scope="module")
def names(lab: Lab) -> list[str]:
    """Every host of the lab, all of them on."""
    for name, state in lab.state().items():
        if state == "off":
            lab.start(name)
    return list(lab.state())


@pytest.fixture(scope="module")
def before(lab: Lab, names: list[str]) -> dict[str, str]:
    """What the hosts were before the agent came."""
    return {name: snapshot(lab, name) for name in names}


@pytest.fixture(scope="module")
def agents(lab: Lab, names: list[str], before: dict[str, str]) -> Iterator[None]:
    """The agent and two services that leak on every host; all gone again at the end, without a trace."""
    for name in names:
        lab.execute(name, "tee", "/opt/leaking_service.py", text=PROGRAM.read_text(encoding="utf-8"))
        for service, more in SERVICES.items():
            unit = f"[Service]\nExecStart=/usr/bin/python3 /opt/leaking_service.py 900 0.6\n{more}\n"
            lab.execute(name, "tee", f"/etc/systemd/system/{service}.service", text=unit)
        lab.execute(name, "systemctl", "daemon-reload")
        lab.execute(name, "systemctl", "start", *SERVICES)
    try:
        play(lab, **FAST)
        yield
    finally:
        gone = playbook(lab, tcp_agent_state="absent")
        for name in names:
            lab.execute(name, "systemctl", "stop", *SERVICES, check=False)
            lab.execute(name, "sh", "-c", "rm -f /opt/leaking_service.py /etc/systemd/system/shop-*.service")
            lab.execute(name, "systemctl", "daemon-reload")
    assert gone.returncode == 0, gone.stdout
    assert {name: snapshot(lab, name) for name in names} == before
    assert "changed=0" in play(lab, tcp_agent_state="absent")


def snapshot(lab: Lab, host: str) -> str:
    return lab.execute(host, "sh", "-c", SNAPSHOT).stdout


def playbook(lab: Lab, *more: str, **variables: object) -> subprocess.CompletedProcess[str]:
    command = ["ansible-playbook", "-i", str(lab.inventory), "lastack.linux.tcp_agent", "-e", json.dumps(variables)]
    return lab.run(*command, *more)


def play(lab: Lab, *more: str, **variables: object) -> str:
    done = playbook(lab, *more, **variables)
    assert done.returncode == 0, done.stdout
    return done.stdout


def changed(said: str) -> dict[str, int]:
    return {name: int(number) for name, number in re.findall(r"^(\w+)\s*: ok=\d+\s+changed=(\d+)", said, re.MULTILINE)}


def pid(lab: Lab, host: str, unit: str) -> int:
    return int(lab.execute(host, "systemctl", "show", "-p", "MainPID", "--value", unit).stdout)


def text_of(lab: Lab, host: str, path: str) -> str:
    return lab.execute(host, "cat", path, check=False).stdout


def fact(lab: Lab, host: str) -> dict[str, Any] | None:
    """The published fact, as root finds it; ``None`` if there is none yet."""
    text = text_of(lab, host, "/etc/ansible/facts.d/lastack.fact")
    return dict(json.loads(text)) if text else None


def wait_for(look: Callable[..., Any], *arguments: object) -> Any:  # noqa: ANN401 - whatever the look gives
    """Return what a look gives as soon as it gives something."""
    end = time.monotonic() + PATIENCE_S
    while not (found := look(*arguments)):
        if time.monotonic() > end:
            lab, host = arguments[:2]
            assert isinstance(lab, Lab)
            pytest.fail(f"{host}: it never came\n{lab.execute(str(host), 'sh', '-c', TRACE, check=False).stdout}")
        time.sleep(0.5)
    return found


def accuses(lab: Lab, host: str, units: set[str]) -> bool:
    """Whether the fact says something of these units and no other."""
    return {one["unit"] for one in (fact(lab, host) or {}).get("offenders", [])} == units


def leaks(lab: Lab, host: str, units: set[str]) -> dict[str, dict[str, Any]] | None:
    """The fact's offenders by unit, once all of these units are leaks."""
    told = fact(lab, host)
    found = {one["unit"]: one for one in (told or {}).get("offenders", []) if one["trend"]["verdict"] == "leak"}
    return found if units <= set(found) else None


def exposure(lab: Lab, host: str, unit: str) -> float:
    said = lab.execute(host, "systemd-analyze", "security", "--no-pager", unit).stdout
    found = re.search(r"Overall exposure level for \S+: ([0-9.]+)", said)
    assert found, said
    return float(found[1])


def capabilities(lab: Lab, host: str) -> set[str]:
    said = lab.execute(host, "grep", "CapBnd", f"/proc/{pid(lab, host, 'lastack-agent')}/status").stdout
    bits = int(said.split()[1], 16)
    held = {name for name, bit in CAPABILITIES.items() if bits & bit}
    assert bits == sum(CAPABILITIES[name] for name in held), "a right that nobody has asked for"
    return held


@pytest.mark.usefixtures("agents")
def test_it_sees_holders_of_other_users_and_in_other_networks(lab: Lab, host: str) -> None:
    found = wait_for(leaks, lab, host, LEAKING)
    for unit, user in (("shop-front.service", "nobody"), ("shop-ledger.service", "daemon")):
        one = found[unit]
        assert (one["app"], one["user"], one["runtime"]) == (unit, user, "python")
        assert one["pids"] == [pid(lab, host, unit)]
        assert one["cause"] == "eof_read"
        assert one["descriptors"]["open"] > one["count"] > 0
        assert (one["namespace"] == "host") == (unit == "shop-front.service")
        assert one["trend"]["growth_per_min"] > 0
    told = fact(lab, host)
    assert told
    assert told["completeness"] == {"complete": True, "warnings": []}
    assert capabilities(lab, host) == set(CAPABILITIES)


@pytest.mark.usefixtures("agents")
def test_it_has_no_rights_that_it_does_not_need(lab: Lab, host: str) -> None:
    assert exposure(lab, host, "lastack-agent.service") <= 2.5
    assert exposure(lab, host, "lastack-agent-publish.service") <= 1.0
    status = lab.execute(host, "cat", f"/proc/{pid(lab, host, 'lastack-agent')}/status").stdout
    assert re.search(r"^NoNewPrivs:\s+1$", status, re.MULTILINE)
    assert re.search(r"^Seccomp:\s+2$", status, re.MULTILINE)
    assert "0" not in re.findall(r"^Uid:\s+(.+)$", status, re.MULTILINE)[0].split()
    # systemd understood every line.
    units = [f"/etc/systemd/system/lastack-agent{rest}" for rest in (".service", "-publish.service", "-publish.path")]
    verified = lab.execute(host, "systemd-analyze", "verify", *units, check=False)
    assert "lastack" not in verified.stdout + verified.stderr


@pytest.mark.usefixtures("agents")
def test_everybody_may_read_what_is_published_and_nobody_run_it(lab: Lab, host: str) -> None:
    wait_for(fact, lab, host)
    listed = lab.execute(host, "stat", "-c", "%U:%G %a", "/etc/ansible/facts.d/lastack.fact").stdout
    assert listed.strip() == "root:root 644"
    asked = lab.run("ansible", host, "-i", str(lab.inventory), "-m", "setup", "-a", "filter=ansible_local")
    assert '"schema": "lastack.local/1"' in asked.stdout


@pytest.mark.usefixtures("agents")
def test_a_second_run_changes_nothing_and_a_change_only_what_it_must(lab: Lab, names: list[str]) -> None:
    pids = {name: pid(lab, name, "lastack-agent") for name in names}
    assert changed(play(lab, **FAST)) == dict.fromkeys(names, 0)
    assert {name: pid(lab, name, "lastack-agent") for name in names} == pids
    # Check mode says what a run then does, the restart too.
    predicted = changed(play(lab, "--check", **FAST, tcp_agent_namespaces="host"))
    assert changed(play(lab, **FAST, tcp_agent_namespaces="host")) == predicted == dict.fromkeys(names, 3)
    play(lab, **FAST)
    pids = {name: pid(lab, name, "lastack-agent") for name in names}
    # Only the configuration: read again by the same process.
    said = play(lab, "--diff", **FAST, tcp_agent_exclude=["shop-front.service"])
    assert "Reload the agent" in said
    assert {name: pid(lab, name, "lastack-agent") for name in names} == pids
    for name in names:
        wait_for(accuses, lab, name, {"shop-ledger.service"})
    # What the agent refuses, the role refuses, and all stays as it was.
    configuration = lab.execute(names[0], "cat", "/etc/lastack/agent.json").stdout
    wrong = playbook(lab, **FAST, tcp_agent_thresholds={"leak_pases": 8})
    assert wrong.returncode != 0
    assert "leak_pases" in wrong.stdout
    assert lab.execute(names[0], "cat", "/etc/lastack/agent.json").stdout == configuration
    # Other bytes: another process, which remembers what the former one saw.
    since = {name: (fact(lab, name) or {})["watching_since"] for name in names}
    for name in names:
        lab.execute(name, "sh", "-c", "printf x >>/usr/local/lib/lastack/lastack-agent.pyz")
    said = play(lab, "--diff", **FAST)
    assert "SHA-1" in said
    for name in names:
        assert pid(lab, name, "lastack-agent") != pids[name]
        wait_for(leaks, lab, name, LEAKING)
        assert (fact(lab, name) or {})["watching_since"] == since[name]


@pytest.mark.usefixtures("agents")
def test_the_hosts_own_network_alone_needs_fewer_rights(lab: Lab, names: list[str]) -> None:
    metrics = "/var/lib/lastack-test-metrics"
    for name in names:
        lab.execute(name, "mkdir", "-p", metrics)
    try:
        play(lab, **FAST, tcp_agent_namespaces="host", tcp_agent_metrics_folder=metrics)
        pids = {name: pid(lab, name, "lastack-agent") for name in names}
        for name in names:
            assert capabilities(lab, name) == {"CAP_DAC_READ_SEARCH", "CAP_SYS_PTRACE"}
            assert exposure(lab, name, "lastack-agent.service") <= 2.0
            found = wait_for(leaks, lab, name, {"shop-front.service"})
            assert set(found) == {"shop-front.service"}
            told = wait_for(text_of, lab, name, f"{metrics}/lastack.prom")
            assert 'app="shop-front.service"' in told
        # Another folder, or none: nothing stays in the former one, and it is no matter of the agent's.
        play(lab, **FAST, tcp_agent_namespaces="host")
        assert {name: pid(lab, name, "lastack-agent") for name in names} == pids
        for name in names:
            assert lab.execute(name, "ls", "-A", metrics).stdout == ""
        # One that the publisher would not write to.
        for folder, reason in {metrics + "/none": "does not exist", "/tmp": "can be written by others"}.items():
            refused = playbook(lab, **FAST, tcp_agent_metrics_folder=folder)
            assert refused.returncode != 0
            assert changed(refused.stdout) == dict.fromkeys(names, 0)
            assert f"{folder} {reason}" in " ".join(refused.stdout.split())
        play(lab, **FAST)
    finally:
        for name in names:
            lab.execute(name, "rm", "-rf", metrics)


@pytest.mark.usefixtures("agents")
def test_what_a_run_that_failed_left_undone_is_done_by_the_next(lab: Lab, names: list[str]) -> None:
    pids = {name: pid(lab, name, "lastack-agent") for name in names}
    # As a run leaves it that replaced the program and failed before its handlers.
    program = "/usr/local/lib/lastack/lastack-agent.pyz"
    for name in names:
        lab.execute(name, "sh", "-c", f"cp -p {program} {program}.new && mv {program}.new {program}")
    assert changed(play(lab, **FAST)) == dict.fromkeys(names, 2)
    now = {name: pid(lab, name, "lastack-agent") for name in names}
    assert not set(now.items()) & set(pids.items())
    assert changed(play(lab, **FAST)) == dict.fromkeys(names, 0)
    assert {name: pid(lab, name, "lastack-agent") for name in names} == now


@pytest.mark.usefixtures("agents")
def test_the_journal_of_the_publisher_holds_its_refusals_and_nothing_else(lab: Lab, names: list[str]) -> None:
    for name in names:
        wait_for(leaks, lab, name, LEAKING)
        # Before 248, systemd filters what a unit's processes say and not what it says of the unit itself.
        if int(lab.execute(name, "systemctl", "--version").stdout.split()[1]) >= 248:
            assert said_by_publisher(lab, name) == ""
        lab.execute(name, "systemctl", "stop", "lastack-agent")
        lab.execute(name, "sh", "-c", "echo '{' >/var/lib/lastack-agent/fact.json")
        wait_for(refused, lab, name)
        lab.execute(name, "systemctl", "start", "lastack-agent")


def said_by_publisher(lab: Lab, host: str) -> str:
    """What its process and systemd have said of the publisher."""
    command = ("journalctl", "--no-pager", "-q", "-o", "cat", "-u", "lastack-agent-publish.service")
    return lab.execute(host, *command).stdout


def refused(lab: Lab, host: str) -> bool:
    return "fact.json" in said_by_publisher(lab, host)


@pytest.mark.parametrize(
    ("path", "sentence"),
    [
        ("/run/systemd/system", "this host was not booted with systemd. Nothing was changed."),
        ("/usr/bin/systemctl", "its program systemctl is missing or does not say its version. Nothing was changed."),
    ],
)
def test_a_host_without_systemd_gets_one_clear_sentence(lab: Lab, names: list[str], path: str, sentence: str) -> None:
    name = names[-1]
    lab.execute(name, "mv", path, f"{path}.away")
    try:
        said = playbook(lab, "--limit", name)
    finally:
        lab.execute(name, "mv", f"{path}.away", path)
    assert said.returncode != 0
    assert sentence in " ".join(said.stdout.split())
    assert "changed=0" in said.stdout
