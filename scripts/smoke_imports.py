# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Import every file of the target rooms with this interpreter: what a target host's own Python would do.

Run it with any Python from 3.9 on; it needs nothing but the clone. ``plugins/modules`` needs ansible-core's
``module_utils`` beside it, which Ansible ships in the payload: the folder that holds the ``ansible`` package is the one
argument.
"""

from __future__ import annotations

import importlib
import sys
import tempfile
from pathlib import Path

__all__ = ["main"]

ROOT = Path(__file__).resolve().parent.parent
COLLECTION = "ansible_collections.lastack.linux"


def main(ansible_parent: str | None) -> int:
    """Import all, print one line, return the exit status."""
    sys.dont_write_bytecode = True
    sys.path.insert(0, str(ROOT / "collections"))
    names = []
    for room in ("agent", "plugins/module_utils", "plugins/modules"):
        if room == "plugins/modules" and ansible_parent is None:
            continue
        for path in sorted((ROOT / room).rglob("*.py")):
            parts = path.relative_to(ROOT).with_suffix("").parts
            names.append(".".join((COLLECTION, *(part for part in parts if part != "__init__"))))
    with tempfile.TemporaryDirectory() as folder:
        if ansible_parent is not None:
            # Only ansible itself, nothing else that the controller's environment holds.
            (Path(folder) / "ansible").symlink_to(Path(ansible_parent) / "ansible")
            sys.path.append(folder)
        for name in names:
            importlib.import_module(name)
    version = ".".join(str(part) for part in sys.version_info[:3])
    sys.stdout.write(f"Python {version}: {len(names)} target files import\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1] if len(sys.argv) > 1 else None))
