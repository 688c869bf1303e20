# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who wins at boot and on reload, on trees of files that stand for a host."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest
from ansible_collections.lastack.linux.plugins.module_utils.observe import rooted_files
from ansible_collections.lastack.linux.plugins.module_utils.observe.sysctl_files import (
    Assignment,
    resolve,
    sysctl_key,
    sysctl_path,
)
from hypothesis import given
from hypothesis import strategies as st
from sysctl_trees import CASES, ETC, RUN, USR, A, B, C, Case, build

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_winners(case: Case, tmp_path: Path) -> None:
    build(tmp_path, case.tree)
    resolution = resolve(root=str(tmp_path), keys=case.keys)
    assert {key: (line.value, line.place) for key, line in resolution.boot.items()} == case.boot
    reload = {key: (line.value, line.place) for key, line in resolution.reload.items()}
    assert reload == (case.boot if case.reload is None else case.reload)
    assert resolution.unseen == ()
    assert resolution.certain


@pytest.mark.parametrize("folder", ["sbin", "usr/sbin"])
@pytest.mark.parametrize(
    ("program", "globs"),
    [
        (b"\x7fELF procps-ng 3.3.17\0", False),
        (b"\x7fELF procps-ng 3.3.17\0command line\0", True),
        (b"\x7fELF procps-ng 4.0.2\0command line\0", True),
        (b"\x7fELF busybox", True),
    ],
)
def test_an_old_procps_has_no_globs_and_skips_empty_values(
    tmp_path: Path, folder: str, program: bytes, *, globs: bool
) -> None:
    tree: dict[str, str | bytes] = {
        f"{folder}/sysctl": program,
        ETC + "a.conf": f"net.ipv4.tcp_[ab]=g\n{B}=1\n{C}=2",
        ETC + "b.conf": f"{C}=",
    }
    build(tmp_path, tree)
    resolution = resolve(root=str(tmp_path), keys=[A, B, C])
    assert {key: line.value for key, line in resolution.boot.items()} == {A: "g", B: "1", C: ""}
    reload = {key: line.value for key, line in resolution.reload.items()}
    assert reload == ({A: "g", B: "1", C: ""} if globs else {B: "1", C: "2"})


def places(lines: dict[str, tuple[Assignment, ...]]) -> dict[str, list[str]]:
    return {key: [line.place for line in found] for key, found in lines.items()}


def test_overridden_names_the_lines_that_lose_at_boot(tmp_path: Path) -> None:
    build(
        tmp_path,
        {
            ETC + "a.conf": f"{A}=1\n{A}=2\n{B}=1\n{C}=1\n-{C}",
            ETC + "b.conf": f"{A}=3",
            USR + "c.conf": "net.ipv4.tcp_*=g",
        },
    )
    overridden = places(resolve(root=str(tmp_path), keys=[A]).overridden)
    assert overridden == {
        A: ["/etc/sysctl.d/a.conf:1", "/etc/sysctl.d/a.conf:2", "/usr/lib/sysctl.d/c.conf:1"],
        C: ["/etc/sysctl.d/a.conf:4"],
    }


def test_shadowed_and_masked(tmp_path: Path) -> None:
    build(
        tmp_path,
        {
            ETC + "a.conf": f"{A}=1",
            RUN + "a.conf": f"{A}=2",
            USR + "a.conf": f"{A}=3\n{B}=3",
            ETC + "m.conf": "->/dev/null",
            USR + "m.conf": f"{C}=4",
            ETC + "same.conf": "->/usr/lib/sysctl.d/same.conf",
            USR + "same.conf": f"{C}=5",
        },
    )
    resolution = resolve(root=str(tmp_path))
    assert places(resolution.shadowed) == {
        A: ["/run/sysctl.d/a.conf:1", "/usr/lib/sysctl.d/a.conf:1"],
        B: ["/usr/lib/sysctl.d/a.conf:2"],
        C: ["/usr/lib/sysctl.d/m.conf:1"],
    }
    assert resolution.masked == ("/usr/lib/sysctl.d/m.conf",)
    assert resolution.boot[C].value == "5"


def test_a_link_never_leads_out_of_the_root(tmp_path: Path) -> None:
    outside = tmp_path / "outside.conf"
    outside.write_text(f"{A}=out")
    root = tmp_path / "root"
    build(root, {ETC + "a.conf": f"->{outside}", ETC + "b.conf": "->../../../outside.conf"})
    (root / "usr/lib").mkdir(parents=True)
    (root / "usr/lib/sysctl.d").symlink_to(tmp_path)
    resolution = resolve(root=str(root))
    assert resolution.boot == {}
    assert resolution.reload == {}


def test_what_cannot_be_read_is_said(tmp_path: Path) -> None:
    build(
        tmp_path,
        {
            ETC + "big.conf": f"{A}=1\n".encode() + b"#" * (1 << 20),
            ETC + "loop.conf": "->loop.conf",
            ETC + "good.conf": f"{B}=1",
        },
    )
    (tmp_path / ETC / "folder.conf").mkdir()
    os.mkfifo(tmp_path / ETC / "pipe.conf")
    resolution = resolve(root=str(tmp_path))
    assert {record.code: record.occurrences for record in resolution.unseen} == {
        "sysctl_file_too_large": 1,
        "sysctl_file_unreadable": 3,
    }
    assert not resolution.certain
    assert list(resolution.boot) == [B]
    assert (
        "/etc/sysctl.d/folder.conf" in next(r for r in resolution.unseen if r.code == "sysctl_file_unreadable").detail
    )


