# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``lastack report --tickets``: which applications get one, where the files go, and what a second run changes."""

from __future__ import annotations

import json
import shutil
import tracemalloc
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from ansible_collections.lastack.linux.plugins.plugin_utils import tickets
from ansible_collections.lastack.linux.plugins.plugin_utils.cli.main import main
from ansible_collections.lastack.linux.plugins.plugin_utils.json_schema import KEYWORDS, load_schema, schema_problems
from ansible_collections.lastack.linux.plugins.plugin_utils.render.text_tickets import render_tickets
from ansible_collections.lastack.linux.plugins.plugin_utils.render.ticket import render_ticket
from ansible_collections.lastack.linux.plugins.plugin_utils.ticket_problems import problems_of
from ansible_collections.lastack.linux.plugins.plugin_utils.tickets import (
    INDEX,
    TICKETS_SCHEMA,
    TicketsMerge,
    ticket_id,
)
from hypothesis import given
from jsonschema import Draft202012Validator
from sample_reports import HOSTILE, sample
from test_inert_markdown import nasty
from ticket_samples import evidence_of, fleet_of, hinted, store_run

if TYPE_CHECKING:
    from collections.abc import Mapping

HOSTS = {"meant": 1, "audited": 1, "incomplete": 0}
APPS = ["checkout-api", "gateway", "ledger-sync.service", "billing-worker", "nginx"]


def run_of(folder: Path, **hosts: str) -> str:
    return store_run(folder, {host: sample(name) for host, name in hosts.items()})


def index_of(folder: Path) -> dict[str, Any]:
    index: dict[str, Any] = json.loads((folder / INDEX).read_text(encoding="utf-8"))
    Draft202012Validator(load_schema(TICKETS_SCHEMA)).validate(index)
    assert schema_problems(index, load_schema(TICKETS_SCHEMA)) == []
    return index


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.name != ".lock"}


def write(run: str, folder: Path) -> int:
    return main(["report", run, "--tickets", str(folder)])


def test_each_application_that_has_to_change_gets_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run, folder = run_of(tmp_path / "run", web1="sick", web2="healthy", web3="partial"), tmp_path / "new" / "tickets"
    assert write(run, folder) == 0
    index = index_of(folder)
    assert sorted(entry["app"] for entry in index["tickets"]) == sorted(APPS)
    assert sorted(content(folder)) == sorted([INDEX, *(entry["file"] for entry in index["tickets"])])
    assert index["unnamed"] == [{"finding": "ports.near_exhaustion", "hosts": 2}]
    # What only a kernel setting or a limit mends is nobody's ticket.
    assert {entry["remedy"] for entry in index["tickets"]} == {"app"}
    first = next(entry for entry in index["tickets"] if entry["app"] == "checkout-api")
    assert (first["hosts"], first["sockets"], first["finding"]) == (2, 4_408, "close_wait.unread_body")
    assert first["first_seen"] == "2026-11-23T01:30:11Z"
    assert first["causes"][1] == {"finding": "close_wait.leak", "hosts": 2, "count": 12}
    for entry in index["tickets"]:
        text = (folder / entry["file"]).read_text(encoding="utf-8")
        assert f"Ticket `{entry['id']}`, severity {entry['severity']}" in text
    shown = capsys.readouterr().out.splitlines()
    for entry, line in zip(index["tickets"], shown, strict=False):
        assert line.startswith(f"{entry['id']}  {entry['app']} ")
        assert line.endswith(f"{folder}/{entry['file']}")
        assert "2 hosts" in line
    assert shown[5] == f"5 tickets. Index: {folder}/tickets.json"
    assert shown[6] == "Seen in part: 1 host; each ticket says what is missing"
    assert shown[7] == "No ticket, because no program is named: ports.near_exhaustion on 2 hosts"


