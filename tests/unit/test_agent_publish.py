# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The agent's user as an attacker: nothing but a whole, harmless fact ever stands where root's programs read it."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import itertools
import json
import os
import signal
import socket
import stat
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from agent_samples import BOOT_ID, NOW_S, STATUS, WALL_S, Trends, app, look_at, trend
from ansible_collections.lastack.linux.agent import guarded_paths
from ansible_collections.lastack.linux.agent.fact import build_fact
from ansible_collections.lastack.linux.agent.guarded_paths import Refused, open_folder, put_file
from ansible_collections.lastack.linux.agent.local_schema import MAX_FACT_BYTES, fact_problem
from ansible_collections.lastack.linux.agent.metrics import MAX_METRICS_BYTES, build_metrics, parse_metrics
from ansible_collections.lastack.linux.agent.publish import Now, publish, read_now
from ansible_collections.lastack.linux.agent.records import AppKey
from ansible_collections.lastack.linux.agent.strict_json import parse_strict
from host_trees import picture
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

IS_ROOT = os.getuid() == 0
needs_uid_0 = pytest.mark.skipif(not IS_ROOT, reason="only root may give files away")
AGENT_UID = 65_534 if IS_ROOT else os.getuid()
METRICS_FOLDER = "/var/lib/prometheus/node-exporter"
OLD = b'{"old": "fact"}\n'
OLD_METRICS = b"lastack_agent_complete 1\n"
KEY = AppKey("checkout-api", "unit", "host")
TRENDS: Trends = {KEY: (trend(), app())}
FACT = build_fact(TRENDS, look_at(TRENDS), STATUS)
METRICS = build_metrics(TRENDS, look_at(TRENDS), STATUS)
NOW = Now(BOOT_ID, NOW_S + 0.5, WALL_S + 0.5)


class Host(NamedTuple):
    """A host as a folder, with what was published before."""

    root: Path

    @property
    def agent(self) -> Path:
        return self.root / "var/lib/lastack-agent"

    @property
    def fact(self) -> Path:
        return self.agent / "fact.json"

    @property
    def metrics(self) -> Path:
        return self.agent / "metrics.prom"

    @property
    def facts_folder(self) -> Path:
        return self.root / "etc/ansible/facts.d"

    @property
    def published(self) -> Path:
        return self.facts_folder / "lastack.fact"

    @property
    def published_metrics(self) -> Path:
        return self.root / METRICS_FOLDER.strip("/") / "lastack.prom"

    def publish(self, *, metrics: bool = True) -> int:
        return publish(str(self.root), METRICS_FOLDER if metrics else None, now=NOW)

    def outside(self) -> dict[str, Any]:
        """All but the agent's own folder."""
        return {path: entry for path, entry in picture(self.root).items() if "lastack-agent" not in path}


def own(path: Path, uid: int = AGENT_UID) -> None:
    if IS_ROOT:
        os.chown(path, uid, uid, follow_symlinks=False)


def put(path: Path, data: bytes, mode: int = 0o644, uid: int = AGENT_UID) -> None:
    path.write_bytes(data)
    path.chmod(mode)
    own(path, uid)


def build(root: Path) -> Host:
    host = Host(root)
    for folder in ("var/lib/lastack-agent", "etc/ansible/facts.d", METRICS_FOLDER.strip("/"), "secrets"):
        path = root
        for part in folder.split("/"):
            path /= part
            path.mkdir(exist_ok=True)
            path.chmod(0o755)
    own(host.agent)
    put(host.fact, FACT)
    put(host.metrics, METRICS)
    put(host.published, OLD, uid=0)
    put(host.published_metrics, OLD_METRICS, uid=0)
    put(root / "secrets/fact.json", FACT.replace(b"checkout-api", b"root-secrets"), mode=0o600, uid=0)
    return host


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return build(tmp_path)


def refused(host: Host, capsys: pytest.CaptureFixture[str], reason: str, *, metrics: bool = True) -> None:
    """The one outcome of every attack: status 2, one sentence, and everything as it was."""
    before = picture(host.root)
    assert host.publish(metrics=metrics) == 2
    assert picture(host.root) == before
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("lastack-agent: ")
    assert err.endswith(".\n")
    assert err.count("\n") == 1
    assert err.strip().isprintable()
    assert len(err) < 600
    assert reason in err


