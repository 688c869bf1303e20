# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The example playbook that posts tickets: a real audit, a real HTTP server; one ticket however often it runs."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from leaky_client import LEAKED
from ssh_fleet import HERE, ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator

    from conftest import Lab

pytestmark = pytest.mark.needs_root

TOKEN = "s3cret-t0ken"


class Tracker:
    """A tracker on the controller, and the playbook that posts to it."""

    def __init__(self, lab: Lab, folder: Path, port: int) -> None:
        self.lab = lab
        self.folder = folder
        self.port = port

    def calls(self) -> list[dict[str, Any]]:
        path = self.folder / "calls.jsonl"
        lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
        path.unlink(missing_ok=True)
        return [json.loads(line) for line in lines]

    def play(self, *arguments: str, token: str = TOKEN, **variables: object) -> subprocess.CompletedProcess[str]:
        given = {
            "tickets_url": f"http://127.0.0.1:{self.port}/issues",
            "tickets_work": str(self.folder / "work"),
            "tickets_lastack": str(Path(sys.executable).parent / "lastack"),
            "tcp_audit_hosts": "good",
            "tcp_audit_min_age_s": 0,
            "tcp_audit_screen": False,
            **variables,
        }
        playbook = ROOT / "docs" / "examples" / "tickets.yml"
        return self.lab.playbook(str(playbook), "-e", json.dumps(given), *arguments, "-vvv", TICKETS_TOKEN=token)


@pytest.fixture
def tracker(lab: Lab, tmp_path: Path) -> Iterator[Tracker]:
    command = lab.fleet.command("python", str(HERE / "tracker.py"), str(tmp_path / "calls.jsonl"), TOKEN)
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        port = int(process.stdout.readline().removeprefix("port "))
        yield Tracker(lab, tmp_path, port)
    finally:
        process.communicate("", timeout=10)


def test_a_second_run_updates_and_opens_no_second_ticket(tracker: Tracker) -> None:
    first = tracker.play()
    assert first.returncode == 0, first.stdout[-3000:]
    search, post = tracker.calls()
    assert (search["method"], post["method"], post["path"]) == ("GET", "POST", "/issues")
    index = json.loads((tracker.folder / "work" / "tickets" / "tickets.json").read_text(encoding="utf-8"))
    (entry,) = index["tickets"]
    assert (entry["app"], entry["sockets"]) == ("leaky_client.py", LEAKED)
    assert search["path"] == f"/issues?search={entry['id']}"
    text = (tracker.folder / "work" / "tickets" / entry["file"]).read_text(encoding="utf-8")
    assert post["body"] == {"title": entry["title"], "body": text}
    # The host's inventory name stands in the ticket, and nothing of it acts there.
    assert "| `../../x` |" in text

    second = tracker.play()
    assert second.returncode == 0, second.stdout[-3000:]
    search, patch = tracker.calls()
    assert (search["method"], patch["method"], patch["path"]) == ("GET", "PATCH", "/issues/1")
    assert patch["body"]["body"] != text
    assert entry["id"] in patch["body"]["body"]
    for done in (first, second):
        assert TOKEN not in done.stdout


def test_check_mode_posts_nothing(tracker: Tracker) -> None:
    done = tracker.play("--check")
    assert done.returncode == 0, done.stdout[-3000:]
    assert tracker.calls() == []
    assert list((tracker.folder / "work" / "tickets").glob("leaky_client.py-lastack-*.md"))


def test_a_tracker_that_refuses_is_said_without_the_token(tracker: Tracker) -> None:
    done = tracker.play(token="wrong-t0ken")
    assert done.returncode == 2
    assert "No list came back for lastack-" in done.stdout
    assert "wrong-t0ken" not in done.stdout
    assert [call["method"] for call in tracker.calls()] == ["GET"]
    gone = tracker.play(tickets_url="http://127.0.0.1:1/issues")
    assert gone.returncode == 2
    assert "No list came back for lastack-" in gone.stdout


@pytest.mark.parametrize("variables", [{"tickets_url": "tracker.example"}, {"tickets_token": ""}])
def test_without_a_tracker_no_host_is_asked(tracker: Tracker, variables: dict[str, object]) -> None:
    done = tracker.play(token="", **variables)
    assert done.returncode == 2
    assert "Look at the host" not in done.stdout
    assert tracker.calls() == []
