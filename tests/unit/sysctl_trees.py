# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Trees of sysctl files and who wins in them; a kernel test holds the real loaders to the same trees."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["CASES", "ETC", "RUN", "USR", "A", "B", "C", "Case", "build"]

A, B, C = "net.ipv4.tcp_a", "net.ipv4.tcp_b", "net.ipv4.tcp_c"
ETC, RUN, LOCAL, USR = "etc/sysctl.d/", "run/sysctl.d/", "usr/local/lib/sysctl.d/", "usr/lib/sysctl.d/"


class Case(NamedTuple):
    name: str
    tree: dict[str, str | bytes]
    """Content by path; a text that begins with ``->`` is a link to what follows."""
    boot: dict[str, tuple[str, str]]
    """Value and place by key."""
    reload: dict[str, tuple[str, str]] | None = None
    """Where it differs from ``boot``."""
    keys: tuple[str, ...] = ()


CASES = [
    Case("nothing", {}, {}),
    Case("one file", {ETC + "a.conf": f"{A} = 1\n"}, {A: ("1", "/etc/sysctl.d/a.conf:1")}),
    Case("run hides usr", {RUN + "a.conf": f"{A}=r", USR + "a.conf": f"{A}=u"}, {A: ("r", "/run/sysctl.d/a.conf:1")}),
    Case("etc hides run", {ETC + "a.conf": f"{A}=e", RUN + "a.conf": f"{A}=r"}, {A: ("e", "/etc/sysctl.d/a.conf:1")}),
    Case(
        "usr/local hides usr",
        {LOCAL + "a.conf": f"{A}=l", USR + "a.conf": f"{A}=u"},
        {A: ("l", "/usr/local/lib/sysctl.d/a.conf:1")},
    ),
    Case(
        "a hiding file hides every key of the hidden one",
        {ETC + "a.conf": f"{A}=e", USR + "a.conf": f"{A}=u\n{B}=u"},
        {A: ("e", "/etc/sysctl.d/a.conf:1")},
    ),
    Case(
        "a later name in a weaker directory wins",
        {ETC + "10-a.conf": f"{A}=e", USR + "20-a.conf": f"{A}=u"},
        {A: ("u", "/usr/lib/sysctl.d/20-a.conf:1")},
    ),
    Case(
        "digits sort by byte",
        {ETC + "10-b.conf": f"{A}=10", ETC + "9-a.conf": f"{A}=9"},
        {A: ("9", "/etc/sysctl.d/9-a.conf:1")},
    ),
    Case(
        "capitals sort before small",
        {ETC + "Zz.conf": f"{A}=Z", ETC + "aa.conf": f"{A}=a"},
        {A: ("a", "/etc/sysctl.d/aa.conf:1")},
    ),
    Case("an empty file masks", {ETC + "a.conf": "", USR + "a.conf": f"{A}=u"}, {}),
    Case("a link to null masks", {ETC + "a.conf": "->/dev/null", USR + "a.conf": f"{A}=u"}, {}),
    Case("a dangling link hides", {ETC + "a.conf": "->/nowhere", USR + "a.conf": f"{A}=u"}, {}),
    Case("only conf", {ETC + "a.conf.bak": f"{A}=1", ETC + "README": f"{A}=2", ETC + "a.conf~": f"{A}=3"}, {}),
    Case("dot files count on reload only", {ETC + ".a.conf": f"{A}=1"}, {}, {A: ("1", "/etc/sysctl.d/.a.conf:1")}),
    Case(
        "sysctl.conf is read last on reload and not at boot",
        {ETC + "99-z.conf": f"{A}=141", "etc/sysctl.conf": f"# c\n{A}=142"},
        {A: ("141", "/etc/sysctl.d/99-z.conf:1")},
        {A: ("142", "/etc/sysctl.conf:2")},
    ),
    Case(
        "the link makes boot read it, in the link's place",
        {
            ETC + "99-sysctl.conf": "->../sysctl.conf",
            ETC + "99-tcp-lastack.conf": f"{A}=ours",
            "etc/sysctl.conf": f"{A}=old\n{B}=old",
        },
        {A: ("ours", "/etc/sysctl.d/99-tcp-lastack.conf:1"), B: ("old", "/etc/sysctl.d/99-sysctl.conf:2")},
        {A: ("old", "/etc/sysctl.conf:1"), B: ("old", "/etc/sysctl.conf:2")},
    ),
    Case(
        "an absolute link stays inside the root",
        {ETC + "a.conf": "->/opt/real", "opt/real": f"{A}=in"},
        {A: ("in", "/etc/sysctl.d/a.conf:1")},
    ),
    Case(
        "a climbing link stays inside the root",
        {ETC + "a.conf": "->../../../../../opt/real", "opt/real": f"{A}=in"},
        {A: ("in", "/etc/sysctl.d/a.conf:1")},
    ),
    Case(
        "a merged lib is read once",
        {"lib": "->usr/lib", USR + "a.conf": f"{A}=1"},
        {A: ("1", "/usr/lib/sysctl.d/a.conf:1")},
    ),
    Case("a separate lib is read", {"lib/sysctl.d/a.conf": f"{A}=1"}, {A: ("1", "/lib/sysctl.d/a.conf:1")}),
    Case("slashes", {ETC + "a.conf": "net/ipv4/tcp_a = 1"}, {A: ("1", "/etc/sysctl.d/a.conf:1")}),
    Case("a leading slash", {ETC + "a.conf": "/net/ipv4/tcp_a = 1"}, {A: ("1", "/etc/sysctl.d/a.conf:1")}),
    Case("doubled dots", {ETC + "a.conf": "net..ipv4.tcp_a = 1"}, {A: ("1", "/etc/sysctl.d/a.conf:1")}),
    Case(
        "both spellings of an interface with a dot",
        {ETC + "a.conf": "net.ipv4.conf.v0/100.x = 1\nnet/ipv4/conf/v0.100/x = 2"},
        {"net.ipv4.conf.v0/100.x": ("2", "/etc/sysctl.d/a.conf:2")},
    ),
    Case("comments", {ETC + "a.conf": f"#{A}=1\n ; {A}=2\n\n"}, {}),
    Case(
        "a trailing comment is part of the value",
        {ETC + "a.conf": f"{A} = 1 # why"},
        {A: ("1 # why", "/etc/sysctl.d/a.conf:1")},
    ),
    Case("the last line of a file wins", {ETC + "a.conf": f"{A}=1\n{A}=2"}, {A: ("2", "/etc/sysctl.d/a.conf:2")}),
    Case("only the first equals sign separates", {ETC + "a.conf": f"{A} == 1"}, {A: ("= 1", "/etc/sysctl.d/a.conf:1")}),
    Case("an empty value", {ETC + "a.conf": f"{A} ="}, {A: ("", "/etc/sysctl.d/a.conf:1")}),
    Case(
        "carriage returns",
        {ETC + "a.conf": f"{A} = 1\r\n{B} = 2\r\n"},
        {A: ("1", "/etc/sysctl.d/a.conf:1"), B: ("2", "/etc/sysctl.d/a.conf:2")},
    ),
    Case("a line without equals is skipped", {ETC + "a.conf": f"{A}\n{B}=2"}, {B: ("2", "/etc/sysctl.d/a.conf:2")}),
    Case("a minus forgives a failure", {ETC + "a.conf": f"-{A} = 1"}, {A: ("1", "/etc/sysctl.d/a.conf:1")}),
    Case(
        "a blank behind the minus is a key of its own to procps",
        {ETC + "a.conf": f"- {A} = 1"},
        {A: ("1", "/etc/sysctl.d/a.conf:1")},
        {" " + A: ("1", "/etc/sysctl.d/a.conf:1")},
    ),
    Case(
        "a comment in an old encoding",
        {ETC + "a.conf": b"# caf\xe9\n" + A.encode() + b"=1"},
        {A: ("1", "/etc/sysctl.d/a.conf:2")},
    ),
    Case(
        "globs reach the kernel's keys only, and not over a slash",
        {ETC + "a.conf": "net.ipv4.tcp_* = g\nnet.* = no"},
        {A: ("g", "/etc/sysctl.d/a.conf:1")},
        keys=(A, "net.core.x"),
    ),
    Case(
        "an explicit key beats a later glob",
        {ETC + "a.conf": f"{A} = 1", ETC + "b.conf": "net.ipv4.tcp_* = g"},
        {A: ("1", "/etc/sysctl.d/a.conf:1"), B: ("g", "/etc/sysctl.d/b.conf:1")},
        keys=(A, B),
    ),
    Case(
        "the later of two globs wins",
        {ETC + "a.conf": "net.ipv4.tcp_[ab] = 1\nnet.ipv4.tcp_[ac] = 2"},
        {A: ("2", "/etc/sysctl.d/a.conf:2"), B: ("1", "/etc/sysctl.d/a.conf:1"), C: ("2", "/etc/sysctl.d/a.conf:2")},
        keys=(A, B, C),
    ),
    Case(
        "a repeated glob keeps its place at boot only",
        {ETC + "a.conf": "net.ipv4.tcp_[ab] = 1\nnet.ipv4.tcp_[ac] = 2\nnet.ipv4.tcp_[ab] = 1"},
        {A: ("2", "/etc/sysctl.d/a.conf:2"), B: ("1", "/etc/sysctl.d/a.conf:3"), C: ("2", "/etc/sysctl.d/a.conf:2")},
        {A: ("1", "/etc/sysctl.d/a.conf:3"), B: ("1", "/etc/sysctl.d/a.conf:3"), C: ("2", "/etc/sysctl.d/a.conf:2")},
        keys=(A, B, C),
    ),
    Case(
        "a negated class in either spelling",
        {ETC + "a.conf": "net.ipv4.tcp_[^a] = 1"},
        {B: ("1", "/etc/sysctl.d/a.conf:1")},
        keys=(A, B),
    ),
    Case(
        "minus alone takes a key out of globs",
        {ETC + "a.conf": f"net.ipv4.* = g\n-{A}"},
        {B: ("g", "/etc/sysctl.d/a.conf:1")},
        keys=(A, B),
    ),
    Case(
        "minus alone later than an assignment takes it back at boot only",
        {ETC + "a.conf": f"{A} = 1\n-{A}"},
        {},
        {A: ("1", "/etc/sysctl.d/a.conf:1")},
    ),
    Case(
        "minus alone before an assignment changes nothing",
        {ETC + "a.conf": f"-{A}\n{A} = 1"},
        {A: ("1", "/etc/sysctl.d/a.conf:2")},
    ),
    Case(
        "a zero byte ends a line at boot and hides the rest of it on reload",
        {ETC + "a.conf": b"\0x\nnet.ipv4.tcp_a=1\0net.ipv4.tcp_b=2\n#\0net.ipv4.tcp_c=3\n"},
        {
            A: ("1", "/etc/sysctl.d/a.conf:2"),
            B: ("2", "/etc/sysctl.d/a.conf:2"),
            C: ("3", "/etc/sysctl.d/a.conf:3"),
        },
        {A: ("1", "/etc/sysctl.d/a.conf:2")},
    ),
    Case(
        "a carriage return ends a line at boot",
        {ETC + "a.conf": b"# x\rnet.ipv4.tcp_a=1\r\nnet.ipv4.tcp_b=2\r\n"},
        {A: ("1", "/etc/sysctl.d/a.conf:1"), B: ("2", "/etc/sysctl.d/a.conf:2")},
        {B: ("2", "/etc/sysctl.d/a.conf:2")},
    ),
    Case("a malformed class matches nothing", {ETC + "a.conf": "net.ipv4.tcp_[b-a] = 1"}, {}, keys=(A, B)),
]


def build(root: Path, tree: dict[str, str | bytes]) -> None:
    for name, content in tree.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, bytes):
            path.write_bytes(content)
        elif content.startswith("->"):
            path.symlink_to(content[2:])
        else:
            path.write_text(content)
