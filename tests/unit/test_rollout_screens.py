# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The screens of roll-out and roll-back: made records give the recorded screens, and no host can write beside them."""

from __future__ import annotations

import os
import re
import unicodedata
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.lastack.linux.plugins.plugin_utils.render.rollout import Fleet, rollback_screen, rollout_screen

GOLDEN = Path(__file__).parent / "golden"
FLEET = Fleet(inventory=["inventory.yml"], limit="web*", pattern="")
FOLDER = "lastack-runs/20261123T043000Z-rollout"
OVERFLOWS = "ListenOverflows 0.0 → 14.2 a second since the change (limit 0.1)"


def compare(name: str, screen: str) -> None:
    golden = GOLDEN / f"{name}.txt"
    if os.environ.get("LASTACK_UPDATE_GOLDEN"):
        golden.write_text(screen, encoding="utf-8")
    assert screen == golden.read_text(encoding="utf-8"), "LASTACK_UPDATE_GOLDEN=1 records the new screen"


def document(**more: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON
    """Return the record of a roll-out over 500 hosts whose batches have one, 25, 125 and 349 hosts."""
    names = [f"web-{number}" for number in range(1, 501)]
    hosts = {name: {"status": "passed", "reasons": []} for name in names}
    sizes = [1, 25, 125, 349]
    starts = [0, 1, 26, 151]
    batches = [
        {"number": number + 1, "hosts": names[starts[number] : starts[number] + sizes[number]], "verdict": "passed"}
        for number in range(4)
    ]
    return {"state": "finished", "check": False, "hosts": hosts, "sizes": sizes, "batches": batches, **more}


def stopped(**statuses: str) -> dict[str, Any]:
    """Return a roll-out that web-22 of the second batch has stopped."""
    record = document(state="stopped")
    record["batches"] = record["batches"][:2]
    record["batches"][1].update(verdict="failed", restoring=list(record["batches"][1]["hosts"]))
    for index, entry in enumerate(record["hosts"].values()):
        entry["status"] = "passed" if index < 1 else "restored" if index < 26 else "waiting"
    record["hosts"]["web-22"].update(
        culprit=True,
        reasons=[
            OVERFLOWS,
            OVERFLOWS.replace("Overflows", "Drops"),
            "TCPSynRetrans 0.0 % → 18 % of opens",
            "more",
            "more",
        ],
    )
    for host, status in statuses.items():
        record["hosts"][host.replace("_", "-")]["status"] = status
    return record


def test_finished() -> None:
    compare("rollout_finished", rollout_screen(document(), fleet=FLEET, folder=FOLDER))


def test_finished_with_some_left_out() -> None:
    record = document()
    record["hosts"]["web-7"].update(status="unreachable", reasons=["unreachable (timed out)"])
    record["hosts"]["web-8"].update(status="refused", reasons=["The change would fail: The ledger is corrupt."])
    record["hosts"]["web-9"].update(
        status="unjudged", reasons=["Too little traffic after the change: 3 opens in 120 s."]
    )
    record["hosts"]["web-10"].update(warnings=["SyncookiesSent 0.2 → 0.9 a second since the change (limit 0.4)"])
    record["hosts"]["web-11"]["status"] = "already"
    compare("rollout_partly", rollout_screen(record, fleet=FLEET, folder=FOLDER))


def test_stopped() -> None:
    compare("rollout_stopped", rollout_screen(stopped(), fleet=FLEET, folder=FOLDER))


def test_a_host_that_stays_quiet_is_no_dead_end() -> None:
    record = stopped()
    record["hosts"]["web-22"]["reasons"] = ["Too little traffic after the change: 3 opens in 600 s (needs 30)."]
    assert "tcp_rollout_soak_limit_s" in rollout_screen(record, fleet=FLEET, folder=FOLDER)
    assert "-e tcp_rollout_inconclusive=go_on" in rollout_screen(record, fleet=FLEET, folder=FOLDER)


def test_stopped_and_not_restored() -> None:
    record = stopped(web_22="not_restored")
    record["hosts"]["web-22"]["problem"] = "unreachable (timed out)"
    compare("rollout_not_restored", rollout_screen(record, fleet=FLEET, folder=FOLDER))


def test_stopped_before_the_change() -> None:
    record = stopped(web_22="refused")
    record["batches"][1].update(verdict="refused", restoring=[])
    for name in record["batches"][1]["hosts"]:
        if name != "web-22":
            record["hosts"][name]["status"] = "waiting"
    record["hosts"]["web-22"]["reasons"] = ["The probe failed before the change: Status code was 503"]
    compare("rollout_refused", rollout_screen(record, fleet=FLEET, folder=FOLDER))


def test_check_mode() -> None:
    record = document(state="predicted", check=True, batches=[], soak_s=600.0, soak_limit_s=1800.0)
    for entry in record["hosts"].values():
        entry.update(status="waiting", subjects=["net.ipv4.tcp_keepalive_time", "net.core.somaxconn"])
    record["hosts"]["web-500"]["subjects"] = ["nginx.service"]
    compare("rollout_check", rollout_screen(record, fleet=FLEET, folder=FOLDER))


def test_nothing_to_do() -> None:
    record = document(batches=[], sizes=[])
    for entry in record["hosts"].values():
        entry["status"] = "already"
    screen = rollout_screen(record, fleet=FLEET)
    assert screen.startswith("500 hosts have the baseline; 0 changed\n")
    assert "To undo" not in screen


def test_rolled_back() -> None:
    statuses = {f"web-{number}": "restored" for number in range(1, 500)} | {"web-500": "nothing"}
    compare("rollback_finished", rollback_screen(statuses, {}, check=False, fleet=FLEET))


def test_rolled_back_in_part() -> None:
    statuses = {"web-1": "restored", "web-2": "conflict", "web-3": "unreachable", "web-4": "failed", "web-5": "nothing"}
    problems = {
        "web-2": "net.core.somaxconn was changed to '99' by somebody else since; it was left as it is.",
        "web-3": "unreachable (timed out)",
        "web-4": "The ledger /var/lib/lastack/ledger.json is corrupt; it was kept as it is.",
    }
    fleet = Fleet(inventory=["one.yml", "my hosts"], pattern="web")
    compare("rollback_partly", rollback_screen(statuses, problems, check=False, fleet=fleet))


def test_roll_back_in_check_mode() -> None:
    screen = rollback_screen({"a": "restored", "b": "nothing"}, {}, check=True)
    assert screen.splitlines() == [
        "check mode: nothing was changed; a run would roll back 1 host",
        "  would be rolled back    1  a",
        "  nothing to roll back    1  b",
    ]


@pytest.mark.parametrize(("limit", "pattern"), [("web*", ""), ("", "web,!web-3"), ("", "")])
def test_a_command_selects_the_same_hosts(limit: str, pattern: str) -> None:
    screen = " ".join(rollout_screen(document(), fleet=Fleet(["i"], limit, pattern)).split())
    assert ("--limit 'web*'" in screen) is bool(limit)
    assert ("-e 'tcp_rollback_hosts=web,!web-3'" in screen) is bool(pattern)


@pytest.mark.parametrize("evil", ["\x1b[2J", "\n\nSTOPPED\n", "\u202e", "x" * 500])
def test_no_host_writes_beside_its_own_words(evil: str) -> None:
    record = stopped()
    entry = record["hosts"].pop("web-22")
    entry["reasons"] = [evil, evil]
    record["hosts"][evil] = entry | {"status": "not_restored", "problem": evil, "warnings": [evil], "subjects": [evil]}
    for names in (record["batches"][1]["hosts"], record["batches"][1]["restoring"]):
        names[names.index("web-22")] = evil
    screens = [
        rollout_screen(record, fleet=Fleet([evil], evil, evil), folder=evil),
        rollout_screen({**record, "check": True, "soak_s": 1.0, "soak_limit_s": 1.0}),
        rollback_screen({evil: "failed", "b": "restored"}, {evil: evil}, check=False),
    ]
    for screen in screens:
        assert {character for character in screen if unicodedata.category(character) in ("Cc", "Cf")} <= {"\n"}
        assert not re.search(r"^STOPPED", screen, re.MULTILINE)