def test_a_good_agent_is_published(host: Host, capsys: pytest.CaptureFixture[str]) -> None:
    mask = os.umask(0o077)
    try:
        assert host.publish() == 0
    finally:
        os.umask(mask)
    assert capsys.readouterr() == ("", "")
    for path, content in ((host.published, FACT), (host.published_metrics, METRICS)):
        status = path.stat()
        assert path.read_bytes() == content
        assert (status.st_uid, status.st_gid, stat.S_IMODE(status.st_mode)) == (os.getuid(), os.getgid(), 0o644)
        assert [found.name for found in path.parent.iterdir()] == [path.name]
    assert host.fact.read_bytes() == FACT


def test_metrics_only_where_root_asked_for_them(host: Host) -> None:
    put(host.metrics, b"nonsense")
    assert host.publish(metrics=False) == 0
    assert host.published.read_bytes() == FACT
    assert host.published_metrics.read_bytes() == OLD_METRICS


def test_the_fact_is_written_anew_and_never_copied(host: Host) -> None:
    put(host.fact, b" \n" + json.dumps(json.loads(FACT), indent=1).encode() + b"\n\n")
    assert host.publish() == 0
    assert host.published.read_bytes() == FACT
    put(host.metrics, b"\n".join(line for line in METRICS.split(b"\n") if not line.startswith(b"# HELP")))
    assert host.publish() == 0
    assert host.published_metrics.read_bytes() == METRICS


def test_nothing_there_is_no_error(host: Host, capsys: pytest.CaptureFixture[str]) -> None:
    host.fact.unlink()
    assert host.publish() == 0
    assert (host.published.read_bytes(), host.published_metrics.read_bytes()) == (OLD, METRICS)
    assert capsys.readouterr().err == ""
    host.metrics.unlink()
    before = picture(host.root)
    assert host.publish() == 0
    assert picture(host.root) == before
    assert "has nothing to publish yet" in capsys.readouterr().err


def instead(make: Callable[[Path, Host], object]) -> Callable[[Host, str], None]:
    """An attack that puts something else at the name."""

    def attack(host: Host, name: str) -> None:
        path = host.agent / name
        path.rename(host.agent / f"{name}.mine")
        make(path, host)

    return attack


def bound(path: Path) -> None:
    # The address of a Unix socket is short; the folder is reached through its descriptor.
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        with socket.socket(socket.AF_UNIX) as one:
            one.bind(f"/proc/self/fd/{folder}/{path.name}")
    finally:
        os.close(folder)


def device(path: Path) -> None:
    try:
        os.mknod(path, stat.S_IFCHR | 0o644, os.makedev(1, 5))
    except PermissionError:
        pytest.skip("no right to make a device here")


def with_mode(mode: int) -> Callable[[Host, str], None]:
    def attack(host: Host, name: str) -> None:
        own(host.agent / name)
        (host.agent / name).chmod(mode)

    return attack


def grown(host: Host, name: str) -> None:
    os.truncate(host.agent / name, 1 << 24)


def of_root(host: Host, name: str) -> None:
    own(host.agent / name, 0)


ATTACKS: dict[str, tuple[Callable[[Host, str], None], str]] = {
    "link to a file of root's": (
        instead(lambda path, host: path.symlink_to(host.root / "secrets/fact.json")),
        "is a symbolic link",
    ),
    "link to its own file": (instead(lambda path, __: path.symlink_to(f"{path.name}.mine")), "is a symbolic link"),
    "link to nothing": (instead(lambda path, __: path.symlink_to("nothing")), "is a symbolic link"),
    "link to itself": (instead(lambda path, __: path.symlink_to(path.name)), "is a symbolic link"),
    "link to a device": (instead(lambda path, __: path.symlink_to("/dev/zero")), "is a symbolic link"),
    "second name": (lambda host, name: os.link(host.agent / name, host.agent / "other"), "hard links"),
    "second name of a file of root's": (
        instead(lambda path, host: os.link(host.root / "secrets/fact.json", path)),
        "hard links",
    ),
    "FIFO": (instead(lambda path, __: os.mkfifo(path)), "is no regular file"),
    "directory": (instead(lambda path, __: path.mkdir()), "is no regular file"),
    "socket": (instead(lambda path, __: bound(path)), "is no regular file"),
    "huge": (grown, "bytes, more than"),
    "executable by its owner": (with_mode(0o744), "executable"),
    "executable by its group": (with_mode(0o654), "executable"),
    "executable by all": (with_mode(0o645), "executable"),
    "set-user-id": (with_mode(0o4644), "4644: executable"),
    "sticky": (with_mode(0o1644), "1644: executable"),
    "writable by its group": (with_mode(0o664), "writable by others"),
    "writable by all": (with_mode(0o646), "writable by others"),
}
if IS_ROOT:
    ATTACKS["device"] = (instead(lambda path, __: device(path)), "is no regular file")
    ATTACKS["of another owner"] = (of_root, "belongs to uid 0")


