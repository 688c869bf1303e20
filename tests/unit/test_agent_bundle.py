# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The agent as one file: the same bytes everywhere, nothing missing, nothing too much, installed only if it differs."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest
import yaml
from agent_bundles import build_bundles, check_bundles
from ansible_collections.lastack.linux.plugins.action import agent_bundle as action
from ansible_collections.lastack.linux.plugins.module_utils.version import VERSION
from ansible_collections.lastack.linux.plugins.modules import agent_bundle as stub
from ansible_collections.lastack.linux.plugins.plugin_utils.bundle import BundleError, build_bundle
from ansible_collections.lastack.linux.plugins.plugin_utils.cli.main import main
from tool_cache import Python, controller_pythons, pythons

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = "ansible_collections/lastack/linux/"
BUNDLE = build_bundle()
# What a host has: the standard library, and nothing that happens to lie about.
ISOLATED = ("-I", "-S", "-B")
EVERY = pythons()
CONTROLLERS = controller_pythons()
IMPORT_ALL = """\
import importlib, sys
sys.path.insert(0, sys.argv[1])
for name in sys.argv[2:]:
    module = importlib.import_module(name)
    assert module.__file__.startswith(sys.argv[1]), module.__file__
"""


def versions(found: list[Python]) -> list[str]:
    return [one.version for one in found]


def entries(data: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert archive.testzip() is None
        return {entry.filename: archive.read(entry) for entry in archive.infolist()}


def small_tree(folder: Path, **sources: str) -> Path:
    """Make a collection with these modules of the agent; ``.`` in a name is written ``__``."""
    (folder / "agent").mkdir(parents=True)
    for name, source in sources.items():
        path = folder / (name.replace("__", "/") + ".py" if name != "main" else "agent/__main__.py")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(source, encoding="utf-8")
    return folder


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    path = tmp_path / "away" / "agent.pyz"
    path.parent.mkdir()
    path.write_bytes(BUNDLE.data)
    return path


def test_another_clone_builds_the_same_bytes(tmp_path: Path) -> None:
    for name in ("agent", "plugins"):
        shutil.copytree(ROOT / name, tmp_path / "clone" / name)
    for path in (tmp_path / "clone").rglob("*"):
        os.utime(path, (1, 1))
        path.chmod(path.stat().st_mode & 0o700)
    assert build_bundle(tmp_path / "clone").data == BUNDLE.data == build_bundle().data


@pytest.mark.parametrize("python", CONTROLLERS, ids=versions(CONTROLLERS))
def test_every_python_of_a_controller_builds_the_same_bytes(python: Python) -> None:
    assert list(build_bundles({"this clone": ROOT / "collections"}, [python]).values()) == [BUNDLE.data]


def test_nothing_in_it_depends_on_the_builder() -> None:
    with zipfile.ZipFile(io.BytesIO(BUNDLE.data)) as archive:
        found = archive.infolist()
    assert [entry.filename for entry in found] == sorted({entry.filename for entry in found})
    told = {
        (entry.date_time, entry.compress_type, entry.create_system, entry.external_attr, entry.extra) for entry in found
    }
    assert told == {((1980, 1, 1, 0, 0, 0), zipfile.ZIP_STORED, 3, 0o100644 << 16, b"")}
    assert str(ROOT).encode() not in BUNDLE.data


def test_it_holds_the_agent_and_what_it_imports() -> None:
    held = entries(BUNDLE.data)
    assert held.pop("__main__.py") == (ROOT / "agent/__main__.py").read_bytes()
    sources = {name: content for name, content in held.items() if not name.endswith("__init__.py")}
    assert all(content == b"" for name, content in held.items() if name not in sources)
    assert {name: (ROOT / name.removeprefix(PACKAGE)).read_bytes() for name in sources} == sources
    # All of the agent, and of the shared rooms only what it uses.
    ours = {f"{PACKAGE}agent/{path.name}" for path in (ROOT / "agent").glob("*.py") if not path.name.startswith("__")}
    assert ours <= set(sources)
    assert not [name for name in sources if "/plugin_utils/" in name or "/tune/" in name or "/modules/" in name]
    assert BUNDLE.version == VERSION


@pytest.mark.parametrize("python", EVERY, ids=versions(EVERY))
def test_every_module_finds_all_it_needs_in_it(python: Python, bundle: Path) -> None:
    modules = [name for name in BUNDLE.modules if not name.endswith("__main__")]
    command = [str(python.path), *ISOLATED, "-c", IMPORT_ALL, str(bundle), *modules]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60, cwd=bundle.parent)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("python", EVERY, ids=versions(EVERY))
