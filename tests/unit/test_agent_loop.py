# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The loop: what it writes when, what it survives, how signals reach it. The host is made up, time passes for real."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest
from ansible_collections.lastack.linux.agent import loop as loop_module
from ansible_collections.lastack.linux.agent import publication as publication_module
from ansible_collections.lastack.linux.agent.configuration import ConfigurationError
from ansible_collections.lastack.linux.agent.journal import Journal
from ansible_collections.lastack.linux.agent.loop import AlreadyRunning, Loop, boottime, read_boot_id
from ansible_collections.lastack.linux.agent.places import Places, places_below
from ansible_collections.lastack.linux.agent.records import AppKey, AppLook, Member, Pass
from ansible_collections.lastack.linux.agent.service_notify import ServiceNotifier
from ansible_collections.lastack.linux.agent.state import load_state
from ansible_collections.lastack.linux.agent.watch import Dropped
from ansible_collections.lastack.linux.plugins.module_utils.observe.namespaces import StrandedInNamespace

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

LIMIT_S = 30
KEY = AppKey("web.service", "unit", "host")
FAST: dict[str, Any] = {"interval_s": 0.05, "publish_s": 0.05, "cpu_budget_percent": 100}


class Host:
    """Stands in for ``Look``: each pass runs the next step of a script, then ends the agent."""

    def __init__(self, *steps: Callable[[], int]) -> None:
        self.steps = list(steps)
        self.options: list[Any] = []
        self.remembered: dict[Any, float] = {}

    def __call__(self, options: object) -> Host:
        self.options.append(options)
        return self

    def remember(self, first_seen_s: dict[Any, float]) -> None:
        """Know what the process before knew."""
        self.remembered = first_seen_s

    def set_options(self, options: object) -> None:
        self.options.append(options)

    def is_wanted(self, key: AppKey) -> bool:
        return key == KEY

    def look(self) -> Pass:
        if not self.steps:
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(LIMIT_S)
            pytest.fail("SIGTERM did not end the look")
        count = self.steps.pop(0)()
        # Fewer than none: sockets that are not placed yet.
        unplaced = frozenset((1, cookie) for cookie in range(1, 1 - count))
        members = {(1, cookie): Member("eof_read", 100.0, 200.0, cookie) for cookie in range(1, count + 1)}
        applications = (
            {KEY: AppLook(members, None, {"count": count, "causes": {"eof_read": count}})} if count > 0 else {}
        )
        return Pass(boottime(), applications, frozenset({1}), (), abs(count), unplaced)


def say(_priority: int, message: str, _fields: object = None) -> None:
    SAID.append(message)


SAID: list[str] = []


class Heard(Journal):
    """A journal that keeps what it was told."""

    def __init__(self) -> None:
        super().__init__("/nowhere")
        SAID.clear()

    say = staticmethod(say)  # type: ignore[assignment]


@pytest.fixture
def places(tmp_path: Path) -> Places:
    (tmp_path / "etc/lastack").mkdir(parents=True)
    configure(tmp_path)
    return places_below(str(tmp_path))


def configure(root: Path, **more: object) -> None:
    (root / "etc/lastack/agent.json").write_text(json.dumps({**FAST, **more}), encoding="utf-8")


def run(places: Places, monkeypatch: pytest.MonkeyPatch, *steps: Callable[[], int]) -> tuple[int, Host]:
    host = Host(*steps)
    monkeypatch.setattr(loop_module, "Look", host)
    return Loop(places, journal=Heard(), notifier=ServiceNotifier()).run(), host


def read(path: str) -> Any:  # noqa: ANN401 - any JSON
    with open(path, encoding="utf-8") as file:  # noqa: PTH123 - the agent's paths are text
        return json.load(file)


def test_a_pass_leaves_four_files(places: Places, monkeypatch: pytest.MonkeyPatch) -> None:
    status, __ = run(places, monkeypatch, lambda: 5)
    assert status == 0
    names = {name: os.stat(f"{places.folder}/{name}").st_mode & 0o777 for name in os.listdir(places.folder)}  # noqa: PTH116, PTH208 - the agent's paths are text
    assert names == {"fact.json": 0o644, "metrics.prom": 0o644, "status.json": 0o644, "state.json": 0o600}
    fact = read(places.fact)
    assert fact["schema"] == "lastack.local/1"
    assert [one["app"] for one in fact["offenders"]] == ["web.service"]
    document = read(places.status)
    assert (document["pid"], document["passes"], document["close_wait"]["total"]) == (os.getpid(), 1, 5)
    assert document["boot_id"] == read_boot_id()
    assert any("web.service: watching" in line for line in SAID)


