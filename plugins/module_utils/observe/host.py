# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which host this is: its name, boot, kernel, distribution and what it runs on."""

from __future__ import annotations

import re

from ansible_collections.lastack.linux.plugins.module_utils.observe.bounded_files import try_read_head
from ansible_collections.lastack.linux.plugins.module_utils.observe.records import HostIdentity
from ansible_collections.lastack.linux.plugins.module_utils.observe.rooted_files import RootedFiles

__all__ = ["parse_os_release", "read_host"]

_MAX_BYTES = 65536
_WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.+-]{0,63}\Z")
_UPTIME = re.compile(r"[0-9]{1,12}(\.[0-9]{1,9})?\Z", re.ASCII)
_ESCAPED = re.compile(r"\\([\"$`\\'])")
_MIN_QUOTED = 2

# Beginnings of DMI strings and the word for them, as far as possible the one that systemd-detect-virt(1) uses.
_DMI = (
    ("KVM", "kvm"),
    ("OpenStack", "kvm"),
    ("KubeVirt", "kvm"),
    ("Amazon EC2", "amazon"),
    ("Google Compute Engine", "google"),
    ("QEMU", "qemu"),
    ("VMware", "vmware"),
    ("VMW", "vmware"),
    ("innotek GmbH", "oracle"),
    ("VirtualBox", "oracle"),
    ("Xen", "xen"),
    ("Bochs", "bochs"),
    ("Parallels", "parallels"),
    ("BHYVE", "bhyve"),
    ("Hyper-V", "microsoft"),
    ("Virtual Machine", "microsoft"),
    ("Apple Virtualization", "apple"),
)


def read_host(*, proc: str = "/proc", root: str = "/") -> HostIdentity:
    """Read the identity of the host; the name is ``unknown`` when the kernel does not tell it. Never raises.

    Sources: proc(5), os-release(5), systemd-detect-virt(1). No program is run, so virtualization is a best effort.
    """
    kernel = _line(f"{proc}/sys/kernel/osrelease")
    uptime = ((_line(f"{proc}/uptime") or "").split() or [""])[0]
    return HostIdentity(
        name=_line(f"{proc}/sys/kernel/hostname") or "unknown",
        boot_id=_line(f"{proc}/sys/kernel/random/boot_id"),
        kernel=kernel,
        os=_read_os(root),
        virtualization=_read_virtualization(proc, root, kernel),
        uptime_s=float(uptime) if _UPTIME.match(uptime) else None,
    )


def parse_os_release(text: str) -> dict[str, str]:
    """Return the assignments of an os-release file; quotes and backslashes as the shell reads them, simplified."""
    values = {}
    for line in text.splitlines():
        name, equals, value = line.strip().partition("=")
        if not equals or name.startswith("#"):
            continue
        if len(value) >= _MIN_QUOTED and value[0] in "\"'" and value[-1] == value[0]:
            value = value[1:-1]
        values[name] = _ESCAPED.sub(r"\1", value)
    return values


def _read_os(root: str) -> str | None:
    for path in ("/etc/os-release", "/usr/lib/os-release"):
        text = _rooted(root, path)
        if text is not None:
            # os-release(5): PRETTY_NAME defaults to "Linux".
            values = parse_os_release(text)
            return values.get("PRETTY_NAME") or values.get("NAME") or "Linux"
    return None


def _read_virtualization(proc: str, root: str, kernel: str | None) -> str | None:
    """Return the innermost kind: a container before the machine that it runs on."""
    return _read_container(proc, root, kernel) or _read_machine(proc, root)


def _read_container(proc: str, root: str, kernel: str | None) -> str | None:
    environment = _text(f"{proc}/1/environ") or ""
    told = [line[len("container=") :] for line in environment.split("\0") if line.startswith("container=")]
    told.append((_rooted(root, "/run/systemd/container") or "").strip())
    for word in told:
        if _WORD.match(word):
            return word
    if RootedFiles(root).is_regular("/run/.containerenv"):
        return "podman"
    if RootedFiles(root).is_regular("/.dockerenv"):
        return "docker"
    return "wsl" if kernel and "microsoft" in kernel.lower() else None


def _read_machine(proc: str, root: str) -> str | None:
    for name in ("product_name", "sys_vendor", "board_vendor", "bios_vendor"):
        told = (_rooted(root, f"/sys/class/dmi/id/{name}") or "").strip()
        if name == "product_name" and told.endswith(".metal"):
            # EC2 gives its bare-metal machines the same vendor strings.
            return None
        for beginning, word in _DMI:
            if told.startswith(beginning):
                return word
    hypervisor = (_rooted(root, "/sys/hypervisor/type") or "").strip()
    if _WORD.match(hypervisor):
        return hypervisor
    for line in (_text(f"{proc}/cpuinfo") or "").splitlines():
        name, __, flags = line.partition(":")
        if name.strip() == "flags":
            return "vm" if "hypervisor" in flags.split() else None
    return None


def _line(path: str) -> str | None:
    """Return the first line of a file without white space around it; ``None`` when there is none."""
    lines = (_text(path) or "").split("\n", 1)
    return lines[0].strip() or None


def _text(path: str) -> str | None:
    data = try_read_head(path, _MAX_BYTES)
    return None if data is None else data.decode("utf-8", "backslashreplace")


def _rooted(root: str, path: str) -> str | None:
    files = RootedFiles(root)
    try:
        data = files.read(files.locate(path) or path, _MAX_BYTES)
    except OSError:
        return None
    return data.decode("utf-8", "backslashreplace")