@pytest.mark.parametrize("name", ["fact.json", "metrics.prom"])
@pytest.mark.parametrize("attack", ATTACKS)
def test_no_other_file_is_taken(host: Host, capsys: pytest.CaptureFixture[str], attack: str, name: str) -> None:
    make, reason = ATTACKS[attack]
    make(host, name)
    refused(host, capsys, reason)


def fact_with(**changes: Any) -> bytes:  # noqa: ANN401 - JSON
    return json.dumps(json.loads(FACT) | changes).encode()


def offender_with(**changes: Any) -> bytes:  # noqa: ANN401 - JSON
    fact = json.loads(FACT)
    fact["offenders"][0] |= changes
    return json.dumps(fact).encode()


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "is not JSON"),
        (b"\0" * 100, "is not JSON"),
        (b"#!/bin/sh\nid >/tmp/owned\n", "is not JSON"),
        (b"[ini]\nkey = value\n", "is not JSON"),
        (b"null", "the fact has the wrong type"),
        (b"[]", "the fact has the wrong type"),
        (b"{}", "the fact has no schema"),
        (FACT[:-3], "is not JSON"),
        (FACT + FACT, "is not JSON"),
        (FACT + b"x", "is not JSON"),
        (b"\xef\xbb\xbf" + FACT, "is not JSON"),
        (FACT.replace(b"checkout-api", b"\xff\xfe"), "is not UTF-8"),
        (FACT.replace(b"checkout-api", b"\\ud800"), "lone surrogate"),
        (FACT + b" " * MAX_FACT_BYTES, "bytes, more than the 16,384 allowed"),
        (b"[" * 10_000, "nested deeper"),
        (FACT.replace(b'"warnings":[]', b'"warnings":[[[[[[[[1]]]]]]]]'), "nested deeper"),
        (FACT.replace(b'{"schema"', b'{"schema":"lastack.local/1","schema"', 1), "twice"),
        (FACT.replace(b"812", b"NaN"), "NaN"),
        (FACT.replace(b"12.04", b"1e999"), "out of range"),
        (FACT.replace(b"812", b"-812"), "out of range"),
        (FACT.replace(b"812", b"9" * 20), "out of range"),
        (FACT.replace(b"812", b"true"), "wrong type"),
        (fact_with(schema="lastack.local/2"), "schema is none of the known words"),
        (fact_with(schema=["lastack.local/1"]), "schema is none of the known words"),
        (fact_with(more=1), "a key that does not belong there"),
        (fact_with(ansible_become=True), "a key that does not belong there"),
        (fact_with(offenders=None), "offenders has the wrong type"),
        (fact_with(offenders=[{}] * 3), "offenders[0] has no app"),
        (offender_with(app="\x1b]0;owned\x07"), "offenders[0].app holds control"),
        (offender_with(app="a\nFORGED"), "offenders[0].app holds control"),
        (offender_with(app="\u202e"), "offenders[0].app holds control"),
        (offender_with(app="a" * 257), "offenders[0].app is too long"),
        (offender_with(kind="root"), "offenders[0].kind is none of the known words"),
        (offender_with(pids=[1] * 6), "more than 5 entries"),
        (offender_with(causes={"__class__": 1}), "a key that does not belong there"),
        (offender_with(**{"\x1b[31m": 1}), "a key that does not belong there"),
        (fact_with(boot_id="00000000-0000-0000-0000-000000000000"), "boot_id is not of this boot"),
        (fact_with(boot_id=None), "boot_id is not of this boot"),
        (fact_with(published_boottime_s=NOW_S + 5), "published_boottime_s lies in the future"),
        (fact_with(fresh_for_s=86_401), "fresh_for_s is more than"),
        (fact_with(published_at="2027-09-21T14:13:20Z"), "published_at lies in the future"),
        (fact_with(published_at="2026-13-41T14:13:20Z"), "published_at is no time"),
        (fact_with(published_at="0000-00-00T00:00:00Z"), "published_at is no time"),
        (fact_with(published_at="2026-09-21T14:13:20Z\n"), "published_at is too long"),
        (
            # Within the limit as it is, beyond it once every character is spelled in ASCII.
            json.dumps(
                json.loads(FACT) | {"offenders": [json.loads(FACT)["offenders"][0] | {"exe": "\u4e2d" * 1000}] * 3},
                ensure_ascii=False,
            ).encode(),
            "would have",
        ),
    ],
    ids=itertools.count(),
)
def test_nothing_but_a_fact_is_published(
    host: Host, capsys: pytest.CaptureFixture[str], data: bytes, reason: str
) -> None:
    put(host.fact, data)
    refused(host, capsys, reason)


