# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who else sets sysctls on a host, after the files of sysctl.d(5): tuned, ufw, cloud-init, kube-proxy, units, scripts.

Only files are read and no program is run. Sources: tuned-main.conf(5), tuned.conf(5), ufw-framework(8), cloud-init's
modules bootcmd and runcmd, kube-proxy's conntrack options, systemd.unit(5), systemd-rc-local-generator(8).
"""

from __future__ import annotations

import os
import stat
from typing import NamedTuple

from ansible_collections.lastack.linux.plugins.module_utils.observe.bounded_files import try_read_head
from ansible_collections.lastack.linux.plugins.module_utils.observe.rooted_files import RootedFiles
from ansible_collections.lastack.linux.plugins.module_utils.observe.sysctl_commands import sysctl_commands
from ansible_collections.lastack.linux.plugins.module_utils.observe.sysctl_files import sysctl_key, sysctl_path

__all__ = ["Manager", "Override", "find_managers"]

_MAX_BYTES = 1 << 18
_MAX_FILES = 5000
_MAX_PROFILES = 20
_UNIT_DIRECTORIES = (
    "/etc/systemd/system",
    "/run/systemd/system",
    "/usr/local/lib/systemd/system",
    "/usr/lib/systemd/system",
    "/lib/systemd/system",
)
_OWN_UNIT_DIRECTORIES = _UNIT_DIRECTORIES[:3]
_TUNED_DIRECTORIES = ("/etc/tuned/profiles", "/etc/tuned", "/usr/lib/tuned/profiles", "/usr/lib/tuned")
_SCRIPTS = ("/etc/rc.local", "/etc/rc.d/rc.local")
_SCRIPT_DIRECTORIES = (
    "/etc/network/if-up.d",
    "/etc/NetworkManager/dispatcher.d",
    "/etc/networkd-dispatcher/routable.d",
)
_TABLES = ("/etc/crontab", "/etc/network/interfaces")
_TABLE_DIRECTORIES = ("/etc/cron.d", "/etc/network/interfaces.d")
_CLOUD_CONFIG = "/etc/cloud/cloud.cfg"
_CLOUD_DIRECTORY = "/etc/cloud/cloud.cfg.d"
_CLOUD_INSTANCE = "/var/lib/cloud/instance"
_CLOUD_DOCUMENTS = ("cloud-config.txt", "user-data.txt", "vendor-data.txt", "scripts/runcmd")
_KUBE_PROXY = ("kube-proxy", "k3s-server", "k3s-agent", "k3s")
_KUBE_PROXY_KEYS = (
    "net.netfilter.nf_conntrack_max",
    "net.netfilter.nf_conntrack_tcp_timeout_established",
    "net.netfilter.nf_conntrack_tcp_timeout_close_wait",
)


class Override(NamedTuple):
    """One key that a manager sets."""

    value: str
    """As written; empty where it is computed."""
    place: str
    """``file:line``."""


class Manager(NamedTuple):
    """One file or program that sets sysctls beside the files of sysctl.d(5)."""

    name: str
    """``tuned``, ``ufw``, ``cloud-init``, ``kube-proxy``, the name of a unit, or the path of a script."""
    evidence: str
    """The file, with the line where there is one, or ``/proc/PID``."""
    overrides: dict[str, Override] | None
    """By dotted key; ``None`` where it is there and what it sets could not be read."""
    when: str
    """When it does so, as the end of the sentence "sets it ..."."""
    yields: bool = False
    """Whether a value in /etc/sysctl.d wins over it all the same."""


def find_managers(root: str = "/", proc: str = "/proc") -> list[Manager]:
    """Return who else would set sysctls, in a fixed order; never raises.

    A manager that sets nothing is not named. Scripts that a unit or cloud-init starts are not followed.
    """
    look = _Look(root)
    found = [*_tuned(look), *_ufw(look), *_cloud_init(look), *_kube_proxy(proc), *_units(look), *_scripts(look)]
    return [manager for manager in found if manager.overrides is None or manager.overrides]


class _Look:
    """Reads files below a root, each with a bound; a missing file is empty, an unreadable one is ``None``."""

    def __init__(self, root: str) -> None:
        self._files = RootedFiles(root)
        self._root = root.rstrip("/")
        self.left = _MAX_FILES

    def text(self, path: str) -> str | None:
        if self.left <= 0:
            return ""
        self.left -= 1
        resolved = self._files.locate(path)
        if resolved is None or resolved == "/dev/null":
            return ""
        try:
            return self._files.read(resolved, _MAX_BYTES).decode("utf-8", "replace")
        except (FileNotFoundError, NotADirectoryError, ValueError):
            return ""
        except OSError:
            return None

    def names(self, path: str) -> list[str]:
        resolved = self._files.locate(path)
        try:
            return sorted(self._files.names(resolved)) if resolved is not None else []
        except (OSError, ValueError):
            return []

    def there(self, path: str) -> bool:
        return self._files.is_regular(path)

    def is_link(self, path: str) -> bool:
        return self._files.locate(path) != path

    def executable(self, path: str) -> bool:
        resolved = self._files.locate(path)
        try:
            return resolved is not None and bool(os.lstat(self._root + resolved).st_mode & stat.S_IXUSR)
        except (OSError, ValueError):
            return False


def _tuned(look: _Look) -> list[Manager]:
    chosen = (look.text("/etc/tuned/active_profile") or "").split()
    if not chosen or not (_wanted(look, "tuned.service") or look.there("/run/tuned/tuned.pid")):
        return []
    overrides: dict[str, Override] = {}
    seen: set[str] = set()
    for profile in chosen:
        # Of several active profiles the last decides.
        overrides.update(_tuned_settings(look, profile, seen))
    main = look.text("/etc/tuned/tuned-main.conf") or ""
    reapplies = "reapply_sysctl" not in main or _option(main, "reapply_sysctl") not in {"0", "false", "no"}
    known = overrides if any(look.there(file) for file in _tuned_files(chosen[-1])) else None
    return [Manager("tuned", "/etc/tuned/active_profile:1", known, "when tuned starts", yields=reapplies)]


def _tuned_files(profile: str) -> list[str]:
    return [] if "/" in profile else [f"{directory}/{profile}/tuned.conf" for directory in _TUNED_DIRECTORIES]


def _tuned_settings(look: _Look, profile: str, seen: set[str]) -> dict[str, Override]:
    """Return what a profile and those that it includes set; its own lines decide."""
    file = next((path for path in _tuned_files(profile) if look.there(path)), None)
    text = look.text(file) if file and profile not in seen and len(seen) < _MAX_PROFILES else None
    if file is None or not text:
        return {}
    seen.add(profile)
    own, included = _tuned_profile(text, file)
    settings: dict[str, Override] = {}
    for name in included:
        settings.update(_tuned_settings(look, name, seen))
    return {**settings, **own}


def _tuned_profile(text: str, file: str) -> tuple[dict[str, Override], list[str]]:
    """Return the sysctls of one profile and the profiles that it includes (tuned.conf(5))."""
    settings: dict[str, Override] = {}
    sections: dict[str, list[tuple[int, str, str]]] = {}
    section = ""
    for number, line in enumerate(text.splitlines(), start=1):
        stripped = line.strip()
        if stripped.startswith("[") and stripped.endswith("]"):
            section = stripped[1:-1].strip()
        elif "=" in stripped and not stripped.startswith(("#", ";")):
            name, __, value = stripped.partition("=")
            sections.setdefault(section, []).append((number, name.strip(), value.strip()))
    included = [
        name
        for __, option, value in sections.get("main", [])
        if option == "include"
        for name in value.replace(",", " ").split()
    ]
    for name, lines in sections.items():
        kinds = [value for __, option, value in lines if option == "type"]
        if (kinds[-1] if kinds else name) == "sysctl":
            for number, option, value in lines:
                if "." in option or "/" in option:
                    settings[sysctl_key(sysctl_path(option))] = Override(value, f"{file}:{number}")
    return settings, included


def _ufw(look: _Look) -> list[Manager]:
    enabled = look.text("/etc/ufw/ufw.conf")
    if not enabled or _option(enabled, "ENABLED").lower() != "yes":
        return []
    file = _option(look.text("/etc/default/ufw") or "", "IPT_SYSCTL")
    text = look.text(file) if file.startswith("/") else ""
    if text is None:
        return [Manager("ufw", file, None, "when ufw starts")]
    overrides = {}
    for number, line in enumerate(text.splitlines(), start=1):
        key, equals, value = line.strip().partition("=")
        if equals and not key.startswith(("#", ";")):
            overrides[sysctl_key(sysctl_path(key.strip()))] = Override(value.strip(), f"{file}:{number}")
    return [Manager("ufw", file, overrides, "when ufw starts")]


def _cloud_init(look: _Look) -> list[Manager]:
    if look.there("/etc/cloud/cloud-init.disabled"):
        return []
    files = [_CLOUD_CONFIG, *(f"{_CLOUD_DIRECTORY}/{name}" for name in look.names(_CLOUD_DIRECTORY) if _is_cfg(name))]
    files += [f"{_CLOUD_INSTANCE}/{name}" for name in _CLOUD_DOCUMENTS]
    found = []
    for file in files:
        text = look.text(file)
        if text is None:
            found.append(Manager("cloud-init", file, None, "at boot"))
        elif text:
            # bootcmd runs at every boot, runcmd once in the life of an instance.
            at_boot = "bootcmd:" in text
            when = "at every boot" if at_boot else "when an instance is first booted"
            found.append(_commanding(text, file, "cloud-init", when))
    return found


def _is_cfg(name: str) -> bool:
    return name.endswith(".cfg") and not name.startswith(".")


def _kube_proxy(proc: str) -> list[Manager]:
    try:
        pids = sorted((name for name in os.listdir(proc) if name.isdigit()), key=int)  # noqa: PTH208 - the names alone
    except OSError:
        return []
    for pid in pids:
        said = try_read_head(f"{proc}/{pid}/comm", 64)
        name = said.decode("utf-8", "replace").strip() if said else ""
        if name in _KUBE_PROXY:
            overrides = {key: Override("", f"/proc/{pid}") for key in _KUBE_PROXY_KEYS}
            return [Manager("kube-proxy", f"/proc/{pid}", overrides, f"when {name} starts")]
    return []


def _units(look: _Look) -> list[Manager]:
    found: dict[str, Manager] = {}
    merged = look.is_link("/lib")
    for directory in _UNIT_DIRECTORIES[:-1] if merged else _UNIT_DIRECTORIES:
        for name in look.names(directory):
            if name.endswith(".service"):
                # The first directory that has a name hides the others (systemd.unit(5)).
                files = [] if name in found else [f"{directory}/{name}"]
                unit = name
            elif name.endswith(".service.d"):
                unit = name[:-2]
                files = [f"{directory}/{name}/{part}" for part in look.names(f"{directory}/{name}") if _is_conf(part)]
            else:
                continue
            for file in files:
                text = look.text(file)
                manager = _commanding(text, file, unit, f"when {unit} starts") if text else None
                if name == unit:
                    found.setdefault(name, manager or Manager(unit, file, {}, ""))
                elif manager and manager.overrides:
                    found[f"{unit} {file}"] = manager
    return [manager for manager in found.values() if manager.overrides and _runs(look, manager)]


def _is_conf(name: str) -> bool:
    return name.endswith(".conf") and not name.startswith(".")


def _runs(look: _Look, manager: Manager) -> bool:
    """Whether the unit is the administrator's own, or a package's that something asks for."""
    return manager.evidence.startswith(_OWN_UNIT_DIRECTORIES) or _wanted(look, manager.name)


def _wanted(look: _Look, unit: str) -> bool:
    for directory in _UNIT_DIRECTORIES:
        for name in look.names(directory):
            if name.endswith((".wants", ".requires", ".upholds")) and unit in look.names(f"{directory}/{name}"):
                return True
    return False


def _scripts(look: _Look) -> list[Manager]:
    files = [(file, "at boot") for file in _SCRIPTS if look.executable(file)]
    for directory in _SCRIPT_DIRECTORIES:
        paths = (f"{directory}/{name}" for name in look.names(directory))
        files += [(path, "when an interface comes up") for path in paths if look.executable(path)]
    for file in (
        *_TABLES,
        *(f"{directory}/{name}" for directory in _TABLE_DIRECTORIES for name in look.names(directory)),
    ):
        files.append((file, "when an interface comes up" if "/network/" in file else "by cron"))
    found = []
    for file, when in files:
        text = look.text(file)
        if text:
            found.append(_commanding(text, file, file, when))
    return found


def _commanding(text: str, file: str, name: str, when: str) -> Manager:
    commands = sysctl_commands(text) if "sysctl" in text or "/proc/sys/" in text else []
    overrides = {said.key: Override(said.value, f"{file}:{said.line}") for said in commands}
    evidence = f"{file}:{commands[0].line}" if commands else file
    return Manager(name, evidence, overrides, when)


def _option(text: str, name: str) -> str:
    """Return the last value of a shell-like ``NAME=value`` line, without quotes; empty where there is none."""
    value = ""
    for line in text.splitlines():
        key, equals, said = line.strip().partition("=")
        if equals and key.strip() == name:
            value = said.strip().strip("\"'")
    return value
