# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Descriptor limits of systemd services: what systemd says, which unit file decides, and our drop-in."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Callable, NamedTuple

from ansible_collections.lastack.linux.plugins.module_utils.observe.rooted_files import RootedFiles
from ansible_collections.lastack.linux.plugins.module_utils.observe.unit_limits import limit_lines, limit_number
from ansible_collections.lastack.linux.plugins.module_utils.tune.nofile_wishes import HEADER, Limits

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = [
    "DROPIN",
    "Assignment",
    "Run",
    "SystemdError",
    "Unit",
    "assignments",
    "behind_disk",
    "default_limits",
    "dropin_path",
    "dropin_text",
    "is_template",
    "parse_units",
    "reload_units",
    "restart_unit",
    "show_units",
    "unit_name",
    "winner",
]

Run = Callable[["Sequence[str]"], "tuple[int, str, str]"]
"""Runs a program to its end: exit status, standard output, standard error. Given by the module, which may."""

DROPIN = "90-lastack-nofile.conf"

_PROPERTIES = (
    "Id,Names,LoadState,ActiveState,FragmentPath,DropInPaths,NeedDaemonReload,MainPID,ControlGroup,"
    "LimitNOFILE,LimitNOFILESoft"
)
# What systemd takes as a unit name (unit_name_is_valid, systemd/src/basic/unit-name.c), without blanks.
_NAME = re.compile(r"[A-Za-z0-9:_.\\@-]{1,240}")
_OTHER_TYPES = ["socket", "mount", "swap", "automount", "slice", "scope", "target", "timer", "path", "device"]
_PROBE = "lastack"
_MAX_BYTES = 1 << 20
_MAX_TOLD = 200


class SystemdError(Exception):
    """systemd cannot be asked or does not do it; one sentence."""


class Unit(NamedTuple):
    """A service as systemd shows it (systemctl(1), ``show``)."""

    id: str
    names: tuple[str, ...]
    load_state: str
    """``loaded``, ``not-found``, ``masked``, ``bad-setting``, ``error``."""
    active_state: str
    fragment: str
    dropins: tuple[str, ...]
    """In the order in which they are applied."""
    needs_reload: bool
    """Whether files on disk differ from what systemd has loaded."""
    main_pid: int
    cgroup: str
    limits: Limits


class Assignment(NamedTuple):
    """A line that sets ``LimitNOFILE=``."""

    file: str
    limits: Limits


def unit_name(name: str) -> str:
    """Return the name of the service in full; raises ``SystemdError`` for what is no service."""
    if not _NAME.fullmatch(name) or name.startswith((".", "@", "-")) or ".." in name:
        raise SystemdError(f"{name[:80]!r} is no name of a unit.")
    kind = name.rpartition(".")[2] if "." in name else ""
    if kind in _OTHER_TYPES:
        raise SystemdError(f"{name} is no service; only services (.service) get limits of open files here.")
    return name if kind == "service" else f"{name}.service"


def is_template(name: str) -> bool:
    """Whether a name in full is a template, whose drop-in reaches all its instances."""
    return name.endswith("@.service")


def dropin_path(unit: str) -> str:
    """Return where our drop-in for a unit stands."""
    return f"/etc/systemd/system/{unit}.d/{DROPIN}"


def dropin_text(limits: Limits) -> bytes:
    """Return our drop-in."""
    return (
        f"{HEADER}, which removes it with state=absent or state=restored.\n"
        "# A running service keeps its limit until it is restarted.\n"
        f"[Service]\nLimitNOFILE={limits.soft}:{limits.hard}\n"
    ).encode("ascii")


def show_units(run: Run, names: Sequence[str]) -> dict[str, list[Unit]]:
    """Return what systemd says of services, by the name asked for, with one call.

    A template is answered by an instance that nobody starts, then by its running ones. Raises ``SystemdError``.
    """
    asked: dict[str, list[str]] = {}
    for name in names:
        stem = name[: -len(".service")]
        asked[name] = [f"{stem}{_PROBE}.service", f"{stem}*.service"] if is_template(name) else [name]
    words = [word for several in asked.values() for word in several]
    if not words:
        return {}
    units = parse_units(_ask(run, ["systemctl", "show", f"--property={_PROPERTIES}", "--", *words]))
    found: dict[str, list[Unit]] = {}
    for name in names:
        if is_template(name):
            stem = name[: -len(".service")]
            ours = {unit.id: unit for unit in units if unit.id.startswith(stem)}
            probe = ours.pop(f"{stem}{_PROBE}.service", None)
            found[name] = [*([probe] if probe else []), *ours.values()]
        else:
            found[name] = [unit for unit in units if name == unit.id or name in unit.names][:1]
    return found


