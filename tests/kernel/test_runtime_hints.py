# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What real processes show of their libraries: Python with extension modules, Java with jars, Go with modules."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import launch
import pytest
from ansible_collections.lastack.linux.plugins.module_utils.diagnose.hints import add_hints
from ansible_collections.lastack.linux.plugins.module_utils.observe.deadline import Deadline
from ansible_collections.lastack.linux.plugins.module_utils.observe.loaded_files import read_loaded_files
from ansible_collections.lastack.linux.plugins.module_utils.observe.processes import read_process
from debian_programs import NoProgram, unpacked
from holders import CannotMountError, as_nobody
from tool_cache import cache_folder

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ansible_collections.lastack.linux.plugins.module_utils.observe.loaded_files import LoadedFiles
    from ansible_collections.lastack.linux.plugins.module_utils.observe.records import Process

pytestmark = pytest.mark.needs_root

PYTHON = """\
import os, sys
import aiohttp, psycopg
log = open(sys.argv[1], "a")
other = open(sys.argv[2])
print("ready", flush=True)
os.read(0, 1)
"""
JAVA = """\
public class Shop {
    public static void main(String[] arguments) throws Exception {
        // Whoever is not found was looked for in every jar.
        try { Class.forName("org.example.Missing"); } catch (ClassNotFoundException nowhere) { }
        System.out.println("ready");
        System.in.read();
    }
}
"""
GO_PROGRAM = """\
package main

import (
    "fmt"
    "os"

    "github.com/go-resty/resty/v2"
)

func main() {
    fmt.Println("ready" + resty.Name)
    os.Stdin.Read(make([]byte, 1))
}
"""
GO_MODULE = """\
module example.org/shop

go 1.17

require github.com/go-resty/resty/v2 v2.16.5

replace github.com/go-resty/resty/v2 => ./resty
"""


class Running:
    """A program that has said "ready" and waits for its standard input to end."""

    def __init__(self, *command: str, folder: Path | None = None) -> None:
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=folder)

    def __enter__(self) -> int:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if line != b"ready\n":
            self.__exit__()
        assert line == b"ready\n"
        return self.process.pid

    def __exit__(self, *__: object) -> None:
        self.process.kill()
        self.process.communicate()


def look(pid: int) -> tuple[Process, LoadedFiles]:
    process = read_process(pid, with_arguments=True)
    assert process is not None
    loaded = read_loaded_files(process, deadline=Deadline())
    assert loaded is not None
    return process, loaded


def hints_of(pid: int) -> dict[str, Any]:
    process, loaded = look(pid)
    offender = {"pids": [pid], "role": "client", "advice": [f"runtime.{process.runtime}"]}
    (offender,) = add_hints([offender], {pid: loaded}, {pid: process}, redact=True)
    return offender


def test_python_with_extension_modules_and_a_log(tmp_path: Path) -> None:
    script = tmp_path / "sync.py"
    script.write_text(PYTHON)
    log, other = tmp_path / "sync.log", tmp_path / "read-only.log"
    other.touch()
    with Running(sys.executable, str(script), str(log), str(other)) as pid:
        offender = hints_of(pid)
    hints = offender["hints"]
    assert {(one["name"], one["seen"]) for one in hints["libraries"]} >= {
        ("aiohttp", "mapped_file"),
        ("psycopg", "mapped_file"),
    }
    # Its own libpq came with it.
    assert "libpq" not in {one["name"] for one in hints["libraries"]}
    assert hints["program"] == str(script)
    assert hints["log_files"] == [str(log)]
    assert offender["advice"][:2] == ["library.aiohttp", "library.psycopg_pool"]


def test_of_another_users_process_nothing_is_known_and_nothing_said() -> None:
    def as_another() -> LoadedFiles | None:
        process = read_process(pid, with_arguments=True)
        assert process is not None
        return read_loaded_files(process, deadline=Deadline())

    with Running(sys.executable, "-c", "import ssl; print('ready', flush=True); input()") as pid:
        try:
            assert as_nobody(as_another) is None
        except CannotMountError as reason:
            pytest.skip(f"no /proc of its own: {reason}")


def test_python_without_any_extension_module_has_no_hint(tmp_path: Path) -> None:
    script = tmp_path / "plain.py"
    script.write_text("import http.client, os\nprint('ready', flush=True)\nos.read(0, 1)\n")
    with Running(sys.executable, str(script)) as pid:
        assert hints_of(pid)["hints"] == {"libraries": [], "program": str(script), "log_files": []}


def test_a_module_is_the_program() -> None:
    with Running(sys.executable, "-c", "print('ready', flush=True); input()") as pid:
        assert hints_of(pid)["hints"]["program"] is None


