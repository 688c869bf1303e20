# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A folder that stands for a host: its sysctls as plain files, its sysctl.d, and a place for the ledger."""

from __future__ import annotations

import stat
from typing import TYPE_CHECKING, Any

from ansible_collections.lastack.linux.plugins.module_utils.observe.sysctl_files import sysctl_path
from ansible_collections.lastack.linux.plugins.module_utils.tune.baseline import Baseline, apply_baseline
from ansible_collections.lastack.linux.plugins.module_utils.tune.settings import parse_settings

if TYPE_CHECKING:
    from pathlib import Path

    from ansible_collections.lastack.linux.plugins.module_utils.tune.results import BaselineResult, KeyResult

__all__ = ["DROPIN", "FakeHost"]

DROPIN = "etc/sysctl.d/99-tcp-lastack.conf"


class FakeHost:
    """A host below ``root``; a plain file takes any value, unlike a kernel."""

    def __init__(self, root: Path) -> None:
        self.root = root
        for folder in ("etc/sysctl.d", "var/lib", "run/systemd/system", "proc/self/ns", "proc/1/ns"):
            (root / folder).mkdir(parents=True)
        self.enclose()

    def enclose(self, *, user: int = 4026531837, pid: int = 4026531836, net: int = 4026531840) -> None:
        """Say in which namespaces the process is; by default in the machine's own."""
        for name, kind, number in (
            ("self", "user", user),
            ("self", "pid", pid),
            ("self", "net", net),
            ("1", "net", 4026531840),
        ):
            link = self.root / "proc" / name / "ns" / kind
            link.unlink(missing_ok=True)
            link.symlink_to(f"{kind}:[{number}]")

    def kernel(self, **values: str) -> None:
        """Give the kernel keys, spelt with ``__`` for a dot."""
        for name, value in values.items():
            self.set(name.replace("__", "."), value)

    def set(self, key: str, value: str) -> None:
        path = self.key_file(key)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(value + "\n")

    def get(self, key: str) -> str:
        return self.key_file(key).read_text().rstrip("\n")

    def key_file(self, key: str) -> Path:
        return self.root / "proc/sys" / sysctl_path(key)

    def file(self, name: str, content: str) -> Path:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
        return path

    def dropin(self) -> list[str]:
        """Lines of the drop-in without comments; none when there is no such file."""
        path = self.root / DROPIN
        if not path.exists():
            return []
        return [line for line in path.read_text().splitlines() if line and not line.startswith("#")]

    def apply(self, *entries: dict[str, Any], **options: Any) -> BaselineResult:  # noqa: ANN401 - Baseline's own
        settings = parse_settings(list(entries), values=options.get("state", "present") == "present")
        return apply_baseline(Baseline(settings=settings, root=str(self.root), proc=str(self.root / "proc"), **options))

    def one(self, *entries: dict[str, Any], **options: Any) -> KeyResult:  # noqa: ANN401 - the same
        return self.apply(*entries, **options).keys[0]

    def picture(self) -> dict[str, tuple[int, bytes | None]]:
        """Every file with mode and content, every directory: to compare a host with itself."""
        found = {}
        for path in sorted(self.root.rglob("*")):
            status = path.lstat()
            content = path.read_bytes() if stat.S_ISREG(status.st_mode) else None
            found[str(path.relative_to(self.root))] = (status.st_mode, content)
        return found
