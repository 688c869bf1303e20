# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who else sets sysctls: found with file and line, and silent about what does not set any."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from ansible_collections.lastack.linux.plugins.module_utils.observe.sysctl_commands import sysctl_commands
from ansible_collections.lastack.linux.plugins.module_utils.observe.sysctl_managers import Manager, find_managers
from hypothesis import given
from hypothesis import strategies as st

if TYPE_CHECKING:
    from pathlib import Path

SOMAXCONN, FIN = "net.core.somaxconn", "net.ipv4.tcp_fin_timeout"


def managers(root: Path, tree: dict[str, str], *, executable: tuple[str, ...] = ()) -> list[Manager]:
    (root / "proc").mkdir(exist_ok=True)
    for name, content in tree.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if content.startswith("->"):
            path.symlink_to(content[2:])
        else:
            path.write_text(content, encoding="utf-8")
            path.chmod(0o755 if name in executable else 0o644)
    return find_managers(str(root), str(root / "proc"))


def told(found: list[Manager]) -> list[tuple[str, dict[str, tuple[str, str]] | None]]:
    return [
        (
            one.name,
            None
            if one.overrides is None
            else {key: (value.value, value.place) for key, value in one.overrides.items()},
        )
        for one in found
    ]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("sysctl -w net.core.somaxconn=1024", [(SOMAXCONN, "1024")]),
        ("/sbin/sysctl net.core.somaxconn=1024", [(SOMAXCONN, "1024")]),
        ("sudo sysctl -q -w net/core/somaxconn=1024 || true", [(SOMAXCONN, "1024")]),
        ("  - [sysctl, -w, net.core.somaxconn=1024]", [(SOMAXCONN, "1024")]),
        ('  - ["sysctl", "-w", "net.core.somaxconn=1024"]', [(SOMAXCONN, "1024")]),
        ("  - sysctl -w net.core.somaxconn=1024 net.ipv4.tcp_fin_timeout=5", [(SOMAXCONN, "1024"), (FIN, "5")]),
        ("sysctl -w net.ipv4.tcp_rmem='4096 1 2'; reboot", [("net.ipv4.tcp_rmem", "4096 1 2")]),
        ("ExecStart=/usr/sbin/sysctl -w net.core.somaxconn=$N", [(SOMAXCONN, "$N")]),
        ("echo 1024 > /proc/sys/net/core/somaxconn", [(SOMAXCONN, "1024")]),
        ("ExecStart=/bin/sh -c 'echo 5 > /proc/sys/net/ipv4/tcp_fin_timeout'", [(FIN, "5")]),
        ("echo '4096 1 2' | sudo tee /proc/sys/net/ipv4/tcp_rmem", [("net.ipv4.tcp_rmem", "4096 1 2")]),
        ("sysctl -w net.ipv4.conf.v0/100.rp_filter=0", [("net.ipv4.conf.v0/100.rp_filter", "0")]),
        # Nothing is set here.
        ("# sysctl -w net.core.somaxconn=1024", []),
        ("sysctl net.core.somaxconn", []),
        ("sysctl --system", []),
        ("ExecStart=/usr/lib/systemd/systemd-sysctl", []),
        ("cp sysctl.conf /etc/sysctl.d/a.conf; FILE=net.conf", []),
        ("cat /proc/sys/net/core/somaxconn", []),
        ("my_sysctl -w net.core.somaxconn=1024", []),
    ],
)
def test_commands(line: str, expected: list[tuple[str, str]]) -> None:
    assert [(found.key, found.value) for found in sysctl_commands(f"\n{line}\n")] == expected
    assert {found.line for found in sysctl_commands(f"\n{line}\n")} <= {2}


def test_a_command_over_two_lines_is_one() -> None:
    text = "a\nsysctl -w \\\n  net.core.somaxconn=1 \\\n  net.ipv4.tcp_fin_timeout=2\nsysctl -w net.a.b=3\n"
    assert [tuple(found) for found in sysctl_commands(text)] == [
        (SOMAXCONN, "1", 2),
        (FIN, "2", 2),
        ("net.a.b", "3", 5),
    ]


@given(st.text(alphabet=st.sampled_from("sysctl -w=net.a/>\\\"'\n[],echo prc1"), max_size=300))
def test_no_text_is_too_strange(text: str) -> None:
    for found in sysctl_commands(f"sysctl {text}"):
        assert found.key
        assert 1 <= found.line <= text.count("\n") + 1


