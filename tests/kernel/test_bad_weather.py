# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whole reports in bad weather: few rights, hidden processes, hostile names, thousands of offenders."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest
from ansible_collections.lastack.linux.plugins.module_utils.observe import namespaces as namespaces_module
from ansible_collections.lastack.linux.plugins.module_utils.report import Options, collect_report

if TYPE_CHECKING:
    from netns import PrivateNamespace

pytestmark = pytest.mark.needs_root

SCHEMA = Path(__file__).parents[2] / "plugins/plugin_utils/schemas/lastack.host-1.json"

# Connects, is left by the peer and never closes; then prints "leaking" and waits to be ended.
LEAKER = textwrap.dedent(
    """
    import ctypes, os, socket, sys
    name = os.fsencode(sys.argv[1])
    ctypes.CDLL(None).prctl(15, ctypes.c_char_p(name), 0, 0, 0)
    listener = socket.create_server(("127.0.0.1", 0))
    kept = []
    for _ in range(int(sys.argv[2])):
        kept.append(socket.create_connection(listener.getsockname()))
        listener.accept()[0].close()
    print("leaking", flush=True)
    sys.stdin.read()
    """
)


def start_leaker(netns: PrivateNamespace, *arguments: str | bytes, sockets: int = 3) -> subprocess.Popen[Any]:
    name, *rest = arguments or ("leaker",)
    program = netns.start(
        [sys.executable, "-c", LEAKER, name, str(sockets), *rest], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert program.stdout is not None
    assert program.stdout.readline() == b"leaking\n"
    return program


def look(netns: PrivateNamespace, **options: Any) -> dict[str, Any]:  # noqa: ANN401 - Options' own
    chosen = Options(namespaces="host", min_age_s=0, sockets=True)._replace(**options)
    return checked(netns.run(lambda: collect_report(chosen)))


def checked(report: dict[str, Any]) -> dict[str, Any]:
    jsonschema.validate(report, json.loads(SCHEMA.read_text()))
    text = json.dumps(report, ensure_ascii=False)
    assert len(text) <= 256 * 1024
    assert not [character for character in text if ord(character) < 0x20 or 0x7F <= ord(character) < 0xA0]
    return report


NOBODY = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--inh-caps=-all", "--bounding-set=-all")


def test_not_root(netns: PrivateNamespace, tmp_path: Path) -> None:
    start_leaker(netns)
    report = look_as_nobody(netns, tmp_path)
    completeness = report["completeness"]
    assert (completeness["privileged"], completeness["complete"]) == (False, False)
    assert completeness["close_wait"]["seen"] == 3
    assert completeness["close_wait"]["unattributed"] == 3
    assert report["states"]["CLOSE_WAIT"] == 3
    assert "view.incomplete" in [one["id"] for one in report["findings"]]


def test_hidden_processes(netns: PrivateNamespace, tmp_path: Path) -> None:
    start_leaker(netns)
    before = Path("/proc/mounts").read_text()
    report = look_as_nobody(netns, tmp_path, hidepid=True)
    assert not report["completeness"]["complete"]
    assert report["completeness"]["close_wait"]["seen"] == 3
    assert report["completeness"]["close_wait"]["attributed"] == 0
    assert Path("/proc/mounts").read_text() == before


def look_as_nobody(netns: PrivateNamespace, tmp_path: Path, *, hidepid: bool = False) -> dict[str, Any]:
    """Only a copy of the target rooms and the system's Python: what a user without rights can always read."""
    python = next((path for path in ("/usr/bin/python3", "/usr/local/bin/python3") if Path(path).exists()), None)
    if python is None:
        pytest.skip("no system Python that a user without rights may run")
    archive = tmp_path / "target.tar"
    root = Path(__file__).parents[2]
    subprocess.run(["tar", "-cf", archive, "-C", root, "plugins/module_utils"], check=True)
    code = (
        "import json; from ansible_collections.lastack.linux.plugins.module_utils.report import *;"
        "print(json.dumps(collect_report(Options(namespaces='host', min_age_s=0))))"
    )
    # A new mount of /proc and never a remount, which would change the machine's own.
    script = f"""
        set -e
        mount -t tmpfs none /mnt
        mkdir -p /mnt/ansible_collections/lastack/linux
        tar -xf {archive} -C /mnt/ansible_collections/lastack/linux
        {"mount -t proc -o hidepid=2 proc /proc" if hidepid else ":"}
        cd /
        export PYTHONPATH=/mnt PYTHONDONTWRITEBYTECODE=1
        exec {" ".join(NOBODY)} {python} -c "{code}"
    """
    return checked(json.loads(netns.run(["unshare", "--mount", "--propagation", "private", "sh", "-c", script])))


@pytest.mark.parametrize(
    "name",
    [
        b"\x1b]0;owned\x07\x1b[2J",
        b"<script>alert(1)",
        b"\xff\xfe\x80broken",
        b"two\nlines\rhere",
        "\u202egnp.exe".encode(),
    ],
)
def test_hostile_process_name(netns: PrivateNamespace, name: bytes) -> None:
    start_leaker(netns, name)
    (offender,) = look(netns)["close_wait"]["offenders"]
    assert offender["count"] == 3


def test_command_line_of_two_megabytes_stays_on_the_host(netns: PrivateNamespace) -> None:
    secret = "hunter2-" * 12000
    start_leaker(netns, "leaker", *[f"--password={secret}"] * 20)
    report = look(netns)
    assert report["close_wait"]["offenders"][0]["count"] == 3
    assert "hunter2" not in json.dumps(report)


def test_thousands_of_offending_processes(netns: PrivateNamespace) -> None:
    code = textwrap.dedent(
        """
        import os, socket, sys
        listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        for _ in range(5000):
            mine = socket.create_connection(listener.getsockname())
            listener.accept()[0].close()
            if os.fork() == 0:
                listener.close()
                sys.stdin.read()
                os._exit(0)
            mine.close()
        print("leaking", flush=True)
        sys.stdin.read()
        """
    )
    program = netns.start([sys.executable, "-S", "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        assert program.stdout is not None
        assert program.stdout.readline() == b"leaking\n"
        report = look(netns, sockets=False)
    finally:
        program.communicate(timeout=60)  # the end of standard input ends every child
    completeness = report["completeness"]["close_wait"]
    assert completeness["seen"] == completeness["attributed"] == 5000
    (offender,) = report["close_wait"]["offenders"]
    assert offender["count"] == 5000
    assert len(offender["pids"]) + offender["pids_truncated"] == 5000


def test_deadline_is_said(netns: PrivateNamespace) -> None:
    start_leaker(netns)
    report = look(netns, timeout_s=1e-6)
    assert not report["completeness"]["complete"]
    assert "deadline" in [one["code"] for one in report["completeness"]["warnings"]]


def test_entering_namespaces_refused(netns: PrivateNamespace, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without CAP_SYS_ADMIN procfs still shows the sockets of other namespaces: they must not be lost."""
    start_leaker(netns)

    def refuse(*__: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(namespaces_module, "setns", refuse)
    report = checked(collect_report(Options(min_age_s=0)))
    (entry,) = [one for one in report["namespaces"] if one["id"] == netns.inode]
    assert entry["states"]["CLOSE_WAIT"] == 3
    assert not report["completeness"]["complete"]
    assert report["completeness"]["namespaces"]["failed"] == 0


def test_hundreds_of_busy_namespaces_do_not_push_the_culprit_out(netns: PrivateNamespace) -> None:
    """A node with many pods, each with many destinations: the report stays small and names who leaks."""
    code = textwrap.dedent(
        """
        import ctypes, os, socket, sys
        libc = ctypes.CDLL(None)
        held, ready = [], os.pipe()
        for number in range(130):
            if os.fork() == 0:
                assert libc.unshare(0x40000000) == 0
                os.system("ip link set lo up")
                for port in range(20):
                    listener = socket.create_server(("127.0.0.1", 2000 + port))
                    held.append((listener, socket.create_connection(("127.0.0.1", 2000 + port)), listener.accept()))
                os.write(ready[1], b"x")
                sys.stdin.read()
                os._exit(0)
        for _ in range(130):
            os.read(ready[0], 1)
        print("busy", flush=True)
        sys.stdin.read()
        """
    )
    start_leaker(netns, "leaker", sockets=40)
    program = netns.start([sys.executable, "-S", "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        assert program.stdout is not None
        assert program.stdout.readline() == b"busy\n"
        report = checked(collect_report(Options(min_age_s=0)))
    finally:
        program.communicate(timeout=60)
    # Others may leak on this machine, too.
    assert 40 in [one["count"] for one in report["close_wait"]["offenders"]]
    assert [one["id"] for one in report["findings"] if one["id"].startswith("close_wait")]
    assert report["completeness"]["namespaces"]["read"] > 130


@pytest.mark.skipif(not Path("/proc/sys/net/mptcp").exists(), reason="this kernel has no Multipath TCP")
def test_multipath_tcp_is_said(netns: PrivateNamespace) -> None:
    code = textwrap.dedent(
        """
        import socket, sys
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, 262)
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        held = []
        for _ in range(4):
            mine = socket.socket(socket.AF_INET, socket.SOCK_STREAM, 262)
            mine.connect(listener.getsockname())
            held.append(mine)
            listener.accept()[0].close()
        print("leaking", flush=True)
        sys.stdin.read()
        """
    )
    program = netns.start([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert program.stdout is not None
    assert program.stdout.readline() == b"leaking\n"
    time.sleep(0.2)
    warnings = {one["code"]: one["count"] for one in look(netns)["completeness"]["warnings"]}
    assert warnings.get("mptcp_not_examined") == len(netns.ss("-Man", "state", "close-wait")) == 4


def test_a_short_report_hides_no_finding(netns: PrivateNamespace) -> None:
    start_leaker(netns, "leaker", sockets=5)
    netns.keep(netns.run(_stuck_listener))
    report = look(netns, top=1)
    assert (len(report["close_wait"]["offenders"]), report["close_wait"]["truncated"]) == (1, 1)
    assert {"close_wait.stuck_accept"} < {one["id"] for one in report["findings"]}


def _stuck_listener() -> socket.socket:
    listener = socket.create_server(("127.0.0.1", 7000))
    for __ in range(3):
        socket.create_connection(("127.0.0.1", 7000)).close()
    return listener


def test_ipv6_disabled(netns: PrivateNamespace) -> None:
    netns.run(["sh", "-c", "echo 1 > /proc/sys/net/ipv6/conf/all/disable_ipv6"])
    start_leaker(netns)
    report = look(netns)
    assert report["states"]["CLOSE_WAIT"] == 3


def test_namespace_that_dies_while_others_are_read(netns: PrivateNamespace) -> None:
    """Namespaces come and go while all are read; the report counts and never fails."""
    for __ in range(5):
        dying = [subprocess.Popen(["unshare", "--net", "sleep", "0.2"]) for __ in range(8)]
        time.sleep(0.05)
        report = checked(netns.run(lambda: collect_report(Options(min_age_s=0))))
        for one in dying:
            one.wait()
        namespaces = report["completeness"]["namespaces"]
        assert namespaces["seen"] == namespaces["read"] + namespaces["failed"]
        assert report["completeness"]["complete"] <= (namespaces["failed"] == 0)


def test_dead_sockets_are_counted_and_blamed(netns: PrivateNamespace) -> None:
    leaker = start_leaker(netns, "leaker", sockets=60)
    before = checked(collect_report(Options(min_age_s=0)))
    killed = netns.run(["ss", "-K", "state", "close-wait"])
    assert killed.count("127.0.0.1") >= 60
    report = checked(collect_report(Options(min_age_s=0)))
    assert netns.ss("-tan", "state", "close-wait") == []
    (offender,) = report["dead_sockets"]["offenders"]
    assert (offender["pids"], offender["count"]) == ([leaker.pid], 60)
    assert ("fd.dead_sockets", "app") in [(one["id"], one["remedy"]) for one in report["findings"]]
    assert before["dead_sockets"]["total"] == 0


def test_healthy_and_busy_has_no_dead_sockets(netns: PrivateNamespace) -> None:
    code = textwrap.dedent(
        """
        import socket, threading
        listener = socket.create_server(("127.0.0.1", 0), backlog=512)
        def serve():
            while True:
                one, _ = listener.accept()
                one.recv(10); one.close()
        threading.Thread(target=serve, daemon=True).start()
        print("busy", flush=True)
        import time
        end = time.monotonic() + 100
        while time.monotonic() < end:
            kept = [socket.create_connection(listener.getsockname()) for _ in range(100)]
            for one in kept:
                one.sendall(b"x")
            for one in kept:
                one.close()
        """
    )
    program = netns.start([sys.executable, "-c", code], stdout=subprocess.PIPE)
    assert program.stdout is not None
    assert program.stdout.readline() == b"busy\n"
    for __ in range(10):
        report = checked(collect_report(Options(min_age_s=1)))
        assert report["dead_sockets"]["offenders"] == []
    assert program.poll() is None
