# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An ssh-agent whose queue is full: hundreds of hosts want a signature at once; answers: test_sweep_client_keys."""

from __future__ import annotations

import contextlib
import socket
import threading
from typing import TYPE_CHECKING

import pytest
from ansible_collections.lastack.linux.sweep import agent_keys
from ansible_collections.lastack.linux.sweep.agent_keys import Agent, AgentError, AgentKey
from ansible_collections.lastack.linux.sweep.public_keys import pack

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

WAIT_S = 60.0
THREADS = 200
KEYS = pack(b"\x0c\0\0\0\1" + pack(b"a key", b"comment"))


class SlowAgent:
    """An agent with room for a few in its queue, full from the beginning, that answers one after the other."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)
        self.answered = 0
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(self.path)
        self._listener.listen(1)
        self._waiting: list[socket.socket] = []
        with contextlib.suppress(BlockingIOError):
            while True:
                sock = socket.socket(socket.AF_UNIX)
                self._waiting.append(sock)
                sock.settimeout(0)
                sock.connect(self.path)

    def begin(self) -> None:
        """Let those who only filled the queue go, and answer the others."""
        for sock in self._waiting:
            sock.close()
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                with self._listener.accept()[0] as sock:
                    if sock.recv(100):
                        threading.Event().wait(0.002)
                        # Before it is sent: who has it may look.
                        self.answered += 1
                        sock.sendall(KEYS)

    def end(self) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for sock in self._waiting:
            sock.close()


@pytest.fixture
def slow_agent(tmp_path: Path) -> Iterator[SlowAgent]:
    agent = SlowAgent(tmp_path / "agent")
    try:
        yield agent
    finally:
        agent.end()


def test_hundreds_who_ask_at_once_are_all_answered(slow_agent: SlowAgent) -> None:
    agent, got = Agent(slow_agent.path), []
    all_there = threading.Barrier(THREADS + 1)

    def ask() -> None:
        all_there.wait(WAIT_S)
        try:
            got.append(str(agent.keys()))
        except AgentError as error:
            got.append(str(error))

    threads = [threading.Thread(target=ask, daemon=True) for __ in range(THREADS)]
    for one in threads:
        one.start()
    all_there.wait(WAIT_S)
    slow_agent.begin()
    for one in threads:
        one.join(WAIT_S)
    assert set(got) == {str([AgentKey(b"a key", "comment")])}
    assert (len(got), slow_agent.answered) == (THREADS, THREADS)


def test_an_agent_that_takes_nobody_is_said_to_have_a_full_queue(
    slow_agent: SlowAgent, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(agent_keys, "_ANSWER_S", 0.2)
    with pytest.raises(AgentError) as failed:
        Agent(slow_agent.path).keys()
    assert str(failed.value) == f"the agent at {slow_agent.path}: its queue was full for 0.2 s"
