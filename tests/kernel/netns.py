# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A private network namespace for kernel tests: real sockets that no other program can see or disturb."""

from __future__ import annotations

import ctypes
import os
import subprocess
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TypeVar, overload

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["PrivateNamespace", "why_not_permitted"]

T = TypeVar("T")
_CLONE_NEWNET = 0x40000000


class PrivateNamespace:
    """A network namespace with only a loopback device that is up; gone with everything in it after ``with``.

    A holder process (``.pid``) keeps it alive and ends by itself when the test's process dies. Sockets that a
    callable given to ``run`` creates stay in the namespace and may be used from any thread; those that ``keep``
    was given are closed at the end.
    """

    def __init__(self) -> None:
        self.pid = 0
        self.inode = 0
        self.path = ""
        self._holder: subprocess.Popen[str] | None = None
        self._kept: list[Any] = []
        self._programs: list[subprocess.Popen[Any]] = []

    def __enter__(self) -> Self:
        script = "ip link set lo up && echo ready && exec cat"
        self._holder = subprocess.Popen(
            ["unshare", "--net", "--", "sh", "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self._holder.stdout is not None
        if self._holder.stdout.readline() != "ready\n":
            self.__exit__()
            raise RuntimeError("no private network namespace: unshare --net failed")
        self.pid = self._holder.pid
        self.path = f"/proc/{self.pid}/ns/net"
        self.inode = Path(self.path).stat().st_ino
        return self

    def __exit__(self, *__: object) -> None:
        for thing in reversed(self._kept):
            thing.close()
        self._kept.clear()
        for program in self._programs:
            if program.poll() is None:
                program.kill()
            program.communicate()
        self._programs.clear()
        self.end_holder()

    def end_holder(self) -> None:
        """End the process that keeps the namespace alive (for tests about namespaces that die)."""
        if self._holder is not None:
            self._holder.kill()
            self._holder.communicate()
            self._holder = None

    def keep(self, thing: T) -> T:
        """Close ``thing`` at the end of ``with``; returns it."""
        self._kept.append(thing)
        return thing

    def kept(self, kind: type[T]) -> list[T]:
        """Everything of this type that ``keep`` was given so far."""
        return [thing for thing in self._kept if isinstance(thing, kind)]

    @overload
    def run(self, what: Sequence[str], *, timeout_s: float = ...) -> str:
        """A program's standard output."""

    @overload
    def run(self, what: Callable[[], T], *, timeout_s: float = ...) -> T:
        """A function's result."""

    def run(self, what: Sequence[str] | Callable[[], T], *, timeout_s: float = 20) -> str | T:
        """Run a program (a list of arguments) or call a function inside, to its end.

        A program's standard output is returned; its failure raises ``CalledProcessError``. A function's result
        or exception comes through; it runs in a thread of its own, where ``/proc/thread-self/net`` is the
        namespace's and ``/proc/self/net`` is not.
        """
        if callable(what):
            return self._call(what)
        command = ["nsenter", f"--net={self.path}", "--", *what]
        done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=timeout_s)
        return done.stdout

    def _call(self, function: Callable[[], T]) -> T:
        results: list[T] = []
        errors: list[BaseException] = []

        def inside() -> None:
            try:
                _enter(self.path)
                results.append(function())
            except BaseException as error:  # noqa: BLE001 - handed to the caller's thread
                errors.append(error)

        thread = threading.Thread(target=inside)
        thread.start()
        thread.join()
        if errors:
            raise errors[0]
        return results[0]

    def start(self, argv: Sequence[str | bytes], **options: Any) -> subprocess.Popen[Any]:  # noqa: ANN401 - Popen's own
        """Start a program inside; it is ended after ``with``. ``options`` go to ``subprocess.Popen``.

        ``.pid`` of the result is the program's: ``nsenter`` replaces itself.
        """
        program = subprocess.Popen(["nsenter", f"--net={self.path}", "--", *argv], **options)
        self._programs.append(program)
        return program

    def ss(self, *options: str) -> list[list[str]]:
        """Lines of ``ss -H OPTIONS`` inside, split into columns (``ss("-tan")``: State, Recv-Q, Send-Q, ...)."""
        return [line.split() for line in self.run(["ss", "-H", *options]).splitlines()]


def why_not_permitted() -> str | None:
    """The reason for which this process cannot make network namespaces, or ``None`` if it can."""
    if os.geteuid() != 0:
        return "needs root to make network namespaces"
    tried = subprocess.run(["unshare", "--net", "--", "true"], check=False, capture_output=True, text=True)
    return f"unshare --net: {tried.stderr.strip()}" if tried.returncode else None


def _enter(path: str) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        if libc.setns(descriptor, _CLONE_NEWNET):
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number), path)
    finally:
        os.close(descriptor)
