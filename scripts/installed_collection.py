# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an installed collection must be able to do, whatever brought it: documentation, playbooks, roles, the audit.

What there is to look at comes from the collection's own folder, so that nothing new is forgotten.
"""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING, NamedTuple

from role_arguments import check_roles, role_names

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

__all__ = ["COLLECTION", "Installed", "documented", "playbook_names", "without_documentation"]

COLLECTION = "lastack.linux"

_KINDS = ("become", "cache", "callback", "connection", "filter", "inventory", "lookup", "strategy", "test", "vars")
"""Folders of ``plugins`` whose files ``ansible-doc`` can show, each by the same word, besides modules."""
_TIMEOUT_S = 300


def _names(folder: Path) -> list[str]:
    found = {path.stem for pattern in ("*.py", "*.yml", "*.yaml") for path in folder.glob(pattern)}
    return sorted(found - {"__init__"})


def documented(collection: Path) -> dict[str, list[str]]:
    """Return what ``ansible-doc`` must show: its ``--type`` to short names, for every type that has any."""
    plugins = collection / "plugins"
    found = {"module": _names(plugins / "modules"), "role": role_names(collection)}
    found |= {kind: _names(plugins / kind) for kind in _KINDS}
    return {kind: names for kind, names in found.items() if names}


def without_documentation(collection: Path) -> list[str]:
    """Return the action plugins without a module of the same name: nothing shows how to call them."""
    return sorted(set(_names(collection / "plugins/action")) - set(_names(collection / "plugins/modules")))


def playbook_names(collection: Path) -> list[str]:
    """Return the short names of the playbooks that are called by their full name."""
    return _names(collection / "playbooks")


class Installed(NamedTuple):
    """One installation: the programs of its environment, the collection's folder, and a folder to work in."""

    programs: Path
    collection: Path
    scratch: Path
    environment: Mapping[str, str]

    def run(self, program: str, *arguments: str) -> str:
        """Return what one program says on standard output.

        Raises:
            ValueError: its exit status is not 0; the end of what it said is in the message.
        """
        command = [str(self.programs / program), *arguments]
        return run(command, cwd=self.scratch, environment=self.environment)

    def check(self) -> str:
        """Make every proof, and return one sentence of counts.

        Raises:
            ValueError: a proof failed.
        """
        shown = self.check_documentation()
        playbooks = self.check_playbooks()
        refused = self.check_roles()
        self.audit()
        counts = ", ".join(f"{number} {kind}s" for kind, number in shown.items())
        roles = f"{refused} wrong role calls refused" if "role" in shown else "no role yet"
        return f"documentation of {counts}; {playbooks} playbooks; {roles}; the audit by its full name"

    def check_documentation(self) -> dict[str, int]:
        """Show every module, plugin and role; return their number by type."""
        bare = without_documentation(self.collection)
        if bare:
            raise ValueError(f"action plugins without a module of the same name: {', '.join(bare)}")
        kinds = documented(self.collection)
        for kind, names in kinds.items():
            full = [f"{COLLECTION}.{name}" for name in names]
            shown = json.loads(self.run("ansible-doc", "--json", "--type", kind, *full))
            for name in full:
                text = shown.get(name) or {}
                # A role has entry points; everything else has the keys of its DOCUMENTATION below "doc".
                parts = list((text.get("entry_points") or {}).values()) if kind == "role" else [text.get("doc") or {}]
                if not parts or not all(part.get("short_description") for part in parts):
                    raise ValueError(f"ansible-doc shows no documentation of the {kind} {name}")
                if kind == "module" and not (text.get("examples") and text.get("return")):
                    raise ValueError(f"the module {name} has no examples or no return values")
        return {kind: len(names) for kind, names in kinds.items()}

    def check_playbooks(self) -> int:
        """Let Ansible read every playbook by its full name, without running it; return their number."""
        names = playbook_names(self.collection)
        for name in names:
            self.run("ansible-playbook", "--syntax-check", "-i", "localhost,", f"{COLLECTION}.{name}")
        return len(names)

    def check_roles(self) -> int:
        """Call every role wrongly; return how many calls Ansible refused, as it must."""
        program = self.programs / "ansible-playbook"
        return check_roles(program, COLLECTION, self.collection, self.scratch, self.environment)

    def audit(self) -> None:
        """Audit this machine by the playbook's full name, from a folder that is no clone."""
        runs = self.scratch / "runs"
        self.run(
            "ansible-playbook",
            *("-i", "localhost,", "-c", "local", f"{COLLECTION}.tcp_audit", "-e"),
            # Discovery may find a Python of the machine that does not work; that is no fault of the package.
            json.dumps({"tcp_audit_store": str(runs), "ansible_python_interpreter": "{{ ansible_playbook_python }}"}),
        )
        host = json.loads((runs / "manifest.json").read_text(encoding="utf-8"))["hosts"]["localhost"]
        if host["outcome"] != "ok":
            raise ValueError(f"the audit of this machine ended as {host['outcome']}: {host['reason']}")
        for name in ("fleet.json", "report.txt", "report.html", host["file"]):
            if not (runs / name).stat().st_size:
                raise ValueError(f"the audit left {name} empty")


def run(command: Sequence[str], *, cwd: Path, environment: Mapping[str, str]) -> str:
    """Return what a program says on standard output; it has no standard input.

    Raises:
        ValueError: its exit status is not 0; the end of what it said is in the message.
    """
    done = subprocess.run(
        command,
        check=False,
        cwd=cwd,
        env=dict(environment),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=_TIMEOUT_S,
    )
    if done.returncode:
        said = (done.stdout + done.stderr)[-4000:]
        raise ValueError(f"{' '.join(command)} ended with status {done.returncode}:\n{said}")
    return done.stdout
