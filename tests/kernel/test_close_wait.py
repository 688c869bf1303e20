# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every cause and flag of a CLOSE_WAIT socket, made with real sockets and real TLS, and what the report says of it."""

from __future__ import annotations

import array
import os
import socket
import ssl
import subprocess
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest
from ansible_collections.lastack.linux.plugins.module_utils import look as look_module
from ansible_collections.lastack.linux.plugins.module_utils.observe import socket_owners
from ansible_collections.lastack.linux.plugins.module_utils.report import Options, collect_report
from ansible_collections.lastack.linux.plugins.module_utils.sightings import Sightings

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ansible_collections.lastack.linux.plugins.module_utils.observe.records import OwnerScan
    from netns import PrivateNamespace

pytestmark = pytest.mark.needs_root

PORT = 7000


class Pair:
    """A connection inside the namespace: ``leaker`` is the side that does not close, ``peer`` the one that does."""

    def __init__(self, netns: PrivateNamespace, port: int = PORT, *, leaker_is_client: bool = True) -> None:
        def connect() -> tuple[socket.socket, socket.socket, socket.socket]:
            listener = socket.create_server(("127.0.0.1", port))
            client = socket.create_connection(("127.0.0.1", port))
            server, __ = listener.accept()
            return listener, client, server

        listener, client, server = netns.run(connect)
        netns.keep(listener)
        self.leaker = netns.keep(client if leaker_is_client else server)
        self.peer = netns.keep(server if leaker_is_client else client)


def look(netns: PrivateNamespace, **options: Any) -> dict[str, Any]:  # noqa: ANN401 - Options' own
    chosen = Options(namespaces="host", min_age_s=0, sockets=True)._replace(**options)
    return netns.run(lambda: collect_report(chosen))


def wait_for_close_wait(netns: PrivateNamespace, count: int = 1) -> None:
    for __ in range(200):
        if len(netns.ss("-tan", "state", "close-wait")) == count:
            return
        time.sleep(0.01)
    raise AssertionError("the kernel does not show the CLOSE_WAIT sockets that this test made")


def only_socket(report: dict[str, Any]) -> dict[str, Any]:
    sockets = report["close_wait"]["sockets"]
    assert len(sockets) == 1, sockets
    assert report["completeness"]["close_wait"]["seen"] == 1
    one: dict[str, Any] = sockets[0]
    return one


def close_wait_findings(report: dict[str, Any]) -> list[tuple[str, str]]:
    return [(one["id"], one["remedy"]) for one in report["findings"] if one["id"].startswith("close_wait")]


def unnoticed(netns: PrivateNamespace) -> None:
    pair = Pair(netns)
    pair.leaker.sendall(b"GET / HTTP/1.1\r\n\r\n")
    pair.peer.recv(100)
    pair.peer.sendall(b"answer")
    pair.leaker.recv(100)
    time.sleep(0.3)
    pair.peer.close()


def unread(netns: PrivateNamespace) -> None:
    pair = Pair(netns)
    pair.leaker.sendall(b"GET / HTTP/1.1\r\n\r\n")
    pair.peer.recv(100)
    pair.peer.sendall(b"x" * 50_000)
    pair.peer.close()


def farewell(netns: PrivateNamespace) -> None:
    pair = Pair(netns)
    pair.leaker.sendall(b"select 1")
    pair.peer.recv(100)
    pair.peer.sendall(b"row")
    pair.leaker.recv(100)
    time.sleep(2.2)
    pair.peer.sendall(b"FATAL: terminating connection due to administrator command")
    pair.peer.close()


def read_to_the_end(netns: PrivateNamespace) -> None:
    pair = Pair(netns)
    pair.peer.sendall(b"answer")
    pair.leaker.recv(100)
    time.sleep(1.2)
    pair.peer.shutdown(socket.SHUT_WR)
    assert pair.leaker.recv(100) == b""
    pair.peer.close()


def consumed_with_the_data(netns: PrivateNamespace) -> None:
    pair = Pair(netns)
    pair.leaker.sendall(b"GET")
    pair.peer.recv(100)
    pair.peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 1)
    pair.peer.sendall(b"answer")
    pair.peer.close()
    wait_for_close_wait(netns)
    assert pair.leaker.recv(6) == b"answer"