def test_a_second_time_changes_no_byte_and_touches_no_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run, folder = run_of(tmp_path / "run", web1="sick", web2="growing"), tmp_path / "tickets"
    assert write(run, folder) == 0
    before, places = content(folder), {path.name: path.stat().st_ino for path in folder.iterdir()}
    capsys.readouterr()
    assert write(run, folder) == 0
    assert content(folder) == before
    assert {path.name: path.stat().st_ino for path in folder.iterdir()} == places
    assert "5 tickets (unchanged)." in capsys.readouterr().out
    elsewhere = tmp_path / "elsewhere"
    assert write(run, elsewhere) == 0
    assert content(elsewhere) == before


def test_ids_are_the_same_over_runs_hosts_and_causes(tmp_path: Path) -> None:
    other = sample("sick")
    other["close_wait"]["offenders"] = [other["close_wait"]["offenders"][0]]
    # One and the same program: in a container there, a listener while nothing else leaks, and under another pid.
    other["close_wait"]["offenders"][0] |= {"kind": "container", "causes": {"unaccepted": 4}, "count": 4, "pids": [7]}
    assert write(run_of(tmp_path / "one", web1="sick"), tmp_path / "first") == 0
    assert write(store_run(tmp_path / "two", {"db": other}), tmp_path / "second") == 0
    ids = [
        {entry["app"]: entry["id"] for entry in index_of(tmp_path / name)["tickets"]} for name in ("first", "second")
    ]
    assert ids[0]["checkout-api"] == ids[1]["checkout-api"] == "lastack-7f446a9a8012"
    assert len(set(ids[0].values())) == len(APPS)