def behind_disk(run: Run) -> bool:
    """Whether systemd still has a drop-in of our name loaded of a service whose files have changed since.

    Raises ``SystemdError``.
    """
    units = parse_units(_ask(run, ["systemctl", "show", f"--property={_PROPERTIES}", "--", "*.service"]))
    return any(unit.needs_reload and any(path.endswith(f"/{DROPIN}") for path in unit.dropins) for unit in units)


def default_limits(run: Run) -> Limits:
    """Return what a service without a line gets (systemd-system.conf(5), ``DefaultLimitNOFILE=``)."""
    text = _ask(run, ["systemctl", "show", "--property=DefaultLimitNOFILE,DefaultLimitNOFILESoft"])
    values = dict(line.split("=", 1) for line in text.splitlines() if "=" in line)
    return Limits(limit_number(values.get("DefaultLimitNOFILESoft")), limit_number(values.get("DefaultLimitNOFILE")))


def reload_units(run: Run) -> None:
    """Make systemd read its unit files again; raises ``SystemdError``."""
    _ask(run, ["systemctl", "daemon-reload"])


def restart_unit(run: Run, unit: str) -> None:
    """Restart a service if it runs; raises ``SystemdError``."""
    _ask(run, ["systemctl", "try-restart", "--", unit])


def parse_units(text: str) -> list[Unit]:
    """Return the units of what ``systemctl show`` prints: blocks of ``NAME=VALUE``, a blank line between them."""
    units = []
    for block in text.split("\n\n"):
        values = dict(line.split("=", 1) for line in block.splitlines() if "=" in line)
        if not values.get("Id"):
            continue
        units.append(
            Unit(
                id=values["Id"],
                names=tuple(values.get("Names", "").split()),
                load_state=values.get("LoadState", ""),
                active_state=values.get("ActiveState", ""),
                fragment=values.get("FragmentPath", ""),
                dropins=tuple(values.get("DropInPaths", "").split()),
                needs_reload=values.get("NeedDaemonReload") == "yes",
                main_pid=int(values["MainPID"]) if values.get("MainPID", "").isdigit() else 0,
                cgroup=values.get("ControlGroup", ""),
                limits=Limits(limit_number(values.get("LimitNOFILESoft")), limit_number(values.get("LimitNOFILE"))),
            )
        )
    return units


def assignments(unit: Unit, *, root: str = "/") -> list[Assignment]:
    """Return what the unit's own files set, in the order of their effect; a file that cannot be read is left out."""
    files = RootedFiles(root)
    found = []
    for path in (unit.fragment, *sorted(unit.dropins, key=lambda path: path.rpartition("/")[2].encode())):
        try:
            text = files.read(files.locate(path) or path, _MAX_BYTES).decode("utf-8", "backslashreplace")
        except (OSError, ValueError):
            continue
        lines = limit_lines(text)
        if lines:
            found.append(Assignment(path, Limits(lines[-1].soft, lines[-1].hard)))
    return found


def winner(found: Iterable[Assignment], ours: Assignment) -> Assignment:
    """Return which assignment has the effect once ours is among them: drop-ins follow the fragment, by name in bytes.

    Of the same name in two directories systemd lists only the stronger (systemd.unit(5)).
    """
    rest = [one for one in found if one.file != ours.file]
    last = rest[-1] if rest else None
    if last is None or not last.file.rpartition("/")[0].endswith(".d"):
        return ours
    return last if _base(last.file) > _base(ours.file) else ours


def _base(path: str) -> bytes:
    return path.rpartition("/")[2].encode()


def _ask(run: Run, command: Sequence[str]) -> str:
    status, output, errors = run(command)
    if status != 0:
        told = " ".join((errors or output).split())[:_MAX_TOLD] or f"exit status {status}"
        raise SystemdError(f"{' '.join(command[:2])} failed: {told.rstrip('.')}.")
    return output