def half_closed(netns: PrivateNamespace) -> None:
    pair = Pair(netns, leaker_is_client=False)
    pair.peer.sendall(b"upload finished")
    pair.peer.shutdown(socket.SHUT_WR)
    pair.leaker.recv(100)
    assert pair.leaker.recv(100) == b""
    time.sleep(0.4)
    pair.leaker.setblocking(False)  # noqa: FBT003 - the socket module's own
    pair.leaker.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 16)
    try:
        while True:
            pair.leaker.send(b"y" * 65536)
    except BlockingIOError:
        return


@pytest.mark.parametrize(
    ("make", "cause", "finding"),
    [
        (unnoticed, "eof_unnoticed", "close_wait.idle_pool"),
        (unread, "unread_data", "close_wait.unread_body"),
        (farewell, "eof_unnoticed_farewell", "close_wait.idle_pool"),
        (read_to_the_end, "eof_read", "close_wait.leak"),
        (consumed_with_the_data, "eof_consumed", "close_wait.leak"),
    ],
)
def test_cause(netns: PrivateNamespace, make: Callable[[PrivateNamespace], None], cause: str, finding: str) -> None:
    make(netns)
    wait_for_close_wait(netns)
    report = look(netns)
    assert only_socket(report)["cause"] == cause
    (offender,) = report["close_wait"]["offenders"]
    assert offender["causes"] == {cause: 1}
    assert offender["pids"] == [os.getpid()]
    assert offender["role"] == "client"
    assert [(f["id"], f["remedy"]) for f in report["findings"] if f["id"].startswith("close_wait")] == [
        (finding, "app")
    ]


def test_half_close_is_no_offender(netns: PrivateNamespace) -> None:
    half_closed(netns)
    wait_for_close_wait(netns)
    report = look(netns)
    assert only_socket(report)["cause"] == "half_close"
    assert report["close_wait"]["offenders"] == []
    assert close_wait_findings(report) == []


def test_never_accepted_is_blamed_on_the_listener(netns: PrivateNamespace) -> None:
    def fill() -> socket.socket:
        listener = socket.create_server(("127.0.0.1", PORT), backlog=16)
        for __ in range(5):
            socket.create_connection(("127.0.0.1", PORT)).close()
        return listener

    netns.keep(netns.run(fill))
    wait_for_close_wait(netns, 5)
    report = look(netns)
    assert report["completeness"]["close_wait"]["unaccepted"] == 5
    (offender,) = report["close_wait"]["offenders"]
    assert (offender["causes"], offender["pids"]) == ({"unaccepted": 5}, [os.getpid()])
    assert offender["local_ports"] == [{"port": PORT, "count": 5}]
    assert close_wait_findings(report) == [("close_wait.stuck_accept", "app")]


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tls")
    command = "openssl req -x509 -newkey rsa:2048 -nodes -subj /CN=localhost -days 2 -keyout k.pem -out c.pem"
    subprocess.run(command.split(), cwd=folder, check=True, capture_output=True)
    joined: Path = folder / "both.pem"
    joined.write_bytes((folder / "k.pem").read_bytes() + (folder / "c.pem").read_bytes())
    return joined


def shake_hands(
    client_context: ssl.SSLContext, server_context: ssl.SSLContext, pair: Pair
) -> tuple[ssl.SSLSocket, ssl.SSLSocket]:
    served: list[ssl.SSLSocket] = []
    thread = threading.Thread(target=lambda: served.append(server_context.wrap_socket(pair.peer, server_side=True)))
    thread.start()
    client = client_context.wrap_socket(pair.leaker)
    thread.join()
    return client, served[0]


