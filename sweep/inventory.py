# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The hosts of an Ansible inventory and how each is reached, read one after the other as the sweep gets to them."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from ansible_collections.lastack.linux.plugins.plugin_utils.plain_text import one_line

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["Entry", "Inventory", "InventoryError", "Selection"]

_READER = Path(__file__).with_name("inventory_reader.py")
_STOP_S = 5.0
_ORDER_S = 1.0


class InventoryError(Exception):
    """The inventory cannot be read or gives no host; the text is one sentence."""


class Selection(NamedTuple):
    """Which hosts, and what the command line says of their variables; as for every command of Ansible."""

    sources: tuple[str, ...] = ()
    """Files, folders, programs or ``host,``; none means what ``ansible.cfg`` or ``ANSIBLE_INVENTORY`` name."""
    pattern: str = "all"
    limit: str | None = None
    extra_vars: tuple[str, ...] = ()
    vault_passwords: tuple[str, ...] = ()
    vault_files: tuple[str, ...] = ()
    user: str | None = None
    key_file: str | None = None
    become: bool = False


class Entry(NamedTuple):
    """One host of the inventory."""

    host: str
    variables: Mapping[str, Any]
    """The connection variables that are set, plain and templated: ``ansible_host``, ``ansible_port``, and so on."""
    problem: str = ""
    """Why the variables cannot be had; empty if they can."""


class Inventory:
    """The inventory's hosts; a context manager, because a program reads it.

    Passwords go to that program by its standard input, never on its command line.
    """

    def __init__(self, selection: Selection) -> None:
        """Name the hosts; nothing is read before ``with``."""
        self._selection = selection
        self.hosts: tuple[str, ...] = ()

    def __enter__(self) -> Self:
        """Start to read; raises ``InventoryError``."""
        # -P: the folder of the program is no place to import from.
        self._program = subprocess.Popen(  # noqa: S603 - this Python and a file of this project
            [sys.executable, "-P", str(_READER)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, close_fds=True
        )
        try:
            self._ask()
            self._read_hosts()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *__: object) -> None:
        """End the program that reads, whatever it is at."""
        program = self._program
        # It ends what it has started, an inventory program that hangs.
        program.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            program.wait(_ORDER_S)
        program.kill()
        for pipe in (program.stdin, program.stdout):
            with contextlib.suppress(OSError):
                if pipe is not None:
                    pipe.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            program.wait(_STOP_S)

    def entries(self) -> Iterator[Entry]:
        """Yield every host once, in the inventory's order; raises ``InventoryError`` where the program breaks off."""
        for host in self.hosts:
            answer = self._line()
            if answer.get("host") != host:
                raise InventoryError(f"The inventory could not be read to its end: no variables of {one_line(host)}.")
            yield Entry(host, answer.get("variables", {}), one_line(answer.get("problem", "")))

    def _ask(self) -> None:
        request = self._selection._asdict()
        stdin = self._program.stdin
        if stdin is None:  # pragma: no cover - it was asked for
            raise InventoryError("The inventory cannot be read.")
        with contextlib.suppress(BrokenPipeError):
            stdin.write(json.dumps(request).encode("ascii") + b"\n")
            stdin.close()

    def _read_hosts(self) -> None:
        first = self._line()
        self.hosts = tuple(first["hosts"])
        if self.hosts:
            return
        if not first["known"]:
            raise InventoryError("The inventory has no host: name one with -i, such as -i hosts.yml or -i web-1,web-2.")
        limit = f" within --limit {one_line(self._selection.limit, 80)}" if self._selection.limit else ""
        pattern = one_line(self._selection.pattern, 80)
        raise InventoryError(f"No host of the inventory matches {pattern}{limit}.")

    def _line(self) -> dict[str, Any]:
        stdout = self._program.stdout
        line = stdout.readline() if stdout is not None else b""
        try:
            answer = json.loads(line)
        except ValueError:
            raise InventoryError(f"The inventory's reader {self._end()}: see its output above.") from None
        if "error" in answer:
            named = (
                ""
                if self._selection.sources or self.hosts
                else " Name one with -i, such as -i hosts.yml or -i web-1,web-2."
            )
            raise InventoryError(f"The inventory cannot be used: {one_line(answer['error'], 400)}{named}")
        found: dict[str, Any] = answer
        return found

    def _end(self) -> str:
        try:
            return f"ended with status {self._program.wait(_STOP_S)}"
        except subprocess.TimeoutExpired:
            return "sent something else than its answer"
