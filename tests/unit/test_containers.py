# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Containers by cgroup path, and their names from state files that may be hostile."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import pytest
from ansible_collections.lastack.linux.plugins.module_utils.observe.containers import (
    Container,
    find_container,
    name_workload,
)
from hypothesis import given
from hypothesis import strategies as st

if TYPE_CHECKING:
    from pathlib import Path

ID = "0123456789abcdef" * 4
OTHER = "fedcba9876543210" * 4
UUID = "0a1b2c3d-0a1b-0a1b-0a1b-0a1b2c3d4e5f"
POD = "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod5f0a.slice"


def write(root: Path, path: str, content: object) -> None:
    file = root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(content if isinstance(content, str) else json.dumps(content))


@pytest.mark.parametrize(
    "path",
    [
        f"/system.slice/docker-{ID}.scope",
        f"/docker/{ID}",
        f"/kubepods/burstable/pod5f0a/{ID}",
        f"{POD}/docker-{ID}.scope",
        f"{POD}/crio-{ID}.scope",
        f"{POD}/cri-containerd-{ID}.scope",
        f"/system.slice/kubepods-pod5f0a.slice:cri-containerd:{ID}",
        f"/machine.slice/libpod-{ID}.scope",
        f"/machine.slice/libpod-{ID}.scope/container",
        f"/machine.slice/libpod-{ID}.scope/init.scope",
        f"/libpod_parent/libpod-{ID}",
        f"/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-{ID}.scope/container",
        f"/system.slice/nerdctl-{ID}.scope",
        f"/docker/{ID}/kubelet.slice/cri-containerd-{OTHER}.scope",
        f"/../../docker/{ID}",
    ],
)
def test_the_id_is_in_the_path(tmp_path: Path, path: str) -> None:
    assert find_container(path, root=str(tmp_path)) == Container(ID, None, None, None)


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/lxc.payload.web1", "web1"),
        ("/lxc.payload.web1/system.slice/nginx.service", "web1"),
        ("/lxc/web1", "web1"),
        ("/machine.slice/machine-db\\x2dhost.scope/payload", "db-host"),
        ("/machine.slice/systemd-nspawn@build.service/payload", "build"),
        ("/machine.slice/machine-lxc\\x2d123\\x2dold.scope", "old"),
    ],
)
def test_the_name_is_in_the_path(tmp_path: Path, path: str, name: str) -> None:
    assert find_container(path, root=str(tmp_path)) == Container(name, name, None, name)


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "",
        "/system.slice/nginx.service",
        "/system.slice/docker.service",
        "/user.slice/user-0.slice/session-3.scope",
        f"/system.slice/docker-{ID[:-1]}.scope",
        f"/system.slice/docker-{ID}0.scope",
        f"/system.slice/docker-{ID.upper()}.scope",
        "/system.slice/docker-../../../../etc/x.scope",
        f"/machine.slice/libpod-conmon-{ID}.scope",
        f"/system.slice/crio-conmon-{ID}.scope",
        "/machine.slice/machine-qemu\\x2d1\\x2dvm.scope",
        "/lxc.monitor.web1",
        f"/docker/{ID}\n",
    ],
)
def test_no_container(tmp_path: Path, path: str) -> None:
    assert find_container(path, root=str(tmp_path)) is None


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        ({"Name": "/web-2", "Config": {"Image": "nginx:1.25"}}, Container(ID, "web-2", "nginx:1.25", "web")),
        ({"Name": "/shop_web_12", "Config": {}}, Container(ID, "shop_web_12", None, "shop_web")),
        (
            {"Name": "/shop-web-1", "Config": {"Labels": {"com.docker.compose.service": "web-1"}}},
            Container(ID, "shop-web-1", None, "web-1"),
        ),
        (
            {"Name": "/shop_api.3.x1y2", "Config": {"Labels": {"com.docker.swarm.service.name": "shop_api"}}},
            Container(ID, "shop_api.3.x1y2", None, "shop_api"),
        ),
        (
            {
                "Name": "/k8s_app_checkout_prod_5f0a_0",
                "Config": {
                    "Image": "sha256:0123",
                    "Labels": {
                        "io.kubernetes.container.name": "app",
                        "io.kubernetes.pod.name": "checkout-7d9f8b6c5d-x2x4z",
                    },
                },
            },
            Container(ID, "app", None, "checkout"),
        ),
        ({"Name": f"/task-{UUID}"}, Container(ID, f"task-{UUID}", None, "task")),
        ({"Name": 7, "Config": []}, Container(ID, None, None, None)),
        ({"Name": "/", "Config": {"Image": ["x"], "Labels": "x"}}, Container(ID, None, None, None)),
        ({"Name": "/" + "x" * 5000}, Container(ID, None, None, None)),
        ({"Name": "/half\ud800"}, Container(ID, "half\\ud800", None, "half\\ud800")),
        ([1, 2], Container(ID, None, None, None)),
        ("not json", Container(ID, None, None, None)),
        ("[" * 100_000, Container(ID, None, None, None)),
        (json.dumps({"Name": "/big", "x": "y" * (4 << 20)}), Container(ID, None, None, None)),
    ],
)
def test_docker(tmp_path: Path, state: object, expected: Container) -> None:
    write(tmp_path, f"var/lib/docker/containers/{ID}/config.v2.json", state)
    assert find_container(f"/docker/{ID}", root=str(tmp_path)) == expected


