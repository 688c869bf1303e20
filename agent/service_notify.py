# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Word to the service manager: ready, alive, reloading, stopping (sd_notify(3), without its library)."""

from __future__ import annotations

import os
import socket
import time

__all__ = ["ServiceNotifier"]


class ServiceNotifier:
    """Tells systemd how the service is; does nothing where nobody asked to be told."""

    def __init__(self) -> None:
        """Take the address and the watchdog's time from the environment, which no child inherits from here."""
        self._address = os.environ.pop("NOTIFY_SOCKET", "")
        self.watchdog_s = _watchdog_s()
        """Within how many seconds ``alive`` has to be called; ``None``: there is no watchdog."""

    def ready(self, status: str) -> None:
        """The service works, or works again after a reload."""
        self._send(f"READY=1\nSTATUS={_line(status)}")

    def alive(self) -> None:
        """The service is not stuck."""
        if self.watchdog_s is not None:
            self._send("WATCHDOG=1")

    def status(self, status: str) -> None:
        """Show one line in ``systemctl status``."""
        self._send(f"STATUS={_line(status)}")

    def reloading(self) -> None:
        """The configuration is read again; ``ready`` says that this is over."""
        self._send(f"RELOADING=1\nMONOTONIC_USEC={time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000}")

    def stopping(self) -> None:
        """The service ends."""
        self._send("STOPPING=1")

    def _send(self, state: str) -> None:
        if not self._address:
            return
        address = "\0" + self._address[1:] if self._address.startswith("@") else self._address
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
                # A manager that does not read must not stop the service.
                sender.setblocking(False)  # noqa: FBT003 - the standard library's own
                sender.sendto(state.encode(), address)
        except OSError:
            pass


def _watchdog_s() -> float | None:
    microseconds = os.environ.pop("WATCHDOG_USEC", "")
    pid = os.environ.pop("WATCHDOG_PID", "")
    if not (microseconds.isascii() and microseconds.isdigit()) or pid not in ("", str(os.getpid())):
        return None
    return int(microseconds) / 1e6 or None


def _line(text: str) -> str:
    return text.replace("\n", " ")