def test_a_denied_file_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def deny(path: str, *_more: object, **_options: object) -> bytes:
        raise PermissionError(13, "Permission denied", path)

    build(tmp_path, {ETC + "a.conf": f"{A}=1"})
    monkeypatch.setattr(rooted_files, "read_head", deny)
    assert [record.code for record in resolve(root=str(tmp_path)).unseen] == ["sysctl_file_unreadable"]


def test_a_denied_folder_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def deny(*__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "scandir", deny)
    (record,) = resolve(root=str(tmp_path)).unseen
    assert (record.code, "/etc/sysctl.d" in record.detail) == ("sysctl_file_unreadable", True)


def test_an_unreadable_hidden_file_makes_nothing_uncertain(tmp_path: Path) -> None:
    build(tmp_path, {ETC + "a.conf": f"{A}=1", USR + "a.conf": LARGE})
    resolution = resolve(root=str(tmp_path))
    assert [record.code for record in resolution.unseen] == []
    assert resolution.certain


LARGE = b"#" * ((1 << 20) + 1)


def test_only_an_unread_file_that_may_decide_makes_a_winner_doubtful(tmp_path: Path) -> None:
    build(
        tmp_path,
        {ETC + "50-large.conf": LARGE, ETC + "10-a.conf": f"{A}=1", ETC + "90-b.conf": f"{B}=1\nnet.ipv4.tcp_c* = 1"},
    )
    resolution = resolve(root=str(tmp_path), keys=[A, B, C])
    large = "/etc/sysctl.d/50-large.conf"
    assert resolution.doubts(A) == (large, large)
    assert resolution.doubts(B) == ("", "")
    # A glob gives way to any line that names the key.
    assert resolution.doubts(C) == (large, large)
    assert resolution.doubts("net.ipv4.other") == (large, large)


def test_sysctl_conf_makes_only_the_reload_doubtful(tmp_path: Path) -> None:
    build(tmp_path, {"etc/sysctl.conf": LARGE, ETC + "a.conf": f"{A}=1"})
    assert resolve(root=str(tmp_path)).doubts(A) == ("", "/etc/sysctl.conf")


def test_a_folder_that_cannot_be_listed_makes_everything_doubtful(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build(tmp_path, {ETC + "a.conf": f"{A}=1", RUN + "b.conf": f"{A}=2"})
    real = os.scandir

    def deny(path: Any) -> Any:  # noqa: ANN401 - os.scandir's own
        if str(path).endswith("run/sysctl.d"):
            raise PermissionError(13, "Permission denied")
        return real(path)

    monkeypatch.setattr(os, "scandir", deny)
    resolution = resolve(root=str(tmp_path))
    assert resolution.doubts(A) == resolution.doubts(B) == ("/run/sysctl.d", "/run/sysctl.d")


def test_credentials_are_told_and_not_read(tmp_path: Path) -> None:
    build(tmp_path, {"run/credentials/@system/sysctl.extra": f"{A}=secret"})
    resolution = resolve(root=str(tmp_path))
    assert [record.code for record in resolution.unseen] == ["sysctl_credential_ignored"]
    assert resolution.boot == {}
    assert resolution.doubts(A) == ("/run/credentials/@system/sysctl.extra", "")
    assert not resolution.certain


def test_a_root_that_is_not_there(tmp_path: Path) -> None:
    assert resolve(root=str(tmp_path / "none")).boot == {}


def test_hostile_file_names_are_shown_escaped(tmp_path: Path) -> None:
    build(tmp_path, {os.fsdecode(ETC.encode() + b"\xff.conf"): f"{A}=1"})
    assert resolve(root=str(tmp_path)).boot[A].file == "/etc/sysctl.d/\\xff.conf"


@pytest.mark.parametrize(
    ("spelling", "path"),
    [
        ("net.ipv4.tcp_a", "net/ipv4/tcp_a"),
        ("net/ipv4/tcp_a", "net/ipv4/tcp_a"),
        ("net.ipv4.conf.v0/100.x", "net/ipv4/conf/v0.100/x"),
        ("net/ipv4/conf/v0.100/x", "net/ipv4/conf/v0.100/x"),
        ("/net/ipv4/x", "net/ipv4/x"),
        ("x", "x"),
        ("", ""),
    ],
)
def test_sysctl_path(spelling: str, path: str) -> None:
    assert sysctl_path(spelling) == path


NAME = st.from_regex(r"[a-z0-9_]{1,4}(\.[a-z0-9_]{1,4}){0,2}", fullmatch=True)


@given(st.from_regex(r"[a-z]{1,4}", fullmatch=True), st.lists(NAME, max_size=4))
def test_key_and_path_are_inverse(first: str, rest: list[str]) -> None:
    path = "/".join((first, *rest))
    assert sysctl_path(sysctl_key(path)) == path


LINES = st.lists(
    st.one_of(st.binary(max_size=40), st.sampled_from([b"net.ipv4.tcp_a = 1", b"-net.ipv4.tcp_a", b"net.* = 3"]))
)


@given(lines=LINES)
def test_any_file_resolves(lines: list[bytes], tmp_path_factory: pytest.TempPathFactory) -> None:
    root = tmp_path_factory.mktemp("root")
    build(root, {ETC + "a.conf": b"\n".join(lines)})
    resolution = resolve(root=str(root), keys=[A, B])
    for key, line in {**resolution.boot, **resolution.reload}.items():
        assert key
        assert 1 <= line.line <= b"\n".join(lines).count(b"\n") + 1
