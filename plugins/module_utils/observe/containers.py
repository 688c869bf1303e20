# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The container behind a cgroup path, and its name from the state files of its runtime."""

from __future__ import annotations

import json
import os
import re
from typing import TYPE_CHECKING, Any, NamedTuple

from ansible_collections.lastack.linux.plugins.module_utils.observe.bounded_files import read_head

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Container", "find_container", "name_workload"]

_STATE_LIMIT = 4 << 20
_NAME_LIMIT = 256

_SCOPE = re.compile(
    r"(?:[^/]*:)?(docker|libpod|libpod-payload|crio|cri-containerd|nerdctl)[-:]([0-9a-f]{64})(?:\.scope)?"
)
_BARE_ID = re.compile(r"[0-9a-f]{64}")
_NAMED = (
    re.compile(r"lxc\.payload\.(.+)"),
    re.compile(r"machine-(?!qemu\\x2d)(?:lxc\\x2d[0-9]+\\x2d)?(.+)\.scope"),
    re.compile(r"systemd-nspawn@(.+)\.service"),
)
_LXC_FOLDERS = ("lxc", "lxc.payload")
_USER_MANAGER = re.compile(r"/user@[0-9]+\.service(?:/|$)")
_UNIT_ESCAPE = re.compile(r"\\x([0-9a-f]{2})")

# Kubernetes draws the suffixes of replica sets and pods from an alphabet without vowels (apimachinery, util/rand).
_SAFE = "[bcdfghjklmnpqrstvwxz2456789]"
_POD_SUFFIXES = (
    re.compile(rf"-{_SAFE}{{6,10}}-{_SAFE}{{5}}$"),
    re.compile(rf"-[0-9]{{8,10}}-{_SAFE}{{5}}$"),
    re.compile(rf"-{_SAFE}{{5}}$"),
    re.compile(r"-[0-9]+$"),
)
_REPLICA = re.compile(r"(?:[-_][0-9]+|-[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})$")
_SERVICE_LABELS = ("com.docker.swarm.service.name", "com.docker.compose.service")
_POD_LABELS = ("io.kubernetes.pod.name", "io.kubernetes.cri.sandbox-name")
_CONTAINER_LABELS = ("io.kubernetes.container.name", "io.kubernetes.cri.container-name", "nerdctl/name")
_IMAGE_LABELS = (
    "io.kubernetes.cri.image-name",
    "io.kubernetes.cri-o.UserRequestedImage",
    "io.kubernetes.cri-o.ImageName",
    "nerdctl/image-name",
)

_DOCKER_FOLDERS = ("var/lib/docker/containers", "var/snap/docker/common/var-lib-docker/containers")
_PODMAN_STORES = ("overlay-containers", "vfs-containers", "btrfs-containers")
_CONTAINERD_FOLDERS = (
    "run/containerd/io.containerd.runtime.v2.task",
    "run/k3s/containerd/io.containerd.runtime.v2.task",
)


class Container(NamedTuple):
    """A container; what its runtime's state files do not tell is ``None``."""

    id: str
    """The runtime's id in hexadecimal, or the name where the kernel's path gives that (LXC, systemd-nspawn)."""
    name: str | None
    image: str | None
    workload: str | None
    """What runs in it, the same for all replicas: never an id."""


def find_container(cgroup_path: str, *, root: str = "/", node: str | None = None) -> Container | None:
    """Return the container whose cgroup this path lies in; ``None`` for a process outside of any.

    The outermost one counts: below it the container itself may name the cgroups. Names come from the state files of
    Docker, Podman, containerd and CRI-O under ``root``, at most 4 MiB each; ids are 64 hexadecimal digits before a
    path is made of them, so nothing that a container names is ever opened. Ids inside a user's own manager, who may
    create any cgroup there, are not looked up. ``node`` is the host's name as Kubernetes knows it (for static pods;
    by default the kernel's). Costs one or a few files: ask once for each distinct path.
    """
    found = _parse_path(cgroup_path)
    if found is None:
        return None
    kind, identity = found
    if kind == "named":
        return Container(identity, identity, None, _without_replica(identity))
    if _USER_MANAGER.search(cgroup_path):
        return Container(identity, None, None, None)
    for reader in _READERS[kind]:
        container = reader(root, identity, os.uname().nodename if node is None else node)
        if container is not None:
            return container
    return Container(identity, None, None, None)


def name_workload(pod: str, node: str = "") -> str:
    """Return the name of a pod without what its controller added to tell replicas apart.

    Hash and suffix of a Deployment, suffix of a DaemonSet or Job, time of a CronJob, ordinal of a StatefulSet, or the
    node's name of a static pod.
    """
    if node and pod.endswith(f"-{node}"):
        return pod[: -len(node) - 1] or pod
    for suffix in _POD_SUFFIXES:
        shorter = suffix.sub("", pod)
        if shorter and shorter != pod:
            return shorter
    return pod


