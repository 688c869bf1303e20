# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The house of the design, held by reading the source: who imports whom, what a room may not do, how a file begins."""

from __future__ import annotations

import ast
import sys
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).resolve().parents[2]
PLUGINS = ROOT / "plugins"
COLLECTION = "ansible_collections.lastack.linux."
PACKAGE = f"{COLLECTION}plugins."
HEADER = """\
# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""

ROOMS: dict[str, tuple[str, ...]] = {
    # The agent needs no report: it looks at less, and remembers more.
    "agent": ("agent", "module_utils.diagnose", "module_utils.observe", "module_utils.version"),
    "module_utils.version": (),
    "module_utils.observe": ("module_utils.observe", "module_utils.version"),
    "module_utils.diagnose": ("module_utils.diagnose", "module_utils.observe", "module_utils.version"),
    "module_utils.tune": ("module_utils.tune", "module_utils.observe", "module_utils.version"),
    "module_utils.report": (
        # The report is in four files: the options, one look, what earlier looks saw, and the report made of it all.
        "module_utils.report",
        "module_utils.sightings",
        "module_utils.look",
        "module_utils.options",
        "module_utils.observe",
        "module_utils.diagnose",
        "module_utils.version",
    ),
    "modules": ("module_utils",),
    "doc_fragments": (),
    "plugin_utils.cli": ("module_utils", "plugin_utils", "sweep"),
    "sweep": ("module_utils", "plugin_utils", "sweep"),
    "plugin_utils": ("module_utils", "plugin_utils"),
    # The agent's own check of its configuration also runs before anything is put on a host.
    "action": ("module_utils", "plugin_utils", "agent"),
    "filter": ("module_utils", "plugin_utils"),
}
"""Each room, and the rooms on its left that it may import; a longer name goes before a shorter one."""

LONG = 300
TOO_LONG = 450
MODULE_STATEMENTS = 60


class Import(NamedTuple):
    """One import statement."""

    name: str
    at_top: bool
    """Whether it runs when the file is imported."""
    for_types: bool
    """Whether only a type checker reads it."""


def sources(*folders: str) -> list[Path]:
    found = [path for folder in folders for path in sorted((ROOT / folder).rglob("*.py"))]
    return [path for path in found if path.name != "__init__.py"]


def name_of(path: Path) -> str:
    return ".".join(path.relative_to(PLUGINS if path.is_relative_to(PLUGINS) else ROOT).with_suffix("").parts)


def room_of(name: str) -> str:
    for room in sorted(ROOMS, key=len, reverse=True):
        if name == room or name.startswith(room + "."):
            return room
    # A further file of module_utils (report_*.py and the like) belongs to report.
    return "module_utils.report" if name.startswith("module_utils.") else name


@cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


@cache
def imports_of(path: Path) -> tuple[Import, ...]:
    found: list[Import] = []

    def visit(node: ast.AST, *, at_top: bool, for_types: bool) -> None:
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: a relative import"
            # `from package import module` imports the module, too.
            names = [node.module or "", *(f"{node.module}.{alias.name}" for alias in node.names)]
        found.extend(Import(name, at_top and not for_types, for_types) for name in names)
        typing_only = for_types or (isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test))
        inner = isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Try))
        for child in ast.iter_child_nodes(node):
            visit(child, at_top=at_top and not inner, for_types=typing_only)

    visit(tree_of(path), at_top=True, for_types=False)
    return tuple(found)


def ours(path: Path) -> list[str]:
    names = [
        one.name
        for one in imports_of(path)
        if one.name.startswith((PACKAGE, f"{COLLECTION}agent.", f"{COLLECTION}sweep."))
    ]
    return [name.removeprefix(PACKAGE).removeprefix(COLLECTION) for name in names]


def foreign(path: Path, *, only_top: bool = False) -> set[str]:
    """Return the packages from outside the standard library and outside this collection that a file imports."""
    names = {one.name.partition(".")[0] for one in imports_of(path) if one.at_top or not (only_top or one.for_types)}
    return names - set(sys.stdlib_module_names) - {"ansible_collections", "__future__"}


ALL = sources("agent", "plugins", "sweep")
TARGET = sources("agent", "plugins/module_utils", "plugins/modules")


def ids(paths: list[Path]) -> list[str]:
    return [str(path.relative_to(ROOT)) for path in paths]


def test_rooms_are_where_the_design_puts_them() -> None:
    assert {room_of(name_of(path)) for path in ALL} <= set(ROOMS)
    for room in ("observe", "diagnose"):
        assert sources(f"plugins/module_utils/{room}")


@pytest.mark.parametrize("path", ALL, ids=ids(ALL))
def test_data_flows_one_way(path: Path) -> None:
    room = room_of(name_of(path))
    allowed = ROOMS[room]
    for name in ours(path):
        # A room includes the rooms below it: "module_utils" is every one of them.
        theirs = room_of(name)
        assert any(theirs == one or theirs.startswith(one + ".") for one in allowed), f"{room} imports {name}"


def test_the_agent_has_no_network_but_the_kernel() -> None:
    """Sockets of its own are for netlink and for systemd; whatever speaks to others is not even imported."""
    forbidden = {"asyncio", "email", "ftplib", "http", "imaplib", "smtplib", "socketserver", "ssl", "urllib", "xmlrpc"}
    for path in sources("agent"):
        assert not {one.name.partition(".")[0] for one in imports_of(path)} & forbidden, path
        attributes = {node.attr for node in ast.walk(tree_of(path)) if isinstance(node, ast.Attribute)}
        assert not attributes & {"AF_INET", "AF_INET6", "AF_PACKET", "create_connection", "create_server"}, path


def test_controller_rooms_do_not_need_the_command() -> None:
    """``cli`` is thin over its neighbours; none of them imports it."""
    for path in sources("plugins/plugin_utils", "plugins/action", "sweep"):
        if room_of(name_of(path)) != "plugin_utils.cli":
            assert not [name for name in ours(path) if name.startswith("plugin_utils.cli")], path


@pytest.mark.parametrize("path", TARGET, ids=ids(TARGET))
def test_targets_need_only_the_standard_library(path: Path) -> None:
    allowed = {"ansible"} if path.is_relative_to(PLUGINS / "modules") else set()
    assert foreign(path) <= allowed


@pytest.mark.parametrize("path", TARGET, ids=ids(TARGET))
def test_targets_speak_python_3_9(path: Path) -> None:
    ast.parse(path.read_text(encoding="utf-8"), str(path), feature_version=(3, 9))
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.keyword):
            assert node.arg not in {"slots", "kw_only"}, f"{path}: dataclass({node.arg}=) needs Python 3.10"
        if isinstance(node, ast.keyword) and node.arg == "strict" and isinstance(node.value, ast.Constant):
            pytest.fail(f"{path}: zip(strict=) needs Python 3.10")


@pytest.mark.parametrize("path", sources("plugins/plugin_utils", "plugins/action", "sweep"), ids=name_of)
def test_controller_needs_only_what_ansible_brings(path: Path) -> None:
    guaranteed = {"ansible", "jinja2", "markupsafe", "yaml"}
    optional = {"jsonschema", "rich"}
    if room_of(name_of(path)) == "plugin_utils.cli":
        guaranteed |= optional
    if room_of(name_of(path)) == "sweep":
        # What the command alone loads, and only for a sweep.
        guaranteed |= {"cryptography", "fabric", "paramiko"}
    assert foreign(path, only_top=True) <= guaranteed
    assert foreign(path) <= guaranteed | optional


def test_diagnose_reads_nothing() -> None:
    forbidden = {"ctypes", "fcntl", "io", "os", "pathlib", "shutil", "socket", "subprocess", "tempfile", "time"}
    for path in sources("plugins/module_utils/diagnose"):
        assert not {one.name for one in imports_of(path)} & forbidden, path
        calls = [node.func for node in ast.walk(tree_of(path)) if isinstance(node, ast.Call)]
        called = {function.id for function in calls if isinstance(function, ast.Name)}
        assert not called & {"open", "print", "input"}, path


def test_the_collector_starts_no_program() -> None:
    for path in sources("agent", "plugins/module_utils"):
        assert not {one.name for one in imports_of(path)} & {"subprocess", "multiprocessing", "pty"}, path
        attributes = [node for node in ast.walk(tree_of(path)) if isinstance(node, ast.Attribute)]
        used = {node.attr for node in attributes if isinstance(node.value, ast.Name) and node.value.id == "os"}
        assert not used & {"fork", "forkpty", "system", "popen", "execv", "execve", "posix_spawn", "spawnv"}, path


def test_modules_are_thin() -> None:
    """Arguments in, one call, result out: few statements beside the documentation."""
    for path in sources("plugins/modules"):
        statements = [node for node in ast.walk(tree_of(path)) if isinstance(node, ast.stmt)]
        assert len(statements) <= MODULE_STATEMENTS, f"{path.name}: {len(statements)} statements"


def test_every_file_begins_as_the_others() -> None:
    for path in sources("agent", "plugins", "scripts", "bench", "sweep", "tests"):
        text = path.read_text(encoding="utf-8")
        if path.is_relative_to(PLUGINS / "modules") or path.is_relative_to(PLUGINS / "action"):
            # ansible-test wants a shebang or nothing before the licence in modules; both are Ansible's own form.
            text = text.removeprefix("#!/usr/bin/python\n").removeprefix("# -*- coding: utf-8 -*-\n")
        assert text.startswith(HEADER), path
        # The gallery's programs are what developers are shown: as they would write them.
        if not path.is_relative_to(ROOT / "tests" / "gallery" / "entries"):
            assert "\nfrom __future__ import annotations\n" in text, path
        assert ast.get_docstring(tree_of(path)) or path.is_relative_to(PLUGINS / "modules"), path


def targets_of(node: ast.stmt) -> list[str]:
    targets = node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
    return [target.id for target in targets if isinstance(target, ast.Name)]


def test_public_names_are_said() -> None:
    for path in sources("agent", "plugins/module_utils", "plugins/plugin_utils", "sweep"):
        named = [target for node in tree_of(path).body for target in targets_of(node)]
        assert "__all__" in named, path


def test_package_files_are_empty() -> None:
    packages = [path for folder in ("agent", "plugins") for path in (ROOT / folder).rglob("__init__.py")]
    assert ROOT / "agent" / "__init__.py" in packages
    assert [path for path in packages if path.read_text(encoding="utf-8").strip()] == []


def test_one_subject_a_file(capsys: pytest.CaptureFixture[str]) -> None:
    """Mostly under 300 lines: the exceptions are few, bounded, and printed."""
    lengths = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in ALL}
    exceptions = {path: length for path, length in lengths.items() if length > LONG}
    lines = [f"{length} lines: {path.relative_to(ROOT)}\n" for path, length in exceptions.items()]
    with capsys.disabled():
        sys.stdout.write("\n" + "".join(sorted(lines, reverse=True)))
    # A module's documentation stands in its file.
    code = {path: length for path, length in exceptions.items() if not path.is_relative_to(PLUGINS / "modules")}
    assert max(code.values(), default=0) <= TOO_LONG
    assert len(code) <= len(lengths) // 10


def test_nothing_is_called_underscore() -> None:
    """The pylint of ``ansible-test sanity`` refuses the name; the unused is called ``__`` or says what it is."""
    found = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for path in sources("agent", "bench", "plugins", "scripts", "sweep", "tests")
        for node in ast.walk(tree_of(path))
        if (isinstance(node, ast.Name) and node.id == "_") or (isinstance(node, ast.arg) and node.arg == "_")
    ]
    assert found == []


def test_nothing_is_kept_from_the_formatter() -> None:
    mark = "# fmt" + ": "
    every = sources("agent", "bench", "plugins", "scripts", "sweep", "tests")
    assert [str(path) for path in every if mark in path.read_text(encoding="utf-8")] == []


def test_tests_have_names_of_their_own() -> None:
    names = [path.name for path in sources("tests") if path.name.startswith("test_")]
    assert len(names) == len(set(names)), sorted(name for name in names if names.count(name) > 1)
