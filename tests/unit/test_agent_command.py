# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The agent's command line: what each subcommand prints, and with which status it ends."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, ClassVar

import pytest
from ansible_collections.lastack.linux.agent import command, once
from ansible_collections.lastack.linux.agent.alive import is_alive, read_start_ticks
from ansible_collections.lastack.linux.agent.loop import boottime, read_boot_id
from ansible_collections.lastack.linux.agent.places import places_below
from ansible_collections.lastack.linux.agent.publication import STATUS_SCHEMA
from ansible_collections.lastack.linux.agent.records import AppKey, AppLook, DescriptorUse, Member, Pass, Thresholds
from ansible_collections.lastack.linux.agent.state import save_state
from ansible_collections.lastack.linux.agent.text import render_status
from ansible_collections.lastack.linux.agent.watch import Watch
from ansible_collections.lastack.linux.plugins.module_utils.version import VERSION

ROOT = Path(__file__).parents[2]
LIMIT_S = 60
OFFENDER: dict[str, Any] = {
    "app": "web.service",
    "kind": "unit",
    "namespace": "host",
    "namespace_id": 1,
    "unit": "web.service",
    "container": None,
    "exe": "/usr/bin/web",
    "runtime": "native",
    "user": "www\x1b[31m",
    "pids": [4711],
    "count": 3,
    "undecided": 0,
    "age_s": {"at_least": 100.0, "at_most": 200.0},
    "causes": {"eof_read": 3},
    "by_cause": {},
    "flags": {"shared": 0, "kernel_owned": 0},
    "unread_bytes": 0,
    "role": "client",
    "peers": [{"address": "2001:db8::9", "port": 443, "count": 3}],
    "local_ports": [],
    "shared_with": [],
    "descriptors": {"open": 40, "soft_limit": 1024, "hard_limit": 4096, "used_percent": 3.9, "worst_pid": 4711},
    "advice": ["close_wait.leak"],
}


class Host:
    """Stands in for ``Look``."""

    def __init__(self, _options: object) -> None:
        pass

    def remember(self, _first_seen_s: object) -> None:
        """Know what the agent that runs knows."""

    def look(self) -> Pass:
        members = {(1, cookie): Member("eof_read", 100.0, 200.0, cookie) for cookie in range(1, 4)}
        use = DescriptorUse(4711, 100, 40, 1024, 4096)
        applications = {AppKey("web.service", "unit", "host"): AppLook(members, use, OFFENDER)}
        unseen = (("owners_denied", 2, "processes whose descriptors may not be read"),)
        return Pass(boottime(), applications, frozenset({1}), unseen, 5)


def run(root: Path, *arguments: str) -> int:
    return command.main([arguments[0], "--root", str(root), *arguments[1:]])