def test_it_runs_and_leaves_nothing_beside_itself(python: Python, bundle: Path) -> None:
    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [str(python.path), *ISOLATED, str(bundle), *arguments]
        return subprocess.run(command, check=False, capture_output=True, text=True, timeout=60, cwd=bundle.parent)

    assert run("--version").stdout == f"lastack-agent {VERSION}\n"
    configuration = bundle.with_name("agent.json")
    configuration.write_text('{"interval_s": 30}', encoding="utf-8")
    assert run("check", str(configuration)).returncode == 0
    once = run("once", "--json", "--root", str(bundle.parent))
    assert json.loads(once.stdout)["schema"] == "lastack.local/1", once.stderr
    assert {path.name for path in bundle.parent.rglob("*")} == {"agent.pyz", "agent.json"}


def test_imports_are_found_wherever_they_run_and_those_for_types_are_not(tmp_path: Path) -> None:
    root = small_tree(
        tmp_path,
        main="""
from typing import TYPE_CHECKING
from ansible_collections.lastack.linux.agent import top
import ansible_collections.lastack.linux.agent.dotted
if TYPE_CHECKING:
    from ansible_collections.lastack.linux.agent.types_only import Name
    import nothing_that_exists
else:
    from ansible_collections.lastack.linux.agent.otherwise import name
def later():
    from ansible_collections.lastack.linux.plugins.module_utils.lazy import name
try:
    import json
finally:
    pass
""",
        agent__top="",
        agent__dotted="import os.path\nfrom ansible_collections.lastack.linux.agent.top import x\n",
        agent__types_only="",
        agent__otherwise="",
        agent__nobody="",
        plugins__module_utils__lazy="",
    )
    held = entries(build_bundle(root).data)
    modules = {name.removeprefix(PACKAGE) for name in held if not name.endswith("__init__.py")}
    wanted = {"agent/top.py", "agent/dotted.py", "agent/otherwise.py", "plugins/module_utils/lazy.py"}
    assert modules == wanted | {"__main__.py"}
    assert {name for name in held if name.endswith("__init__.py")} == {
        *(f"{folder}/__init__.py" for folder in ("ansible_collections", "ansible_collections/lastack", PACKAGE[:-1])),
        *(f"{PACKAGE}{folder}/__init__.py" for folder in ("agent", "plugins", "plugins/module_utils")),
    }


@pytest.mark.parametrize(
    ("source", "sentence"),
    [
        ("import yaml", r"agent.__main__, line 1: yaml is not part of Python\."),
        ("from ansible.module_utils import basic", r"line 1: ansible.module_utils is not part of Python\."),
        ("from . import trend", r"line 1: a relative import\."),
        ("import ansible_collections.lastack.linux.agent.gone", r"there is no module \S+agent.gone\."),
        ("from ansible_collections.other.thing import x", r"ansible_collections.other.thing is not part of Python\."),
        ("def (", r"agent/__main__.py is no Python source: .+\."),
        ("\0", r"agent/__main__.py is no Python source: .+\."),
    ],
)
def test_what_a_host_cannot_have_is_refused_on_the_controller(tmp_path: Path, source: str, sentence: str) -> None:
    with pytest.raises(BundleError, match=sentence):
        build_bundle(small_tree(tmp_path, main=source))


def test_a_collection_without_an_agent_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"agent/__main__\.py: No such file or directory\."):
        build_bundle(tmp_path)


def test_the_command_writes_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "agent.pyz"
    assert main(["bundle", str(path)]) == 0
    assert path.read_bytes() == BUNDLE.data
    said = capsys.readouterr().out
    assert f"lastack agent {VERSION}" in said
    assert BUNDLE.sha256 in said
    for wrong in (tmp_path / "nowhere" / "agent.pyz", tmp_path):
        assert main(["bundle", str(wrong)]) == 2
        assert capsys.readouterr().err.startswith(f"lastack: {wrong}: ")


def test_the_packages_are_held_to_one_bundle(tmp_path: Path) -> None:
    bundles = build_bundles({"a clone": ROOT / "collections", "the same": ROOT / "collections"}, CONTROLLERS[:1])
    assert check_bundles(bundles, EVERY[:1], tmp_path).startswith(f"2 builds of {len(BUNDLE.data):,} bytes alike")
    with pytest.raises(ValueError, match="the bundle of the wheel differs from that of a clone"):
        check_bundles({"a clone": BUNDLE.data, "the wheel": BUNDLE.data + b"x"}, [], tmp_path)
    with pytest.raises(ValueError, match="the bundle does not run on Python"):
        check_bundles({"a clone": b"no bundle"}, EVERY[:1], tmp_path)
    with pytest.raises(ValueError, match=r"the bundle of nothing by Python .+ cannot be built"):
        build_bundles({"nothing": tmp_path}, CONTROLLERS[:1])


