# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What systemctl says of a host that is a folder: units loaded from its files, and reloaded when asked."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

__all__ = ["FakeSystemd"]


class _Loaded(NamedTuple):
    dropins: tuple[str, ...]
    soft: str
    hard: str


class FakeSystemd:
    """A stand-in for unit tests: what a real one answers is held by the tests on real hosts."""

    def __init__(self, host: Path) -> None:
        self.host = host
        self.calls: list[list[str]] = []
        self.active: dict[str, tuple[int, str]] = {}
        """Main process and control group by unit."""
        self.aliases: dict[str, str] = {}
        self.load_states: dict[str, str] = {}
        self.failing: dict[str, str] = {}
        """Standard error by the second word of a command that shall fail."""
        self.on_restart: Callable[[str], object] = str
        self._loaded: dict[str, _Loaded] = {}
        (host / "run").mkdir(exist_ok=True)
        (host / "run/systemd").mkdir(exist_ok=True)
        (host / "run/systemd/system").mkdir(exist_ok=True)

    def add(self, unit: str, *lines: str, pid: int = 0) -> None:
        """Add a unit file, and load it."""
        file = self.host / "etc/systemd/system" / unit
        file.write_text("\n".join(["[Service]", *lines, ""]))
        if pid:
            self.active[unit] = (pid, f"/system.slice/{unit}")
        self._loaded[unit] = self._read(unit)

    def run(self, command: Sequence[str]) -> tuple[int, str, str]:
        """Answer as ``systemctl`` does."""
        self.calls.append(list(command))
        assert command[0] == "systemctl"
        if command[1] in self.failing:
            return 1, "", self.failing[command[1]]
        if command[1] == "daemon-reload":
            self._loaded = {unit: self._read(unit) for unit in self._loaded}
        elif command[1] == "try-restart":
            self.on_restart(command[-1])
        elif "--" not in command:
            return 0, "DefaultLimitNOFILE=524288\nDefaultLimitNOFILESoft=1024\n", ""
        else:
            words = [
                unit
                for word in command[command.index("--") + 1 :]
                for unit in (self._match(word) if "*" in word else [word])
            ]
            return 0, "\n".join(self._show(unit) for unit in words), ""
        return 0, "", ""

    def count(self, verb: str) -> int:
        """Return how often a verb was called."""
        return sum(call[1] == verb for call in self.calls)

    def _match(self, pattern: str) -> list[str]:
        start, __, end = pattern.partition("*")
        return sorted(unit for unit in self.active if unit.startswith(start) and unit.endswith(end))

    def _read(self, unit: str) -> _Loaded:
        names = [unit]
        if "@" in unit:
            names.append(unit.partition("@")[0] + "@.service")
        found: dict[str, Path] = {}
        for name in reversed(names):
            for file in (self.host / "etc/systemd/system" / f"{name}.d").glob("*.conf"):
                found[file.name] = file
        paths = [found[name] for name in sorted(found)]
        soft, hard = "1024", "524288"
        fragment = next((self.host / "etc/systemd/system" / name for name in names if self._is_there(name)), None)
        for path in [*([fragment] if fragment else []), *paths]:
            for line in path.read_text().splitlines():
                if line.startswith("LimitNOFILE="):
                    soft, __, rest = line.partition("=")[2].partition(":")
                    hard = rest or soft
        return _Loaded(tuple(f"/{path.relative_to(self.host)}" for path in paths), soft, hard)

    def _is_there(self, name: str) -> bool:
        return (self.host / "etc/systemd/system" / name).is_file()

    def _show(self, asked: str) -> str:
        unit = self.aliases.get(asked, asked)
        if unit not in self._loaded and not ("@" in unit and self._is_there(unit.partition("@")[0] + "@.service")):
            state = self.load_states.get(unit, "not-found")
            return f"Id={unit}\nNames={unit}\nLoadState={state}\nActiveState=inactive\nMainPID=0\n"
        now = self._read(unit)
        loaded = self._loaded.setdefault(unit, now)
        pid, cgroup = self.active.get(unit, (0, ""))
        fragment = unit if self._is_there(unit) else unit.partition("@")[0] + "@.service"
        return (
            f"Id={unit}\nNames={' '.join([unit, *(a for a, u in self.aliases.items() if u == unit)])}\n"
            f"LoadState={self.load_states.get(unit, 'loaded')}\nActiveState={'active' if pid else 'inactive'}\n"
            f"FragmentPath=/etc/systemd/system/{fragment}\nDropInPaths={' '.join(loaded.dropins)}\n"
            f"NeedDaemonReload={'yes' if now != loaded else 'no'}\nMainPID={pid}\nControlGroup={cgroup}\n"
            f"LimitNOFILE={loaded.hard}\nLimitNOFILESoft={loaded.soft}\n"
        )