def test_podman(tmp_path: Path) -> None:
    metadata = json.dumps({"image-name": "docker.io/library/redis:7", "name": "cache"})
    entries = [7, {"id": OTHER, "names": ["other"]}, {"id": ID, "names": ["cache_1"], "metadata": metadata}]
    store = "var/lib/containers/storage/overlay-containers"
    write(tmp_path, f"{store}/containers.json", entries)
    write(tmp_path, f"{store}/volatile-containers.json", [{"id": "a" * 64, "names": [], "metadata": "}"}])
    assert find_container(f"/machine.slice/libpod-{ID}.scope", root=str(tmp_path)) == Container(
        ID, "cache_1", "docker.io/library/redis:7", "cache"
    )
    volatile = find_container(f"/machine.slice/libpod-{'a' * 64}.scope", root=str(tmp_path))
    assert volatile == Container("a" * 64, None, None, None)


def test_a_user_cannot_borrow_the_name_of_a_container_of_root(tmp_path: Path) -> None:
    write(tmp_path, f"var/lib/docker/containers/{ID}/config.v2.json", {"Name": "/victim"})
    path = f"/user.slice/user-1000.slice/user@1000.service/app.slice/docker-{ID}.scope"
    assert find_container(path, root=str(tmp_path)) == Container(ID, None, None, None)


def test_a_container_cannot_borrow_the_name_of_another(tmp_path: Path) -> None:
    write(tmp_path, f"var/lib/docker/containers/{ID}/config.v2.json", {"Name": "/honest"})
    write(tmp_path, f"var/lib/docker/containers/{OTHER}/config.v2.json", {"Name": "/victim"})
    found = find_container(f"/docker/{ID}/docker/{OTHER}", root=str(tmp_path))
    assert found == Container(ID, "honest", None, "honest")


@pytest.mark.parametrize("folder", ["run/containerd", "run/k3s/containerd"])
@pytest.mark.parametrize("prefix", ["io.kubernetes.cri.sandbox-name", "io.kubernetes.pod.name"])
def test_containerd(tmp_path: Path, folder: str, prefix: str) -> None:
    annotations = {
        prefix: "db-0",
        "io.kubernetes.cri.container-name": "postgres",
        "io.kubernetes.cri.image-name": "docker.io/library/postgres:16",
    }
    base = f"{folder}/io.containerd.runtime.v2.task"
    write(tmp_path, f"{base}/moby/{OTHER}/config.json", {})
    write(tmp_path, f"{base}/k8s.io/{ID}/config.json", {"annotations": annotations})
    assert find_container(f"{POD}/cri-containerd-{ID}.scope", root=str(tmp_path)) == Container(
        ID, "postgres", "docker.io/library/postgres:16", "db"
    )


def test_crio(tmp_path: Path) -> None:
    annotations = {
        "io.kubernetes.container.name": "proxy",
        "io.kubernetes.pod.name": "edge-x2x4z",
        "io.kubernetes.cri-o.ImageName": "quay.io/edge:1",
    }
    path = f"var/lib/containers/storage/overlay-containers/{ID}/userdata/config.json"
    write(tmp_path, path, {"annotations": annotations})
    assert find_container(f"{POD}/crio-{ID}.scope", root=str(tmp_path)) == Container(
        ID, "proxy", "quay.io/edge:1", "edge"
    )


def test_state_that_is_a_link_or_a_pipe_is_not_opened(tmp_path: Path) -> None:
    folder = tmp_path / "var/lib/docker/containers" / ID
    write(tmp_path, "secret.json", {"Name": "/secret"})
    folder.mkdir(parents=True)
    (folder / "config.v2.json").symlink_to(tmp_path / "secret.json")
    assert find_container(f"/docker/{ID}", root=str(tmp_path)) == Container(ID, None, None, None)
    (folder / "config.v2.json").unlink()
    os.mkfifo(folder / "config.v2.json")
    assert find_container(f"/docker/{ID}", root=str(tmp_path)) == Container(ID, None, None, None)


@pytest.mark.parametrize(
    ("pod", "workload"),
    [
        ("checkout-api-7d9f8b6c5d-x2x4z", "checkout-api"),
        ("node-exporter-x7k2p", "node-exporter"),
        ("kafka-0", "kafka"),
        ("kafka-12", "kafka"),
        ("backup-28391040-x7k2p", "backup"),
        ("kube-apiserver-node-a.example", "kube-apiserver"),
        ("plain", "plain"),
        ("my-tool", "my-tool"),
        ("0", "0"),
    ],
)
def test_workload_of_a_pod(pod: str, workload: str) -> None:
    assert name_workload(pod, "node-a.example") == workload


@given(st.text(max_size=200))
def test_any_path_is_taken(tmp_path_factory: pytest.TempPathFactory, path: str) -> None:
    found = find_container(path, root=str(tmp_path_factory.getbasetemp()))
    assert found is None or found.id


@given(st.text(min_size=1, max_size=80), st.text(max_size=10))
def test_a_workload_is_never_empty(pod: str, node: str) -> None:
    assert name_workload(pod, node)
