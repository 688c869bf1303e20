# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The manifest of a run: hosts are read one at a time, and what is wrong with one of them is said."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from ansible_collections.lastack.linux.plugins.plugin_utils import manifest as manifest_module
from ansible_collections.lastack.linux.plugins.plugin_utils.host_outcomes import HostOutcomes, Outcome, report_file
from ansible_collections.lastack.linux.plugins.plugin_utils.manifest import (
    read_manifest,
    read_manifest_head,
    read_manifest_hosts,
    write_manifest,
)
from ansible_collections.lastack.linux.plugins.plugin_utils.validate import InvalidReport

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

HEAD: dict[str, Any] = {
    "schema": "lastack.run/1",
    "id": "20261102T060000Z-000001",
    "made_by": "test",
    "version": "0.1.0",
    "controller": "here",
    "started_at": "2026-11-02T06:00:00Z",
    "finished_at": None,
    "finished": False,
    "options": {"profile": "web"},
    "owner": None,
}
HOSTS: dict[str, Outcome | None] = {
    "web-1": Outcome("ok", None, "hosts/web-1.json"),
    "Grüße \u2028 ../x": Outcome("ok", None, report_file("Grüße \u2028 ../x")),
    "moved": Outcome("ok", None, "hosts/elsewhere.json"),
    "gone": Outcome("unreachable", "timed out", None),
    "silent": None,
}


def text(hosts: str) -> bytes:
    return json.dumps(HEAD)[:-1].encode() + f', "hosts": {hosts}}}'.encode()


def test_a_manifest_comes_back_as_it_was_written(tmp_path: Path) -> None:
    write_manifest(tmp_path, HEAD, HOSTS.items())
    head, hosts = read_manifest(tmp_path)
    assert head == read_manifest_head(tmp_path) == HEAD
    assert hosts == {**HOSTS, "silent": Outcome("missing", "no outcome yet", None)}
    assert list(hosts) == list(HOSTS)
    assert list(read_manifest_hosts(tmp_path)) == list(hosts.items())
    plain = json.loads((tmp_path / "manifest.json").read_bytes())
    assert list(plain)[-1] == "hosts"
    assert plain["hosts"]["gone"] == {"outcome": "unreachable", "reason": "timed out", "file": None}
    write_manifest(tmp_path, HEAD, ())
    head, hosts = read_manifest(tmp_path)
    assert (head, dict(hosts)) == (HEAD, {})