def test_outputs_that_are_off_leave_no_old_word(
    places: Places, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(places, monkeypatch, lambda: 5)
    configure(tmp_path, outputs={"fact": False, "metrics": False, "journal": False})
    run(places, monkeypatch, lambda: 5)
    assert sorted(os.listdir(places.folder)) == ["state.json", "status.json"]  # noqa: PTH208 - the names alone
    assert SAID == []


def test_the_watch_goes_on_after_a_restart(places: Places, monkeypatch: pytest.MonkeyPatch) -> None:
    run(places, monkeypatch, *[lambda: 5] * 3)
    first = read(places.status)["watching_since"], read(places.fact)["offenders"][0]["trend"]["first_seen"]
    found = load_state(places.state, boot_id=read_boot_id(), now_s=boottime())
    assert found is not None
    time.sleep(1.1)
    run(places, monkeypatch, lambda: 5)
    again = read(places.status)["watching_since"], read(places.fact)["offenders"][0]["trend"]["first_seen"]
    assert again == first


def test_a_restart_says_nothing_before_it_knows_whose_the_sockets_are(
    places: Places, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The fact of the process before stays, for two looks at most."""
    run(places, monkeypatch, *[lambda: 5] * 3)
    before = read(places.fact)
    looks: list[Any] = []

    def unplaced() -> int:
        looks.append(read(places.fact))
        return -5

    __, host = run(places, monkeypatch, unplaced, unplaced, lambda: 5)
    assert looks == [before, before]
    (entry,) = read(places.fact)["offenders"]
    assert entry["trend"]["first_seen"] == before["offenders"][0]["trend"]["first_seen"]
    assert entry["trend"]["departures"] == 0
    assert not any("web.service" in line for line in SAID), SAID
    assert set(host.remembered) == {(1, cookie) for cookie in range(1, 6)}
    run(places, monkeypatch, *[lambda: -5] * 3)
    assert read(places.fact)["offenders"] == []
    assert read(places.status)["passes"] == 3


def test_what_is_excluded_since_the_restart_is_not_called_gone(
    places: Places, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(places, monkeypatch, lambda: 5)
    configure(tmp_path, exclude=["web*"])
    monkeypatch.setattr(Host, "is_wanted", lambda _self, key: key != KEY)
    run(places, monkeypatch, lambda: 0)
    assert read(places.fact)["offenders"] == []
    assert not any("burst" in line for line in SAID)


@pytest.mark.parametrize("data", [b"{", b'{"schema": "lastack.agent-state/1", "boot_id": "%s", "watch": {"x": []}}'])
def test_a_broken_state_is_said_and_left_behind(places: Places, monkeypatch: pytest.MonkeyPatch, data: bytes) -> None:
    os.makedirs(places.folder)  # noqa: PTH103 - the agent's paths are text
    with open(places.state, "wb") as file:  # noqa: PTH123 - the same
        file.write(data.replace(b"%s", (read_boot_id() or "").encode()))
    assert run(places, monkeypatch, lambda: 5)[0] == 0
    assert SAID[0].startswith("The watch starts anew, what it remembered is of no use: ")
    assert load_state(places.state, boot_id=read_boot_id(), now_s=boottime()) is not None


def test_a_look_that_fails_is_said_once_and_the_next_one_is_made(
    places: Places, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> int:
        raise ValueError("something odd\nin /proc")

    status, __ = run(places, monkeypatch, fail, fail, fail, lambda: 5)
    assert status == 0
    assert [line for line in SAID if "look" in line] == [
        "A look at the host failed: ValueError: something odd\\x0ain /proc.",
        "This is over: look failed.",
    ]
    assert read(places.status)["passes"] == 1


def test_stranded_in_a_namespace_it_ends_to_be_started_anew(places: Places, monkeypatch: pytest.MonkeyPatch) -> None:
    def strand() -> int:
        raise StrandedInNamespace("no way back")

    assert run(places, monkeypatch, lambda: 5, strand)[0] == 1
    assert "no way back" in SAID[-1]


def test_a_full_disk_is_said_once_and_when_it_is_over(places: Places, monkeypatch: pytest.MonkeyPatch) -> None:
    write = publication_module.write_whole

    def full(*__: object) -> None:
        raise OSError(28, "No space left on device")

    def fill() -> int:
        monkeypatch.setattr(publication_module, "write_whole", full)
        return 5

    def free() -> int:
        monkeypatch.setattr(publication_module, "write_whole", write)
        return 5

    def wait() -> int:
        return 5

    run(places, monkeypatch, fill, wait, wait, free, wait)
    told = [line for line in SAID if "fact" in line]
    assert told == ["The fact cannot be written: No space left on device.", "This is over: fact unwritten."]
    assert read(places.fact)["close_wait"]["total"] == 5


def test_an_output_that_cannot_be_made_does_not_stop_the_others(
    places: Places, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*__: object, **___: object) -> bytes:
        raise KeyError("offender")

    monkeypatch.setattr(publication_module, "build_metrics", broken)
    run(places, monkeypatch, *[lambda: 5] * 3)
    assert SAID.count("The metrics cannot be made: KeyError.") == 1
    assert [one["code"] for one in read(places.fact)["completeness"]["warnings"]] == ["metrics_unwritten"]


def test_sighup_reads_the_configuration_again(places: Places, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def wait() -> int:
        time.sleep(1.1)
        return 5

    def change() -> int:
        before.append(read(places.fact)["offenders"][0]["trend"]["first_seen"])
        configure(tmp_path, exclude=["ssh*"], thresholds={"leak_passes": 12})
        os.kill(os.getpid(), signal.SIGHUP)
        return 5

    before: list[str] = []
    __, host = run(places, monkeypatch, lambda: 5, wait, change, lambda: 5)
    assert [options.exclude for options in host.options] == [(), ("ssh*",)]
    assert "The configuration was read again." in SAID
    assert [read(places.fact)["offenders"][0]["trend"]["first_seen"]] == before


def test_a_configuration_that_is_gone_is_said(places: Places, monkeypatch: pytest.MonkeyPatch) -> None:
    def remove() -> int:
        os.unlink(places.configuration)  # noqa: PTH108 - the agent's paths are text
        os.kill(os.getpid(), signal.SIGHUP)
        return 5

    def end() -> int:
        # The defaults rest for long.
        threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGTERM)).start()
        return 5

    __, host = run(places, monkeypatch, remove, end)
    assert f"There is no {places.configuration} any more: the defaults hold." in SAID
    assert "The configuration was read again." not in SAID
    assert len(host.options) == 2


def test_what_is_not_looked_at_any_more_is_not_called_gone(
    places: Places, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def exclude() -> int:
        configure(tmp_path, exclude=["web*"])
        os.kill(os.getpid(), signal.SIGHUP)
        return 5

    def nothing() -> int:
        return 0

    monkeypatch.setattr(Host, "is_wanted", lambda _self, key: key != KEY)
    run(places, monkeypatch, lambda: 5, exclude, nothing, nothing)
    assert read(places.fact)["offenders"] == []
    assert not any("burst" in line for line in SAID)


def test_a_bad_configuration_keeps_the_old_one_and_says_so(
    places: Places, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def spoil() -> int:
        configure(tmp_path, interval_s="soon")
        os.kill(os.getpid(), signal.SIGHUP)
        return 5

    __, host = run(places, monkeypatch, spoil, lambda: 5, lambda: 5)
    assert len(host.options) == 1
    assert any("the old configuration stays" in line.lower() and "interval_s: 'soon'" in line for line in SAID)
    assert read(places.status)["unseen"][0]["code"] == "configuration_refused"


def test_a_bad_configuration_at_the_start_is_an_error(
    places: Places, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    configure(tmp_path, interval_s="soon")
    with pytest.raises(ConfigurationError):
        run(places, monkeypatch)


def test_sigterm_ends_a_rest_at_once(places: Places, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    configure(tmp_path, interval_s=3600, publish_s=3600)

    def soon() -> int:
        threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGTERM)).start()
        return 5

    status, host = run(places, monkeypatch, soon, lambda: pytest.fail("it did not end"))
    assert status == 0
    assert len(host.steps) == 1
    assert load_state(places.state, boot_id=read_boot_id(), now_s=boottime()) is not None


def test_handlers_are_given_back(places: Places, monkeypatch: pytest.MonkeyPatch) -> None:
    before = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)]
    run(places, monkeypatch, lambda: 5)
    assert [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)] == before


def test_two_agents_do_not_share_a_folder(places: Places, monkeypatch: pytest.MonkeyPatch) -> None:
    def second() -> int:
        with pytest.raises(AlreadyRunning, match="Another agent runs"):
            Loop(places, journal=Heard(), notifier=ServiceNotifier()).run()
        return 5

    assert run(places, monkeypatch, second)[0] == 0


def test_nothing_changed_means_no_publication_before_its_time(
    places: Places, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    configure(tmp_path, publish_s=3600)
    published: list[float] = []
    publish = publication_module.Publication.publish

    def counted(self: publication_module.Publication, *arguments: Any) -> None:  # noqa: ANN401 - handed through
        published.append(boottime())
        publish(self, *arguments)

    monkeypatch.setattr(publication_module.Publication, "publish", counted)
    run(places, monkeypatch, *[lambda: 5] * 5)
    assert len(published) == 1


def test_dropped_sums_only_grow(places: Places) -> None:
    publication = publication_module.Publication(
        places,
        loop_module.read_configuration(places.configuration),
        boot_id=None,
        started_s=0,
        watching_since_s=0,
        say=say,
    )
    publication.note_pass(Dropped(3, 1))
    publication.note_pass(Dropped(2, 0))
    status = publication._status(loop_module.CpuBudget(1, 100))
    assert (status.dropped_sockets, status.dropped_applications, status.passes) == (5, 1, 2)
