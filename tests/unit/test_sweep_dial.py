# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From the controller to a port: what refuses, what is no name, and what a ProxyCommand hands over."""

from __future__ import annotations

import contextlib
import socket
import sys
from typing import TYPE_CHECKING

import pytest
from ansible_collections.lastack.linux.sweep.dial import DialError, dial
from ansible_collections.lastack.linux.sweep.lifeline import CutError, Lifeline
from ansible_collections.lastack.linux.sweep.ssh_settings import SshSettings

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

WAIT_S = 30.0
PASSES = """
import socket, sys
sock = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
out = socket.socket(fileno=1)
socket.send_fds(out, [b"x"], [sock.fileno()])
"""


@contextlib.contextmanager
def listening() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def settings(port: int, **more: object) -> SshSettings:
    return SshSettings("web-1", "127.0.0.1", port)._replace(**more)  # type: ignore[arg-type] # what a test needs


def test_a_port_that_listens_is_connected() -> None:
    lifeline = Lifeline(WAIT_S)
    with listening() as port:
        sock = dial(settings(port), lifeline)
        assert sock.getpeername() == ("127.0.0.1", port)
        lifeline.let_go()
        assert sock.fileno() == -1


def test_the_bind_address_is_kept() -> None:
    lifeline = Lifeline(WAIT_S)
    with listening() as port:
        assert dial(settings(port, bind_address="127.0.0.9"), lifeline).getsockname()[0] == "127.0.0.9"
        lifeline.let_go()


def test_a_closed_port_is_worth_another_attempt() -> None:
    with listening() as port:
        pass
    with pytest.raises(DialError, match=f"127.0.0.1 port {port}: connection refused") as failed:
        dial(settings(port), Lifeline(WAIT_S))
    assert failed.value.transient


@pytest.mark.parametrize(("number", "transient"), [(socket.EAI_NONAME, False), (socket.EAI_AGAIN, True)])
def test_a_name_that_is_none_is_final(monkeypatch: pytest.MonkeyPatch, number: int, *, transient: bool) -> None:
    def fails(*__: object) -> None:
        raise socket.gaierror(number, "no")

    monkeypatch.setattr(socket, "getaddrinfo", fails)
    with pytest.raises(DialError, match="cannot be resolved") as failed:
        dial(settings(22, hostname="web-1"), Lifeline(WAIT_S))
    assert failed.value.transient is transient


def test_a_hostile_name_is_a_reason_in_one_line() -> None:
    with pytest.raises(DialError) as failed:
        dial(settings(22, hostname="a" * 70 + ".\x1b[31m\n"), Lifeline(WAIT_S))
    assert "\x1b" not in str(failed.value)
    assert "\n" not in str(failed.value)


def test_a_backlog_that_is_full_times_out() -> None:
    with socket.socket() as server, contextlib.ExitStack() as stack:
        server.bind(("127.0.0.1", 0))
        server.listen(0)
        port = server.getsockname()[1]
        for __ in range(3):
            waiting = stack.enter_context(socket.socket())
            waiting.settimeout(0)
            waiting.connect_ex(("127.0.0.1", port))
        with pytest.raises(DialError, match=r"no connection within 0\.2 s") as failed:
            dial(settings(port, connect_timeout_s=0.2), Lifeline(WAIT_S))
        assert failed.value.transient
        with pytest.raises(CutError):
            dial(settings(port), Lifeline(0.2))


def test_a_proxy_command_is_a_shell_s_line_and_ends_with_the_attempt() -> None:
    lifeline = Lifeline(WAIT_S)
    sock = dial(settings(1, proxy_command="cat | tr a b"), lifeline)
    # "exec cat | tr": the pipe shows that it was a shell that read the line.
    sock.sendall(b"SSH-2.0-a\n")
    sock.shutdown(socket.SHUT_WR)
    assert sock.recv(100) == b"SSH-2.0-b\n"
    process = lifeline._held[1]
    lifeline.let_go()
    assert process.returncode is not None  # type: ignore[union-attr] # a process


def test_a_proxy_command_passes_a_connection(tmp_path: Path) -> None:
    script = tmp_path / "passes.py"
    script.write_text(PASSES, encoding="utf-8")
    lifeline = Lifeline(WAIT_S)
    with listening() as port:
        command = f"{sys.executable} {script} {port}"
        sock = dial(settings(1, proxy_command=command, proxy_use_fdpass=True), lifeline)
        assert sock.getpeername() == ("127.0.0.1", port)
        lifeline.let_go()
    with pytest.raises(DialError, match="passed no connection"):
        dial(settings(1, proxy_command="true", proxy_use_fdpass=True), Lifeline(WAIT_S))
