# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One test host: an OCI container run by crun, with systemd as PID 1 in a user namespace of its own.

Everything of it lies in the lab's private mount namespace. The user namespace is what protects the machine: ``net.*``
of the host's own network namespace is writable, ``kernel.*`` and ``fs.*`` (which are the machine's) are not.
Source: OCI runtime-spec 1.0 config.json and config-linux.json; systemd's CONTAINER_INTERFACE.
"""

from __future__ import annotations

import os
import resource
import uuid
from typing import TYPE_CHECKING

from images import UID_BASE, UID_COUNT

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["CAPABILITIES", "PREPARE", "configuration", "seed"]

_CAPABILITIES = """
CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP LINUX_IMMUTABLE NET_BIND_SERVICE
NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER SYS_MODULE SYS_RAWIO SYS_CHROOT SYS_PTRACE SYS_PACCT SYS_ADMIN
SYS_BOOT SYS_NICE SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG MKNOD LEASE AUDIT_WRITE AUDIT_CONTROL SETFCAP MAC_OVERRIDE
MAC_ADMIN SYSLOG WAKE_ALARM BLOCK_SUSPEND AUDIT_READ
"""
CAPABILITIES = [f"CAP_{name}" for name in _CAPABILITIES.split()]
PREPARE = """\
set -e
mkdir -p /run/host/proc
# One /proc with nothing mounted over it must be visible, or the kernel lets nobody in here mount another
# (mount_too_revealing() in fs/namespace.c): private process namespaces would not work.
mount -t proc -o nosuid,nodev,noexec proc /run/host/proc
# The kernel's is the machine's; who waits for a reboot compares it (ansible.builtin.reboot).
echo "$1" >/run/host/boot_id
mount --bind /run/host/boot_id /proc/sys/kernel/random/boot_id
ip link set lo up
ip address add "$2" dev eth0
ip link set eth0 up
# The machine may have IPv6 switched off.
ip address add "$3" dev eth0 nodad || true
"""
"""Run in a host's namespaces before its first process (sh): boot id, address, IPv6 address."""
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def _tmpfs(where: str, mode: str, *more: str) -> dict[str, object]:
    options = ["nosuid", "nodev", f"mode={mode}", *more]
    return {"destination": where, "type": "tmpfs", "source": "tmpfs", "options": options}


def configuration(name: str, root: Path, cgroup: str, user_namespace: str = "") -> dict[str, object]:
    """Return the OCI configuration of a host whose tree is mounted at ``root``.

    ``user_namespace`` is the path of the one to enter; a new one is made where it is empty.
    """
    # Never above what this machine grants: raising a hard limit needs CAP_SYS_RESOURCE of the machine.
    __, files = resource.getrlimit(resource.RLIMIT_NOFILE)
    __, processes = resource.getrlimit(resource.RLIMIT_NPROC)
    limits = [("RLIMIT_NOFILE", files)] if files != resource.RLIM_INFINITY else []
    if processes != resource.RLIM_INFINITY:
        limits.append(("RLIMIT_NPROC", processes))
    return {
        "ociVersion": "1.0.0",
        "hostname": name,
        "root": {"path": str(root), "readonly": False},
        "process": {
            "terminal": False,
            "user": {"uid": 0, "gid": 0},
            "args": ["/sbin/init"],
            "env": [f"PATH={PATH}", "container=oci", "LANG=C.UTF-8"],
            "cwd": "/",
            "capabilities": dict.fromkeys(("bounding", "effective", "permitted", "inheritable"), CAPABILITIES),
            "rlimits": [{"type": kind, "hard": limit, "soft": limit} for kind, limit in limits],
            "noNewPrivileges": False,
        },
        "mounts": [
            {"destination": "/proc", "type": "proc", "source": "proc", "options": ["nosuid", "noexec", "nodev"]},
            {"destination": "/sys", "type": "sysfs", "source": "sysfs", "options": ["nosuid", "noexec", "nodev"]},
            {
                "destination": "/sys/fs/cgroup",
                "type": "cgroup",
                "source": "cgroup",
                "options": ["nosuid", "noexec", "nodev", "rw"],
            },
            _tmpfs("/dev", "755", "strictatime", "size=65536k"),
            {
                "destination": "/dev/pts",
                "type": "devpts",
                "source": "devpts",
                "options": ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"],
            },
            _tmpfs("/dev/shm", "1777", "noexec"),
            {
                "destination": "/dev/mqueue",
                "type": "mqueue",
                "source": "mqueue",
                "options": ["nosuid", "noexec", "nodev"],
            },
            _tmpfs("/run", "755"),
            _tmpfs("/run/lock", "1777", "noexec"),
            _tmpfs("/tmp", "1777"),
        ],
        "linux": {
            "cgroupsPath": cgroup,
            "namespaces": [
                *({"type": kind} for kind in ("pid", "network", "ipc", "uts", "mount", "cgroup")),
                {"type": "user", **({"path": user_namespace} if user_namespace else {})},
            ],
            "uidMappings": [{"containerID": 0, "hostID": UID_BASE, "size": UID_COUNT}],
            "gidMappings": [{"containerID": 0, "hostID": UID_BASE, "size": UID_COUNT}],
            "resources": {"devices": [{"allow": True, "access": "rwm"}]},
        },
    }


def seed(root: Path, name: str, hosts: str, keys: Path) -> None:
    """Write into a new host's tree what is its own: name, machine id, the lab's names, keys and known hosts."""
    _write(root, "etc/hostname", f"{name}\n")
    _write(root, "etc/hosts", hosts)
    _write(root, "etc/machine-id", f"{uuid.uuid4().hex}\n", 0o444)
    _write(root, "etc/ssh/ssh_host_ed25519_key", (keys / "host").read_text(encoding="ascii"), 0o600)
    _write(root, "etc/ssh/ssh_host_ed25519_key.pub", (keys / "host.pub").read_text(encoding="ascii"))
    key = (keys / "user.pub").read_text(encoding="ascii")
    for home in (root / "root", root / "home/operator"):
        owner = home.stat()
        _write(root, f"{home.relative_to(root)}/.ssh/authorized_keys", key, 0o600, owner.st_uid - UID_BASE)


def _write(root: Path, name: str, text: str, mode: int = 0o644, owner: int = 0) -> None:
    path = root / name
    path.unlink(missing_ok=True)
    path.write_text(text, encoding="ascii")
    path.chmod(mode)
    os.chown(path, UID_BASE + owner, UID_BASE + owner)
