# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What lies in a lab's folder: keys of this lab alone, ssh_config(5), an Ansible inventory, an empty home."""

from __future__ import annotations

import json
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from lab_registry import MARK, NEW_MARK

__all__ = ["sockets", "write_files"]

HERE = Path(__file__).resolve().parent


def sockets(lab: dict[str, Any]) -> Path:
    """Return the folder of ssh's control sockets: beside the lab's where that has too long a path for them."""
    return Path(lab["short"] or lab["folder"]) / "cp"


def write_files(folder: Path, lab: dict[str, Any]) -> None:
    """Fill the empty folder of a new lab."""
    # First: it tells a sweep that this folder is a lab's.
    new = folder / NEW_MARK
    new.write_text(json.dumps(lab), encoding="utf-8")
    new.rename(folder / MARK)
    if lab["short"]:
        Path(lab["short"]).mkdir(mode=0o700)
    for path in (folder / "keys", folder / "home", sockets(lab)):
        path.mkdir(mode=0o700)
    for name in ("user", "host"):
        command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "lastack", "-f", str(folder / "keys" / name)]
        subprocess.run(command, check=True, timeout=20, stdin=subprocess.DEVNULL)
    # A copy: the project's own path may have a character that ssh_config may not.
    shutil.copy(HERE / "lab_control.py", folder / "reach.py")
    (folder / "ansible.cfg").touch()
    public = (folder / "keys" / "host.pub").read_text(encoding="ascii").split()
    (folder / "known_hosts").write_text(f"lastack-{lab['id']} {public[0]} {public[1]}\n", encoding="ascii")
    (folder / "ssh_config").write_text(_ssh_config(folder, lab), encoding="ascii")
    (folder / "inventory.yml").write_text(_inventory(folder, lab), encoding="ascii")


def _ssh_config(folder: Path, lab: dict[str, Any]) -> str:
    python = shlex.quote(sys.executable).replace("%", "%%")
    lines = []
    for host in lab["hosts"]:
        lines += [
            f"Host {host['name']} {host['name']}.{lab['id']}",
            f"  ProxyCommand {python} -ISs {folder}/reach.py reach {folder} {host['name']}",
        ]
    lines += [
        "Host *",
        "  User root",
        "  ProxyUseFdpass yes",
        f"  HostKeyAlias lastack-{lab['id']}",
        f"  UserKnownHostsFile {folder}/known_hosts",
        "  GlobalKnownHostsFile /dev/null",
        "  StrictHostKeyChecking yes",
        f"  IdentityFile {folder}/keys/user",
        "  IdentitiesOnly yes",
        "  BatchMode yes",
        "  LogLevel ERROR",
        # A host that ends without a farewell must not keep a master alive.
        "  ServerAliveInterval 5",
        "  ServerAliveCountMax 3",
    ]
    return "\n".join(lines) + "\n"


def _inventory(folder: Path, lab: dict[str, Any]) -> str:
    """Return the inventory; JSON is YAML, and quotes every string rightly.

    The user is ssh_config's, root: a variable here would win over a play's ``remote_user``.
    """
    groups: dict[str, Any] = {}
    for host in lab["hosts"]:
        # A name of this lab's own: Ansible names its control sockets after it.
        entry = {"ansible_host": f"{host['name']}.{lab['id']}", "lab_address": host["address"]}
        groups.setdefault(host["suite"], {"hosts": {}})["hosts"][host["name"]] = entry
    variables = {
        "ansible_connection": "ssh",
        "ansible_python_interpreter": "/usr/bin/python3",
        "ansible_ssh_common_args": f"-F {folder}/ssh_config",
        "ansible_control_path_dir": str(sockets(lab)),
    }
    return "---\n" + json.dumps({"all": {"vars": variables, "children": groups}}, indent=2) + "\n"