def _parse_path(path: str) -> tuple[str, str] | None:
    """Return kind of the path and id of the outermost container in it."""
    parent = ""
    for component in path.split("/"):
        scope = _SCOPE.fullmatch(component)
        if scope:
            return scope.group(1), scope.group(2)
        if _BARE_ID.fullmatch(component):
            return "bare", component
        named = [match.group(1) for match in (pattern.fullmatch(component) for pattern in _NAMED) if match]
        if parent in _LXC_FOLDERS and component:
            named.append(component)
        if named:
            return "named", _UNIT_ESCAPE.sub(lambda match: chr(int(match.group(1), 16)), named[0])[:_NAME_LIMIT]
        parent = component
    return None


def _read_docker(root: str, identity: str, node: str) -> Container | None:
    for folder in _DOCKER_FOLDERS:
        state = _read_state(root, folder, identity, "config.v2.json")
        if isinstance(state, dict):
            config = _mapping(state.get("Config"))
            labels = _mapping(config.get("Labels"))
            name = _first(labels, _CONTAINER_LABELS) or _string(state.get("Name"))
            return _describe(identity, name and name.lstrip("/"), _string(config.get("Image")), labels, node)
    return None


def _read_podman(root: str, identity: str, node: str) -> Container | None:
    for store in _PODMAN_STORES:
        for file in ("containers.json", "volatile-containers.json"):
            entries = _read_state(root, "var/lib/containers/storage", store, file)
            for entry in entries if isinstance(entries, list) else ():
                if isinstance(entry, dict) and entry.get("id") == identity:
                    metadata = _mapping(_parse(entry.get("metadata")))
                    names = entry.get("names")
                    name = _string(names[0]) if isinstance(names, list) and names else None
                    return _describe(
                        identity, name or _string(metadata.get("name")), _string(metadata.get("image-name")), {}, node
                    )
    return None


def _read_crio(root: str, identity: str, node: str) -> Container | None:
    for folder in ("var/lib/containers/storage", "run/containers/storage"):
        for store in _PODMAN_STORES:
            state = _read_state(root, folder, store, identity, "userdata", "config.json")
            if isinstance(state, dict):
                return _describe_annotations(identity, state, node)
    return None


def _read_containerd(root: str, identity: str, node: str) -> Container | None:
    for folder in _CONTAINERD_FOLDERS:
        try:
            namespaces = sorted(os.listdir(os.path.join(root, folder)))  # noqa: PTH118, PTH208 - a plain string path
        except OSError:
            continue
        for namespace in namespaces:
            state = _read_state(root, folder, namespace, identity, "config.json")
            if isinstance(state, dict):
                return _describe_annotations(identity, state, node)
    return None


# A bare id may be any runtime's with cgroupfs as its driver. Docker runs on containerd, whose own files know less.
_READERS: dict[str, tuple[Callable[[str, str, str], Container | None], ...]] = {
    "docker": (_read_docker,),
    "libpod": (_read_podman,),
    "libpod-payload": (_read_podman,),
    "crio": (_read_crio,),
    "cri-containerd": (_read_containerd,),
    "nerdctl": (_read_containerd,),
    "bare": (_read_docker, _read_containerd, _read_podman, _read_crio),
}


def _describe_annotations(identity: str, state: dict[str, Any], node: str) -> Container:
    annotations = _mapping(state.get("annotations"))
    return _describe(
        identity, _first(annotations, _CONTAINER_LABELS), _first(annotations, _IMAGE_LABELS), annotations, node
    )


def _describe(identity: str, name: str | None, image: str | None, labels: dict[str, Any], node: str) -> Container:
    pod = _first(labels, _POD_LABELS)
    if pod is not None:
        workload: str | None = name_workload(pod, node)
    else:
        workload = _first(labels, _SERVICE_LABELS) or (None if name is None else _without_replica(name))
    if image is not None and (image.startswith("sha256:") or _BARE_ID.fullmatch(image)):
        image = None
    return Container(identity, name or None, image, workload or None)


def _without_replica(name: str) -> str:
    return _REPLICA.sub("", name) or name


def _read_state(root: str, *parts: str) -> object:
    """Return a parsed state file; ``None`` when it is missing, denied, too large, no plain file or no JSON."""
    path = os.path.join(root, *parts)  # noqa: PTH118 - a plain string path
    try:
        # A runtime's own file is no link and no pipe: do not follow, do not wait.
        data = read_head(path, _STATE_LIMIT + 1, flags=os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return None
    return _parse(data) if len(data) <= _STATE_LIMIT else None


def _parse(data: object) -> object:
    if not isinstance(data, (bytes, str)):
        return None
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        return None


def _mapping(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _string(value: object) -> str | None:
    if not isinstance(value, str) or not 0 < len(value) <= _NAME_LIMIT:
        return None
    # JSON may spell half a surrogate pair, which no UTF-8 writer takes.
    return value.encode("utf-8", "backslashreplace").decode()


def _first(labels: dict[str, Any], keys: tuple[str, ...]) -> str | None:
    return next((text for text in (_string(labels.get(key)) for key in keys) if text is not None), None)
