# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a process's cgroup path and container's record say it belongs to: a systemd unit, a container.

Sources: systemd.unit(5), systemd.slice(5), the cgroup layouts of Docker, Podman, CRI-O, containerd and the kubelet.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ansible_collections.lastack.linux.plugins.module_utils.observe.records import Process

__all__ = ["container_label", "image_name", "is_contained", "unit_of"]

_UNIT = re.compile(r"[A-Za-z0-9:_.\\-]{1,200}(?:@[A-Za-z0-9:_.\\@-]{0,200})?\.(?:service|scope)\Z")
_BUS_CONNECTION = re.compile(r"dbus-:[0-9.]+-")
_TRANSIENT = re.compile(r"run-[a-z]?[0-9a-f-]+\.(?:service|scope)\Z|run-p[0-9]+-i[0-9]+\.(?:service|scope)\Z")
_STEADY_SCOPE = re.compile(r"[a-z][a-z_.-]*\.scope\Z")
_DESKTOP_SCOPE = re.compile(r"(?:app|session|init|vte|tmux|snap|flatpak|run|machine|libpod|docker|crio)\b")

_SUPERVISORS_WORDS = """
cron crond cronie anacron atd fcron ssh sshd ssh@ sshd@ sshd-session@ docker dockerd containerd crio
cri-o podman podman@ kubelet k3s k3s-agent rke2-server rke2-agent nomad supervisor supervisord monit
runit runsvdir s6 circus god pm2 pm2@ xinetd inetd openbsd-inetd systemd-logind systemd-machined
systemd-nspawn@ lxc lxd lxc@ incus libvirtd user@ user-runtime-dir@ getty@ serial-getty@ console-
getty container-getty@ emergency rescue display-manager gdm gdm3 lightdm sddm xrdp xrdp-sesman
screen tmux dropbear dropbear@ telnetd login slurmd buildkit init rc-local
"""
_SUPERVISORS = frozenset(_SUPERVISORS_WORDS.split())
"""Units that only start other people's programs (or log people in): their name says nothing about the program."""
_SUPERVISOR_FAMILY = re.compile(
    r"(?:pm2-|user@|session-|actions\.runner\.|gitlab-runner|buildkite-agent|jenkins-agent)"
)

_CONTAINED = re.compile(
    r"(?:^|/)(?:docker|kubepods|lxc|lxc\.payload|garden|ecs|machine\.slice/(?:libpod|crio|machine))[-./]"
    r"|kubepods[-.]|(?:docker|libpod|crio|cri-containerd)-[0-9a-f]{12,}"
)
_IMAGE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}\Z")
_ID_DIGITS = 12


def unit_of(cgroup: str | None) -> str | None:
    """Return the systemd unit that names the program, ``worker@.service`` for ``worker@3.service``, or ``None``.

    The innermost unit counts (a user's own service below ``user@N.service``). Login and user-manager scopes, transient
    and desktop scopes and units of supervisors say nothing and give ``None``.
    """
    for component in reversed((cgroup or "").split("/")):
        if component.endswith((".service", ".scope")) and _UNIT.match(component):
            return _telling(component)
    return None


def is_contained(process: Process) -> bool:
    """Return whether a process runs in a container, by its record or by the shape of its cgroup path."""
    if process.container_id or process.container_name or process.container_image:
        return True
    return bool(_CONTAINED.search(process.cgroup or ""))


def container_label(process: Process) -> str | None:
    """Return what tells the container apart on its host: the short id, else its name."""
    identifier = process.container_id
    if identifier:
        return identifier[:_ID_DIGITS] if re.match(r"[0-9a-f]{32,}\Z", identifier) else identifier
    return process.container_name


def image_name(image: str | None) -> str | None:
    """Return the last component of an image reference without tag and digest; ``None`` for an id or an odd spelling."""
    if not image:
        return None
    path = image.split("@", 1)[0]
    name = path.rsplit("/", 1)[-1].split(":", 1)[0]
    if not _IMAGE.match(name) or re.match(r"(?:sha256|[0-9a-f]{12,})\Z", name):
        return None
    return name


def _telling(unit: str) -> str | None:
    stem, kind = unit.rsplit(".", 1)
    if kind == "scope":
        return unit if _STEADY_SCOPE.match(unit) and not _DESKTOP_SCOPE.match(unit) else None
    if _TRANSIENT.match(unit):
        return None
    stem = _BUS_CONNECTION.sub("dbus-", stem)
    template, instance, __ = stem.partition("@")
    name = template + instance
    if name in _SUPERVISORS or template in _SUPERVISORS or _SUPERVISOR_FAMILY.match(name):
        return None
    return f"{name}.{kind}"
