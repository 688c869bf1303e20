# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a fleet is on disk: keys, the files of all hosts, known_hosts, inventory, and what its keeper reads."""

from __future__ import annotations

import ipaddress
import json
import subprocess
from typing import TYPE_CHECKING, Any, NamedTuple

import yaml
from illnesses import ILLNESSES, PASSWORD_HASH, USER, Illness
from images import UID_BASE, UID_COUNT, image

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

__all__ = ["GATEWAY", "HostSpec", "Placed", "place", "ssh_options", "write_files"]

GATEWAY = "10.77.0.1"
_MASK = "255.255.0.0"
_LINK_MASK = "255.255.255.252"
_FIRST = ipaddress.IPv4Address("10.77.1.1")
_FIRST_BEHIND = ipaddress.IPv4Address("10.78.0.0")
_SSHD = """\
HostKey /etc/ssh/ssh_host_ed25519_key
UsePAM no
UseDNS no
StrictModes no
PermitRootLogin prohibit-password
PasswordAuthentication no
KbdInteractiveAuthentication no
PidFile none
PrintMotd no
MaxSessions 50
MaxStartups 100
Subsystem sftp internal-sftp
"""


class HostSpec(NamedTuple):
    """What a test host is like."""

    name: str
    """Its name in the inventory."""
    illness: str = ""
    """A key of ILLNESSES; empty: it is well."""
    suite: str = "bookworm"
    """The Debian whose Python and sshd it has."""
    behind: str = ""
    """The name of the host over which alone it can be reached."""
    sysctls: dict[str, str] = {}  # noqa: RUF012 - nobody changes it
    """Settings ``net.…`` of its own."""
    variables: dict[str, object] = {}  # noqa: RUF012 - nobody changes it
    """More variables of its inventory entry; they win."""
    hostname: str = ""
    """What it calls itself; empty: like ``name``."""


class Placed(NamedTuple):
    """A host and where it is."""

    spec: HostSpec
    illness: Illness
    address: str


def place(specs: Sequence[HostSpec]) -> list[Placed]:
    """Give every host its address."""
    placed = []
    for number, spec in enumerate(specs):
        illness = ILLNESSES[spec.illness] if spec.illness else Illness()
        address = _FIRST_BEHIND + 4 * number + 2 if spec.behind else _FIRST + number
        placed.append(Placed(spec, illness, str(address)))
    return placed


def ssh_options(folder: Path) -> str:
    """Return what ssh must be told for this fleet, in the form of ssh's arguments."""
    return (
        f"-o StrictHostKeyChecking=yes -o UserKnownHostsFile={folder}/known_hosts -o GlobalKnownHostsFile=/dev/null "
        f"-o IdentitiesOnly=yes -o BatchMode=yes"
    )


def write_files(folder: Path, hosts: Sequence[Placed], life_s: float) -> None:
    """Write everything of a fleet into its folder. ``images.ImageError`` if a suite's tree cannot be had."""
    for name in ("user", "host", "other"):
        command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", str(folder / name)]
        subprocess.run(command, check=True, timeout=20)
    trees = {suite: image(suite) for suite in sorted({one.spec.suite for one in hosts})}
    for suite, tree in trees.items():
        _write_seed(folder, folder / "seed" / suite, tree, suite)
    _write_known_hosts(folder, hosts)
    _write_inventory(folder, hosts)
    # Nobody's default route, nobody's ssh agent, nobody's configuration.
    (folder / "home" / ".ssh").mkdir(parents=True, mode=0o700)
    (folder / "cp").mkdir(mode=0o700)
    (folder / "ansible.cfg").touch()
    (folder / "fleet.json").write_text(json.dumps(_description(folder, hosts, trees, life_s)), encoding="utf-8")


def _write_seed(folder: Path, seed: Path, tree: Path, suite: str) -> None:
    """Write the layer that all hosts of a suite have over its tree; a folder's mode in it is what hosts see."""
    public = (folder / "user.pub").read_text(encoding="ascii")
    # What a newer sshd does to a client that fails often would make tests depend on each other.
    sshd = _SSHD + ("PerSourcePenalties no\n" if suite == "trixie" else "")
    shadow = [line.split(":") for line in (tree / "etc/shadow").read_text(encoding="ascii").splitlines()]
    for fields in shadow:
        if fields[0] == USER:
            fields[1] = PASSWORD_HASH
    files = {
        "etc/ssh/sshd_config": (sshd, 0o644),
        "etc/ssh/ssh_host_ed25519_key": ((folder / "host").read_text(encoding="ascii"), 0o600),
        "etc/shadow": ("".join(f"{':'.join(fields)}\n" for fields in shadow), 0o640),
        "etc/hosts": ("127.0.0.1 localhost\n::1 localhost\n", 0o644),
        "root/.ssh/authorized_keys": (public, 0o600),
        f"home/{USER}/.ssh/authorized_keys": (public, 0o600),
    }
    for name, (text, mode) in files.items():
        path = seed / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="ascii")
        path.chmod(mode)
    (seed / "root").chmod(0o700)