@pytest.mark.skipif(shutil.which("java") is None, reason="java is not installed")
def test_java_with_jars_on_its_class_path(tmp_path: Path) -> None:
    jars = [tmp_path / name for name in ("httpclient-4.5.14.jar", "HikariCP-5.1.0.jar", "shop.jar")]
    for jar in jars:
        with zipfile.ZipFile(jar, "w") as archive:
            archive.writestr("empty.txt", "")
    source = tmp_path / "Shop.java"
    source.write_text(JAVA)
    command = ("java", "-Xshare:auto", "-cp", ":".join(map(str, jars)), str(source))
    with Running(*command) as pid:
        offender = hints_of(pid)
    assert offender["hints"] == {
        "libraries": [
            {
                "name": "Apache HttpClient 4",
                "version": "4.5.14",
                "seen": "jar",
                "page": "library.apache_httpclient4",
            },
            {"name": "HikariCP", "version": "5.1.0", "seen": "jar", "page": None},
        ],
        "program": str(source),
        "log_files": [],
    }
    assert offender["advice"][0] == "library.apache_httpclient4"


@pytest.fixture(scope="module")
def go_program(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    try:
        go = unpacked("go", "golang-go", "golang-1.19-go", "golang-1.19-src")
    except NoProgram as reason:
        pytest.skip(f"no Go: {reason}")
    folder, cache = tmp_path_factory.mktemp("shop"), cache_folder("go")
    (folder / "resty").mkdir()
    (folder / "main.go").write_text(GO_PROGRAM)
    (folder / "go.mod").write_text(GO_MODULE)
    (folder / "resty/go.mod").write_text("module github.com/go-resty/resty/v2\n")
    (folder / "resty/resty.go").write_text('package resty\n\nvar Name = ""\n')
    environment = {
        **os.environ,
        **({} if go.parent.parent == Path("/usr") else {"GOROOT": str(go.resolve().parents[1])}),
        "CGO_ENABLED": "0",
        "GOCACHE": str(cache / "build"),
        "GOENV": "off",
        "GOFLAGS": "-mod=mod",
        "GOPATH": str(cache / "path"),
        "GOPROXY": "off",
        "GOTOOLCHAIN": "local",
    }
    build = [str(go), "build", "-ldflags=-s -w", "-o", "shop", "."]
    subprocess.run(build, cwd=folder, env=environment, check=True, capture_output=True, timeout=600)
    yield folder / "shop"
    shutil.rmtree(folder)


def test_a_stripped_static_go_program_names_its_modules(go_program: Path) -> None:
    with Running(str(go_program)) as pid:
        process, __ = look(pid)
        assert process.runtime == "go"
        offender = hints_of(pid)
    assert offender["hints"]["libraries"] == [
        {"name": "Resty (net/http)", "version": "2.16.5", "seen": "go_module", "page": "library.go_net_http"}
    ]
    assert offender["hints"]["program"] is None


def test_a_program_whose_file_is_gone_still_names_its_modules(go_program: Path, tmp_path: Path) -> None:
    copy = tmp_path / "shop"
    shutil.copy(go_program, copy)
    with Running(str(copy)) as pid:
        copy.unlink()
        assert [one["name"] for one in hints_of(pid)["hints"]["libraries"]] == ["Resty (net/http)"]


def test_a_process_that_ended_gives_no_hint() -> None:
    with Running(sys.executable, "-c", "print('ready', flush=True); input()") as pid:
        process = read_process(pid, with_arguments=True)
    assert process is not None
    assert read_loaded_files(process, deadline=Deadline()) is None


def test_a_process_that_became_another_program_gives_no_hint() -> None:
    code = "import os, sys; print('ready', flush=True); input(); os.execv('/bin/sleep', ['sleep', '60'])"
    program = Running(sys.executable, "-c", code)
    with program as pid:
        process = read_process(pid, with_arguments=True)
        assert process is not None
        assert program.process.stdin is not None
        program.process.stdin.write(b"\n")
        program.process.stdin.flush()
        for __ in range(500):
            if Path(f"/proc/{pid}/comm").read_text() == "sleep\n":
                break
            time.sleep(0.01)
        assert read_loaded_files(process, deadline=Deadline()) is None


def test_the_probe_says_what_runs() -> None:
    lastack = Path(sys.executable).with_name("lastack")
    programs = [name for name in ("idle_pool", "java_unread") if launch.why_missing(name) is None]
    command = [
        *(sys.executable, launch.__file__, "--settle-s", "1", *(f"{name}:5" for name in programs)),
        *("--", str(lastack), "probe", "--json", "--min-age-s", "0"),
    ]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=180)
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    hints = {one["app"]: one["hints"] for one in report["close_wait"]["offenders"]}
    assert Path(hints["idle_pool.py"]["program"]).name == "idle_pool.py"
    if "java_unread" in programs:
        # What is built into a runtime shows nowhere.
        assert Path(hints["UnreadBody.java"]["program"]).name == "UnreadBody.java"
        assert hints["UnreadBody.java"]["libraries"] == []