@pytest.mark.parametrize(
    ("version", "cipher", "length"),
    [
        (ssl.TLSVersion.TLSv1_3, None, 25),
        (ssl.TLSVersion.TLSv1_2, "ECDHE-RSA-AES128-GCM-SHA256", 32),
        (ssl.TLSVersion.TLSv1_2, "ECDHE-RSA-CHACHA20-POLY1305", 24),
        (ssl.TLSVersion.TLSv1_2, "ECDHE-RSA-AES128-SHA", 58),
        (ssl.TLSVersion.TLSv1_2, "ECDHE-RSA-AES128-SHA256", 70),
        (ssl.TLSVersion.TLSv1_2, "ECDHE-RSA-AES256-SHA384", 86),
    ],
)
def test_cause_through_tls(
    netns: PrivateNamespace, certificate: Path, version: ssl.TLSVersion, cipher: str | None, length: int
) -> None:
    server_context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server_context.load_cert_chain(certificate)
    client_context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client_context.check_hostname = False
    client_context.verify_mode = ssl.CERT_NONE
    client_context.minimum_version = client_context.maximum_version = version
    if cipher:
        for context in (client_context, server_context):
            context.set_ciphers(f"{cipher}:@SECLEVEL=0")
    for number in range(3):
        pair = Pair(netns, port=8443 + number)
        client, server = shake_hands(client_context, server_context, pair)
        netns.keep(client)
        client.sendall(b"GET")
        server.recv(10)
        server.sendall(b"answer")
        client.recv(10)
        time.sleep(0.2)
        server.setblocking(False)  # noqa: FBT003 - the socket module's own
        with pytest.raises(ssl.SSLWantReadError):
            server.unwrap()  # sends close_notify; does not wait for the other side's
        server.close()
    wait_for_close_wait(netns, 3)
    report = look(netns)
    assert {one["receive_queue"] for one in report["close_wait"]["sockets"]} == {length}
    assert {one["cause"] for one in report["close_wait"]["sockets"]} == {"eof_unnoticed_tls"}
    assert close_wait_findings(report) == [("close_wait.idle_pool", "app")]


def test_one_farewell_as_long_as_a_tls_alert_is_no_tls(netns: PrivateNamespace) -> None:
    pair = Pair(netns, port=21, leaker_is_client=True)
    pair.leaker.sendall(b"NOOP\r\n")
    pair.peer.recv(100)
    pair.peer.sendall(b"200 ok\r\n")
    pair.leaker.recv(100)
    time.sleep(2.2)
    pair.peer.sendall(b"421 Session timed out.\r\n")
    pair.peer.close()
    wait_for_close_wait(netns)
    one = only_socket(look(netns))
    assert (one["receive_queue"], one["cause"]) == (25, "eof_unnoticed_farewell")


def test_age_bracket_holds_what_the_test_did(netns: PrivateNamespace) -> None:
    pair = Pair(netns)
    pair.peer.sendall(b"hello")
    pair.leaker.recv(10)
    before = time.monotonic()
    time.sleep(0.5)
    closing = time.monotonic()
    pair.peer.close()
    wait_for_close_wait(netns)
    time.sleep(0.7)
    started = time.monotonic()
    age = only_socket(look(netns))["age_s"]
    ended = time.monotonic()
    slack = 0.02  # jiffies and rounding to milliseconds
    assert age["at_least"] <= ended - closing + slack
    assert age["at_most"] >= started - closing - slack
    assert age["at_most"] <= ended - before + slack


def test_young_undecided_and_old(netns: PrivateNamespace) -> None:
    unnoticed(netns)
    wait_for_close_wait(netns)
    young = look(netns, min_age_s=60)
    assert young["completeness"]["close_wait"]["in_transit"] == 1
    assert young["close_wait"]["offenders"] == []
    undecided = look(netns, min_age_s=0.2)
    old = look(netns, min_age_s=0)
    assert undecided["completeness"]["close_wait"]["in_transit"] == 0
    assert old["close_wait"]["offenders"][0]["count"] == 1


def test_a_second_look_settles_what_keepalive_keeps_young(netns: PrivateNamespace) -> None:
    """Each keepalive answer of the living peer refreshes the kernel's lower end of the age."""
    pair = Pair(netns)
    for option, value in ((socket.TCP_KEEPIDLE, 1), (socket.TCP_KEEPINTVL, 1)):
        pair.leaker.setsockopt(socket.IPPROTO_TCP, option, value)
    pair.leaker.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    pair.peer.shutdown(socket.SHUT_WR)
    wait_for_close_wait(netns)
    sightings = Sightings()

    def again() -> dict[str, Any]:
        options = Options(namespaces="host", min_age_s=2)
        return netns.run(lambda: collect_report(options, sightings=sightings))

    again()
    time.sleep(2.6)
    assert look(netns, min_age_s=2)["completeness"]["close_wait"]["undecided"] == 1
    (offender,) = again()["close_wait"]["offenders"]
    assert offender["count"] == 1
    assert offender["age_s"]["at_least"] >= 2


