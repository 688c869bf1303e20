# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the outside says to a lab's leader: one JSON line each way over the unix socket ``FOLDER/control``.

Also a program, started by ssh for every connection and by ``Lab.execute``; it imports little, to start fast:
``reach FOLDER HOST`` hands standard output a connection to the host's sshd (ssh_config(5), ProxyUseFdpass);
``execute FOLDER HOST -- COMMAND ...`` runs a command inside the host with this program's own three streams.
"""

from __future__ import annotations

import array
import json
import os
import socket
import sys

__all__ = ["SOCKET", "ask", "main", "read_line"]

SOCKET = "control"
_LINE = 1 << 20


def read_line(connection: socket.socket, descriptors: int = 0) -> tuple[bytes, list[int]]:
    """Return one line and the descriptors that came with it; an empty line at the end of the stream."""
    data, found = b"", array.array("i")
    while not data.endswith(b"\n") and len(data) < _LINE:
        chunk, ancillary, __, __ = connection.recvmsg(65536, socket.CMSG_SPACE(4 * descriptors) if descriptors else 0)
        for level, kind, value in ancillary:
            if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                found.frombytes(value[: len(value) - len(value) % found.itemsize])
        if not chunk:
            return b"", list(found)
        data += chunk
    return data, list(found)


def _connect(folder: str) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    # Through a descriptor: a folder's path may be longer than a socket's address (unix(7)).
    directory = os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        connection.connect(f"/proc/self/fd/{directory}/{SOCKET}")
    finally:
        os.close(directory)
    return connection


def ask(
    folder: str,
    question: dict[str, object],
    descriptors: tuple[int, ...] = (),
    timeout_s: float | None = 180.0,
) -> tuple[dict[str, object], list[int]]:
    """Ask the leader of a lab; return its answer and the descriptors with it. ``OSError`` if there is no leader."""
    with _connect(folder) as connection:
        connection.settimeout(timeout_s)
        line = json.dumps(question).encode() + b"\n"
        if descriptors:
            socket.send_fds(connection, [line[:1]], list(descriptors))
            line = line[1:]
        connection.sendall(line)
        answer, found = read_line(connection, 1)
    if not answer:
        raise ConnectionResetError("the lab has ended")
    decoded: dict[str, object] = json.loads(answer)
    return decoded, found


def main(arguments: list[str]) -> int:
    """Do what the module's text says; 255 with a sentence on standard error if there is no such lab or host."""
    what, folder, host, *rest = arguments
    try:
        if what == "reach":
            answer, found = ask(folder, {"do": "reach", "host": host}, timeout_s=60.0)
            if found:
                # ssh takes the descriptor from the one message that comes over this program's standard output.
                with socket.socket(fileno=1) as ssh:
                    socket.send_fds(ssh, [b"\0"], found)
                    ssh.detach()
        else:
            answer, __ = ask(folder, {"do": "execute", "host": host, "command": rest[1:]}, (0, 1, 2), None)
    except (OSError, ValueError) as error:
        answer = {"error": f"The lab {folder} does not answer: {error}."}
    if answer.get("error"):
        sys.stderr.write(f"{answer['error']}\n")
        return 255
    return int(str(answer.get("status", 0)))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