def test_a_plain_host_has_none(tmp_path: Path) -> None:
    assert managers(tmp_path, {}) == []
    assert (
        managers(tmp_path, {"etc/sysctl.d/a.conf": "net.core.somaxconn=1\n", "etc/crontab": "1 * * * * root x\n"}) == []
    )


TUNED = {
    "etc/tuned/active_profile": "throughput\n",
    "etc/systemd/system/multi-user.target.wants/tuned.service": "->/usr/lib/systemd/system/tuned.service",
    "usr/lib/tuned/throughput/tuned.conf": "[main]\ninclude=base\n\n[sysctl]\n# a\nnet.core.somaxconn=>2048\n",
    "usr/lib/tuned/profiles/base/tuned.conf": "[sysctl]\nnet.core.somaxconn=128\n"
    "net/ipv4/tcp_fin_timeout = 5\n[cpu]\na.b=1\n",
}


def test_tuned_with_what_its_profile_includes(tmp_path: Path) -> None:
    (tuned,) = managers(tmp_path, TUNED)
    assert tuned.overrides == {
        SOMAXCONN: (">2048", "/usr/lib/tuned/throughput/tuned.conf:6"),
        FIN: ("5", "/usr/lib/tuned/profiles/base/tuned.conf:3"),
    }
    assert (tuned.name, tuned.evidence, tuned.yields) == ("tuned", "/etc/tuned/active_profile:1", True)


def test_tuned_that_does_not_give_way(tmp_path: Path) -> None:
    (tuned,) = managers(tmp_path, {**TUNED, "etc/tuned/tuned-main.conf": "# x\nreapply_sysctl = 0\n"})
    assert not tuned.yields


def test_an_own_profile_hides_the_packages_and_the_last_active_one_decides(tmp_path: Path) -> None:
    own = {
        "etc/tuned/profiles/throughput/tuned.conf": "[mine]\ntype=sysctl\nnet.core.somaxconn=9\n",
        "etc/tuned/active_profile": "base throughput",
    }
    (tuned,) = managers(tmp_path, {**TUNED, **own})
    assert tuned.overrides is not None
    assert tuned.overrides[SOMAXCONN] == ("9", "/etc/tuned/profiles/throughput/tuned.conf:3")
    assert tuned.overrides[FIN].value == "5"


def test_tuned_profiles_that_include_each_other_end(tmp_path: Path) -> None:
    loop = {
        "usr/lib/tuned/profiles/base/tuned.conf": "[main]\ninclude=throughput\n[sysctl]\nnet.ipv4.tcp_fin_timeout=1\n"
    }
    (tuned,) = managers(tmp_path, {**TUNED, **loop})
    assert set(tuned.overrides or {}) == {SOMAXCONN, FIN}


def test_tuned_that_does_not_run_and_a_profile_that_is_nowhere(tmp_path: Path) -> None:
    off = {name: text for name, text in TUNED.items() if "wants" not in name}
    gone = {**TUNED, "etc/tuned/active_profile": "elsewhere"}
    for name in ("off", "gone"):
        (tmp_path / name).mkdir()
    assert managers(tmp_path / "off", off) == []
    assert told(managers(tmp_path / "gone", gone)) == [("tuned", None)]


UFW = {
    "etc/ufw/ufw.conf": "ENABLED=yes\n",
    "etc/default/ufw": "IPV6=yes\nIPT_SYSCTL=/etc/ufw/sysctl.conf\n",
    "etc/ufw/sysctl.conf": "# c\nnet/ipv4/tcp_fin_timeout=30\n#net/core/somaxconn=1\n",
}


def test_ufw_only_when_it_is_on(tmp_path: Path) -> None:
    for name in ("on", "off", "without"):
        (tmp_path / name).mkdir()
    assert told(managers(tmp_path / "on", UFW)) == [("ufw", {FIN: ("30", "/etc/ufw/sysctl.conf:2")})]
    assert managers(tmp_path / "off", {**UFW, "etc/ufw/ufw.conf": "ENABLED=no\n"}) == []
    assert managers(tmp_path / "without", {**UFW, "etc/default/ufw": "IPT_SYSCTL=\n"}) == []