@pytest.mark.parametrize("indent", [None, 1, 7])
def test_hosts_may_stand_anywhere_and_be_written_anyhow(
    tmp_path: Path, indent: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    entries = {host: (outcome or Outcome("missing", "x", None))._asdict() for host, outcome in HOSTS.items()}
    document = {"hosts": entries, **HEAD}
    # Every place of the text is the end of some read, numbers and escapes included.
    monkeypatch.setattr("ansible_collections.lastack.linux.plugins.plugin_utils.json_stream._CHUNK", 3)
    (tmp_path / "manifest.json").write_text(json.dumps(document, indent=indent), encoding="utf-8")
    head, hosts = read_manifest(tmp_path)
    assert head == read_manifest_head(tmp_path) == HEAD
    assert hosts["gone"] == HOSTS["gone"]
    assert list(hosts) == list(HOSTS)


def test_the_head_costs_the_same_whatever_the_hosts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_manifest(tmp_path, HEAD, ((f"host-{number}", HOSTS["gone"]) for number in range(5000)))
    path = tmp_path / "manifest.json"
    whole = path.stat().st_size
    assert whole > 300_000
    with path.open("r+b") as file:
        file.truncate(whole // 2)
    # What comes after the head is not read, so it cannot be missed.
    assert read_manifest_head(tmp_path) == HEAD
    with pytest.raises(InvalidReport, match="is not JSON"):
        read_manifest(tmp_path)
    monkeypatch.setattr(manifest_module, "_MAX_BYTES", 1000)
    with pytest.raises(InvalidReport, match="more than the 1,000 allowed"):
        read_manifest(tmp_path)


@pytest.mark.parametrize(
    ("hosts", "said"),
    [
        ('{"a": {"outcome": "fine", "reason": null, "file": null}}', r"hosts\.a\.outcome is \"fine\""),
        ('{"a": {"outcome": "ok", "reason": null, "file": "/etc/passwd"}}', r"hosts\.a\.file is"),
        ('{"a": {"outcome": "ok"}}', r"hosts\.a\.reason is missing|hosts\.a\.file is missing"),
        ('{"a": 5}', r"hosts\.a is an integer, not an object"),
        (json.dumps({"x" * 1025: HOSTS["gone"] and HOSTS["gone"]._asdict()}), "is longer than 1024 characters"),
        (
            '{"a": %s, "a": %s}' % ((json.dumps({"outcome": "missing", "reason": None, "file": None}),) * 2),
            "same key twice",
        ),
        ('{"a": ' + "[" * 40 + "]" * 40 + "}", "nested deeper than 32 levels"),
        ('{"a": ' + "[" * 100_000, "nested deeper than 32 levels"),
        ('{"a" {}}', "expecting ':'"),
        ('{"a": {},}', "hosts.a.file is missing|expecting a key"),
        ("{5: {}}", "expecting a key"),
        ("[]", "expecting an object"),
        ('{"a": "' + "x" * 3_000_000 + '"}', "a value of more than 1,048,576 characters"),
        ('{"a": NaN}', "holds NaN"),
        ('{"a": ' + "9" * 5000 + "}", "is not JSON"),
        ('{"a": "\\ud800', "is not JSON"),
    ],
)
def test_hosts_that_are_wrong_are_named(tmp_path: Path, hosts: str, said: str) -> None:
    (tmp_path / "manifest.json").write_bytes(text(hosts))
    with pytest.raises(InvalidReport, match=said):
        read_manifest(tmp_path)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (text("{}") + b"x", "expecting the end"),
        (text("{}")[:-1] + b', "id": "again"}', "the same key twice"),
        (text("{}")[:-1] + b', "hosts": {}}', "the same key twice"),
        (text("{}").replace(b"here", b"\xff"), "is not UTF-8 text"),
        (text("{}").replace(b'"hosts"', b'"guests"'), "hosts is missing"),
        (text("{}").replace(b"run/1", b"run/12"), "lastack.run/12: a newer lastack wrote it"),
    ],
)
def test_the_rest_of_a_manifest_is_checked_too(tmp_path: Path, data: bytes, said: str) -> None:
    (tmp_path / "manifest.json").write_bytes(data)
    with pytest.raises(InvalidReport, match=said):
        read_manifest(tmp_path)


def test_outcomes_are_a_mapping_that_keeps_its_order() -> None:
    outcomes = HostOutcomes()
    outcomes.update(HOSTS)
    outcomes["web-1"] = HOSTS["gone"]
    assert list(outcomes) == list(HOSTS)
    assert outcomes == {**HOSTS, "web-1": HOSTS["gone"]}
    del outcomes["gone"]
    assert "gone" not in outcomes
    assert len(outcomes) == 4
    with pytest.raises(KeyError):
        outcomes["gone"]
    # A file that is another host's own is not taken for this host's.
    outcomes["b"] = Outcome("ok", None, report_file("a"))
    outcomes["a"] = Outcome("ok", None, report_file("a"))
    assert outcomes["b"] == outcomes["a"] == Outcome("ok", None, "hosts/a.json")


def test_a_manifest_that_is_not_written_to_its_end_is_not_written(tmp_path: Path) -> None:
    write_manifest(tmp_path, HEAD, HOSTS.items())

    def cut_short() -> Iterator[tuple[str, Outcome | None]]:
        yield "web-9", None
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_manifest(tmp_path, HEAD, cut_short())
    assert list(read_manifest(tmp_path)[1]) == list(HOSTS)
    assert [entry.name for entry in tmp_path.iterdir()] == ["manifest.json"]


def test_the_words_of_a_manifest_are_harmless(tmp_path: Path) -> None:
    evil = "\x1b[31m\n\u202e\ud800\0"
    head = {**HEAD, "made_by": evil, "id": evil, "options": {evil: [{"id": evil}]}}
    write_manifest(tmp_path, head, {"a": Outcome("failed", evil, None)}.items())
    read, hosts = read_manifest(tmp_path)
    words = json.dumps([read, hosts["a"]], ensure_ascii=False)
    assert words.isprintable()
    assert words.encode("utf-8")
    assert read == read_manifest_head(tmp_path)
    assert list(read_manifest_hosts(tmp_path)) == list(hosts.items())
    assert "[31m" in read["made_by"]