def test_every_torn_fact_is_seen(host: Host, capsys: pytest.CaptureFixture[str]) -> None:
    for length in range(0, len(FACT) - 1, 97):
        put(host.fact, FACT[:length])
        refused(host, capsys, "is not JSON")


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "ends before its end"),
        (METRICS[:-1], "ends before its end"),
        (METRICS[: len(METRICS) // 2], "ends before its end"),
        (METRICS.replace(b"# EOF", b"node_load1 99\n# EOF"), "no metric of the agent"),
        (METRICS.replace(b"checkout-api", b'x"} 1\nnode_load1 99\n'), "no metric of the agent"),
        (METRICS.replace(b" 812", b" NaN"), "no metric of the agent"),
        (METRICS.replace(b"timestamp_seconds 1", b"timestamp_seconds 9"), "in the future"),
        (METRICS.replace(b"# EOF", b"\x1b[2J\n# EOF"), "no metric of the agent"),
        (METRICS * 300, "bytes, more than"),
    ],
    ids=itertools.count(),
)
def test_bad_metrics_publish_nothing_at_all(
    host: Host, capsys: pytest.CaptureFixture[str], data: bytes, reason: str
) -> None:
    put(host.metrics, data)
    refused(host, capsys, reason)


def test_the_limit_itself_is_allowed(host: Host) -> None:
    put(host.fact, FACT + b" " * (MAX_FACT_BYTES - len(FACT)))
    assert host.publish() == 0
    assert host.published.read_bytes() == FACT
    assert len(METRICS) < MAX_METRICS_BYTES


def test_names_from_the_host_stay_text(host: Host) -> None:
    name = "{{ lookup('pipe', 'id') }} {% raw %} $(id) `id` ; && ../../x %s \\ \" ' <b> \u4e2d\u6587 \U0001f600"
    put(host.fact, offender_with(app=name))
    assert host.publish() == 0
    data = host.published.read_bytes()
    assert json.loads(data)["offenders"][0]["app"] == name
    assert data.isascii()
    assert b"\n" not in data[:-1]


# The folders on the way.


def test_the_agents_folder_is_no_link(host: Host, capsys: pytest.CaptureFixture[str]) -> None:
    host.agent.rename(host.root / "elsewhere")
    refused(host, capsys, "/var/lib/lastack-agent cannot be opened")
    host.agent.symlink_to(host.root / "elsewhere")
    refused(host, capsys, "/var/lib/lastack-agent is a symbolic link")


def test_nothing_on_the_way_is_a_link(host: Host, capsys: pytest.CaptureFixture[str]) -> None:
    (host.root / "var").rename(host.root / "real")
    (host.root / "var").symlink_to("real")
    refused(host, capsys, "/var is a symbolic link")


@pytest.mark.parametrize("mode", [0o757, 0o777, 0o1777])
@pytest.mark.parametrize(
    "folder", ["var", "var/lib", "var/lib/lastack-agent", "etc", "etc/ansible", "etc/ansible/facts.d"]
)
def test_no_folder_that_others_write(host: Host, capsys: pytest.CaptureFixture[str], folder: str, mode: int) -> None:
    (host.root / folder).chmod(mode)
    refused(host, capsys, f"/{folder} can be written by others", metrics=False)


@needs_uid_0
def test_no_folder_that_another_group_writes(host: Host, capsys: pytest.CaptureFixture[str]) -> None:
    host.facts_folder.chmod(0o775)
    assert host.publish(metrics=False) == 0
    os.chown(host.facts_folder, 0, 1234)
    host.facts_folder.chmod(0o775)
    refused(host, capsys, "facts.d can be written by others", metrics=False)


