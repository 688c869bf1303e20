# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Host identity from trees that stand for a host."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from ansible_collections.lastack.linux.plugins.module_utils.observe.host import parse_os_release, read_host
from ansible_collections.lastack.linux.plugins.module_utils.observe.records import HostIdentity
from hypothesis import given
from hypothesis import strategies as st

if TYPE_CHECKING:
    from pathlib import Path

DEBIAN = 'PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\nNAME="Debian GNU/Linux"\nID=debian\n'
BOOT_ID = "4f9a1a1e-4f8e-4c1d-9d5c-3f9a7a1d2b11"


def build(root: Path, tree: dict[str, str | bytes]) -> None:
    for name, content in tree.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())


def read(root: Path, tree: dict[str, str | bytes]) -> HostIdentity:
    build(root, tree)
    return read_host(proc=str(root / "proc"), root=str(root))


def test_a_whole_host(tmp_path: Path) -> None:
    host = read(
        tmp_path,
        {
            "proc/sys/kernel/hostname": "web-17\n",
            "proc/sys/kernel/random/boot_id": BOOT_ID + "\n",
            "proc/sys/kernel/osrelease": "6.1.0-28-amd64\n",
            "proc/uptime": "3600.25 7000.00\n",
            "etc/os-release": DEBIAN,
            "sys/class/dmi/id/product_name": "KVM\n",
        },
    )
    assert host == HostIdentity(
        name="web-17",
        boot_id=BOOT_ID,
        kernel="6.1.0-28-amd64",
        os="Debian GNU/Linux 12 (bookworm)",
        virtualization="kvm",
        uptime_s=3600.25,
    )


def test_nothing_is_known(tmp_path: Path) -> None:
    assert read(tmp_path, {}) == HostIdentity("unknown", None, None, None, None, None)


@pytest.mark.parametrize("uptime", ["", "x 1", "-5 1", "inf", "nan 1", "9" * 400])
def test_a_strange_uptime_is_unknown(uptime: str, tmp_path: Path) -> None:
    assert read(tmp_path, {"proc/uptime": uptime}).uptime_s is None


def test_os_release_falls_back_to_usr_lib(tmp_path: Path) -> None:
    assert read(tmp_path, {"usr/lib/os-release": "NAME=Alpine\n"}).os == "Alpine"


def test_os_release_may_be_a_link_inside_the_root(tmp_path: Path) -> None:
    build(tmp_path, {"usr/lib/os-release": DEBIAN, "etc/keep": ""})
    (tmp_path / "etc/os-release").symlink_to("/usr/lib/os-release")
    assert read(tmp_path, {}).os == "Debian GNU/Linux 12 (bookworm)"


def test_hostile_bytes_stay_text(tmp_path: Path) -> None:
    host = read(tmp_path, {"proc/sys/kernel/hostname": b"a\xff\x1b[31m\nsecond"})
    assert host.name == "a\\xff\x1b[31m"


@pytest.mark.parametrize(
    ("tree", "expected"),
    [
        ({"proc/1/environ": b"A=1\0container=lxc\0B=2\0"}, "lxc"),
        ({"proc/1/environ": b"container=\x1b[31m\0", "run/systemd/container": "podman\n"}, "podman"),
        ({"run/systemd/container": "systemd-nspawn\n", "sys/class/dmi/id/product_name": "KVM"}, "systemd-nspawn"),
        ({".dockerenv": ""}, "docker"),
        ({"run/.containerenv": ""}, "podman"),
        ({"proc/sys/kernel/osrelease": "5.15.0-microsoft-standard-WSL2\n"}, "wsl"),
        ({"sys/class/dmi/id/sys_vendor": "QEMU\n"}, "qemu"),
        (
            {
                "sys/class/dmi/id/sys_vendor": "Microsoft Corporation\n",
                "sys/class/dmi/id/product_name": "Virtual Machine\n",
            },
            "microsoft",
        ),
        ({"sys/class/dmi/id/sys_vendor": "Amazon EC2\n", "sys/class/dmi/id/product_name": "m5.large\n"}, "amazon"),
        ({"sys/class/dmi/id/sys_vendor": "Amazon EC2\n", "sys/class/dmi/id/product_name": "m5.metal\n"}, None),
        ({"sys/class/dmi/id/sys_vendor": "Dell Inc.\n"}, None),
        ({"sys/hypervisor/type": "xen\n"}, "xen"),
        ({"proc/cpuinfo": "processor\t: 0\nflags\t\t: fpu hypervisor lm\n"}, "vm"),
        ({"proc/cpuinfo": "processor\t: 0\nflags\t\t: fpu lm\nmodel name: hypervisor\n"}, None),
        ({"proc/1/environ": b"notcontainer=lxc\0"}, None),
    ],
)
def test_virtualization(tree: dict[str, str | bytes], expected: str | None, tmp_path: Path) -> None:
    assert read(tmp_path, tree).virtualization == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("A=b", {"A": "b"}),
        ("A='b c'\n#B=1\n\nC", {"A": "b c"}),
        (r'A="say \"hi\" \$x"', {"A": 'say "hi" $x'}),
        ('A="', {"A": '"'}),
    ],
)
def test_os_release(text: str, expected: dict[str, str]) -> None:
    assert parse_os_release(text) == expected


@given(st.text())
def test_any_os_release_is_read(text: str) -> None:
    assert all("=" not in name for name in parse_os_release(text))


def test_this_machine_has_a_name() -> None:
    host = read_host()
    assert host.name != "unknown"
    assert host.uptime_s is not None
    assert host.uptime_s > 0
