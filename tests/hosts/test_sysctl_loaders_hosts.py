# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The resolver against the loaders of each distribution: on made trees, on a host's own files and kernel, at a boot."""

from __future__ import annotations

import base64
import io
import json
import tarfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from ansible_collections.lastack.linux.plugins.module_utils.observe.sysctl_values import same_value
from loaded_sysctls import CASES, PROGRAM, expected, question

if TYPE_CHECKING:
    from lab import Lab

pytestmark = pytest.mark.needs_root

COLLECTION = Path(__file__).resolve().parents[2]
OBSERVE = "plugins/module_utils/observe"
HOME = "/root/resolver"
ETC, RUN, LOCAL, USR = "/etc/sysctl.d/", "/run/sysctl.d/", "/usr/local/lib/sysctl.d/", "/usr/lib/sysctl.d/"
TIME, GAP, PROBES = "net.ipv4.tcp_keepalive_time", "net.ipv4.tcp_keepalive_intvl", "net.ipv4.tcp_keepalive_probes"
RANGE, VLAN = "net.ipv4.ip_local_port_range", "net.ipv4.conf.v0/100.forwarding"
START = {TIME: "7200", GAP: "75", PROBES: "9", RANGE: "32768 60999", VLAN: "1"}

# procps 3.3 writes "=" to a key without a value, which the kernel refuses and a plain file does not.
REFUSED_BY_KERNELS = {
    "a line without equals is skipped",
    "minus alone takes a key out of globs",
    "minus alone later than an assignment takes it back at boot only",
}

TREES: dict[str, dict[str, str]] = {
    "only what the distribution ships": {},
    "byte order": {
        ETC + "10-b.conf": f"{TIME} = 101\n{GAP} = 11\n",
        ETC + "9-a.conf": f"{TIME} = 102\n",
        ETC + "Zz.conf": f"{PROBES} = 3\n{RANGE} = 20000 30001\n",
        ETC + "aa.conf": f"{PROBES} = 4\n",
        ETC + "é.conf": f"{GAP} = 13\n",
        USR + "zzz.conf": f"{GAP} = 12\n{RANGE} = 20002\t30003\n",
    },
    "directories": {
        ETC + "a.conf": f"{TIME} = 101\n",
        RUN + "a.conf": f"{TIME} = 102\n{GAP} = 12\n",
        RUN + "b.conf": f"{PROBES} = 3\n",
        LOCAL + "b.conf": f"{PROBES} = 4\n{GAP} = 13\n",
        LOCAL + "c.conf": f"{RANGE} = 20000 30001\n",
        USR + "c.conf": f"{RANGE} = 20002 30003\n{VLAN} = 0\n",
    },
    "masks": {
        ETC + "a.conf": "->/dev/null",
        USR + "a.conf": f"{TIME} = 101\n",
        RUN + "b.conf": "",
        USR + "b.conf": f"{GAP} = 11\n",
        ETC + "c.conf": "->/nowhere",
        USR + "c.conf": f"{PROBES} = 3\n",
        USR + "d.conf": f"{RANGE} = 20002 30003\n",
    },
    "dot files and other names": {
        ETC + ".z.conf": f"{TIME} = 101\n{VLAN} = 0\n",
        ETC + "a.conf": f"{TIME} = 102\n{GAP} = 11\n",
        ETC + "z.conf.dpkg-old": f"{GAP} = 12\n",
        ETC + "z.conf~": f"{GAP} = 13\n",
        ETC + "99-sysctl.conf.conf": f"{PROBES} = 3\n",
    },
    "globs": {
        ETC + "a.conf": f"{GAP} = 11\n-{PROBES}\n",
        ETC + "b.conf": "net.ipv4.tcp_keepalive_* = 33\nnet.ipv4.conf.*.forwarding = 0\nnet.* = 5\n",
    },
    "globs in both spellings, an explicit key before them": {
        ETC + "a.conf": f"{VLAN} = 1\nnet/ipv4/conf/*/forwarding = 0\nnet.ipv4.tcp_keepalive_[ti]* = 34\n",
    },
    "sysctl.conf with the link": {
        "/etc/sysctl.conf": f"# an administrator's\n{TIME} = 101\n{GAP} = 11\n",
        ETC + "99-sysctl.conf": "->../sysctl.conf",
        ETC + "99-tcp-lastack.conf": f"{TIME} = 102\n",
        ETC + "zz-own.conf": f"{GAP} = 12\n",
    },
    "sysctl.conf without the link": {
        "/etc/sysctl.conf": f"{TIME} = 101\n",
        ETC + "99-sysctl.conf": "",
        ETC + "50-own.conf": f"{TIME} = 102\n{GAP} = 12\n",
    },
    "both spellings of an interface with a dot": {
        ETC + "a.conf": f"{VLAN} = 1\n",
        ETC + "b.conf": "net/ipv4/conf/v0.100/forwarding = 0\n",
    },
    "keys without a value": {
        ETC + "a.conf": f"{TIME}\n{GAP} = 31\n-{GAP}\n- {PROBES} = 3\n",
    },
    "odd spellings": {
        ETC + "a.conf": f" /net/ipv4/tcp_keepalive_time\t=  101 \r\n;{GAP} = 11\n  # {GAP} = 12\n-{PROBES} = 3\n",
        ETC + "b.conf": f"net..ipv4.tcp_keepalive_intvl=14\n{RANGE} = 20000 30001\n{RANGE}=20002   30003",
    },
}