def test_cloud_init(tmp_path: Path) -> None:
    tree = {
        "etc/cloud/cloud.cfg": "users: []\n",
        "etc/cloud/cloud.cfg.d/90-tcp.cfg": "bootcmd:\n  - sysctl -w net.ipv4.tcp_fin_timeout=15\n",
        "etc/cloud/cloud.cfg.d/README": "sysctl -w net.ipv4.tcp_fin_timeout=1\n",
        "var/lib/cloud/instances/i-1/user-data.txt": "#cloud-config\nruncmd:\n - [sysctl, -w, net.core.somaxconn=1]\n",
        "var/lib/cloud/instance": "->/var/lib/cloud/instances/i-1",
    }
    every, once = managers(tmp_path, tree)
    assert told([every, once]) == [
        ("cloud-init", {FIN: ("15", "/etc/cloud/cloud.cfg.d/90-tcp.cfg:2")}),
        ("cloud-init", {SOMAXCONN: ("1", "/var/lib/cloud/instance/user-data.txt:3")}),
    ]
    assert (every.when, once.when) == ("at every boot", "when an instance is first booted")
    assert managers(tmp_path, {"etc/cloud/cloud-init.disabled": ""}) == []


def test_kube_proxy_by_its_process(tmp_path: Path) -> None:
    (proxy,) = managers(tmp_path, {"proc/1/comm": "systemd\n", "proc/77/comm": "kube-proxy\n", "proc/self/comm": "x\n"})
    assert (proxy.name, proxy.evidence) == ("kube-proxy", "/proc/77")
    assert "net.netfilter.nf_conntrack_max" in (proxy.overrides or {})


def test_units(tmp_path: Path) -> None:
    setting = "[Service]\nExecStart=/sbin/sysctl -w net.core.somaxconn={}\n"
    tree = {
        "etc/systemd/system/tune.service": setting.format(1),
        "etc/systemd/system/masked.service": "->/dev/null",
        "usr/lib/systemd/system/masked.service": setting.format(2),
        "usr/lib/systemd/system/tune.service": setting.format(3),
        "usr/lib/systemd/system/unused.service": setting.format(4),
        "usr/lib/systemd/system/used.service": setting.format(5),
        "usr/lib/systemd/system/multi-user.target.wants/used.service": "->../used.service",
        "etc/systemd/system/nginx.service.d/tcp.conf": "[Service]\nExecStartPre=sysctl -w net.ipv4.tcp_fin_timeout=6\n",
        "etc/systemd/system/plain.service": "[Service]\nExecStart=/bin/true\n",
        "lib": "->usr/lib",
    }
    assert told(managers(tmp_path, tree)) == [
        ("nginx.service", {FIN: ("6", "/etc/systemd/system/nginx.service.d/tcp.conf:2")}),
        ("tune.service", {SOMAXCONN: ("1", "/etc/systemd/system/tune.service:2")}),
        ("used.service", {SOMAXCONN: ("5", "/usr/lib/systemd/system/used.service:2")}),
    ]


def test_scripts_only_where_they_run(tmp_path: Path) -> None:
    line = "#!/bin/sh\nsysctl -w net.core.somaxconn=1\n"
    tree = {
        "etc/rc.local": line,
        "etc/network/if-up.d/tcp": line,
        "etc/network/if-up.d/off": line,
        "etc/cron.d/tcp": "@reboot root sysctl -w net.core.somaxconn=1\n",
        "etc/network/interfaces": "iface eth0 inet dhcp\n  up sysctl -w net.core.somaxconn=1\n",
    }
    found = managers(tmp_path, tree, executable=("etc/rc.local", "etc/network/if-up.d/tcp"))
    assert [(one.name, one.evidence, one.when) for one in found] == [
        ("/etc/rc.local", "/etc/rc.local:2", "at boot"),
        ("/etc/network/if-up.d/tcp", "/etc/network/if-up.d/tcp:2", "when an interface comes up"),
        ("/etc/network/interfaces", "/etc/network/interfaces:2", "when an interface comes up"),
        ("/etc/cron.d/tcp", "/etc/cron.d/tcp:1", "by cron"),
    ]


def test_nothing_outside_of_the_root_is_read_and_no_fifo_holds_up(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.write_text("sysctl -w net.core.somaxconn=1\n")
    outside.chmod(0o755)
    root = tmp_path / "root"
    (root / "etc/cron.d").mkdir(parents=True)
    os.mkfifo(root / "etc/cron.d/pipe")
    assert managers(root, {"etc/rc.local": f"->{outside}", "etc/cron.d/up": "->../../../outside"}) == []