def _write_known_hosts(folder: Path, hosts: Iterable[Placed]) -> None:
    keys = {
        name: " ".join((folder / f"{name}.pub").read_text(encoding="ascii").split()[:2]) for name in ("host", "other")
    }
    lines = [f"{one.address} {keys['host' if one.illness.known else 'other']}\n" for one in hosts]
    (folder / "known_hosts").write_text("".join(lines), encoding="ascii")


def _write_inventory(folder: Path, hosts: Sequence[Placed]) -> None:
    """Groups: ``well``, ``sick``, ``ill_hangs`` and so on, each suite."""
    addresses = {one.spec.name: one.address for one in hosts}
    groups: dict[str, dict[str, Any]] = {}
    for one in hosts:
        spec = one.spec
        variables = {"ansible_host": one.address, **one.illness.variables}
        if spec.behind:
            jump = f"root@{addresses[spec.behind]}"
            variables["ansible_ssh_extra_args"] = f"-o ProxyJump={jump}"
        variables |= spec.variables
        for name in (spec.suite, *(("sick", f"ill_{spec.illness}") if spec.illness else ("well",))):
            groups.setdefault(name, {"hosts": {}})["hosts"][spec.name] = {}
        groups[spec.suite]["hosts"][spec.name] = variables
    common = {
        "ansible_user": "root",
        "ansible_ssh_private_key_file": str(folder / "user"),
        "ansible_ssh_common_args": ssh_options(folder),
        "ansible_python_interpreter": "/usr/bin/python3",
    }
    text = yaml.safe_dump({"all": {"vars": common, "children": groups}}, sort_keys=False, allow_unicode=True)
    (folder / "inventory.yml").write_text(text, encoding="utf-8")
    _write_ssh_config(folder, hosts, addresses)


def _write_ssh_config(folder: Path, hosts: Iterable[Placed], addresses: dict[str, str]) -> None:
    """What the inventory says, for plain ssh and for the jumps that ssh itself makes."""
    lines = [f"IdentityFile {folder}/user", "User root"]
    lines += [option.strip().replace("=", " ") for option in ssh_options(folder).split("-o ")[1:]]
    for one in hosts:
        spec = one.spec
        if spec.name.isascii() and " " not in spec.name:
            lines += [f"Host {spec.name}", f"HostName {one.address}"]
            lines += [f"ProxyJump {addresses[spec.behind]}"] if spec.behind else []
    (folder / "ssh_config").write_text("\n".join(lines) + "\n", encoding="utf-8")


def _description(folder: Path, hosts: Sequence[Placed], trees: dict[str, Path], life_s: float) -> dict[str, object]:
    made = []
    addresses: dict[str, list[tuple[str, str, str]]] = {}
    for number, one in enumerate(hosts):
        if one.spec.behind:
            outer = str(ipaddress.IPv4Address(one.address) - 1)
            addresses.setdefault(one.spec.behind, []).append((f"eth{number}", outer, _LINK_MASK))
        mask = _LINK_MASK if one.spec.behind else _MASK
        addresses.setdefault(one.spec.name, []).insert(0, ("eth0", one.address, mask))
    for number, one in enumerate(hosts):
        if not one.illness.present:
            continue
        made.append(
            {
                "name": one.spec.name,
                "hostname": one.spec.hostname or one.spec.name,
                "number": number,
                "addresses": addresses[one.spec.name],
                "behind": one.spec.behind,
                "lower": f"/run/seed/{one.spec.suite}:/run/{one.spec.suite}",
                "illness": one.illness._asdict(),
                "sysctls": one.spec.sysctls,
                "listens": not one.illness.instead,
            }
        )
    passwd = [line.split(":") for line in (next(iter(trees.values())) / "etc/passwd").read_text().splitlines()]
    return {
        "gateway": GATEWAY,
        "uid": UID_BASE,
        "uids": UID_COUNT,
        "user": next(int(fields[2]) for fields in passwd if fields[0] == USER),
        "trees": {suite: str(tree) for suite, tree in trees.items()},
        "seed": str(folder / "seed"),
        "silent": [one.address for one in hosts if one.illness.silent],
        "hosts": made,
        "life_s": life_s,
    }
