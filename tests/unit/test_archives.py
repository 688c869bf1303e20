# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a package may not hold is found, wherever it was planted."""

from __future__ import annotations

import io
import stat
import tarfile
import zipfile
from typing import TYPE_CHECKING

import pytest
from archives import PREFIX, Member, differences, faults, read_archive

if TYPE_CHECKING:
    from pathlib import Path

GOOD = {
    "wheel": {f"{PREFIX}plugins/modules/one.py": b"one = 1\n", "lastack-0.1.0.dist-info/RECORD": b""},
    "sdist": {"lastack-0.1.0/plugins/modules/one.py": b"one = 1\n", "lastack-0.1.0/.gitignore": b""},
    "collection": {"plugins/modules/one.py": b"one = 1\n", "docs/bench.md": b"", "plugins/test/even.py": b""},
}
FOLDER = {"wheel": PREFIX, "sdist": "lastack-0.1.0/", "collection": ""}

# Put together here, so that this file is not what it looks for.
CONTENTS = {
    "a private key": b"-----BEGIN OPENSSH " + b"PRIVATE KEY-----\n",
    "the path of a home": b"see /ho" + b"me/alice/notes",
    "a token": b'TOKEN = "gh' + b"p_" + b"a1B2" * 9 + b'"',
    "a password in a URL": b"https" + b"://alice:hunter2@example.com/",
    "a path of the machine that built it": b"# /srv/checkout-7/lastack",
}
NAMES = [
    "plugins/modules/__pycache__/one.cpython-311.pyc",
    "plugins/modules/one.pyc",
    "plugins/modules/test_one.py",
    "plugins/tests/helper.py",
    "plugins/.secret",
    "plugins/modules/one.py.orig",
    "plugins/modules/one.py~",
    "plugins/id_ed25519",
    "meta/server.pem",
    "tests/unit/test_x.py",
    "collections/ansible_collections/lastack/linux/README.md",
    "bench/run.py",
    "molecule/audit/verify.yml",
    ".venv/pyvenv.cfg",
    "notes.txt",
]


def members(package: str, more: dict[str, Member] | None = None) -> dict[str, Member]:
    return {**{name: Member("file", content) for name, content in GOOD[package].items()}, **(more or {})}


@pytest.mark.parametrize("package", list(GOOD))
def test_nothing_is_found_where_nothing_is(package: str) -> None:
    assert faults(package, members(package), ["/srv/checkout-7"]) == []


@pytest.mark.parametrize("package", list(GOOD))
@pytest.mark.parametrize("what", list(CONTENTS))
def test_planted_content_is_found(package: str, what: str) -> None:
    name = f"{FOLDER[package]}plugins/modules/two.py"
    planted = members(package, {name: Member("file", b"# harmless\n" + CONTENTS[what])})
    assert faults(package, planted, ["/srv/checkout-7"]) == [f"{name} holds {what}"]


@pytest.mark.parametrize("package", list(GOOD))
@pytest.mark.parametrize("name", NAMES)
def test_planted_names_are_found(package: str, name: str) -> None:
    name = FOLDER[package] + name
    found = faults(package, members(package, {name: Member("file")}))
    assert found
    assert all(one.startswith(f"{name} ") for one in found)


@pytest.mark.parametrize("name", ["/etc/passwd", "plugins/../../escape.py"])
def test_names_that_leave_the_folder_are_found(name: str) -> None:
    assert f"{name} leaves its folder" in faults("collection", members("collection", {name: Member("file")}))


def test_paths_of_programs_and_variables_are_no_homes() -> None:
    text = b"/usr/home/x ~/home/y $HOME/root/z {{ base }}/home/w /rootfs/etc https://h/home/page.html"
    assert faults("collection", members("collection", {"docs/x.md": Member("file", text)})) == []


def test_links_and_devices_of_a_tarball_are_seen(tmp_path: Path) -> None:
    path = tmp_path / "lastack-linux-0.1.0.tar.gz"
    with tarfile.open(path, "w:gz") as tarball:
        for name, kind in {
            "plugins/a": tarfile.SYMTYPE,
            "plugins/b": tarfile.LNKTYPE,
            "plugins/c": tarfile.FIFOTYPE,
        }.items():
            one = tarfile.TarInfo(name)
            one.type, one.linkname = kind, "plugins/d"
            tarball.addfile(one)
        one = tarfile.TarInfo("plugins/d")
        one.size = 3
        tarball.addfile(one, io.BytesIO(b"abc"))
    read = read_archive(path)
    assert read["plugins/d"] == Member("file", b"abc")
    assert faults("collection", read) == [f"plugins/{name} is a link or a device" for name in "abc"]


def test_links_of_a_wheel_are_seen(tmp_path: Path) -> None:
    path = tmp_path / "lastack-0.1.0-py3-none-any.whl"
    name = f"{PREFIX}plugins/a"
    one = zipfile.ZipInfo(name)
    one.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(one, "b")
    assert faults("wheel", read_archive(path)) == [f"{name} is a link or a device"]


def test_differences_name_the_file() -> None:
    first = {"a": Member("file", b"1"), "b": Member("file", b"2"), "c": Member("folder")}
    second = {"a": Member("file", b"1"), "b": Member("file", b"3"), "d": Member("folder")}
    assert differences(first, first) == []
    assert differences(first, second) == ["only the first has c", "only the second has d", "b differs"]
