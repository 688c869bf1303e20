# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The baseline on a real kernel: in a network namespace of the test's own, with files below a folder of the test's."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import textwrap
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from ansible_collections.lastack.linux.plugins.module_utils.observe.records import PortPressure
from ansible_collections.lastack.linux.plugins.module_utils.observe.sysctl_files import sysctl_path
from ansible_collections.lastack.linux.plugins.module_utils.port_pressure import read_port_pressure
from ansible_collections.lastack.linux.plugins.module_utils.tune.baseline import Baseline, apply_baseline
from ansible_collections.lastack.linux.plugins.module_utils.tune.ledger import LedgerError, open_ledger
from ansible_collections.lastack.linux.plugins.module_utils.tune.match import satisfies
from ansible_collections.lastack.linux.plugins.module_utils.tune.results import as_return, failures
from ansible_collections.lastack.linux.plugins.module_utils.tune.runtime import write_runtime
from ansible_collections.lastack.linux.plugins.module_utils.tune.settings import Setting, parse_settings
from ansible_collections.lastack.linux.plugins.plugin_utils.catalogue import load_catalogue
from hypothesis import given, settings
from hypothesis import strategies as st
from netns import PrivateNamespace

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ansible_collections.lastack.linux.plugins.module_utils.tune.results import BaselineResult

pytestmark = pytest.mark.needs_root

ROOT = Path(__file__).parents[2]
DROPIN = "etc/sysctl.d/99-tcp-lastack.conf"
SOMAXCONN = "net.core.somaxconn"
RANGE, RESERVED = "net.ipv4.ip_local_port_range", "net.ipv4.ip_local_reserved_ports"
CATALOGUE = load_catalogue()
PRESSED = PortPressure(99.0, "192.0.2.1:443", frozenset())

# Values from which the vetted ones differ, for keys whose default is the vetted value.
START = {
    SOMAXCONN: "128",
    "net.ipv4.tcp_syncookies": "2",
    "net.ipv4.tcp_timestamps": "0",
    RESERVED: "4000,4002",
}


class Host(NamedTuple):
    """A namespace with a folder for its files."""

    netns: PrivateNamespace
    root: Path

    def apply(self, *entries: dict[str, Any], **options: Any) -> BaselineResult:  # noqa: ANN401 - Baseline's own
        wanted = parse_settings(list(entries), values=options.get("state", "present") == "present")
        asked = Baseline(settings=wanted, root=str(self.root), **options)
        return self.netns.run(lambda: apply_baseline(asked))

    def get(self, key: str) -> str:
        return self.netns.run(lambda: " ".join(read_once(path_of(key)).split()))

    def set(self, key: str, value: str) -> None:
        self.netns.run(lambda: path_of(key).write_text(f"{value}\n"))

    def has(self, key: str) -> bool:
        return self.netns.run(lambda: os.access(path_of(key), os.W_OK))


def path_of(key: str) -> Path:
    return Path("/proc/sys", sysctl_path(key))


