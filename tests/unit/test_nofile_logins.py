# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who wins in limits.conf and limits.d, as pam_limits reads them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from ansible_collections.lastack.linux.plugins.module_utils.tune.nofile_logins import (
    DROPIN,
    Domain,
    LimitLine,
    dropin_text,
    pam_reads_limits,
    parse_limits_file,
    read_domain,
    read_limit_lines,
    why_no_domain,
    winners,
    with_ours,
)
from ansible_collections.lastack.linux.plugins.module_utils.tune.nofile_wishes import Limits
from host_trees import build_host, put

if TYPE_CHECKING:
    from pathlib import Path

CONF = "/etc/security/limits.conf"
D = "/etc/security/limits.d/"


@pytest.fixture
def host(tmp_path: Path) -> Path:
    build_host(tmp_path)
    put(tmp_path, "/etc/passwd", "root:x:0:0::/root:/bin/sh\nann:x:1000:1000::/:/bin/sh\nbroken\nx:x:a:b:::\n")
    put(tmp_path, "/etc/group", "root:x:0:\nann:x:1000:\ndevs:x:2000:bob,ann\nops:x:2001:bob\nbad:x:y:\n")
    return tmp_path


def decided(host: Path, name: str, *, is_debian: bool = True) -> tuple[str, str]:
    lines, missed = read_limit_lines(root=str(host))
    assert missed == []
    found = winners(lines, read_domain(name, root=str(host)), is_debian=is_debian)
    return found.soft.place if found.soft else "", found.hard.place if found.hard else ""


def test_lines_are_read_as_pam_reads_them() -> None:
    text = (
        b"# ann soft nofile 1\n"
        b"ann soft nofile 2 # comment\n"
        b"\t@devs  HARD  nofile\tunlimited\n"
        b"* - NOFILE 5\n"
        b"* - nproc 6\n"
        b"ann soft nofile\n"
        b"ann soft nofile 7 8\n"
        b"ann both nofile 9\n"
        b"ann soft nofile x\n"
        b"ann soft nofile 99999999999999999999\n"
        b"\xff - nofile -1"
    )
    assert parse_limits_file(text, "/f") == [
        LimitLine("/f", 2, "ann", 2, None),
        LimitLine("/f", 3, "@devs", None, -1),
        LimitLine("/f", 4, "*", 5, 5),
        LimitLine("/f", 7, "ann", 7, None),
        LimitLine("/f", 11, "\\xff", -1, -1),
    ]


def test_a_user_before_a_group_before_the_star_whatever_the_order(host: Path) -> None:
    put(host, CONF, "ann soft nofile 100\n@devs soft nofile 200\n* - nofile 300\n")
    assert decided(host, "ann") == (f"{CONF}:1", "")
    assert decided(host, "@devs") == (f"{CONF}:2", "")
    assert decided(host, "*") == (f"{CONF}:3", f"{CONF}:3")
    assert decided(host, "bob") == (f"{CONF}:3", f"{CONF}:3")


def test_a_dash_line_whose_soft_limit_loses_is_dropped_whole(host: Path) -> None:
    """Measured with libpam 1.4.0, 1.5.2 and 1.7.0; in the other order the hard limit of the group counts."""
    put(host, CONF, "ann soft nofile 100\n@devs - nofile 200\n* hard nofile 300\n")
    assert decided(host, "ann") == (f"{CONF}:1", f"{CONF}:3")
    put(host, CONF, "@devs - nofile 200\nann soft nofile 100\n* hard nofile 300\n")
    assert decided(host, "ann") == (f"{CONF}:2", f"{CONF}:1")


@pytest.mark.parametrize(
    ("domain", "exempt"), [("ann", True), ("@devs", True), ("1000:", True), ("*", False), ("bob", False)]
)
def test_an_exemption_takes_every_limit_away(host: Path, domain: str, *, exempt: bool) -> None:
    put(host, CONF, f"ann soft nofile 100\n{domain} -\nann hard nofile 200\n")
    lines, __ = read_limit_lines(root=str(host))
    found = winners(lines, read_domain("ann", root=str(host)), is_debian=True)
    assert found.limits == ((None, None) if exempt else (100, 200))
    assert (found.exempt is None) is not exempt


