# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The state of sysctls from trees that stand for a host."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from ansible_collections.lastack.linux.plugins.module_utils.observe.records import SysctlState
from ansible_collections.lastack.linux.plugins.module_utils.observe.sysctls import collapse, read_sysctls

if TYPE_CHECKING:
    from pathlib import Path

SOMAXCONN = "net.core.somaxconn"
RANGE = "net.ipv4.ip_local_port_range"
RECYCLE = "net.ipv4.tcp_tw_recycle"


@pytest.fixture
def host(tmp_path: Path) -> Path:
    write(tmp_path, "run/systemd/system/keep", "")
    write(tmp_path, "proc/sys/net/core/somaxconn", "4096\n")
    write(tmp_path, "proc/sys/net/ipv4/ip_local_port_range", "32768\t60999\n")
    write(tmp_path, "proc/sys/net/ipv4/tcp_known", "1\n")
    return tmp_path


def write(root: Path, name: str, text: str) -> None:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def read(host: Path, *keys: str) -> tuple[list[SysctlState], list[str]]:
    states, unseen = read_sysctls(keys, proc=str(host / "proc"), root=str(host))
    return states, [record.code for record in unseen]


def state(key: str, current: str, reload: str | None = None, reload_winner: str | None = None) -> SysctlState:
    return SysctlState(
        key=key,
        current=current,
        exists=True,
        configured=None,
        winner=None,
        reload_configured=reload,
        reload_winner=reload_winner,
        shadowed=(),
        overridden=(),
    )


def test_a_key_that_no_file_sets(host: Path) -> None:
    assert read(host, RANGE) == (
        [state(RANGE, "32768 60999")],
        [],
    )


def test_a_key_that_files_set(host: Path) -> None:
    write(host, "etc/sysctl.d/10-a.conf", f"{SOMAXCONN} = 1024\n")
    write(host, "etc/sysctl.d/20-b.conf", f"#\n{SOMAXCONN}=  2048\t\n")
    write(host, "usr/lib/sysctl.d/20-b.conf", f"{SOMAXCONN}=512\n")
    write(host, "etc/sysctl.conf", f"net/core/somaxconn = 128\n{RANGE} = 1024   65000\n")
    states, unseen = read(host, SOMAXCONN, RANGE)
    assert unseen == []
    assert states == [
        SysctlState(
            key=SOMAXCONN,
            current="4096",
            exists=True,
            configured="2048",
            winner="/etc/sysctl.d/20-b.conf:2",
            reload_configured="128",
            reload_winner="/etc/sysctl.conf:1",
            shadowed=("/usr/lib/sysctl.d/20-b.conf:1",),
            overridden=("/etc/sysctl.d/10-a.conf:1",),
            certain=True,
        ),
        state(RANGE, "32768 60999", "1024 65000", "/etc/sysctl.conf:2"),
    ]


def test_a_removed_key_does_not_exist(host: Path) -> None:
    write(host, "etc/sysctl.d/a.conf", f"{RECYCLE}=1\n")
    (state,), __ = read(host, RECYCLE)
    assert (state.exists, state.current, state.configured) == (False, None, "1")


def test_foreign_keys_come_only_for_tcp_and_only_if_the_kernel_lacks_them(host: Path) -> None:
    write(
        host,
        "etc/sysctl.d/a.conf",
        "net.ipv4.tcp_fack=1\nnet.ipv4.tcp_known=1\nnet.ipv4.other=1\nkernel.x=1\nnet.ipv4.tcp_a/b=1\n"
        "net/ipv4/tcp_x/../../../../escape=1\n-net.ipv4.tcp_gone\n",
    )
    write(host, "etc/sysctl.conf", "net.ipv4.tcp_dsack_typo=1\n")
    states, __ = read(host, SOMAXCONN)
    assert [state.key for state in states] == [SOMAXCONN, "net.ipv4.tcp_dsack_typo", "net.ipv4.tcp_fack"]
    assert not states[1].exists


def test_foreign_keys_are_bounded(host: Path) -> None:
    write(host, "etc/sysctl.d/a.conf", "".join(f"net.ipv4.tcp_x{n}=1\n" for n in range(500)))
    assert len(read(host)[0]) == 64


def test_globs_reach_existing_keys(host: Path) -> None:
    write(host, "etc/sysctl.d/a.conf", "net.core.* = 9\nnet.ipv4.tcp_* = 1\n")
    states, __ = read(host, SOMAXCONN, RECYCLE)
    assert [state.configured for state in states] == ["9", None]


def test_without_systemd_nothing_is_certain_if_a_file_says_something(host: Path) -> None:
    (host / "run/systemd/system/keep").unlink()
    (host / "run/systemd/system").rmdir()
    assert read(host, SOMAXCONN)[1] == []
    write(host, "etc/sysctl.conf", f"{SOMAXCONN}=1\n")
    (state,), unseen = read(host, SOMAXCONN)
    assert unseen == ["sysctl_boot_loader_unknown"]
    assert not state.certain


def test_an_unread_file_makes_nothing_certain(host: Path) -> None:
    write(host, "etc/sysctl.d/a.conf", "#" * ((1 << 20) + 1))
    (state,), unseen = read(host, SOMAXCONN)
    assert unseen == ["sysctl_file_too_large"]
    assert not state.certain


def test_an_unreadable_value_is_unknown_and_exists(host: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "ansible_collections.lastack.linux.plugins.module_utils.observe.sysctls.try_read_head", lambda *__: None
    )
    (state,), __ = read(host, SOMAXCONN)
    assert (state.exists, state.current) == (True, None)


def test_a_key_is_read_once_in_either_spelling(host: Path) -> None:
    assert [state.key for state in read(host, SOMAXCONN, "net/core/somaxconn")[0]] == [SOMAXCONN]


@pytest.mark.parametrize(("value", "expected"), [(" 1\t 2\n", "1 2"), ("", ""), ("a", "a")])
def test_collapse(value: str, expected: str) -> None:
    assert collapse(value) == expected
