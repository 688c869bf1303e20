# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A program of the collection for a host: the sources of the modules that it imports, and nothing else.

They are found by reading import statements. The agent is one file of them, a zip that Python runs (zipapp), with the
same bytes wherever it is built.
"""

from __future__ import annotations

import ast
import hashlib
import io
import sys
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from ansible_collections.lastack.linux.plugins.module_utils.version import VERSION

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["BUNDLE_NAME", "Bundle", "BundleError", "build_bundle", "read_sources"]

BUNDLE_NAME = "lastack-agent.pyz"
_PACKAGE = "ansible_collections.lastack.linux"
_ENTRY = f"{_PACKAGE}.agent.__main__"
_ROOT = Path(__file__).resolve().parents[2]
_MOMENT = (1980, 1, 1, 0, 0, 0)
"""The first that a zip can tell."""
_MODE = 0o100644
_UNIX = 3


class BundleError(Exception):
    """A program cannot be bundled; the text says why in one sentence."""


class Bundle(NamedTuple):
    """A finished bundle, and what is in it."""

    data: bytes
    modules: tuple[str, ...]
    """Dotted names of the modules, packages left out, sorted."""
    version: str

    @property
    def sha256(self) -> str:
        """Hash of the bytes, in hexadecimal digits."""
        return hashlib.sha256(self.data).hexdigest()


def build_bundle(root: Path = _ROOT) -> Bundle:
    """Build the agent from the collection in the folder ``root``, by default the one that this module is part of.

    The bytes depend on the sources alone: entries are sorted, have one time and one mode, and are stored, because
    compressors differ between versions of zlib. Every package gets an empty ``__init__.py``, so that no other package
    of that name on the host can be mixed in. Raises ``BundleError``: a module is missing, cannot be read, or imports
    what a host may not have.
    """
    sources = read_sources(_ENTRY, root)
    # Its imports are absolute, so it runs from the top of the archive, too, where Python looks for it.
    files = {"__main__.py": sources.pop(_ENTRY)}
    for name, source in sources.items():
        parts = name.split(".")
        files["/".join(parts) + ".py"] = source
        for depth in range(1, len(parts)):
            files["/".join(parts[:depth]) + "/__init__.py"] = b""
    return Bundle(_zipped(files), tuple(sorted([_ENTRY, *sources])), VERSION)


def read_sources(entry: str, root: Path = _ROOT) -> dict[str, bytes]:
    """Return the sources of the module ``entry`` and of all that it imports along every import, by dotted name.

    Raises ``BundleError`` as ``build_bundle`` does.
    """
    found: dict[str, bytes] = {}
    waiting = [entry]
    while waiting:
        name = waiting.pop()
        if name in found:
            continue
        path = _path(root, name)
        try:
            found[name] = path.read_bytes()
            tree = ast.parse(found[name], str(path))
        except OSError as error:
            raise BundleError(f"{path}: {error.strerror or error}.") from error
        except (SyntaxError, ValueError) as error:
            raise BundleError(f"{path} is no Python source: {error}.") from error
        waiting += _wanted(root, name, tree)
    return found


def _wanted(root: Path, importer: str, tree: ast.Module) -> Iterator[str]:
    """Give the modules of the collection that a module imports, at its top or later."""
    for node in _running(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif node.level == 0 and node.module:
            # `from package import module` imports the module, too.
            names = [f"{node.module}.{alias.name}" for alias in node.names]
            names = [name if _is_module(root, name) else node.module for name in names]
        else:
            raise BundleError(f"{importer}, line {node.lineno}: a relative import.")
        for name in names:
            if name.startswith(_PACKAGE + "."):
                if not (_path(root, name).is_file() or _folder(root, name).is_dir()):
                    raise BundleError(f"{importer}, line {node.lineno}: there is no module {name}.")
                if _path(root, name).is_file():
                    yield name
            elif name.partition(".")[0] not in sys.stdlib_module_names:
                raise BundleError(f"{importer}, line {node.lineno}: {name} is not part of Python.")


def _running(tree: ast.AST) -> Iterator[ast.Import | ast.ImportFrom]:
    """Give the import statements that run; those for type checkers do not."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            yield node
        elif isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            for other in node.orelse:
                yield from _running(ast.Module([other], []))
        else:
            yield from _running(node)


def _folder(root: Path, name: str) -> Path:
    return root.joinpath(*name.removeprefix(_PACKAGE + ".").split("."))


def _path(root: Path, name: str) -> Path:
    folder = _folder(root, name)
    return folder.with_name(folder.name + ".py")


def _is_module(root: Path, name: str) -> bool:
    return name.startswith(_PACKAGE + ".") and _path(root, name).is_file()


def _zipped(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name in sorted(files):
            entry = zipfile.ZipInfo(name, _MOMENT)
            # Both would follow the machine that builds.
            entry.create_system = _UNIX
            entry.external_attr = _MODE << 16
            archive.writestr(entry, files[name])
    return buffer.getvalue()