def test_what_has_gone_is_said_and_its_file_is_kept(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "tickets"
    assert write(run_of(tmp_path / "sick", web1="sick"), folder) == 0
    (folder / "notes.md").write_text("mine", encoding="utf-8")
    files = {entry["app"]: entry["file"] for entry in index_of(folder)["tickets"]}
    (folder / files["nginx"]).unlink()
    well = run_of(tmp_path / "well", web1="healthy")
    capsys.readouterr()
    for __ in range(2):
        assert write(well, folder) == 0
        index = index_of(folder)
        assert index["tickets"] == []
        # A ticket whose file somebody has removed is no longer there, and what is not ours is not ours to name.
        assert {entry["app"] for entry in index["gone"]} == set(APPS) - {"nginx"}
        assert (folder / "notes.md").read_text(encoding="utf-8") == "mine"
        assert all((folder / entry["file"]).is_file() for entry in index["gone"])
        shown = capsys.readouterr().out
        assert "No ticket: no application has to change anything (1 host looked at)." in shown
        assert "No longer seen, files kept: lastack-" in shown
    assert write(run_of(tmp_path / "again", web1="sick"), folder) == 0
    assert index_of(folder)["gone"] == []


def test_a_changed_ticket_alone_is_written_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run, folder = run_of(tmp_path / "run", web1="sick"), tmp_path / "tickets"
    assert write(run, folder) == 0
    (spoilt,) = folder.glob("nginx-*")
    right = spoilt.read_bytes()
    spoilt.write_text("edited", encoding="utf-8")
    capsys.readouterr()
    assert write(run, folder) == 0
    assert spoilt.read_bytes() == right
    assert "5 tickets, 4 unchanged." in capsys.readouterr().out


@pytest.mark.parametrize("kind", ["link", "dangling link", "file", "device", "below a file"])
def test_what_is_no_folder_is_refused(kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run, place = run_of(tmp_path / "run", web1="sick"), tmp_path / "tickets"
    (tmp_path / "other").mkdir()
    if kind.endswith("link"):
        place.symlink_to(tmp_path / ("other" if kind == "link" else "nowhere"))
    elif kind == "device":
        place = Path("/dev/null")
    else:
        place.write_text("precious", encoding="utf-8")
    assert write(run, place / "deeper" if kind == "below a file" else place) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.startswith("lastack: ")
    assert shown.err.count("\n") == 1
    assert str(place) in shown.err
    assert list((tmp_path / "other").iterdir()) == []
    assert not (tmp_path / "nowhere").exists()
    if kind in ("file", "below a file"):
        assert place.read_text(encoding="utf-8") == "precious"


@pytest.mark.parametrize("name", ["run", "run/hosts", ""])
def test_the_run_s_own_folders_are_refused(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = run_of(tmp_path / "run", web1="sick")
    before = sorted(tmp_path.rglob("*.md"))
    assert main(["report", run, "--tickets", str(tmp_path / name) if name else ""]) == 2
    assert "choose a folder of its own" in capsys.readouterr().err or not name
    assert sorted(tmp_path.rglob("*.md")) == before
    assert write(run, tmp_path / "run" / "tickets") == 0


@pytest.mark.parametrize("text", ["{", "[]", '{"schema": "lastack.tickets/9"}', '{"tickets": "mine"}'])
def test_an_index_of_somebody_else_is_left_alone(text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run, folder = run_of(tmp_path / "run", web1="sick"), tmp_path / "tickets"
    folder.mkdir()
    (folder / INDEX).write_text(text, encoding="utf-8")
    assert write(run, folder) == 2
    assert "is not an index of tickets" in capsys.readouterr().err
    assert content(folder) == {INDEX: text.encode()}


def test_an_index_with_paths_outside_is_refused(tmp_path: Path) -> None:
    run, folder = run_of(tmp_path / "run", web1="sick"), tmp_path / "tickets"
    assert write(run, folder) == 0
    index = index_of(folder)
    index["gone"] = [{"id": "lastack-000000000000", "app": "x", "file": "../../etc/x-lastack-000000000000.md"}]
    (folder / INDEX).write_text(json.dumps(index), encoding="utf-8")
    assert write(run, folder) == 2


def test_a_link_in_the_place_of_a_ticket_is_replaced_not_followed(tmp_path: Path) -> None:
    run, folder = run_of(tmp_path / "run", web1="sick"), tmp_path / "tickets"
    assert write(run, folder) == 0
    (ticket,) = folder.glob("nginx-*")
    right = ticket.read_bytes()
    ticket.unlink()
    (tmp_path / "precious").write_bytes(right)
    ticket.symlink_to(tmp_path / "precious")
    assert write(run, folder) == 0
    assert not ticket.is_symlink()
    assert ticket.read_bytes() == right


def test_a_folder_that_cannot_be_written_is_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run, folder = run_of(tmp_path / "run", web1="sick"), tmp_path / "tickets"
    assert write(run, folder) == 0
    (ticket,) = folder.glob("nginx-*")
    ticket.unlink()
    (ticket / "x").mkdir(parents=True)
    capsys.readouterr()
    assert write(run, folder) == 2
    shown = capsys.readouterr().err
    assert shown.startswith(f"lastack: Cannot write the tickets to {folder}: ")
    assert shown.count("\n") == 1


@pytest.mark.parametrize("name", ["absent", "empty"])
def test_a_run_that_is_none_is_refused(name: str, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert write(str(tmp_path / name), tmp_path / "tickets") == 2
    assert not (tmp_path / "tickets").exists()


def test_json_is_the_index_and_the_exit_status_is_the_report_s(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, folder = run_of(tmp_path / "run", web1="sick"), tmp_path / "tickets"
    assert main(["report", run, "--tickets", str(folder), "--json", "--fail-on", "critical"]) == 1
    assert json.loads(capsys.readouterr().out) == index_of(folder)


def test_hostile_names_stay_in_the_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    report = sample("sick")
    names = [
        "../../../escape",
        "/etc/passwd",
        ".hidden",
        "con",
        "tickets.json",
        "a\nb",
        "x" * 256,
        "Web",
        "web",
        "",
        HOSTILE,
    ]
    offender = report["close_wait"]["offenders"][0]
    report["close_wait"]["offenders"] += [{**offender, "app": name} for name in names]
    run, folder = store_run(tmp_path / "run", {"web1": report}), tmp_path / "in" / "tickets"
    assert write(run, folder) == 0
    index = index_of(folder)
    files = [entry["file"] for entry in index["tickets"]]
    assert len(files) == len(set(files)) == len(names) + len(APPS)
    assert sorted(path.name for path in folder.iterdir()) == sorted([*files, INDEX, ".lock"])
    assert [path.name for path in (tmp_path / "in").iterdir()] == ["tickets"]
    assert all(len(file) < 200 for file in files)
    shown = capsys.readouterr().out
    assert shown.count("\n") == len(files) + 2
    assert all(character.isprintable() or character == "\n" for character in shown)


@given(nasty)
def test_an_index_of_any_name_is_valid_and_stays_inside(name: str) -> None:
    report = sample("sick")
    report["close_wait"]["offenders"][0]["app"] = name[:256]
    for one in evidence_of({"web1": report}):
        entry = tickets._entry(one)
        file = load_schema(TICKETS_SCHEMA)["properties"]["tickets"]["items"]
        assert schema_problems(entry, {**file, "$defs": load_schema(TICKETS_SCHEMA)["$defs"]}) == []
        assert Path(entry["file"]).name == entry["file"]
    shown = render_tickets(
        {"tickets": [], "gone": [], "unnamed": [], "tickets_truncated": 3, "hosts": HOSTS}, 0, folder="x", colour=True
    )
    assert "3 further applications" in shown


def test_the_checker_knows_every_keyword_of_the_schema() -> None:
    def keywords(node: object) -> set[str]:
        if isinstance(node, dict):
            own = {key for key in node if not isinstance(node.get("properties"), dict) or key != "properties"}
            inner = [
                value
                for key, value in node.items()
                for value in (value.values() if key in ("properties", "$defs") else [value])
            ]
            return own | set().union(*(keywords(value) for value in inner), set())
        return set().union(*(keywords(value) for value in node), set()) if isinstance(node, list) else set()

    assert keywords(load_schema(TICKETS_SCHEMA)) <= KEYWORDS


@pytest.mark.parametrize(
    ("finding", "subject", "app"),
    [
        ({"id": "listen.overflow"}, "gateway :8443 in gateway", "gateway"),
        ({"id": "listen.overflow"}, "gateway :8444 in gateway", None),
        ({"id": "listen.overflow"}, "host", None),
        ({"id": "time_wait.closed_here"}, ":8080", "nginx"),
        ({"id": "time_wait.closed_here"}, ":8081", None),
        ({"id": "syn.cookies_sent"}, "host", None),
        ({"id": "memory.pressure"}, "TCP memory", None),
    ],
)
def test_a_finding_belongs_to_whom_the_report_names(finding: dict[str, Any], subject: str, app: str | None) -> None:
    report = sample("sick")
    report["close_wait"]["offenders"], report["dead_sockets"]["offenders"] = [], []
    rest = {"severity": "warning", "remedy": "app", "summary": "", "evidence": {}, "next_step": "", "subject": subject}
    report["findings"] = [{**rest, **finding}]
    problems, unnamed = problems_of(report)
    assert [problem.key[0] for problem in problems] == ([app] if app else [])
    assert unnamed == ([] if app else [finding["id"]])


def test_a_host_cannot_make_a_kernel_finding_an_application_s() -> None:
    report = sample("healthy")
    finding = {"severity": "critical", "remedy": "app", "summary": "", "evidence": {}, "next_step": "", "subject": "x"}
    report["findings"] = [{**finding, "id": "sysctl.drift"}, {**finding, "id": "made.up"}]
    assert problems_of(report) == ([], [])


def many(hosts: int, report: Mapping[str, Any]) -> TicketsMerge:
    """As many hosts, each of which names another user, unit, program, peer and library."""
    merge = TicketsMerge(set())
    (first, *__) = report["close_wait"]["offenders"]
    for number in range(hosts):
        library = {"name": f"library {number}", "version": None, "seen": "jar", "page": None}
        offender = {
            **first,
            "exe": f"/srv/{number}/bin",
            "user": f"user{number}",
            "unit": f"unit-{number}.service",
            "peers": [{"address": f"10.0.{number // 250}.{number % 250}", "port": 80, "count": 1}],
            "hints": {**first["hints"], "libraries": [library]},
        }
        merge.add(f"web-{number:05}", {**report, "close_wait": {**report["close_wait"], "offenders": [offender]}})
    return merge


def test_two_thousand_hosts_are_counted_and_the_worst_named() -> None:
    report = hinted()
    tracemalloc.start()
    try:
        few = many(200, report)
        held = tracemalloc.get_traced_memory()[0]
        merge = many(2_000, report)
        more = tracemalloc.get_traced_memory()[0] - held
    finally:
        tracemalloc.stop()
    # Ten times as many hosts, all of them different, take the same room.
    assert more < 1.5 * held
    assert [one.hosts for one in few.ranked()][:1] == [200]
    (one,) = (one for one in merge.ranked() if one.app == "checkout-api")
    assert (one.hosts, one.sockets) == (2_000, 2_000 * 2_204)
    text = render_ticket(ticket_id(one.key), one, fleet_of({"web-00000": report}))
    named = [line for line in text.splitlines() if line.startswith("| `web-")]
    assert len(named) == 20
    assert "And 1,980 more hosts, not as bad as these." in text
    assert len(text) < 40_000


def test_a_forged_report_cannot_name_applications_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tickets, "_APPS_TRACKED", 30)
    monkeypatch.setattr(tickets, "_APPS_OF_HOST", 20)
    forged, real = sample("sick"), sample("sick")
    offender = forged["close_wait"]["offenders"][0]
    forged["close_wait"]["offenders"] = [{**offender, "app": f"forged-{number}"} for number in range(1_000)]
    merge = TicketsMerge({"checkout-api"})
    for number in range(3):
        for one in forged["close_wait"]["offenders"]:
            one["app"] += f"-{number}"
        merge.add(f"bad-{number}", forged)
    merge.add("good", real)
    apps = [one.app for one in merge.ranked()]
    assert len(apps) == 31
    # The fleet's worst ones are followed whatever came before.
    assert "checkout-api" in apps
    assert merge.truncated == 30


def test_the_order_of_the_hosts_changes_nothing_but_ties() -> None:
    reports = {"a": hinted("sick"), "b": hinted("growing"), "c": hinted("partial")}
    turned = dict(reversed(reports.items()))
    for one, other in zip(evidence_of(reports), evidence_of(turned), strict=True):
        fleet = fleet_of(reports)
        assert render_ticket(ticket_id(one.key), one, fleet) == render_ticket(ticket_id(other.key), other, fleet)


def test_a_host_file_that_cannot_be_used_is_not_seen_and_said(tmp_path: Path) -> None:
    run = run_of(tmp_path / "run", web1="sick", web2="sick")
    (tmp_path / "run" / "hosts" / "web2.json").write_text("{", encoding="utf-8")
    folder = tmp_path / "tickets"
    assert write(run, folder) == 0
    (ticket,) = folder.glob("checkout-api-*")
    text = ticket.read_text(encoding="utf-8")
    assert "- On 1 host of 1 that were audited." in text
    assert "1 host of 2 could not be looked at: `web2` (invalid: `hosts/web2.json is not JSON" in text


def test_a_run_without_eyes_is_no_clean_bill_of_health(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run, folder = store_run(tmp_path / "run", {"web1": sample("partial")}, db="timed out"), tmp_path / "tickets"
    (tmp_path / "run" / "hosts" / "web1.json").write_text("{", encoding="utf-8")
    assert write(run, folder) == 0
    assert index_of(folder)["hosts"] == {"meant": 2, "audited": 0, "incomplete": 0}
    shown = capsys.readouterr().out
    assert "has to change" not in shown
    assert "No ticket, for no host was looked at." in shown
    assert "Not seen: 2 of 2 hosts" in shown


def test_a_forged_run_name_does_not_act(tmp_path: Path) -> None:
    run = run_of(tmp_path / "run", web1="sick")
    manifest = json.loads((tmp_path / "run" / "manifest.json").read_text(encoding="utf-8"))
    manifest["id"] = f"`@team {HOSTILE}"[:64]
    (tmp_path / "run" / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    folder = tmp_path / "tickets"
    assert write(run, folder) == 0
    (ticket,) = folder.glob("nginx-*")
    assert "lastack run `\\x60@team \\x1b[31m" in ticket.read_text(encoding="utf-8")
    shutil.rmtree(folder)