def test_of_one_kind_the_last_wins_in_byte_order(host: Path) -> None:
    put(host, CONF, "* - nofile 1\n")
    for number, name in enumerate(
        ("Zz.conf", "aa.conf", "10-b.conf", "9-a.conf", ".zz.conf", "zz.conf.bak", "\u00e9.conf")
    ):
        put(host, D + name, f"* - nofile {number}\n")
    assert [line.file for line in read_limit_lines(root=str(host))[0]] == [
        CONF,
        *(D + name for name in ("10-b.conf", "9-a.conf", "Zz.conf", "aa.conf", "\u00e9.conf")),
    ]
    assert decided(host, "*") == (f"{D}\u00e9.conf:1", f"{D}\u00e9.conf:1")


def test_root_needs_a_line_of_its_own_on_debian(host: Path) -> None:
    put(host, CONF, "* - nofile 100\n@root - nofile 200\n")
    assert decided(host, "root") == ("", "")
    assert decided(host, "root", is_debian=False) == (f"{CONF}:2", f"{CONF}:2")
    put(host, CONF, "* - nofile 100\nroot soft nofile 200\n")
    assert decided(host, "root") == (f"{CONF}:2", "")


@pytest.mark.parametrize(
    ("domain", "matches"),
    [
        ("1000:", True),
        ("1000:1000", True),
        (":1000", True),
        ("999:1001", True),
        ("1001:", False),
        (":999", False),
        ("@:2000", True),
        ("@2000:", False),
        ("@1000:1000", True),
        ("@ops", False),
        (":", False),
        ("@:", False),
        ("%devs", False),
        ("9" * 30 + ":", False),
    ],
)
def test_ranges(host: Path, domain: str, *, matches: bool) -> None:
    put(host, CONF, f"{domain} - nofile 100\n")
    assert decided(host, "ann") == ((f"{CONF}:1",) * 2 if matches else ("", ""))


@pytest.mark.parametrize(
    "name", ["", "a b", "a\n* - nofile 1", "#x", "%devs", "1:2", "@", "**", "x" * 300, "@@a", "a:b"]
)
def test_what_cannot_stand_there(name: str) -> None:
    assert why_no_domain(name) == f"{name[:80]!r} is neither a user nor @group nor *."


@pytest.mark.parametrize("name", ["*", "ann", "@devs", "svc$", "ann@example.org", "CORP\\ann", "a.b-c_d"])
def test_what_can_stand_there(name: str) -> None:
    assert why_no_domain(name) == ""


def test_our_file_is_read_back_as_written() -> None:
    wanted = {"root": Limits(1, 2), "*": Limits(3, None), "@devs": Limits(None, 4)}
    text = dropin_text(wanted)
    assert text is not None
    assert [line[2:] for line in parse_limits_file(text, DROPIN)] == [
        ("*", 3, None),
        ("@devs", None, 4),
        ("root", 1, None),
        ("root", None, 2),
    ]
    assert dropin_text({}) is None


def test_our_lines_take_their_place_among_the_others() -> None:
    def line(file: str) -> LimitLine:
        return LimitLine(file, 1, "*", 1, 1)

    first, last = line(D + "80-x.conf"), line(D + "99-x.conf")
    lines = [line(CONF), first, line(DROPIN), last]
    ours = [LimitLine(DROPIN, 3, "*", 2, 2)]
    assert with_ours(lines, ours) == [line(CONF), first, *ours, last]
    assert with_ours(lines, []) == [line(CONF), first, last]
    assert with_ours([line(CONF)], ours) == [line(CONF), *ours]


def test_what_cannot_be_read_is_said(host: Path) -> None:
    (host / "etc/security/limits.d/x.conf").mkdir()
    (host / "etc/security/limits.d/y.conf").symlink_to("/nowhere")
    assert read_limit_lines(root=str(host)) == ([], [D + "x.conf"])


def test_whether_pam_reads_them(host: Path) -> None:
    assert not pam_reads_limits(root=str(host))
    put(host, "/etc/pam.d/su", "# session required pam_limits.so\n")
    assert not pam_reads_limits(root=str(host))
    put(host, "/etc/pam.d/sshd", "session required pam_limits.so\n")
    assert pam_reads_limits(root=str(host))


def test_names_without_an_account(host: Path) -> None:
    assert read_domain("nobody-here", root=str(host)) == Domain("nobody-here")
    assert read_domain("@nothing", root=str(host)) == Domain("@nothing", groups=frozenset({"nothing"}))
    assert read_domain("x", root=str(host)) == Domain("x")
