# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the topic pages of ``lastack explain`` say, shown on real sockets of a private network namespace."""

from __future__ import annotations

import errno
import http.client
import http.server
import os
import re
import signal
import socket
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from netns import PrivateNamespace

pytestmark = pytest.mark.needs_root

PORT = 700  # not an automatic port
HOME = "127.0.0.1"
CLOSED, CLOSE_WAIT = 7, 8  # include/net/tcp_states.h
Pair = tuple[socket.socket, socket.socket]


def wait_until(condition: Callable[[], bool], seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "the sockets did not reach the state that the test needs"
        time.sleep(0.05)


def sysctl(netns: PrivateNamespace, key: str, value: str) -> None:
    netns.run(["sysctl", "-qw", f"{key}={value}"])


def listener(netns: PrivateNamespace, address: str = HOME, port: int = PORT) -> socket.socket:
    return netns.keep(netns.run(lambda: socket.create_server((address, port), backlog=300)))


def connected(netns: PrivateNamespace, server: socket.socket) -> Pair:
    client = netns.keep(netns.run(lambda: socket.create_connection(server.getsockname(), timeout=10)))
    return client, netns.keep(server.accept()[0])


def end_of(closes_first: socket.socket, other: socket.socket) -> None:
    closes_first.close()
    other.settimeout(10)
    assert other.recv(1) == b""
    other.close()


def state(one: socket.socket) -> int:
    return one.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0]


def segments_in(one: socket.socket) -> int:
    # tcpi_segs_in of struct tcp_info (include/uapi/linux/tcp.h).
    info = one.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 256)
    return int.from_bytes(info[140:144], sys.byteorder)


def timers(netns: PrivateNamespace, name: str) -> list[float]:
    """Seconds left of the mini sockets in a state; ss(8) says 58sec, 4.852ms (and means s), 276ms, or nothing."""
    left = []
    for line in netns.run(["ss", "-Htano", "state", name]).splitlines():
        found = re.search(r"timer:\(timewait,(?:(\d+)min)?([\d.]*)(sec|ms|)", line)
        assert found, line
        seconds = float(found[2] or 0) / (1000 if found[3] == "ms" and "." not in found[2] else 1)
        left.append(60 * int(found[1] or 0) + seconds)
    return left


def test_fin_timeout_ends_orphans_in_fin_wait2_and_leaves_time_wait_alone(netns: PrivateNamespace) -> None:
    sysctl(netns, "net.ipv4.tcp_fin_timeout", "3")
    server = listener(netns)
    end_of(*connected(netns, server))
    orphan, still_open = connected(netns, server)
    orphan.close()
    wait_until(lambda: len(timers(netns, "fin-wait-2")) == 1)
    assert max(timers(netns, "fin-wait-2")) <= 3
    assert min(timers(netns, "time-wait")) > 3
    wait_until(lambda: timers(netns, "fin-wait-2") == [])
    assert len(timers(netns, "time-wait")) == 1
    # What is left of it is the other side's leak.
    assert state(still_open) == CLOSE_WAIT


def test_time_wait_holds_no_descriptor_and_no_process(netns: PrivateNamespace) -> None:
    server = listener(netns)
    before = len(list(Path("/proc/self/fd").iterdir()))
    for __ in range(200):
        end_of(*connected(netns, server))
    assert len(netns.ss("-tan", "state", "time-wait")) == 200
    assert len(list(Path("/proc/self/fd").iterdir())) == before
    assert "users:" not in netns.run(["ss", "-tanp", "state", "time-wait"])


@pytest.mark.parametrize("first", ["client", "server"])
def test_time_wait_is_on_the_side_that_closes_first(netns: PrivateNamespace, first: str) -> None:
    server = listener(netns)
    client, accepted = connected(netns, server)
    port = client.getsockname()[1] if first == "client" else PORT
    end_of(*((client, accepted) if first == "client" else (accepted, client)))
    (line,) = netns.ss("-tan", "state", "time-wait")
    assert line[2].endswith(f":{port}")


def test_keepalive_does_not_end_close_wait_while_the_peer_answers_and_never_frees_the_descriptor(
    netns: PrivateNamespace,
) -> None:
    sysctl(netns, "net.ipv4.tcp_fin_timeout", "1")
    leaked, peer = connected(netns, listener(netns))
    leaked.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in ((socket.TCP_KEEPIDLE, 1), (socket.TCP_KEEPINTVL, 1), (socket.TCP_KEEPCNT, 2)):
        leaked.setsockopt(socket.IPPROTO_TCP, option, value)
    peer.shutdown(socket.SHUT_WR)
    wait_until(lambda: state(leaked) == CLOSE_WAIT)
    answered = segments_in(leaked) + 4
    wait_until(lambda: segments_in(leaked) >= answered)
    assert state(leaked) == CLOSE_WAIT
    # The peer forgets the connection (an orphan in FIN_WAIT2 does, after tcp_fin_timeout) and answers with a reset.
    peer.close()
    wait_until(lambda: state(leaked) == CLOSED)
    assert netns.ss("-tan", "state", "close-wait") == []
    assert f"socket:[{os.fstat(leaked.fileno()).st_ino}]" == str(Path(f"/proc/self/fd/{leaked.fileno()}").readlink())