# The action plugin, by Ansible itself, on this machine's own temporary folder.

MODULE = "lastack.linux.agent_bundle"


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What each task returned, by its name."""
    folder = tmp_path_factory.mktemp("action")
    (folder / "folder").mkdir()
    file = str(folder / "agent.pyz")
    bundle = {"dest": file, "validate": " ".join([sys.executable, *ISOLATED, "%s", "--version"])}
    tasks: dict[str, dict[str, Any]] = {
        "checked": {MODULE: bundle, "check_mode": True},
        "looked": {"ansible.builtin.stat": {"path": file}},
        "installed": {MODULE: bundle},
        "again": {MODULE: bundle},
        "spoilt": {"ansible.builtin.copy": {"content": "older", "dest": file}},
        "refused": {MODULE: {"dest": file, "validate": "false %s"}, "ignore_errors": True},
        "kept": {"ansible.builtin.slurp": {"src": file}},
        "upgraded": {MODULE: bundle},
        "closed": {MODULE: {"dest": file, "mode": "0600"}},
        "into": {MODULE: {"dest": str(folder / "folder")}},
        "mistyped": {MODULE: {"dest": file, "modus": "0600"}, "ignore_errors": True},
        "nowhere": {MODULE: {}, "ignore_errors": True},
    }
    everything = "{{ {" + ", ".join(f"'{name}': {name}" for name in tasks) + "} | to_json }}"
    last = {"ansible.builtin.copy": {"content": everything, "dest": str(folder / "told.json")}}
    play = {
        "hosts": "localhost",
        "connection": "local",
        "gather_facts": False,
        "tasks": [*({**task, "register": name} for name, task in tasks.items()), last],
    }
    (folder / "play.yml").write_text(json.dumps([play]), encoding="utf-8")
    command = [str(Path(sys.executable).with_name("ansible-playbook")), "-i", "localhost,", "--diff", "play.yml"]
    command += ["-e", f"ansible_python_interpreter={sys.executable}"]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_")}
    environment |= {"ANSIBLE_HOME": str(folder / "home"), "ANSIBLE_COLLECTIONS_PATH": str(ROOT / "collections")}
    done = subprocess.run(
        command, check=False, capture_output=True, text=True, timeout=120, cwd=folder, env=environment
    )
    assert done.returncode == 0, done.stdout + done.stderr
    results: dict[str, Any] = json.loads((folder / "told.json").read_text(encoding="utf-8"))
    results["installed_bytes"] = (folder / "agent.pyz").read_bytes()
    results["into_bytes"] = (folder / "folder/lastack-agent.pyz").read_bytes()
    results["mode"] = (folder / "agent.pyz").stat().st_mode & 0o777
    return results


def test_check_mode_foretells_and_writes_nothing(told: dict[str, Any]) -> None:
    assert told["checked"]["changed"]
    assert not told["looked"]["stat"]["exists"]


def test_it_is_installed_once_and_again_only_if_the_bytes_differ(told: dict[str, Any]) -> None:
    assert told["installed"]["changed"]
    assert told["installed"]["version"] == VERSION
    assert told["installed"]["sha256"] == BUNDLE.sha256
    assert told["installed"]["size"] == len(BUNDLE.data)
    assert not told["again"]["changed"]
    assert told["upgraded"]["changed"]
    assert told["installed_bytes"] == told["into_bytes"] == BUNDLE.data
    assert (told["closed"]["changed"], told["mode"]) == (True, 0o600)


def test_a_difference_is_said_in_words_and_not_in_bytes(told: dict[str, Any]) -> None:
    older = hashlib.sha1(b"older").hexdigest()
    newer = hashlib.sha1(BUNDLE.data).hexdigest()
    assert told["upgraded"]["diff"]["before"] == f"lastack agent, SHA-1 {older}\n"
    assert told["upgraded"]["diff"]["after"] == f"lastack agent {VERSION}, SHA-1 {newer}\n"
    assert told["installed"]["diff"]["before"] == ""
    assert "diff" not in told["again"]


def test_what_does_not_validate_is_not_installed(told: dict[str, Any]) -> None:
    assert told["refused"]["failed"]
    assert base64.b64decode(told["kept"]["content"]) == b"older"


def test_the_documentation_is_of_the_options_that_are_taken() -> None:
    documented = yaml.safe_load(stub.DOCUMENTATION)["options"]
    assert {
        name: {key: value for key, value in option.items() if key != "description"}
        for name, option in documented.items()
    } == action._SPECIFICATION


def test_wrong_options_are_refused(told: dict[str, Any]) -> None:
    assert "modus" in told["mistyped"]["msg"]
    assert "dest" in told["nowhere"]["msg"]
