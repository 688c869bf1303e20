# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From the controller to a host's sshd: a TCP connection, a ProxyCommand or a channel through a jump host."""

from __future__ import annotations

import contextlib
import errno
import os
import select
import socket
import subprocess
from typing import TYPE_CHECKING

from ansible_collections.lastack.linux.plugins.plugin_utils.plain_text import one_line

if TYPE_CHECKING:
    from ansible_collections.lastack.linux.sweep.lifeline import Lifeline
    from ansible_collections.lastack.linux.sweep.ssh_settings import SshSettings

__all__ = ["TOO_FEW_THREADS", "DialError", "dial"]

TOO_FEW_THREADS = "the controller can start no more threads (ulimit -u, or pids.max of its cgroup): use fewer --forks"

_FAMILIES = {"inet": socket.AF_INET, "inet6": socket.AF_INET6}
_TRANSIENT = frozenset({errno.ECONNREFUSED, errno.ECONNRESET, errno.ECONNABORTED, errno.EPIPE, errno.ETIMEDOUT})


class DialError(Exception):
    """No connection came about; the text is one sentence. ``transient`` says whether another attempt may help."""

    def __init__(self, reason: str, *, transient: bool) -> None:
        """Take the sentence and whether another attempt may help."""
        super().__init__(reason)
        self.transient = transient


def dial(settings: SshSettings, lifeline: Lifeline) -> socket.socket:
    """Return a connected socket to the sshd that ``settings`` name, jump hosts aside; the lifeline holds it.

    Raises ``DialError`` and ``CutError``. Source: ssh_config(5), ProxyCommand, AddressFamily, BindAddress.
    """
    if settings.proxy_command:
        return _by_command(settings, lifeline)
    where = f"{one_line(settings.hostname, 100)} port {settings.port}"
    try:
        addresses = socket.getaddrinfo(
            settings.hostname, settings.port, _FAMILIES.get(settings.address_family, 0), socket.SOCK_STREAM
        )
    except socket.gaierror as error:
        again = error.errno == socket.EAI_AGAIN
        raise DialError(f"the name {one_line(settings.hostname, 100)} cannot be resolved", transient=again) from None
    except UnicodeError:
        raise DialError(f"{one_line(settings.hostname, 100)} is no name of a host", transient=False) from None
    last = OSError(errno.EHOSTUNREACH, "no address")
    for family, kind, protocol, __, address in addresses:
        seconds = lifeline.seconds_left(settings.connect_timeout_s)
        sock = socket.socket(family, kind, protocol)
        lifeline.hold(sock)
        sock.settimeout(seconds)
        try:
            if settings.bind_address:
                sock.bind((settings.bind_address, 0))
            sock.connect(address)
        except OSError as error:
            sock.close()
            last = error
            continue
        # A lone small packet must not wait for the other side's delayed acknowledgement.
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return sock
    lifeline.seconds_left()
    if isinstance(last, TimeoutError):
        reason = f"{where}: no connection within {settings.connect_timeout_s:g} s"
        raise DialError(reason, transient=True) from None
    reason = f"{where}: {(last.strerror or str(last)).lower()}"
    raise DialError(reason, transient=last.errno in _TRANSIENT) from None


def _by_command(settings: SshSettings, lifeline: Lifeline) -> socket.socket:
    """Start the ProxyCommand by the user's shell, as ssh does, on one end of a socket pair."""
    ours, theirs = socket.socketpair()
    lifeline.hold(ours)
    shell = os.environ.get("SHELL") or "/bin/sh"
    with theirs:
        try:
            process = subprocess.Popen(  # noqa: S603 - the operator's own ProxyCommand, which is a shell's line
                [shell, "-c", f"exec {settings.proxy_command}"],
                stdin=theirs.fileno(),
                stdout=theirs.fileno(),
                stderr=subprocess.DEVNULL,
                # Ctrl-C is for the sweep, which closes what it has opened.
                start_new_session=True,
            )
        except OSError as error:
            raise DialError(f"ProxyCommand: {error.strerror or error}", transient=False) from None
    lifeline.hold(process)
    if not settings.proxy_use_fdpass:
        return ours
    with contextlib.suppress(OSError):
        # recv_fds knows no time-out of its own.
        if select.select([ours], [], [], lifeline.seconds_left(settings.connect_timeout_s))[0]:
            descriptors = socket.recv_fds(ours, 1, 1)[1]
            if descriptors:
                sock = socket.socket(fileno=descriptors[0])
                lifeline.hold(sock)
                return sock
    lifeline.seconds_left()
    raise DialError("ProxyCommand: it passed no connection (ProxyUseFdpass)", transient=True)