def packed() -> str:
    """The resolver, as a host needs it."""
    held = io.BytesIO()
    with tarfile.open(fileobj=held, mode="w:gz") as archive:
        for path in sorted((COLLECTION / OBSERVE).glob("*.py")):
            archive.add(path, f"ansible_collections/lastack/linux/{OBSERVE}/{path.name}")
        archive.add(PROGRAM.with_name("host_sysctls.py"), "host_sysctls.py")
        archive.add(PROGRAM, PROGRAM.name)
    return base64.b64encode(held.getvalue()).decode()


@pytest.fixture
def equipped(lab: Lab, host: str) -> str:
    """A host with the resolver, the two programs and an interface whose name has a dot."""
    link = "test -e /proc/sys/net/ipv4/conf/v0.100 || ip link add v0.100 type bridge"
    lab.execute(host, "sh", "-ec", f"{link}; mkdir -p {HOME}; base64 -d | tar -xzf - -C {HOME}", text=packed())
    return host


def asked(lab: Lab, host: str, program: str, question: dict[str, Any]) -> Any:  # noqa: ANN401 - JSON
    done = lab.execute(host, "env", f"PYTHONPATH={HOME}", "python3", f"{HOME}/{program}", text=json.dumps(question))
    return json.loads(done.stdout)


def program_of(lab: Lab, host: str) -> bytes:
    return base64.b64decode(lab.execute(host, "sh", "-c", 'base64 "$(command -v sysctl)"').stdout)


@pytest.mark.parametrize("loader", ["boot", "reload"])
def test_the_loaders_write_what_the_resolver_says(lab: Lab, equipped: str, loader: str, tmp_path: Path) -> None:
    sysctl = program_of(lab, equipped)
    old = loader == "reload" and b"procps-ng 3." in sysctl
    cases = [case for case in CASES if not (old and case.name in REFUSED_BY_KERNELS)]
    answer = asked(lab, equipped, PROGRAM.name, question(loader, cases))
    assert "missing" not in answer
    wrong = {}
    for number, (case, run) in enumerate(zip(cases, answer["runs"], strict=True)):
        root = tmp_path / str(number)
        root.mkdir()
        said = expected(case, loader, root, sysctl)
        if run["written"] != said:
            wrong[case.name] = (said, run)
    assert wrong == {}


@pytest.mark.parametrize("tree", TREES)
def test_the_kernel_has_what_the_resolver_said(lab: Lab, equipped: str, tree: str) -> None:
    """On the host's real files and sysctls, with the resolver on the host's own Python."""
    answer = asked(lab, equipped, "host_sysctls.py", {"tree": TREES[tree], "start": START})
    for loader in ("boot", "reload"):
        predicted = {**START, **answer["said"][loader]}
        found = answer["found"][loader]
        wrong = {key: (predicted[key], found[key]) for key in START if not same_value(key, predicted[key], found[key])}
        assert wrong == {}, (loader, answer["places"][loader], answer["log"][loader])


def test_the_trees_are_tricky(lab: Lab, equipped: str) -> None:
    """What the loaders disagree about is among them: else agreement with both would prove little."""
    answers = [
        asked(lab, equipped, "host_sysctls.py", {"tree": TREES[name], "start": START})
        for name in ("dot files and other names", "sysctl.conf without the link", "keys without a value")
    ]
    assert all(answer["found"]["boot"] != answer["found"]["reload"] for answer in answers)


def test_what_a_real_boot_sets(lab: Lab, host: str) -> None:
    """The boot itself, not only its loader: what the files say is there, and what was set by hand is not."""
    tree = {
        ETC + "10-first.conf": f"{TIME} = 101\n{GAP} = 11\n",
        ETC + "9-later.conf": f"{TIME} = 102\n",
        "/usr/lib/sysctl.d/10-first.conf": f"{RANGE} = 20002 30003\n",
        ETC + ".hidden.conf": f"{GAP} = 12\n",
    }
    try:
        for path, content in tree.items():
            lab.execute(host, "tee", path, text=content)
        lab.execute(host, "sysctl", "-qw", f"{PROBES}=3")
        lab.restart(host)
        wanted = {TIME: "102", GAP: "11", PROBES: "9", RANGE: "32768 60999"}
        found = {key: " ".join(lab.execute(host, "sysctl", "-n", key).stdout.split()) for key in wanted}
        assert found == wanted
    finally:
        lab.execute(host, "rm", "-f", *tree)
        lab.execute(host, "sysctl", "-qw", *(f"{key}={START[key]}" for key in (TIME, GAP, PROBES, RANGE)))