def test_shared_by_another_program(netns: PrivateNamespace) -> None:
    unnoticed(netns)
    wait_for_close_wait(netns)
    leaker = next(
        kept for kept in netns._kept if isinstance(kept, socket.socket) and kept.fileno() > 0 and _leaks(kept)
    )
    heir = subprocess.Popen(["sleep", "60"], pass_fds=[leaker.fileno()])
    try:
        report = look(netns)
    finally:
        heir.kill()
        heir.wait()
    (offender,) = report["close_wait"]["offenders"]
    assert {"app": "sleep", "pid": heir.pid} in offender["shared_with"] or heir.pid in offender["pids"]
    assert offender["flags"]["shared"] == 1
    assert "close_wait.inherited" in [f["id"] for f in report["findings"]]


def _leaks(one: socket.socket) -> bool:
    return one.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] == 8


def test_prefork_sharing_is_by_design(netns: PrivateNamespace) -> None:
    unnoticed(netns)
    wait_for_close_wait(netns)
    child = os.fork()
    if child == 0:
        time.sleep(60)
        os._exit(0)
    try:
        report = look(netns)
    finally:
        os.kill(child, 9)
        os.waitpid(child, 0)
    (offender,) = report["close_wait"]["offenders"]
    assert sorted(offender["pids"]) == sorted([os.getpid(), child])
    assert offender["shared_with"] == []
    assert "close_wait.inherited" not in [f["id"] for f in report["findings"]]


@pytest.mark.parametrize("machine_visible", [True, False])
def test_kernel_owned(netns: PrivateNamespace, monkeypatch: pytest.MonkeyPatch, machine_visible: bool) -> None:  # noqa: FBT001 - a parameter
    """A descriptor in flight over a Unix socket is an inode that no process shows, like an io_uring direct one.

    Whether every process may be looked at differs between machines and containers: both answers are tested.
    """

    def find_owners(*arguments: Any, **named: Any) -> OwnerScan:  # noqa: ANN401 - handed through
        scan = socket_owners.find_owners(*arguments, **named)
        denied = 0 if machine_visible else 1
        return scan._replace(processes_denied=denied, complete=machine_visible, exhaustive=machine_visible)

    monkeypatch.setattr(look_module, "find_owners", find_owners)
    pair = Pair(netns)
    left, right = (netns.keep(one) for one in socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM))
    left.sendmsg([b"x"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [pair.leaker.fileno()]))])
    pair.leaker.close()
    pair.peer.close()
    wait_for_close_wait(netns)
    report = look(netns)
    (offender,) = report["close_wait"]["offenders"]
    assert report["completeness"]["close_wait"]["kernel_owned"] == int(machine_visible)
    assert report["completeness"]["close_wait"]["unattributed"] == int(not machine_visible)
    assert report["completeness"]["complete"] == machine_visible
    assert offender["kind"] == ("kernel" if machine_visible else "unknown")
    (step,) = [one["next_step"] for one in report["findings"] if one["id"].startswith("close_wait")]
    assert step.startswith("Look for an NFS" if machine_visible else "Look again")
    assert right.fileno() > 0


def test_without_tcp_info_the_queue_still_tells(netns: PrivateNamespace, monkeypatch: pytest.MonkeyPatch) -> None:
    real = socket.socket

    def refuse(family: int = -1, *rest: Any, **named: Any) -> socket.socket:  # noqa: ANN401 - socket's own
        if family == socket.AF_NETLINK:
            raise PermissionError(1, "Operation not permitted")
        return real(family, *rest, **named)

    unread(netns)
    wait_for_close_wait(netns)
    monkeypatch.setattr(socket, "socket", refuse)
    report = look(netns)
    assert report["completeness"]["source"] == "proc_net"
    assert not report["completeness"]["complete"]
    assert "sock_diag_unavailable" in [w["code"] for w in report["completeness"]["warnings"]]
    one = only_socket(report)
    assert (one["cause"], one["age_s"], one["verdict"]) == ("unread_data", None, "offender")
    assert only_socket(look(netns, min_age_s=60))["verdict"] == "undecided"