def test_no_kernel_that_is_supported_has_tcp_tw_recycle(netns: PrivateNamespace) -> None:
    names = netns.run(["ls", "/proc/sys/net/ipv4"]).split()
    assert "tcp_tw_reuse" in names
    assert "tcp_tw_recycle" not in names


def bound(*, reuse: bool) -> int:
    """The error number of bind() and listen() on the port; 0 if both work."""
    with socket.socket() as one:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, int(reuse))
        try:
            one.bind((HOME, PORT))
            one.listen()
        except OSError as error:
            return error.errno or -1
        return 0


def test_reuseaddr_binds_over_time_wait_and_never_over_a_listener(netns: PrivateNamespace) -> None:
    server = listener(netns)
    assert netns.run(lambda: bound(reuse=True)) == errno.EADDRINUSE
    client, accepted = connected(netns, server)
    end_of(accepted, client)
    server.close()
    assert len(netns.ss("-tan", "state", "time-wait")) == 1
    assert netns.run(lambda: bound(reuse=False)) == errno.EADDRINUSE
    assert netns.run(lambda: bound(reuse=True)) == 0


def dialled(server: socket.socket, source: str | None = None, option: int | None = None) -> socket.socket | int:
    """A connection, or the error number."""
    client = socket.socket()
    try:
        if option is not None:
            client.setsockopt(socket.IPPROTO_IP, option, 1)
        if source is not None:
            client.bind((source, 0))
        client.connect(server.getsockname())
    except OSError as error:
        client.close()
        return error.errno or -1
    return client


def test_automatic_ports_run_out_for_each_destination_by_itself(netns: PrivateNamespace) -> None:
    sysctl(netns, "net.ipv4.ip_local_port_range", "40000 40009")
    near, far = listener(netns), listener(netns, "127.0.0.2")
    kept = [netns.run(lambda: dialled(near)) for __ in range(11)]
    for one in kept[:10]:
        assert isinstance(one, socket.socket)
        netns.keep(one)
    assert kept[10] == errno.EADDRNOTAVAIL
    other = netns.run(lambda: dialled(far))
    assert isinstance(other, socket.socket)
    netns.keep(other)
    # bind() to a source takes the port for all destinations at once, unless it waits for connect().
    assert netns.run(lambda: dialled(far, HOME)) == errno.EADDRINUSE
    late = netns.run(lambda: dialled(far, HOME, 24))  # IP_BIND_ADDRESS_NO_PORT
    assert isinstance(late, socket.socket)
    netns.keep(late)


def test_tw_reuse_takes_over_entries_of_its_own_connects(netns: PrivateNamespace) -> None:
    sysctl(netns, "net.ipv4.ip_local_port_range", "40000 40009")
    sysctl(netns, "net.ipv4.tcp_tw_reuse", "0")
    server = listener(netns)
    for __ in range(10):
        end_of(*connected(netns, server))
    assert netns.run(lambda: dialled(server)) == errno.EADDRNOTAVAIL
    sysctl(netns, "net.ipv4.tcp_tw_reuse", "1")

    def reused() -> bool:
        one = netns.run(lambda: dialled(server))
        return isinstance(one, socket.socket) and netns.keep(one) is one

    wait_until(reused)


class _Server(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, *__: object) -> None:
        """Say nothing."""


@pytest.mark.parametrize(("header", "closed"), [({}, 0), ({"Connection": "close"}, 20)])
def test_keep_alive_makes_one_connection_of_twenty(
    netns: PrivateNamespace, header: dict[str, str], closed: int
) -> None:
    server = netns.run(lambda: http.server.ThreadingHTTPServer((HOME, PORT), _Server))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()

    def twenty() -> None:
        client = http.client.HTTPConnection(HOME, PORT, timeout=10)
        for __ in range(20):
            client.request("GET", "/", headers=header)
            assert client.getresponse().read() == b"ok"
            if header:
                # Not before the server has: both could close at once.
                assert client.sock.recv(1) == b""
                client.close()
        wait_until(lambda: len(netns.ss("-tan", "state", "time-wait")) == closed)
        client.close()

    try:
        netns.run(twenty)
        # The server was asked to close, and did so first: its own port is the local one.
        assert all(line[2].endswith(f":{PORT}") for line in netns.ss("-tan", "state", "time-wait")[:closed])
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def test_killing_a_holder_of_close_wait_breaks_its_healthy_connections_too(netns: PrivateNamespace) -> None:
    server = listener(netns)
    script = (
        "import socket, sys, time\n"
        f"pair = [socket.create_connection(('{HOME}', {PORT})) for _ in range(2)]\n"
        "print('ready', flush=True)\ntime.sleep(60)\n"
    )
    program = netns.start([sys.executable, "-c", script], stdout=-1)
    over, healthy = (netns.keep(server.accept()[0]) for __ in range(2))
    assert program.stdout is not None
    assert program.stdout.readline() == b"ready\n"
    over.close()
    wait_until(lambda: len(netns.ss("-tan", "state", "close-wait")) == 1)
    healthy.settimeout(10)
    healthy.sendall(b"answer")
    program.send_signal(signal.SIGKILL)
    program.wait(10)
    wait_until(lambda: netns.ss("-tan", "state", "close-wait") == [])
    with pytest.raises(ConnectionResetError):
        healthy.recv(1)