@needs_uid_0
@pytest.mark.parametrize("folder", ["var", "var/lib", "etc", "etc/ansible", "etc/ansible/facts.d"])
def test_no_folder_of_another(host: Host, capsys: pytest.CaptureFixture[str], folder: str) -> None:
    own(host.root / folder)
    refused(host, capsys, f"/{folder} belongs to uid 65534", metrics=False)


def test_the_targets_folder_is_no_link_and_is_not_made(host: Host, capsys: pytest.CaptureFixture[str]) -> None:
    host.facts_folder.rename(host.root / "elsewhere")
    refused(host, capsys, "/etc/ansible/facts.d cannot be opened: No such file or directory", metrics=False)
    host.facts_folder.symlink_to(host.root / "elsewhere")
    refused(host, capsys, "/etc/ansible/facts.d is a symbolic link", metrics=False)


def test_one_target_does_not_hold_up_the_other(host: Host, capsys: pytest.CaptureFixture[str]) -> None:
    host.facts_folder.chmod(0o777)
    assert host.publish() == 2
    assert (host.published.read_bytes(), host.published_metrics.read_bytes()) == (OLD, METRICS)
    assert "/etc/ansible/facts.d/lastack.fact is not published" in capsys.readouterr().err
    host.facts_folder.chmod(0o755)
    host.published_metrics.parent.chmod(0o777)
    put(host.published_metrics, OLD_METRICS, uid=0)
    assert host.publish() == 2
    assert (host.published.read_bytes(), host.published_metrics.read_bytes()) == (FACT, OLD_METRICS)
    assert f"{METRICS_FOLDER}/lastack.prom is not published" in capsys.readouterr().err


@pytest.mark.parametrize("folder", ["", "/", "relative", "/var/../etc", "/./var", "/a\0b", "//..", "/missing\x1b[2J"])
def test_no_other_metrics_folder(host: Host, capsys: pytest.CaptureFixture[str], folder: str) -> None:
    before = host.outside()
    assert publish(str(host.root), folder, now=NOW) == 2
    after = host.outside()
    assert {path for path in after if after[path] != before.get(path)} == {"etc/ansible/facts.d/lastack.fact"}
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert error.strip().isprintable()


@needs_uid_0
def test_debians_metrics_folder_below_one_of_prometheus(host: Host, capsys: pytest.CaptureFixture[str]) -> None:
    own(host.published_metrics.parent.parent, 1234)
    assert host.publish() == 0
    assert host.published_metrics.read_bytes() == METRICS
    own(host.published_metrics.parent, 1234)
    put(host.published_metrics, OLD_METRICS, uid=0)
    assert host.publish() == 2
    assert "node-exporter belongs to uid 1234" in capsys.readouterr().err
    assert host.published_metrics.read_bytes() == OLD_METRICS


# What stands at the target.


def test_a_link_at_the_target_is_replaced_and_not_followed(host: Host) -> None:
    victim = host.root / "secrets/fact.json"
    before = victim.read_bytes()
    host.published.unlink()
    host.published.symlink_to(victim)
    assert host.publish() == 0
    assert victim.read_bytes() == before
    assert not host.published.is_symlink()
    assert host.published.read_bytes() == FACT


def test_an_execute_bit_at_the_target_goes(host: Host) -> None:
    host.published.chmod(0o4777)
    assert host.publish() == 0
    assert stat.S_IMODE(host.published.stat().st_mode) == 0o644


def test_a_folder_at_the_target_stays(host: Host, capsys: pytest.CaptureFixture[str]) -> None:
    host.published.unlink()
    host.published.mkdir()
    refused(host, capsys, "/etc/ansible/facts.d/lastack.fact cannot be written: Is a directory", metrics=False)


@needs_uid_0
def test_a_set_group_id_folder_gives_no_group(host: Host) -> None:
    os.chown(host.facts_folder, 0, 1234)
    host.facts_folder.chmod(0o2755)
    assert host.publish() == 0
    assert host.published.stat().st_gid == 0


