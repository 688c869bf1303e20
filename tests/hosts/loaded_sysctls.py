# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the resolver says of its own trees, beside what ``load_sysctls.py`` is asked to let the real loaders write."""

from __future__ import annotations

import base64
import importlib.util
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ansible_collections.lastack.linux.plugins.module_utils.observe.sysctl_files import resolve, sysctl_path

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import ModuleType

__all__ = ["CASES", "KEYS", "PROGRAM", "Case", "expected", "question"]

TESTS = Path(__file__).resolve().parent.parent
PROGRAM = TESTS / "programs" / "load_sysctls.py"
KEYS = ("net.ipv4.tcp_a", "net.ipv4.tcp_b", "net.ipv4.tcp_c", "net.ipv4.conf.v0/100.x", "net.core.x")


def _trees() -> ModuleType:
    """Load the unit tests' module: their folder is on no path here."""
    spec = importlib.util.spec_from_file_location("sysctl_trees", TESTS / "unit" / "sysctl_trees.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules.setdefault(spec.name, module)
    spec.loader.exec_module(module)
    return module


_TREES = _trees()
Case = Any
# /lib cannot be replaced under the running programs.
CASES: list[Case] = [case for case in _TREES.CASES if not any(name.split("/")[0] == "lib" for name in case.tree)]


def question(loader: str, cases: Sequence[Case]) -> dict[str, object]:
    """What ``load_sysctls.py`` is asked: to run ``loader`` over these trees."""
    return {
        "loader": loader,
        "keys": [sysctl_path(key) for key in KEYS],
        "trees": [{path: _sent(content) for path, content in case.tree.items()} for case in cases],
    }


def _sent(content: str | bytes) -> str:
    if isinstance(content, str) and content.startswith("->"):
        return content
    return base64.b64encode(content.encode() if isinstance(content, str) else content).decode()


def expected(case: Case, loader: str, root: Path, sysctl: bytes) -> dict[str, str | None]:
    """What the resolver says that ``loader`` writes, by path below /proc/sys.

    ``root`` is an empty folder, ``sysctl`` the content of the program, which tells its own rules.
    """
    _TREES.build(root, {**case.tree, "usr/sbin/sysctl": sysctl})
    resolution = resolve(root=str(root), keys=KEYS)
    winners = resolution.boot if loader == "boot" else resolution.reload
    return {sysctl_path(key): winners[key].value if key in winners else None for key in KEYS}
