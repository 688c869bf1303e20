# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""TCP sockets from ``/proc/PID/net/tcp`` and ``tcp6`` (proc_pid_net(5)): the fall-back where sock_diag is refused.

It shows less: no ages, no cgroup, no cookie, no BOUND_INACTIVE, and of a listener only how many connections wait,
not how many may.
"""

from __future__ import annotations

import binascii
import functools
import socket
import struct
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from ansible_collections.lastack.linux.plugins.module_utils.observe.records import TcpSocket, Unseen
from ansible_collections.lastack.linux.plugins.module_utils.observe.tcp_states import state_of_hex

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ansible_collections.lastack.linux.plugins.module_utils.observe.deadline import Deadline

__all__ = ["ProcNet", "ProcNetEntry", "decode_address", "parse_line"]

_V4_DIGITS, _V6_DIGITS = 8, 32
_MAPPED = b"\0" * 10 + b"\xff\xff"
# "tr" of a TIME_WAIT mini socket (tcp_ipv4.c, get_timewait4_sock), also of one in the substate FIN_WAIT2.
_MINI_TIMER = b"03"
_DEADLINE_EVERY = 4096


class ProcNetEntry(NamedTuple):
    """One line: what counting needs is decoded, the rest stays text until ``record``."""

    state: str
    mini: bool
    """Whether it is a TIME_WAIT mini socket, of whatever state."""
    local: bytes
    """Hexadecimal address as printed; so is ``remote``."""
    local_port: int
    remote: bytes
    remote_port: int
    fields: list[bytes]

    def record(self, namespace: int) -> TcpSocket:
        """Decode all of it. For ``LISTEN`` the send queue is 0: its limit is not shown there. Raises ``ValueError``."""
        family, local_address = decode_address(self.local)
        remote_family, remote_address = decode_address(self.remote)
        if remote_family != family:
            # A listener on a v4-mapped address, whose peer is "::", else a mixed pair that cannot be.
            remote_address = "0.0.0.0" if family == 4 else "::"  # noqa: PLR2004, S104 - the family; nothing is bound
        send, __, receive = self.fields[4].partition(b":")
        return TcpSocket(
            namespace=namespace,
            family=family,
            state=self.state,
            local_address=local_address,
            local_port=self.local_port,
            remote_address=remote_address,
            remote_port=self.remote_port,
            receive_queue=int(receive, 16),
            send_queue=int(send, 16),
            uid=int(self.fields[7]),
            inode=int(self.fields[9]),
            cookie=0,
            cgroup_id=None,
            info=None,
        )


class ProcNet:
    """The two tables below one ``net`` folder of procfs; ``warnings`` says what could not be read of them."""

    def __init__(self, folder: str, *, deadline: Deadline | None = None) -> None:
        """Take the folder, for example ``/proc/1/net``."""
        self._folder = Path(folder)
        self._deadline = deadline
        self._garbled = 0
        self._others: list[Unseen] = []

    @property
    def warnings(self) -> list[Unseen]:
        """What was not seen since the start."""
        garbled = Unseen("proc_net_garbled", self._garbled, "lines of /proc/net/tcp and tcp6 that make no sense")
        return [*self._others, *([garbled] if self._garbled else [])]

    def entries(self) -> Iterator[ProcNetEntry]:
        """Every socket of both tables; ``OSError`` if ``tcp`` is not there, a missing ``tcp6`` only means no IPv6."""
        yield from self._table(self._folder / "tcp")
        try:
            yield from self._table(self._folder / "tcp6")
        except FileNotFoundError:
            return
        except OSError as error:
            self._others.append(Unseen("proc_net_unreadable", 1, f"/proc/net/tcp6: {error.strerror}"))

    def record(self, entry: ProcNetEntry, namespace: int) -> TcpSocket | None:
        """Record of an entry; ``None`` and counted if its line makes no sense."""
        try:
            return entry.record(namespace)
        except (ValueError, IndexError):
            self._garbled += 1
            return None

    def _table(self, path: Path) -> Iterator[ProcNetEntry]:
        with path.open("rb") as lines:
            rows = self._rows(path, lines)
            next(rows, None)  # the heading
            for number, line in enumerate(rows):
                if number % _DEADLINE_EVERY == 0 and self._deadline is not None and self._deadline.passed():
                    detail = "the time was over before all sockets were read"
                    self._others.append(Unseen("deadline", 1, detail))
                    return
                entry = parse_line(line)
                if entry is None:
                    self._garbled += 1
                else:
                    yield entry

    def _rows(self, path: Path, lines: Iterator[bytes]) -> Iterator[bytes]:
        try:
            yield from lines
        except OSError as error:
            self._others.append(Unseen("proc_net_unreadable", 1, f"/proc/net/{path.name} broke off: {error.strerror}"))


def parse_line(line: bytes) -> ProcNetEntry | None:
    """One line of a table, ``None`` if it makes no sense (also if its end is missing)."""
    fields = line.split(None, 10)
    if len(fields) <= 10 or not line.endswith(b"\n"):  # noqa: PLR2004 - the number of fields up to the inode
        return None
    state = state_of_hex(fields[3])
    local, __, local_port = fields[1].partition(b":")
    remote, __, remote_port = fields[2].partition(b":")
    if state is None or len(local) not in {_V4_DIGITS, _V6_DIGITS} or len(remote) != len(local):
        return None
    try:
        ports = int(local_port, 16), int(remote_port, 16)
    except ValueError:
        return None
    return ProcNetEntry(state, fields[5].startswith(_MINI_TIMER), local, ports[0], remote, ports[1], fields)


@functools.lru_cache(maxsize=4096)
def decode_address(text: bytes) -> tuple[int, str]:
    """4 or 6 and the address of 8 or 32 hexadecimal digits: words in the machine's byte order. Raises ``ValueError``.

    A v4-mapped address is IPv4.
    """
    raw = binascii.unhexlify(text)
    if len(raw) not in {_V4_DIGITS // 2, _V6_DIGITS // 2}:
        raise ValueError("no IPv4 or IPv6 address")
    words = len(raw) // 4
    raw = struct.pack(f"={words}I", *struct.unpack(f">{words}I", raw))
    if words == 1:
        return 4, socket.inet_ntop(socket.AF_INET, raw)
    if raw.startswith(_MAPPED):
        return 4, socket.inet_ntop(socket.AF_INET, raw[12:])
    return 6, socket.inet_ntop(socket.AF_INET6, raw)