def test_what_killed_publishers_left_goes(host: Host) -> None:
    old, young = host.facts_folder / ".lastack.fact.1-ab.new", host.facts_folder / ".lastack.fact.2-cd.new"
    foreign = host.facts_folder / ".lastack.factory"
    for path in (old, young, foreign):
        path.write_bytes(b"half")
        os.utime(path, (time.time() - 3_600,) * 2)
    os.utime(young)
    assert host.publish() == 0
    assert sorted(path.name for path in host.facts_folder.iterdir()) == [young.name, foreign.name, "lastack.fact"]


def test_a_temporary_name_means_nothing_to_those_who_read(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fact gathering takes ``*.fact``, node_exporter ``*.prom``: neither may meet a file half written."""
    seen: list[str] = []
    rename = os.rename

    def watched(source: str, target: str, **folders: int) -> None:
        seen.append(source)
        assert not list(host.facts_folder.glob("*.fact")) or host.published.read_bytes() in (OLD, FACT)
        rename(source, target, **folders)

    monkeypatch.setattr(os, "rename", watched)
    assert host.publish() == 0
    assert len(seen) == 2
    assert all(name.startswith(".") and not name.endswith((".fact", ".prom")) for name in seen)


# Races and time.


SWAPS = {
    "link to a file of root's": "Too many levels of symbolic links",
    "link to its own file": "Too many levels of symbolic links",
    "FIFO": "is no regular file",
    "directory": "is no regular file",
    "second name of a file of root's": "hard links",
}


@pytest.mark.parametrize("attack", SWAPS)
def test_a_file_swapped_after_the_first_look(
    host: Host, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, attack: str
) -> None:
    look = os.stat
    swapped: list[str] = []

    def swapping(path: Any, **options: Any) -> os.stat_result:  # noqa: ANN401 - of os.stat
        result = look(path, **options)
        if path == "fact.json" and not swapped:
            swapped.append(path)
            ATTACKS[attack][0](host, "fact.json")
        return result

    monkeypatch.setattr(os, "stat", swapping)
    before = host.outside()
    assert host.publish() == 2
    assert swapped
    assert host.outside() == before
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert SWAPS[attack] in error


@pytest.mark.parametrize(
    ("more", "times", "reason"),
    [
        (b" ", 1, "was written to while it was read"),
        (b" ", 1 << 20, "has more than"),
        (b" " * (1 << 20), 1, "has more than"),
    ],
    ids=["once", "without end", "at once"],
)
def test_a_file_that_grows_while_it_is_read(  # noqa: PLR0913 - the fixtures and the case
    host: Host,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    more: bytes,
    times: int,
    reason: str,
) -> None:
    left = iter(range(times))
    read = os.read

    def growing(descriptor: int, size: int) -> bytes:
        data = read(descriptor, size)
        if next(left, None) is not None:
            with host.fact.open("ab") as file:
                file.write(more)
        return data

    monkeypatch.setattr(os, "read", growing)
    before = host.outside()
    assert host.publish() == 2
    assert host.outside() == before
    assert f"/var/lib/lastack-agent/fact.json {reason}" in capsys.readouterr().err


def test_a_new_fact_renamed_over_the_open_one_is_no_attack(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a good agent does at any moment: the old one is whole, and its path leads to the next."""
    opened = os.open

    def renaming(path: Any, flags: int, *args: Any, **options: Any) -> int:  # noqa: ANN401 - of os.open
        descriptor = opened(path, flags, *args, **options)
        if path == "fact.json":
            put(host.agent / "new", FACT)
            (host.agent / "new").rename(host.fact)
        return descriptor

    monkeypatch.setattr(os, "open", renaming)
    assert host.publish() == 0
    assert host.published.read_bytes() == FACT


@contextlib.contextmanager
def child(act: Callable[[], object]) -> Iterator[int]:
    """A process that does something until it is killed; it ends with the block, and with this process's patience."""
    pid = os.fork()
    if not pid:
        try:
            signal.alarm(60)
            act()
        finally:
            os._exit(0)
    try:
        yield pid
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def swap_forever(host: Host) -> None:
    good, name = host.agent / "good", host.agent / "next"
    put(good, FACT)
    for turn in itertools.count():
        with contextlib.suppress(FileNotFoundError):
            name.unlink()
        if turn % 4 == 0:
            put(name, FACT)
        elif turn % 4 == 1:
            name.symlink_to(host.root / "secrets/fact.json")
        elif turn % 4 == 2:
            os.mkfifo(name)
        else:
            os.link(host.root / "secrets/fact.json", name)
        name.rename(host.fact)


def test_a_real_race_never_publishes_what_is_not_the_agents(host: Host, capsys: pytest.CaptureFixture[str]) -> None:
    outcomes = set()
    with child(lambda: swap_forever(host)):
        for __ in range(300):
            outcomes.add(host.publish(metrics=False))
            assert host.published.read_bytes() in (OLD, FACT)
            if outcomes == {0, 2} and __ > 150:
                break
    assert outcomes <= {0, 2}
    assert "root-secrets" not in host.published.read_text()
    capsys.readouterr()


def hold_lease(host: Host, ready: int) -> None:
    signal.signal(signal.SIGIO, signal.SIG_IGN)
    descriptor = os.open(host.fact, os.O_RDWR)
    try:
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_WRLCK)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        os.write(ready, b"-")
    else:
        os.write(ready, b"x")
    time.sleep(60)