def test_once_prints_a_report(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(once, "Look", Host)
    assert run(tmp_path, "once") == 0
    text = capsys.readouterr().out
    assert text.startswith("5 sockets in CLOSE_WAIT; applications: 1 is watched\n(first look: verdicts need several)\n")
    assert "WATCHING  web.service: 3 sockets, oldest 100 s to " in text
    assert "peers [2001:db8::9]:443" in text
    assert "descriptors 40 of 1,024" in text
    assert "Close the socket on every path of web.service (pid 4711)" in text
    assert "2 x processes whose descriptors may not be read (owners_denied)" in text
    assert "\x1b" not in text
    assert max(map(len, text.splitlines())) <= 100
    assert list(tmp_path.iterdir()) == []


def test_once_prints_the_fact(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(once, "Look", Host)
    assert run(tmp_path, "once", "--json") == 0
    fact = json.loads(capsys.readouterr().out)
    assert (fact["schema"], fact["close_wait"]["total"]) == ("lastack.local/1", 5)


def test_once_has_the_memory_of_the_agent_that_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    places = places_below(str(tmp_path))
    Path(places.folder).mkdir(parents=True)
    watch = Watch(Thresholds())
    look = Host(None).look()
    watch.observe(look._replace(moment_s=boottime() - 30), 15)
    save_state(places.state, watch.to_state(), boot_id=read_boot_id(), watching_since_s=boottime() - 30)
    before = Path(places.state).read_bytes()
    monkeypatch.setattr(once, "Look", Host)
    assert run(tmp_path, "once") == 0
    assert "(watched since " in capsys.readouterr().out
    assert Path(places.state).read_bytes() == before


class Elsewhere(Host):
    """The holders are found by no search before the ``found_by``-th look; every look is counted."""

    found_by = 2
    looks: ClassVar[list[int]] = []
    remembered: ClassVar[list[Any]] = []

    def remember(self, first_seen_s: Any) -> None:  # noqa: ANN401 - kept as it is given
        """Keep what the agent that runs knows."""
        self.remembered.append(first_seen_s)

    def look(self) -> Pass:
        self.looks.append(1)
        look = super().look()
        if len(self.looks) >= self.found_by:
            return look
        (found,) = look.applications.values()
        return look._replace(applications={}, unplaced=frozenset(found.members))


@pytest.mark.parametrize(
    ("memory", "found_by", "looks", "words"),
    [
        (True, 1, 1, "web.service: 3 sockets"),
        (True, 2, 2, "web.service: 3 sockets"),
        (False, 3, 3, "web.service: 3 sockets"),
        (True, 99, 3, "1 x applications that the agent watches and that this look did not meet"),
        (False, 99, 3, "3 x sockets that are too young to be judged, or whose owner was not found"),
    ],
)
def test_once_says_nothing_of_an_application_that_it_has_not_met(  # noqa: PLR0913 - what varies, and three fixtures
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    *,
    memory: bool,
    found_by: int,
    looks: int,
    words: str,
) -> None:
    """Holders outside the cgroup that made the sockets are met by the second or third look: no burst, no 0 sockets."""
    monkeypatch.setattr(Elsewhere, "found_by", found_by)
    monkeypatch.setattr(Elsewhere, "looks", [])
    monkeypatch.setattr(Elsewhere, "remembered", [])
    monkeypatch.setattr(once, "Look", Elsewhere)
    if memory:
        places = places_below(str(tmp_path))
        Path(places.folder).mkdir(parents=True)
        watch = Watch(Thresholds())
        for ago_s in (60, 45, 30, 15):
            watch.observe(Host(None).look()._replace(moment_s=boottime() - ago_s), 15)
        save_state(places.state, watch.to_state(), boot_id=read_boot_id(), watching_since_s=boottime() - 60)
    assert run(tmp_path, "once") == 0
    text = capsys.readouterr().out
    assert words in " ".join(text.split())
    assert "burst" not in text.lower()
    assert ": 0 sockets" not in text
    assert len(Elsewhere.looks) == looks
    assert [set(one) for one in Elsewhere.remembered] == [{(1, 1), (1, 2), (1, 3)} if memory else set()]


def test_once_looks_at_this_machine(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(tmp_path, "once") == 0
    assert " in CLOSE_WAIT" in capsys.readouterr().out


def document(**more: object) -> dict[str, Any]:
    return {
        "schema": STATUS_SCHEMA,
        "version": VERSION,
        "pid": 4711,
        "boot_id": "b1",
        "started_at": "2026-01-01T00:00:00Z",
        "watching_since": "2026-01-01T00:00:00Z",
        "published_at": "2026-01-01T01:00:00Z",
        "published_boottime_s": 1000.0,
        "fresh_for_s": 180.0,
        "outputs": ["fact", "journal"],
        "interval_s": 42.0,
        "configured_interval_s": 15.0,
        "cpu_budget_percent": 0.5,
        "passes": 240,
        "cpu_s": 15.0,
        "cpu_pass_s": 0.21,
        "running_s": 3600.0,
        "resident_bytes": 20 << 20,
        "dropped": {"sockets": 7, "applications": 0},
        "close_wait": {"total": 2400, "applications": 3, "verdicts": {"leak": 1, "stuck": 0, "pool": 2}},
        "unseen": [{"code": "namespace_unreadable", "count": 1, "detail": "a network\x1b namespace"}],
        **more,
    }


def test_status_says_what_it_watches_and_costs() -> None:
    text, fresh = render_status(document(), boot_id="b1", now_s=1030.0, alive=True, published_s=1000.0)
    assert fresh
    assert text.splitlines() == [
        f"lastack-agent {VERSION} runs (pid 4711), watching since 2026-01-01T00:00:00Z.",
        "  watches     2,400 CLOSE_WAIT sockets of 3 applications: leak 1, pool 2",
        "  looks       every 42 s (wanted: 15 s; longer to keep to the CPU budget), 240 looks so far",
        "  costs       0.42 % of one core since its start (budget 0.5 %), 0.210 CPU s the last pass, 20.0 MiB",
        "  written     2026-01-01T01:00:00Z, 30 s ago: fact, journal",
        "  published   the fact of 30 s ago",
        "  left out    7 sockets, 0 applications",
        "  not seen    1 x a network\\x1b namespace (namespace_unreadable)",
    ]


@pytest.mark.parametrize(
    ("boot_id", "now_s", "beginning"),
    [
        ("b1", 1181.0, "The agent is silent: its last word is of 2026-01-01T01:00:00Z"),
        ("b1", 10.0, "The agent is silent"),
        ("b2", 1030.0, "The agent has not written in this boot"),
        (None, 1030.0, "The agent has not written in this boot"),
    ],
)
def test_status_tells_an_old_word(boot_id: str | None, now_s: float, beginning: str) -> None:
    text, fresh = render_status(document(), boot_id=boot_id, now_s=now_s, alive=True, published_s=None)
    assert not fresh
    assert text.startswith(beginning)


def test_status_tells_an_agent_that_does_not_run() -> None:
    text, well = render_status(document(), boot_id="b1", now_s=1030.0, alive=False, published_s=1000.0)
    assert not well
    assert text.startswith("The agent does not run: its last word is of 2026-01-01T01:00:00Z, 30 s ago.\n")


@pytest.mark.parametrize(
    ("published_s", "outputs", "line"),
    [
        (940.0, ["fact"], "  published   the fact of 90 s ago"),
        (900.0, ["fact"], "  published   the fact of 2 min ago, which is 100 s behind what is written"),
        (None, ["fact"], "  published   no fact of this boot that can be read: root's lastack-agent publish does that"),
        (900.0, ["metrics"], None),
    ],
)
def test_status_knows_that_root_publishes(published_s: float | None, outputs: list[str], line: str | None) -> None:
    text, __ = render_status(document(outputs=outputs), boot_id="b1", now_s=1030.0, alive=True, published_s=published_s)
    assert [one for one in text.splitlines() if one.startswith("  published")] == ([] if line is None else [line])


@pytest.mark.parametrize(
    ("started", "words"), [(0, "runs (pid "), (1, "does not run"), (None, "runs (pid "), ("ended", "does not run")]
)
def test_status_asks_for_the_process_itself(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], started: int | str | None, words: str
) -> None:
    """The number may be another process's by now, and one that has ended may still be waited for."""
    process = subprocess.Popen(["sleep", str(LIMIT_S)])
    try:
        ticks = read_start_ticks(process.pid)
        assert ticks is not None
        if started == "ended":
            process.kill()
            os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        places = places_below(str(tmp_path))
        now = {"boot_id": read_boot_id(), "published_boottime_s": boottime() - 20, "pid": process.pid}
        ticks_now = ticks + started if isinstance(started, int) else None
        for path, data in (
            (places.status, document(**now, start_ticks=ticks_now)),
            (places.published, {"boot_id": read_boot_id(), "published_boottime_s": boottime() - 300}),
        ):
            Path(path).parent.mkdir(parents=True)
            Path(path).write_text(json.dumps(data), encoding="utf-8")
        assert run(tmp_path, "status") == int("not" in words)
    finally:
        process.kill()
        process.wait(LIMIT_S)
    text = capsys.readouterr().out
    assert words in text
    assert "behind what is written" in text
    assert run(tmp_path, "status") == 1


@pytest.mark.parametrize(
    ("data", "status", "words"),
    [
        (None, 1, "no agent has run here"),
        ("{", 2, "is no JSON"),
        ("[]", 2, "is of another version"),
        ("{}", 2, "is of another version"),
        (json.dumps(document(close_wait=None)), 2, "is of another version"),
        (json.dumps(document(boot_id=None)), 1, ""),
    ],
)
def test_status_ends_well_only_if_the_agent_is_well(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], data: str | None, status: int, words: str
) -> None:
    if data is not None:
        path = Path(places_below(str(tmp_path)).status)
        path.parent.mkdir(parents=True)
        path.write_text(data, encoding="utf-8")
    assert run(tmp_path, "status") == status
    assert words in capsys.readouterr().err


def test_a_process_that_proc_hides_is_alive_all_the_same(tmp_path: Path) -> None:
    assert is_alive(os.getpid(), 5, proc=str(tmp_path))
    assert not is_alive(2**22 + 1, None, proc=str(tmp_path))
    assert not is_alive(0, None)


def test_check_says_what_is_wrong(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "agent.json"
    path.write_text('{"interval_s": 30}', encoding="utf-8")
    assert command.main(["check", str(path)]) == 0
    path.write_text('{"intervall_s": 30}', encoding="utf-8")
    assert command.main(["check", str(path)]) == 2
    assert capsys.readouterr().err.startswith(f"{path}: intervall_s: there is no such key;")
    assert command.main(["check", str(tmp_path / "nothing")]) == 2


def test_nonsense_on_the_command_line_is_status_2(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in ([], ["walk"], ["check"], ["status", "--nothing"]):
        with pytest.raises(SystemExit) as ended:
            command.main(arguments)
        assert ended.value.code == 2
    assert "lastack-agent" in capsys.readouterr().err


def start(root: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-S", "-B", "-m", "ansible_collections.lastack.linux.agent", "run", "--root", str(root)],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT / "collections")},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def configure(root: Path, **values: object) -> None:
    (root / "etc/lastack").mkdir(parents=True, exist_ok=True)
    (root / "etc/lastack/agent.json").write_text(json.dumps(values), encoding="utf-8")


def test_a_real_agent_runs_reports_and_ends(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    configure(tmp_path, interval_s=0.1, publish_s=0.1, namespaces="host")
    places = places_below(str(tmp_path))
    agent = start(tmp_path)
    try:
        end = time.monotonic() + LIMIT_S
        while not Path(places.status).exists() and time.monotonic() < end and agent.poll() is None:
            time.sleep(0.05)
        assert run(tmp_path, "status") == 0
        assert f"(pid {agent.pid})" in capsys.readouterr().out
        second = start(tmp_path)
        errors = second.communicate(timeout=LIMIT_S)[1]
        assert (second.returncode, errors) == (2, f"<3>Another agent runs with {places.folder}.\n")
        agent.send_signal(signal.SIGTERM)
        assert agent.wait(LIMIT_S) == 0
        assert run(tmp_path, "status") == 1
        assert "The agent does not run: its last word is of " in capsys.readouterr().out
    finally:
        agent.kill()
        agent.communicate()
    assert Path(places.state).exists()


def test_a_real_agent_refuses_a_bad_configuration(tmp_path: Path) -> None:
    configure(tmp_path, interval_s="soon")
    agent = start(tmp_path)
    errors = agent.communicate(timeout=LIMIT_S)[1]
    assert agent.returncode == 2
    assert errors.startswith("<3>")
    assert errors.endswith("agent.json: interval_s: 'soon' is not a number from 0.05 to 3,600.\n")
