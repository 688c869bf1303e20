# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Dead sockets made by resets, and busy healthy programs that have none."""

from __future__ import annotations

import itertools
import os
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from ansible_collections.lastack.linux.plugins.module_utils.observe.dead_descriptors import find_dead_descriptors
from ansible_collections.lastack.linux.plugins.module_utils.observe.sockets import read_inodes
from holders import as_nobody, namespace_record, start_holder

if TYPE_CHECKING:
    from collections.abc import Callable

    from ansible_collections.lastack.linux.plugins.module_utils.observe.records import DeadDescriptors
    from netns import PrivateNamespace

pytestmark = pytest.mark.needs_root

# Other programs of the machine may have what they like: every assertion is about the programs of the test.
RESET = """
count = int(sys.argv[1])
healthy = pairs(50)
made = pairs(count, 7001)
for _, client in made:
    reset(client)
while any(server.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1) != bytes([7]) for server, _ in made):
    time.sleep(0.01)
"""
STAY = "ready('ready')\nwait()\n"


def live_inodes(netns: PrivateNamespace) -> Callable[[], set[int]]:
    return lambda: read_inodes(namespace_record(netns))


def look(netns: PrivateNamespace) -> DeadDescriptors:
    return find_dead_descriptors(live_inodes(netns))


def tell(program: subprocess.Popen[str], word: str) -> None:
    """Send the program a line and wait for its answer."""
    assert program.stdin is not None
    assert program.stdout is not None
    program.stdin.write(word + "\n")
    program.stdin.flush()
    assert program.stdout.readline() == f"{word}\n"


@pytest.mark.parametrize("count", [1, 77])
def test_reset_connections_are_counted_exactly(netns: PrivateNamespace, count: int) -> None:
    program = start_holder(netns, RESET + STAY, str(count))
    assert len(netns.ss("-tan", "state", "established")) == 100
    assert netns.ss("-tan", "state", "close-wait") == []
    assert look(netns).by_pid.get(program.pid) == count


def test_close_wait_that_is_destroyed_stays_as_a_dead_descriptor(netns: PrivateNamespace) -> None:
    program = start_holder(netns, "held = leak(40)\n" + STAY)
    assert look(netns).by_pid.get(program.pid) is None
    command = ["nsenter", f"--net={netns.path}", "--", "ss", "-H", "-tan", "-K", "state", "close-wait"]
    killed = subprocess.run(command, check=False, capture_output=True, text=True, timeout=20)
    if "not supported" in killed.stderr:
        pytest.skip(f"this kernel has no INET_DIAG_DESTROY: {killed.stderr.strip()}")
    assert netns.ss("-tan", "state", "close-wait") == []
    assert look(netns).by_pid.get(program.pid) == 40


def test_v6_sockets_count_too(netns: PrivateNamespace) -> None:
    code = """
with socket.create_server(("::1", 7000), family=socket.AF_INET6) as listener:
    made = []
    for _ in range(40):
        client = socket.create_connection(("::1", 7000))
        made.append(listener.accept()[0])
        reset(client)
time.sleep(0.1)
"""
    program = start_holder(netns, code + STAY)
    assert look(netns).by_pid.get(program.pid) == 40


def test_both_holders_of_a_dead_socket_count(netns: PrivateNamespace) -> None:
    program = start_holder(netns, RESET + "child = os.fork()\nif child:\n    ready('ready')\nwait()\n", "40")
    (child,) = Path(f"/proc/{program.pid}/task/{program.pid}/children").read_text().split()
    found = look(netns).by_pid
    assert (found.get(program.pid), found.get(int(child))) == (40, 40)


def test_a_program_that_closes_is_forgotten(netns: PrivateNamespace) -> None:
    code = "for line in sys.stdin:\n    made = _ = None\n    ready(line.strip())\n"
    program = start_holder(netns, RESET + "ready('ready')\n" + code, "40")
    dump = live_inodes(netns)
    calls = itertools.count()

    def closing() -> set[int]:
        # Between the look and the second dump the program notices and closes.
        if next(calls) == 1:
            tell(program, "close")
        return dump()

    assert look(netns).by_pid.get(program.pid) == 40
    assert find_dead_descriptors(closing).by_pid.get(program.pid) is None


def test_a_program_that_closes_a_moment_after_the_reset_is_healthy(netns: PrivateNamespace) -> None:
    code = """
idle = pairs(40)
ready('ready')
for line in sys.stdin:
    made = pairs(20, 7001)
    for _, client in made:
        reset(client)
    ready(line.strip())
    time.sleep(0.02)
    made = _ = None
"""
    program = start_holder(netns, code)
    dump = live_inodes(netns)
    calls = itertools.count()

    def resetting() -> set[int]:
        inodes = dump()
        if next(calls) == 0:
            tell(program, "reset")
        return inodes

    # Far more than the program takes, for a machine that is busy.
    assert find_dead_descriptors(resetting, settle_s=1).by_pid.get(program.pid) is None