def test_a_lease_does_not_hold_root_up(host: Host, capsys: pytest.CaptureFixture[str]) -> None:
    """fcntl(2), F_SETLEASE: an open(2) that blocks would wait for /proc/sys/fs/lease-break-time, 45 s."""
    reader, writer = os.pipe()
    with open(reader, "rb") as ready, child(lambda: hold_lease(host, writer)):  # noqa: PTH123 - a descriptor
        os.close(writer)
        answer = ready.read(1)
        if answer == b"-":
            pytest.skip("this file system has no leases")
        assert answer == b"x"
        # Looking at the file here would wait for the lease, too.
        assert host.publish() == 2
    assert "fact.json cannot be opened: Resource temporarily unavailable" in capsys.readouterr().err
    assert (host.published.read_bytes(), host.published_metrics.read_bytes()) == (OLD, OLD_METRICS)


# Killed, and out of luck.

STEPS = ("open", "write", "fstat", "fchmod", "fsync", "close", "rename", "listdir", "stat", "read")


def kill_at(step: int, *, after: bool) -> None:
    """Patch this process so that it dies at its ``step``-th call into the kernel from now on."""
    calls = itertools.count(1)

    def wrap(original: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **options: Any) -> Any:  # noqa: ANN401 - of any function of os
            fatal = next(calls) == step
            if fatal and not after:
                os.kill(os.getpid(), signal.SIGKILL)
            if fatal and original.__name__ == "write":
                args = (args[0], bytes(args[1])[: len(args[1]) // 2])
            result = original(*args, **options)
            if fatal:
                os.kill(os.getpid(), signal.SIGKILL)
            return result

        return call

    for name in STEPS:
        setattr(os, name, wrap(getattr(os, name)))


@pytest.mark.parametrize("after", [False, True])
def test_killed_at_any_step_it_leaves_whole_files(host: Host, *, after: bool) -> None:
    seen = set()
    for step in range(1, 400):
        put(host.published, OLD, uid=0)
        put(host.published_metrics, OLD_METRICS, uid=0)
        pid = os.fork()
        if not pid:
            try:
                signal.alarm(60)
                kill_at(step, after=after)
                host.publish()
            finally:
                os._exit(0)
        status = os.waitpid(pid, 0)[1]
        fact, metrics = host.published.read_bytes(), host.published_metrics.read_bytes()
        assert fact in (OLD, FACT)
        assert metrics in (OLD_METRICS, METRICS)
        seen.add((fact, metrics))
        left = [path for folder in (host.facts_folder, host.published_metrics.parent) for path in folder.glob(".*.new")]
        assert len(left) <= 1
        assert [path for path in host.facts_folder.iterdir() if path not in left] == [host.published]
        for path in left:
            path.unlink()
        if os.WIFEXITED(status):
            break
    else:
        pytest.fail("the publisher never came to its end")
    assert step > 30
    assert seen == {(OLD, OLD_METRICS), (FACT, OLD_METRICS), (FACT, METRICS)}
    assert host.publish() == 0


@pytest.mark.parametrize("name", ["write", "fchmod", "fsync", "rename", "listdir"])
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO, errno.EROFS, errno.EDQUOT])
def test_a_step_that_fails_changes_nothing(
    host: Host, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, name: str, number: int
) -> None:
    def fail(*__: object, **___: object) -> None:
        raise OSError(number, os.strerror(number))

    before = picture(host.root)
    with monkeypatch.context() as patched:
        patched.setattr(guarded_paths.os, name, fail)
        assert host.publish(metrics=False) == 2
    assert picture(host.root) == before
    assert f"cannot be written: {os.strerror(number)}." in capsys.readouterr().err