def read_once(path: Path) -> str:
    """Read in one go: a second read(2) of a list of ports shows nothing more."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        return os.read(descriptor, 1 << 19).decode()
    finally:
        os.close(descriptor)


def make_root(folder: Path) -> Path:
    for name in ("etc/sysctl.d", "var/lib", "run/systemd/system"):
        (folder / name).mkdir(parents=True)
    return folder


@pytest.fixture
def host(netns: PrivateNamespace) -> Iterator[Host]:
    # Memory, because each change is synced to disk several times.
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        yield Host(netns, make_root(Path(folder, "host")))


def vetted() -> list[tuple[str, str, str]]:
    """Every value that the catalogue recommends or offers: key, value, match."""
    found: dict[tuple[str, str, str], None] = {}
    for name, key in CATALOGUE.keys.items():
        for said in key.profiles.values():
            found[name, said["value"], key.match or "exact"] = None
        if key.option and key.option["value"]:
            found[name, key.option["value"], key.option["match"]] = None
    return list(found)


@pytest.mark.parametrize(("key", "value", "match"), vetted())
def test_every_vetted_value_is_accepted_read_back_and_restored(host: Host, key: str, value: str, match: str) -> None:
    if not host.has(key):
        assert CATALOGUE.keys[key].scope != "ns" or key.startswith("net.netfilter."), f"{key} is not in a namespace"
        pytest.skip(f"{key} is not writable in a network namespace")
    if key in START:
        host.set(key, START[key])
    before = host.get(key)
    entry = {"key": key, "value": value, "match": match, "scope": "ns"}
    predicted = host.apply(entry, check=True)
    result = host.apply(entry)
    assert as_return(predicted) == as_return(result)
    assert (result.keys[0].status, failures(result)) == ("ok" if not value else "changed", [])
    assert satisfies(Setting(key, value, match), host.get(key))
    assert result.keys[0].after == host.get(key)
    assert not host.apply(entry).changed
    assert failures(host.apply(state="restored")) == []
    assert host.get(key) == before
    assert not (host.root / DROPIN).exists()
    assert list((host.root / "var/lib").iterdir()) == []


@pytest.mark.parametrize("name", ["server", "client", "mixed"])
def test_the_file_alone_brings_a_whole_profile_back(host: Host, name: str) -> None:
    """What the file says is what a loader sets, in another namespace that knows nothing of it."""
    entries = [
        {"key": key, "value": said["value"], "match": said["match"], "needs": "port_pressure", "scope": "ns"}
        if said["when"] == "port_pressure"
        else {"key": key, "value": said["value"], "match": said["match"], "scope": "ns"}
        for key, said in CATALOGUE.profile(name).items()
    ]
    result = host.apply(*entries, evidence=lambda: PRESSED)
    assert failures(result) == []
    assert "gated" not in {one.status for one in result.keys}
    program = shutil.which("sysctl", path="/usr/sbin:/sbin:/usr/bin:/bin")
    if program is None:
        pytest.skip("no sysctl program")
    with PrivateNamespace() as other:
        other.run([program, "-p", str(host.root / DROPIN)])
        twin = Host(other, host.root)
        assert {one.key: twin.get(one.key) for one in result.keys} == {one.key: one.after for one in result.keys}


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("net.ipv4.tcp_syn_retries", "128"),
        ("net.ipv4.tcp_tw_reuse", "3"),
        ("net.core.somaxconn", "-1"),
        (RANGE, "1000 65535"),
        (RANGE, "60000 70000"),
        ("net.ipv4.tcp_rmem", "0 1 1"),
        ("net.ipv4.tcp_congestion_control", "no_such_algorithm"),
    ],
)
def test_what_the_kernel_refuses_is_invalid(host: Host, key: str, value: str) -> None:
    entry: dict[str, Any] = {"key": key, "value": value}
    catalogued = CATALOGUE.keys.get(key)
    if catalogued:
        entry["range"] = list(catalogued.range)
    before = host.get(key)
    result = host.apply(entry)
    assert result.keys[0].status == "invalid"
    assert failures(result)[0].startswith(f"{key}: the kernel refused '{value}' (")
    assert (host.get(key), result.changed) == (before, False)
    assert not (host.root / "var/lib/lastack").exists()
    if catalogued:
        assert as_return(host.apply(entry, check=True)) == as_return(result)


def test_a_value_that_the_kernel_rounds_is_clamped(host: Host) -> None:
    key = "net.ipv4.neigh.lo.retrans_time_ms"
    host.set(key, "1001")
    if host.get(key) == "1001":
        pytest.skip("this kernel's clock ticks once a millisecond")
    result = host.apply({"key": key, "value": "2001"})
    assert (result.keys[0].status, result.changed) == ("clamped", True)
    assert result.keys[0].after == host.get(key) != "2001"
    again = host.apply({"key": key, "value": "2001"}, check=True)
    assert as_return(again) == as_return(host.apply({"key": key, "value": "2001"}))
    assert not again.changed


def test_a_list_of_ports_longer_than_a_page(host: Host) -> None:
    ports = ",".join(str(port) for port in range(20001, 24001, 2))
    host.set(RESERVED, "7")
    result = host.apply({"key": RESERVED, "value": ports, "match": "union"})
    assert (result.keys[0].status, host.get(RESERVED)) == ("changed", f"7,{ports}")
    assert not host.apply({"key": RESERVED, "value": ports, "match": "union"}).changed
    # And back over a long list.
    host.apply({"key": RESERVED, "value": "5"})
    assert host.get(RESERVED) == "5"
    host.apply(state="restored")
    assert host.get(RESERVED) == "7"


def test_a_list_of_ports_longer_than_a_read_is_merged_and_restored(host: Host) -> None:
    ports = ",".join(str(port) for port in range(10001, 40001, 2))
    assert len(ports) > 1 << 16
    host.netns.run(lambda: write_runtime(RESERVED, ports))
    assert host.get(RESERVED) == ports
    result = host.apply({"key": RESERVED, "value": "5", "match": "union"})
    assert (result.keys[0].before, result.keys[0].after) == (ports, f"5,{ports}")
    assert host.get(RESERVED) == f"5,{ports}"
    assert failures(host.apply(state="restored")) == []
    assert host.get(RESERVED) == ports


def test_a_value_of_the_machine_is_not_written_from_a_namespace(host: Host) -> None:
    # In check mode, so that a mistake here would change nothing on the machine.
    for entry in ({"key": "fs.nr_open", "value": "1048577"}, {"key": "kernel.pid_max", "value": "40000"}):
        (one,) = host.apply(entry, check=True).keys
        assert one.status == "read_only"
        assert one.reason == (
            "the machine has one value, which is never written from inside a network namespace of its own"
        )
    result = host.apply({"key": "net.core.netdev_max_backlog", "value": "3000", "scope": "init"})
    assert result.keys[0].status == "absent"


def test_port_pressure_is_seen(host: Host) -> None:
    host.set(RANGE, "40000 40009")
    listener = host.netns.run(lambda: host.netns.keep(socket.create_server(("127.0.0.1", 8080))))
    address = listener.getsockname()
    assert host.netns.run(read_port_pressure) == PortPressure(0.0, "", frozenset({address[1]}))
    for __ in range(6):
        host.netns.run(lambda: host.netns.keep(socket.create_connection(address)))
    found = host.netns.run(read_port_pressure)
    assert (found.used_percent, found.destination) == (60.0, f"127.0.0.1:{address[1]}")
    wanted = {"key": "net.ipv4.tcp_tw_reuse", "value": "1", "needs": "port_pressure"}
    assert host.apply(wanted, evidence=read_port_pressure).keys[0].status == "changed"


# Runs the module's work in a process of its own. With a number it ends itself by SIGKILL just before that one of its
# changes to the world; without, it says how many there were.
PROGRAM = textwrap.dedent(
    """
    import json, os, signal, sys
    from ansible_collections.lastack.linux.plugins.module_utils.tune.baseline import Baseline, apply_baseline
    from ansible_collections.lastack.linux.plugins.module_utils.tune.ledger import LedgerError
    from ansible_collections.lastack.linux.plugins.module_utils.tune.results import as_return
    from ansible_collections.lastack.linux.plugins.module_utils.tune.settings import parse_settings
    root, entries, options, last = sys.argv[1], *map(json.loads, sys.argv[2:5])
    count = 0
    def counted(function, changes=lambda *arguments: True):
        def call(*arguments, **more):
            global count
            if changes(*arguments):
                count += 1
                if count == last:
                    os.kill(os.getpid(), signal.SIGKILL)
            return function(*arguments, **more)
        return call
    for name in ("write", "rename", "unlink", "fsync", "mkdir", "rmdir", "fchmod"):
        setattr(os, name, counted(getattr(os, name)))
    os.open = counted(os.open, lambda path, flags, *rest: flags & (os.O_CREAT | os.O_TRUNC))
    try:
        asked = Baseline(settings=parse_settings(entries, values=bool(entries)), root=root, **options)
        answer = as_return(apply_baseline(asked))
    except LedgerError as error:
        answer = {"error": str(error)}
    print(json.dumps({"count": count, **answer}))
    """
)


def command(root: Path, entries: list[dict[str, Any]], options: dict[str, Any], last: int = 0) -> list[str]:
    return [sys.executable, "-c", PROGRAM, str(root), json.dumps(entries), json.dumps(options), str(last)]


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT / "collections")}


def run(netns: PrivateNamespace, argv: list[str]) -> dict[str, Any]:
    program = netns.start(argv, stdout=subprocess.PIPE, env=environment())
    out, __ = program.communicate(timeout=30)
    answer: dict[str, Any] = json.loads(out)
    return answer


class TestKilled:
    """Whatever point a run dies at: the ledger holds the original, and the next run gets to the same end."""

    ENTRIES = (
        {"key": SOMAXCONN, "value": "4096", "match": "at_least"},
        {"key": "net.ipv4.tcp_keepalive_time", "value": "200", "match": "at_most"},
        {"key": "net.ipv4.tcp_rmem", "value": "4096 200000 6291456", "match": "at_least"},
    )
    START = {SOMAXCONN: "128", "net.ipv4.tcp_keepalive_time": "7200", "net.ipv4.tcp_rmem": "4096 131072 4194304"}  # noqa: RUF012 - read only
    HARMFUL = "net.ipv4.tcp_tw_recycle = 1\n# kept\n"
    OPTIONS = {"remove_harmful": True, "never": {"net.ipv4.tcp_tw_recycle": "Gone"}}  # noqa: RUF012 - read only

    def begin(self, host: Host, name: str) -> Host:
        root = make_root(host.root / name)
        (root / "etc/sysctl.conf").write_text(self.HARMFUL)
        (root / "etc/sysctl.d").rmdir()
        for key, value in self.START.items():
            host.set(key, value)
        return Host(host.netns, root)

    def check_original(self, world: Host) -> None:
        """Everything that is not as it was is in the ledger as it was."""
        with open_ledger(root=str(world.root), check=True) as ledger:
            for key, value in self.START.items():
                entry = ledger.runtime.get(key)
                assert entry is not None or world.get(key) == value
                assert entry is None or entry.before == value
            for name, content in ((DROPIN, None), ("etc/sysctl.conf", self.HARMFUL)):
                path, file = world.root / name, ledger.files.get(f"/{name}")
                now = path.read_text() if path.exists() else None
                assert file is not None or now == content
                if file is not None:
                    assert (file.before.content.decode() if file.before else None) == content

    def check_the_end(self, world: Host) -> None:
        assert failures(world.apply(*self.ENTRIES, **self.OPTIONS)) == []
        assert not world.apply(*self.ENTRIES, **self.OPTIONS).changed
        assert world.get("net.ipv4.tcp_rmem") == "4096 200000 6291456"
        assert (world.root / "etc/sysctl.conf").read_text() == "# kept\n"
        assert sorted(path.name for path in (world.root / "etc").rglob("*")) == [
            "99-tcp-lastack.conf",
            "sysctl.conf",
            "sysctl.d",
        ]
        self.check_original(world)

    def check_back(self, world: Host) -> None:
        assert failures(world.apply(state="restored")) == []
        assert {key: world.get(key) for key in self.START} == self.START
        assert [path.name for path in (world.root / "etc").iterdir()] == ["sysctl.conf"]
        assert (world.root / "etc/sysctl.conf").read_text() == self.HARMFUL
        assert list((world.root / "var/lib").iterdir()) == []

    def test_before_each_change_of_a_run(self, host: Host) -> None:
        steps = run(host.netns, command(self.begin(host, "whole").root, list(self.ENTRIES), self.OPTIONS))["count"]
        assert steps > 20
        for last in range(1, steps + 1):
            world = self.begin(host, f"killed-{last}")
            program = host.netns.start(
                command(world.root, list(self.ENTRIES), self.OPTIONS, last), stdout=subprocess.PIPE, env=environment()
            )
            program.communicate(timeout=30)
            assert program.returncode == -signal.SIGKILL
            self.check_original(world)
            if last % 2:
                self.check_the_end(world)
            self.check_back(world)

    def test_before_each_change_of_a_restore(self, host: Host) -> None:
        whole = self.begin(host, "whole")
        self.check_the_end(whole)
        restored = {"state": "restored"}
        steps = run(host.netns, command(whole.root, [], restored))["count"]
        assert steps > 10
        for last in range(1, steps + 1):
            world = self.begin(host, f"killed-{last}")
            self.check_the_end(world)
            program = host.netns.start(
                command(world.root, [], restored, last), stdout=subprocess.PIPE, env=environment()
            )
            program.communicate(timeout=30)
            assert program.returncode == -signal.SIGKILL
            self.check_original(world)
            self.check_back(world)

    def test_at_any_moment(self, host: Host) -> None:
        chance = random.Random(5)
        for turn in range(8):
            world = self.begin(host, f"moment-{turn}")
            program = host.netns.start(
                command(world.root, list(self.ENTRIES), self.OPTIONS), stdout=subprocess.PIPE, env=environment()
            )
            time.sleep(chance.uniform(0.05, 0.3))
            program.kill()
            program.communicate(timeout=30)
            self.check_original(world)
            self.check_the_end(world)
            self.check_back(world)


def test_two_runs_at_once(host: Host) -> None:
    host.set(SOMAXCONN, "128")
    with open_ledger(root=str(host.root)):
        answer = run(host.netns, command(host.root, [{"key": SOMAXCONN, "value": "4096"}], {}))
        assert answer["error"] == f"/var/lib/lastack is locked by another run (pid {os.getpid()}); nothing was changed."
        assert host.get(SOMAXCONN) == "128"
    with pytest.raises(LedgerError), open_ledger(root=str(host.root)):
        host.apply({"key": SOMAXCONN, "value": "4096"})
    assert host.apply({"key": SOMAXCONN, "value": "4096"}).changed


# $1: what to mount and where, as shell commands; the rest: the program. The mounts are the shell's own.
INSIDE = 'set -eu; eval "$1"; shift; exec "$@"'


def run_mounted(netns: PrivateNamespace, mounts: str, argv: list[str]) -> dict[str, Any]:
    return run(netns, ["unshare", "--mount", "--propagation", "private", "--", "sh", "-c", INSIDE, "sh", mounts, *argv])


def test_disk_full_while_persisting(host: Host) -> None:
    host.set(SOMAXCONN, "128")
    entries = [{"key": SOMAXCONN, "value": "4096"}]
    folder = host.root / "etc/sysctl.d"
    full = f"mount -t tmpfs -o size=4k,mode=755 none {folder}; head -c 4096 /dev/zero >{folder}/filler"
    answer = run_mounted(host.netns, full, command(host.root, entries, {}))
    assert answer["failures"] == [
        "/etc/sysctl.d/99-tcp-lastack.conf could not be written (No space left on device); "
        "the values hold until the next boot."
    ]
    assert (answer["changed"], host.get(SOMAXCONN)) == (True, "4096")
    assert failures(host.apply(*entries)) == []
    assert (host.root / DROPIN).exists()
    host.apply(state="restored")
    assert (host.get(SOMAXCONN), (host.root / DROPIN).exists()) == ("128", False)


def test_disk_full_for_the_ledger_changes_nothing(host: Host) -> None:
    host.set(SOMAXCONN, "128")
    folder = host.root / "var/lib"
    full = f"mount -t tmpfs -o size=4k,mode=755 none {folder}; head -c 4096 /dev/zero >{folder}/filler"
    answer = run_mounted(host.netns, full, command(host.root, [{"key": SOMAXCONN, "value": "4096"}], {}))
    assert (
        answer["error"]
        == "/var/lib/lastack/ledger.json cannot be written (No space left on device); nothing more was changed."
    )
    assert (host.get(SOMAXCONN), (host.root / DROPIN).exists()) == ("128", False)


def test_an_unwritable_directory(host: Host) -> None:
    host.set(SOMAXCONN, "128")
    entries = [{"key": SOMAXCONN, "value": "4096"}]
    read_only = f"mount -t tmpfs -o ro,mode=755 none {host.root / 'etc/sysctl.d'}"
    predicted = run_mounted(host.netns, read_only, command(host.root, entries, {"check": True}))
    answer = run_mounted(host.netns, read_only, command(host.root, entries, {}))
    assert answer["failures"] == [
        "/etc/sysctl.d/99-tcp-lastack.conf could not be written (Read-only file system); "
        "the values hold until the next boot."
    ]
    assert {**predicted, "count": 0} == {**answer, "count": 0}


def test_read_only_proc_sys(host: Host) -> None:
    """A new procfs, mounted read-only, in a pid namespace of its own."""
    host.set(SOMAXCONN, "128")
    folder = host.root / "proc"
    folder.mkdir()
    argv = command(host.root, [{"key": SOMAXCONN, "value": "4096"}], {"proc": str(folder)})
    mounts = f"mount -t proc -o ro none {folder}"
    inside = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--", "sh", "-c", INSIDE, "sh", mounts, *argv]
    answer = run(host.netns, inside)
    (one,) = answer["sysctls"]
    assert (one["status"], one["after"], answer["changed"]) == ("read_only", "128", False)
    assert one["error"] == f"{SOMAXCONN} cannot be written (Read-only file system)."
    # A container is often given nothing else, and that is no failure.
    assert answer["failures"] == []


NUMBER = st.integers(1, 1 << 30).map(str)
REAL = {
    SOMAXCONN: st.integers(0, 1 << 31 - 1).map(str),
    "net.ipv4.tcp_keepalive_time": st.integers(1, 30000).map(str),
    "net.ipv4.tcp_keepalive_probes": st.integers(0, 127).map(str),
    "net.ipv4.tcp_timestamps": st.sampled_from(["0", "1", "2"]),
    "net.ipv4.tcp_rmem": st.tuples(NUMBER, NUMBER, NUMBER).map(" ".join),
    RANGE: st.tuples(st.integers(1024, 30000), st.integers(30001, 65535)).map(lambda ends: f"{ends[0]} {ends[1]}"),
    RESERVED: st.sets(st.integers(1, 30), max_size=8).map(lambda found: ",".join(map(str, sorted(found)))),
}
RULES = {RANGE: ["wider", "exact"], RESERVED: ["union", "exact"]}


@st.composite
def calls(draw: st.DrawFn) -> list[dict[str, Any]]:
    keys = draw(st.lists(st.sampled_from(sorted(REAL)), unique=True))
    rules = {key: draw(st.sampled_from(RULES.get(key, ["exact", "at_least", "at_most"]))) for key in keys}
    return [{"key": key, "value": draw(REAL[key]), "match": rules[key]} for key in keys]


def test_restore_after_apply_is_identity_on_the_kernel() -> None:
    with PrivateNamespace() as netns, tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        host = Host(netns, make_root(Path(folder, "host")))

        @settings(max_examples=60, deadline=None)
        @given(start=st.fixed_dictionaries(REAL), one=calls(), other=calls())
        def property_holds(start: dict[str, str], one: list[dict[str, Any]], other: list[dict[str, Any]]) -> None:
            for key, value in start.items():
                host.set(key, value)
            before = {key: host.get(key) for key in REAL}
            for entries in (one, other):
                predicted = host.apply(*entries, check=True)
                result = host.apply(*entries)
                assert as_return(predicted) == as_return(result)
                assert not host.apply(*entries).changed
            assert failures(host.apply(state="restored")) == []
            assert {key: host.get(key) for key in REAL} == before
            assert not (host.root / DROPIN).exists()

        property_holds()
