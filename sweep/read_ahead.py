# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The inventory's entries, read by a thread of their own: one that takes long, or hangs, holds nothing else up."""

from __future__ import annotations

import contextlib
import queue
import threading
from typing import TYPE_CHECKING

from ansible_collections.lastack.linux.sweep.inventory import InventoryError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ansible_collections.lastack.linux.sweep.inventory import Entry

__all__ = ["AHEAD", "ReadAhead"]

AHEAD = 4
"""How many entries wait to be polled; one more is read and waits for room."""


class ReadAhead:
    """Reads ``entries`` in a daemon thread, a few ahead of who polls them."""

    def __init__(self, entries: Iterator[Entry], wake: Callable[[], None]) -> None:
        """Begin to read; ``wake`` is called from the thread whenever a poll would bring something new."""
        self._entries = entries
        self._wake = wake
        self._read: queue.Queue[Entry | BaseException | None] = queue.Queue(AHEAD)
        self._closed = threading.Event()
        self.ended = False
        """Whether every entry was polled, or an error."""
        # A daemon: it may hang until the program that reads the inventory is ended, which comes later.
        thread = threading.Thread(target=self._go, daemon=True, name="lastack-inventory")
        try:
            thread.start()
        except RuntimeError:
            self._read.put(InventoryError("The inventory cannot be read: the controller can start no more threads."))

    def poll(self) -> Entry | None:
        """Return the next entry, or ``None`` if there is none yet or no more; never waits.

        Raises what the reading raised, once: ``InventoryError``.
        """
        if self.ended:
            return None
        try:
            read = self._read.get_nowait()
        except queue.Empty:
            return None
        if read is None or isinstance(read, BaseException):
            self.ended = True
        if isinstance(read, BaseException):
            raise read
        return read

    def close(self) -> None:
        """Let the thread end as soon as what it waits for comes; never waits."""
        self.ended = True
        self._closed.set()
        # It may wait for room; after this it puts at most one more, and there is room for that.
        with contextlib.suppress(queue.Empty):
            while True:
                self._read.get_nowait()

    def _go(self) -> None:
        last: BaseException | None = None
        try:
            for entry in self._entries:
                self._put(entry)
                if self._closed.is_set():
                    return
        except BaseException as error:  # noqa: BLE001 - raised again where it is polled
            last = error
        self._put(last)

    def _put(self, what: Entry | BaseException | None) -> None:
        self._read.put(what)
        self._wake()