def test_a_short_write_is_gone_on_with(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    write = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, data: write(descriptor, bytes(data)[:7]))
    assert host.publish() == 0
    assert host.published.read_bytes() == FACT


def test_interrupted_it_leaves_nothing(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(__: int) -> None:
        raise KeyboardInterrupt

    before = picture(host.root)
    monkeypatch.setattr(os, "fsync", interrupted)
    with pytest.raises(KeyboardInterrupt):
        host.publish()
    assert picture(host.root) == before


def test_two_publishers_at_once_leave_a_whole_fact(host: Host) -> None:
    def publish_often() -> None:
        for __ in range(100):
            host.publish()

    with child(publish_often):
        for __ in range(100):
            assert host.publish() == 0
            assert host.published.read_bytes() == FACT


# Any bytes at all.


@pytest.fixture(scope="module")
def one_host(tmp_path_factory: pytest.TempPathFactory) -> Host:
    return build(tmp_path_factory.mktemp("host"))


pieces = st.sampled_from([b"", b" ", b"0", b"-1", b"1e400", b'"', b"\\u001b", b"\xff", b"{}", b"null", b"]", b',"a":1'])
torn = st.tuples(st.integers(0, len(FACT)), pieces | st.binary(max_size=8), st.integers(0, 30))
mutated = st.lists(torn, min_size=0, max_size=2).map(
    lambda cuts: [(start, new, start + length) for start, new, length in cuts]
)


def cut(data: bytes, cuts: list[tuple[int, bytes, int]]) -> bytes:
    for start, new, end in cuts:
        data = data[:start] + new + data[end:]
    return data


@settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.binary(max_size=400) | mutated.map(lambda cuts: cut(FACT, cuts)))
def test_any_bytes_are_a_valid_fact_or_not_published(one_host: Host, data: bytes) -> None:
    put(one_host.published, OLD, uid=0)
    put(one_host.fact, data)
    before = one_host.outside()
    status = one_host.publish(metrics=False)
    published = one_host.published.read_bytes()
    if status == 0:
        fact = parse_strict(published)
        assert fact == json.loads(data)
        assert fact_problem(fact) is None
        assert len(published) <= MAX_FACT_BYTES
        assert stat.S_IMODE(one_host.published.stat().st_mode) == 0o644
    else:
        assert status == 2
        assert one_host.outside() == before


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.binary(max_size=400) | mutated.map(lambda cuts: cut(METRICS, cuts)))
def test_any_bytes_are_valid_metrics_or_not_published(one_host: Host, data: bytes) -> None:
    put(one_host.fact, FACT)
    put(one_host.published, OLD, uid=0)
    put(one_host.published_metrics, OLD_METRICS, uid=0)
    put(one_host.metrics, data)
    before = one_host.outside()
    status = one_host.publish()
    if status == 0:
        assert parse_metrics(one_host.published_metrics.read_bytes())
    else:
        assert status == 2
        assert one_host.outside() == before


# The parts.


def test_a_folder_is_open_only_within_the_block(host: Host) -> None:
    with open_folder("/etc/ansible/facts.d", root=str(host.root)) as folder:
        os.fstat(folder)
        with pytest.raises(Refused, match="cannot be written"):
            put_file(folder, "no/such", b"", "/no/such")
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(folder)


def test_no_descriptor_is_left_open(host: Host) -> None:
    def count() -> int:
        return len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - a count

    before = count()
    for attack in ("FIFO", "link to nothing"):
        assert host.publish() == 0
        ATTACKS[attack][0](host, "fact.json")
        assert host.publish() == 2
        host.fact.unlink()
        put(host.fact, FACT)
    assert count() == before


def test_the_real_moment_is_known() -> None:
    now = read_now()
    assert now.boot_id == Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    assert 0 < now.boottime_s <= time.clock_gettime(time.CLOCK_BOOTTIME)
    assert abs(now.wall_s - time.time()) < 60


def test_without_a_boot_id_of_its_own_root_takes_the_agents(host: Host) -> None:
    assert publish(str(host.root), now=NOW._replace(boot_id=None)) == 0
    assert host.published.read_bytes() == FACT
