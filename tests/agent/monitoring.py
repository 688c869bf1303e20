# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The real node_exporter and the real Prometheus, unpacked and not installed, on a stage."""

from __future__ import annotations

import ctypes
import json
import os
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from typing import TYPE_CHECKING, Any, TypeVar

import pytest
from debian_programs import NoProgram, unpacked

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from stage import Stage

__all__ = ["in_network", "program", "query", "start_monitoring", "wait_for_sample"]

T = TypeVar("T")
_CLONE_NEWNET = 0x40000000
PACKAGES = {
    "promtool": "prometheus",
    "prometheus": "prometheus",
    "prometheus-node-exporter": "prometheus-node-exporter",
}
CONFIGURATION = """
global: {{scrape_interval: 500ms, evaluation_interval: 500ms}}
rule_files: ["{rules}"]
scrape_configs:
  - job_name: node
    static_configs: [{{targets: ["127.0.0.1:9100"]}}]
"""


def program(name: str) -> str:
    """The path of a program, or a skip that says why there is none."""
    try:
        return str(unpacked(name, PACKAGES[name]))
    except NoProgram as reason:
        pytest.skip(f"{reason}")


def in_network(stage: Stage, function: Callable[[], T]) -> T:
    """Call a function in a thread that is in the stage's network."""
    results: list[T] = []
    errors: list[BaseException] = []

    def inside() -> None:
        try:
            _enter(stage.network)
            results.append(function())
        except BaseException as error:  # noqa: BLE001 - handed to the caller's thread
            errors.append(error)

    thread = threading.Thread(target=inside)
    thread.start()
    thread.join()
    if errors:
        raise errors[0]
    return results[0]


def _enter(path: str) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        if ctypes.CDLL(None, use_errno=True).setns(descriptor, _CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), "setns")
    finally:
        os.close(descriptor)


def start_monitoring(stage: Stage, textfiles: Path, rules: Path, prometheus: str | None = None) -> None:
    """Start both programs; wait until they answer."""
    folder = stage.folder / "monitoring"
    folder.mkdir()
    (folder / "prometheus.yml").write_text(CONFIGURATION.format(rules=rules), encoding="utf-8")
    stage.start(
        program("prometheus-node-exporter"),
        "--collector.disable-defaults",
        "--collector.textfile",
        f"--collector.textfile.directory={textfiles}",
        "--web.listen-address=127.0.0.1:9100",
        folder=folder,
    )
    path = prometheus or program("prometheus")
    assets = path.removesuffix("/bin/prometheus") + "/share/prometheus/web/"
    stage.start(
        path,
        f"--config.file={folder}/prometheus.yml",
        f"--storage.tsdb.path={folder}/data",
        f"--web.local-assets={assets}",
        "--web.listen-address=127.0.0.1:9090",
        folder=folder,
    )
    for url in ("http://127.0.0.1:9100/metrics", "http://127.0.0.1:9090/-/ready"):
        _wait_for(stage, url)


def _wait_for(stage: Stage, url: str, seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while True:
        try:
            in_network(stage, lambda: urllib.request.urlopen(url, timeout=5).read())
        except OSError as error:
            if time.monotonic() > end:
                raise AssertionError(f"{url}: {error}") from error
            time.sleep(0.1)
        else:
            return


def query(stage: Stage, expression: str) -> list[dict[str, Any]]:
    """The instant vector of an expression; a scalar does not happen here."""
    url = f"http://127.0.0.1:9090/api/v1/query?{urllib.parse.urlencode({'query': expression})}"
    try:
        answer = json.loads(in_network(stage, lambda: urllib.request.urlopen(url, timeout=20).read()))
    except urllib.error.HTTPError as error:
        raise AssertionError(f"{expression}: {error.read().decode()}") from error
    assert answer["status"] == "success", answer
    assert answer["data"]["resultType"] == "vector", expression
    result: list[dict[str, Any]] = answer["data"]["result"]
    return result


def wait_for_sample(stage: Stage, expression: str, seconds: float = 60) -> list[dict[str, Any]]:
    """Wait until an expression has a result, and return it."""
    end = time.monotonic() + seconds
    while True:
        result = query(stage, expression)
        if result:
            return result
        assert time.monotonic() < end, f"{expression} has no sample in {seconds} s"
        time.sleep(0.25)
