# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The first process of a lab's private world (network, mount and process namespaces): makes hosts, answers questions.

``lab_keeper.py`` starts it. It ends, and every process, mount and link of the lab with it, when the keeper is gone, the
owner is gone, the one who waits for ``up`` is gone, its time is over, or it is told to go ``down``.
"""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from lab_control import read_line
from lab_host import Host, HostError, run
from lab_registry import MARK

__all__: list[str] = []

WORLD = Path("/run")
_PARALLEL = 4
_ANSWER_S = 10.0


class Leader:
    """The hosts of one lab and the questions about them."""

    def __init__(self, lab: dict[str, Any], folder: Path) -> None:
        self._lab = lab
        self._folder = folder
        self.done = threading.Event()
        self._said = False
        self._wake, self._woken = os.pipe()
        names = "".join(f"{one['address']} {one['name']}\n{one['address6']} {one['name']}\n" for one in lab["hosts"])
        hosts = f"127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n{names}"
        self.hosts = {
            one["name"]: Host(WORLD / "hosts", one, lab["cgroup"], hosts, folder / "keys") for one in lab["hosts"]
        }

    def make_world(self) -> None:
        """Make the private mounts and the bridge; nothing of the machine's is remounted or changed."""
        # Over /run, so that nothing has to be made on the machine and crun's state is the lab's own.
        run("mount", "-t", "tmpfs", "-o", "mode=755", "lastack", str(WORLD))
        if self._lab["cgroup_bind"]:
            run("mount", "--bind", self._lab["cgroup_bind"], "/sys/fs/cgroup")
        (WORLD / "hosts").mkdir()
        lines = [
            "link set lo up",
            # No forwarding delay: a port of a bridge without STP forwards at once.
            "link add lab type bridge forward_delay 0 stp_state 0 mcast_snooping 0",
            f"address add {self._lab['gateway']}/24 dev lab",
            "link set lab up",
        ]
        run("ip", "-batch", "-", text="\n".join(lines))
        # A machine may have IPv6 switched off.
        subprocess.run(
            ["ip", "address", "add", f"{self._lab['gateway6']}/64", "dev", "lab", "nodad"],
            check=False,
            capture_output=True,
        )

    def boot(self, ready: int) -> None:
        """Boot every host; say on ``ready`` how it went: one JSON line."""
        try:
            self.make_world()
            with ThreadPoolExecutor(_PARALLEL) as pool:
                list(pool.map(Host.start, self.hosts.values()))
            with ThreadPoolExecutor(_PARALLEL) as pool:
                list(pool.map(Host.wait, self.hosts.values()))
            answer: dict[str, object] = {"ok": True}
        except Exception as error:  # noqa: BLE001 - whatever it was, the one who waits must hear of it
            answer = {"error": str(error) or repr(error)}
        self._said = True
        try:
            os.write(ready, json.dumps(answer).encode() + b"\n")
        except OSError:
            answer["error"] = "nobody waits"
        if "error" in answer:
            self.end()

    def end(self) -> None:
        """Make ``serve`` return."""
        self.done.set()
        os.write(self._woken, b"\0")

    def serve(self, listener: socket.socket, ends: list[int], ready: int, deadline: float) -> None:
        """Answer until one of the descriptors ``ends`` says that its other side is gone, or the deadline."""
        events = select.epoll()
        for descriptor in (*ends, listener.fileno(), self._wake):
            events.register(descriptor, select.EPOLLIN)
        # No event but the error that a pipe without a reader is (epoll(7)): nobody waits for the hosts any more.
        events.register(ready, 0)
        threading.Thread(target=self.boot, args=(ready,), daemon=True).start()
        while not self.done.is_set() and time.monotonic() < deadline:
            for descriptor, __ in events.poll(max(0.0, deadline - time.monotonic())):
                if descriptor in ends:
                    return
                if descriptor == ready:
                    if not self._said:
                        return
                    events.unregister(ready)
                elif descriptor == listener.fileno():
                    connection, __ = listener.accept()
                    threading.Thread(target=self._answer, args=(connection,), daemon=True).start()
                else:
                    os.read(self._wake, 1)

    def _answer(self, connection: socket.socket) -> None:
        with connection:
            connection.settimeout(_ANSWER_S)
            descriptors: list[int] = []
            try:
                line, descriptors = read_line(connection, 3)
                if not line:
                    return
                question = json.loads(line)
                answer, handed = self._do(question, descriptors, connection)
            except (HostError, OSError, ValueError, KeyError, subprocess.SubprocessError) as error:
                answer, handed = {"error": str(error)}, None
            finally:
                for descriptor in descriptors:
                    os.close(descriptor)
            reply = json.dumps(answer).encode() + b"\n"
            try:
                if handed is not None:
                    with handed:
                        socket.send_fds(connection, [reply], [handed.fileno()])
                else:
                    connection.sendall(reply)
            except OSError:
                return

    def _do(
        self, question: dict[str, Any], descriptors: list[int], connection: socket.socket
    ) -> tuple[dict[str, object], socket.socket | None]:
        what = question["do"]
        if what == "down":
            self.end()
            return {"ok": True}, None
        if what == "state":
            return {"ok": True, "hosts": {name: host.state() for name, host in self.hosts.items()}}, None
        host = self.hosts.get(question["host"])
        if host is None:
            raise HostError(f"There is no host {question['host']!r} in this lab.")
        if what == "reach":
            return {"ok": True}, host.connect()
        if what == "execute":
            connection.settimeout(None)
            return {"status": host.execute(question["command"], descriptors, connection)}, None
        if what in {"stop", "restart"}:
            host.stop()
        if what in {"start", "restart"}:
            host.start()
            host.wait()
        return {"ok": True}, None


def main() -> None:
    folder = Path(sys.argv[1])
    listener, ready, owner = (int(text) for text in sys.argv[2:5])
    os.umask(0o022)
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    lab = json.loads((folder / MARK).read_text(encoding="utf-8"))
    ends = [0, *([owner] if owner >= 0 else [])]
    leader = Leader(lab, folder)
    leader.serve(socket.socket(fileno=listener), ends, ready, time.monotonic() + lab["life_s"])
    # Threads may still wait for hosts; the end of this process is the end of them all.
    os._exit(0)


if __name__ == "__main__":
    main()