def test_connections_opened_after_the_dump_are_alive(netns: PrivateNamespace) -> None:
    code = """
healthy = pairs(40)
ready('ready')
for line in sys.stdin:
    healthy += pairs(60, 7001)
    ready(line.strip())
"""
    program = start_holder(netns, code)
    dump = live_inodes(netns)
    calls = itertools.count()

    def opening() -> set[int]:
        inodes = dump()
        if next(calls) == 0:
            tell(program, "open")
        return inodes

    assert find_dead_descriptors(opening).by_pid.get(program.pid) is None
    assert next(calls) == 2


def test_a_busy_healthy_server_has_no_dead_sockets(netns: PrivateNamespace) -> None:
    code = """
listener = socket.create_server(("127.0.0.1", 7000), backlog=1024)
idle = pairs(60, 7001)
stop = False
done = 0
def serve():
    while True:
        connection, _ = listener.accept()
        threading.Thread(target=answer, args=(connection,), daemon=True).start()
def answer(connection):
    with connection:
        connection.recv(100)
        connection.sendall(b"response")
def ask():
    global done
    while not stop:
        with socket.create_connection(("127.0.0.1", 7000)) as connection:
            connection.sendall(b"request")
            connection.recv(100)
            if done % 3 == 0:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        done += 1
        time.sleep(0.001)
threading.Thread(target=serve, daemon=True).start()
askers = [threading.Thread(target=ask) for _ in range(4)]
for asker in askers:
    asker.start()
ready('ready')
sys.stdin.readline()
stop = True
for asker in askers:
    asker.join()
ready(done)
wait()
"""
    program = start_holder(netns, code)
    looks = 8
    for __ in range(looks):
        assert look(netns).by_pid.get(program.pid) is None
    assert program.stdin is not None
    assert program.stdout is not None
    program.stdin.write("\n")
    program.stdin.flush()
    # The test proves nothing unless connections came and went during the looks.
    assert int(program.stdout.readline()) > looks


def test_other_protocols_do_not_count(netns: PrivateNamespace) -> None:
    code = """
held = [socket.socketpair() for _ in range(20)]
held += [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(20)]
held += [socket.socket(socket.AF_NETLINK, socket.SOCK_RAW) for _ in range(20)]
try:
    held += [socket.socket(socket.AF_INET, socket.SOCK_STREAM, 262) for _ in range(20)]
except OSError:
    pass
"""
    program = start_holder(netns, code + STAY)
    assert look(netns).by_pid.get(program.pid) is None


def test_sockets_that_were_never_connected_are_not_dead(netns: PrivateNamespace) -> None:
    program = start_holder(netns, "held = pairs(40), [socket.socket() for _ in range(40)]\n" + STAY)
    assert look(netns).by_pid.get(program.pid) is None


def test_refused_connections_are_not_dead(netns: PrivateNamespace) -> None:
    code = """
held = pairs(40)
for _ in range(40):
    held.append(socket.socket())
    held[-1].connect_ex(("127.0.0.1", 9))
"""
    program = start_holder(netns, code + STAY)
    assert look(netns).by_pid.get(program.pid) is None


def test_an_answer_that_is_still_being_read_is_not_dead(netns: PrivateNamespace) -> None:
    """Both sides have ended it, so no table shows it; the program has a minute to read what came."""
    code = """
held = pairs(40)
listener = socket.create_server(("127.0.0.1", 0))
for _ in range(40):
    mine = socket.create_connection(listener.getsockname())
    other = listener.accept()[0]
    mine.shutdown(socket.SHUT_WR)
    other.sendall(b"answer")
    other.close()
    held.append(mine)
"""
    program = start_holder(netns, code + STAY)
    dump = live_inodes(netns)
    assert find_dead_descriptors(dump, min_quiet_s=60).by_pid.get(program.pid) is None
    assert find_dead_descriptors(dump, min_quiet_s=0).by_pid == {program.pid: 40}


def test_sockets_in_a_namespace_of_one_thread_are_alive(netns: PrivateNamespace) -> None:
    """Nothing finds the namespace, for only the first thread's is looked at: no verdict, and never a dead one."""
    code = """
import ctypes, threading
held = pairs(20)
def elsewhere():
    assert ctypes.CDLL(None).unshare(0x40000000) == 0
    for _ in range(40):
        one = socket.socket()
        one.bind(("127.0.0.1", 0))
        one.listen()
        held.append(one)
thread = threading.Thread(target=elsewhere)
thread.start()
thread.join()
"""
    program = start_holder(netns, code + STAY)
    found = look(netns)
    assert found.by_pid.get(program.pid) is None
    # Other programs of this machine may do the same.
    assert found.elsewhere >= 40
    assert not found.complete


def test_without_rights_there_is_no_verdict_on_others(netns: PrivateNamespace) -> None:
    program = start_holder(netns, RESET + STAY, "40")
    found = as_nobody(lambda: find_dead_descriptors(set))
    assert found.by_pid.get(program.pid) is None
    assert found.processes_denied > 0
    assert not found.complete
    assert os.geteuid() == 0
