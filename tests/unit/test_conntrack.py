# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Connection tracking from trees that stand for /proc."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from ansible_collections.lastack.linux.plugins.module_utils.observe.conntrack import read_conntrack
from ansible_collections.lastack.linux.plugins.module_utils.observe.namespaces import NamespaceUnreadable
from ansible_collections.lastack.linux.plugins.module_utils.observe.records import Conntrack, NetworkNamespace

if TYPE_CHECKING:
    from pathlib import Path

OWN = NetworkNamespace(inode=4026531840, label="host", path="/proc/self/ns/net", pid=1, current=True)


@pytest.mark.parametrize(
    ("count", "maximum", "expected"),
    [
        ("21011\n", "262144\n", Conntrack(21011, 262144)),
        ("0\n", "0\n", Conntrack(0, 0)),
        (None, "262144\n", None),
        ("5\n", None, None),
        ("x\n", "5\n", None),
        ("", "5\n", None),
        ("-1\n", "5\n", None),
    ],
)
def test_conntrack(count: str | None, maximum: str | None, expected: Conntrack | None, tmp_path: Path) -> None:
    folder = tmp_path / "sys/net/netfilter"
    folder.mkdir(parents=True)
    for name, text in (("nf_conntrack_count", count), ("nf_conntrack_max", maximum)):
        if text is not None:
            (folder / name).write_text(text)
    assert read_conntrack(OWN, proc=str(tmp_path)) == expected


def test_without_the_module(tmp_path: Path) -> None:
    assert read_conntrack(OWN, proc=str(tmp_path)) is None


def test_a_namespace_that_is_gone(tmp_path: Path) -> None:
    gone = NetworkNamespace(inode=1, label="", path=str(tmp_path / "gone"), pid=None, current=False)
    with pytest.raises(NamespaceUnreadable):
        read_conntrack(gone)
