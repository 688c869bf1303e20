# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Build the wheel, the sdist and the collection, install each into an empty place, and use it from there."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from email.parser import BytesParser
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from agent_bundles import build_bundles, check_bundles
from archives import PREFIX, Member, differences, faults, read_archive
from installed_collection import COLLECTION, Installed, run
from packaging.metadata import Metadata
from packaging.requirements import Requirement
from tool_cache import controller_pythons, pythons

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["build", "copy_source", "main", "metadata_faults", "own_environment"]

ROOT = Path(__file__).resolve().parent.parent
BIN = Path(sys.executable).parent
EPOCH = "1700000000"
"""SOURCE_DATE_EPOCH of the builds: a date that no file of the clone has."""


def own_environment(scratch: Path) -> dict[str, str]:
    """Return an environment in which nothing of the caller's configuration stands in for a missing piece."""
    dropped = ("ANSIBLE_", "PYTHON", "VIRTUAL_ENV", "MAKE", "MFLAGS", "LASTACK_")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(dropped)}
    return {
        **kept,
        "ANSIBLE_COLLECTIONS_PATH": str(scratch / "no-collections"),
        "ANSIBLE_HOME": str(scratch / "ansible-home"),
        "ANSIBLE_NOCOLOR": "1",
        "LC_ALL": "C.UTF-8",
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "SOURCE_DATE_EPOCH": EPOCH,
    }


def copy_source(target: Path) -> None:
    """Copy the files that git knows or would add, as a clone of them would be; without git, all but what is made."""
    command = ["git", "-C", str(ROOT), "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--deduplicate"]
    try:
        listed = subprocess.run(command, check=True, capture_output=True).stdout.decode()
    except (OSError, subprocess.CalledProcessError):
        made = shutil.ignore_patterns(".venv", "lastack-runs", "__pycache__", ".*_cache", ".hypothesis")
        shutil.copytree(ROOT, target, symlinks=True, ignore=made)
        return
    for name in filter(None, listed.split("\0")):
        source = ROOT / name
        # A file may be gone from the work tree and not yet from the index.
        if source.is_symlink() or source.is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target / name, follow_symlinks=False)


def build(kind: str, source: Path, target: Path, environment: Mapping[str, str]) -> Path:
    """Build ``wheel``, ``sdist`` or ``collection`` from a source tree into an empty folder; return the one file.

    Raises:
        ValueError: the builder failed, or left another number of files than one.
    """
    commands = {
        "wheel": [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(target)],
        "sdist": [sys.executable, "-m", "hatchling", "build", "-t", "sdist", "-d", str(target)],
        "collection": [str(BIN / "ansible-galaxy"), "collection", "build", "--output-path", str(target)],
    }
    run(commands[kind], cwd=source, environment=environment)
    files = list(target.iterdir())
    if len(files) != 1:
        raise ValueError(f"building the {kind} left {len(files)} files")
    return files[0]


def metadata_faults(wheel: Mapping[str, Member]) -> list[str]:
    """Return what an index or pip would object to in a wheel's METADATA, one sentence each."""
    (content,) = (one.content for name, one in wheel.items() if name.endswith(".dist-info/METADATA"))
    try:
        metadata = Metadata.from_email(content, validate=True)
    except ExceptionGroup as group:
        return [str(one) for one in group.exceptions]
    found = (
        [] if metadata.description_content_type == "text/markdown" else ["the description is not said to be Markdown"]
    )
    found += [
        f"the licence file {name} is named, but not there"
        for name in metadata.license_files or []
        if not any(one.endswith(f"/licenses/{name}") for one in wheel)
    ]
    # What Metadata does not know is dropped in silence by most tools.
    if BytesParser().parsebytes(content).defects:
        found.append("METADATA is no well-formed message")
    return found


class Check:
    """One run: where things are, and what the steps hand to one another."""

    def __init__(self, work: Path) -> None:
        """Work below ``work``, an existing empty folder."""
        self.work = work
        self.environment = own_environment(work)
        self.packages: dict[str, Path] = {}

    def _build(self, kind: str, name: str, source: Path) -> Path:
        target = self.work / name
        target.mkdir()
        return build(kind, source, target, self.environment)

    def _venv(self, name: str, *requirements: str) -> Path:
        """Return the programs of a new virtual environment that holds these requirements and nothing else."""
        folder = self.work / name
        run([sys.executable, "-m", "venv", str(folder)], cwd=self.work, environment=self.environment)
        python = str(folder / "bin" / "python")
        run([python, "-m", "pip", "install", "--quiet", *requirements], cwd=self.work, environment=self.environment)
        run([python, "-m", "pip", "check"], cwd=self.work, environment=self.environment)
        return folder / "bin"

    def _use(self, programs: Path, collection: Path, name: str, **environment: str) -> str:
        scratch = self.work / name
        scratch.mkdir()
        return Installed(programs, collection, scratch, {**self.environment, **environment}).check()

    def builds(self) -> str:
        """Build everything twice: bytes of the wheel and the sdist, content of the collection."""
        first, second = self.work / "source", self.work / "elsewhere" / "deeper"
        copy_source(first)
        shutil.copytree(first, second, symlinks=True)
        for path in second.rglob("*"):
            # Other times and other rights, as another clone has them.
            if not path.is_symlink():
                os.utime(path, (1, 1))
                path.chmod(path.stat().st_mode & 0o700)
        members = {}
        for kind in ("wheel", "sdist", "collection"):
            self.packages[kind] = self._build(kind, kind, first)
            again = self._build(kind, f"{kind}-again", second)
            members[kind] = read_archive(self.packages[kind])
            _none(f"two builds of the {kind} differ", differences(members[kind], read_archive(again)))
            if kind != "collection" and self.packages[kind].read_bytes() != again.read_bytes():
                raise ValueError(f"two builds of the {kind} hold the same and differ in their bytes")
            own = {str(ROOT), str(self.work)}
            _none(f"the {kind} holds what it may not", faults(kind, members[kind], own))
        _none("the wheel's metadata", metadata_faults(members["wheel"]))
        inside = {name.removeprefix(PREFIX): one for name, one in members["wheel"].items() if name.startswith(PREFIX)}
        # ansible-galaxy writes MANIFEST.json in its place.
        inside.pop("galaxy.yml")
        both = {name: one for name, one in members["collection"].items() if name in inside}
        _none("the wheel and the collection hold different files", differences(inside, both))
        counts = ", ".join(f"{kind} {len(one)} entries" for kind, one in members.items())
        return f"{counts}; each built twice alike; no test, cache, link, secret or path of this machine"

    def sdist(self) -> str:
        """Build the wheel from the sdist, and let pip do the same in an empty environment."""
        unpacked = self.work / "unpacked"
        # By hand: the filters of tarfile came with Python 3.11.4. No name leaves the folder, as was seen above.
        for name, member in read_archive(self.packages["sdist"]).items():
            (unpacked / name).parent.mkdir(parents=True, exist_ok=True)
            if member.kind == "file":
                (unpacked / name).write_bytes(member.content)
        (source,) = unpacked.iterdir()
        wheel = self._build("wheel", "wheel-from-sdist", source)
        _none("the sdist builds another wheel", differences(*map(read_archive, (self.packages["wheel"], wheel))))
        if wheel.read_bytes() != self.packages["wheel"].read_bytes():
            raise ValueError("the wheel from the sdist holds the same and differs in its bytes")
        programs = self._venv("venv-sdist", str(self.packages["sdist"]))
        version = run([str(programs / "lastack"), "--version"], cwd=self.work, environment=self.environment)
        return f"the same bytes; pip installs it: {version.strip()}"

    def wheel(self) -> str:
        """Install the wheel into an empty environment with nothing else."""
        programs = self._venv("venv-wheel", str(self.packages["wheel"]))
        for arguments in (["--version"], ["explain", "close_wait.leak"]):
            run([str(programs / "lastack"), *arguments], cwd=self.work, environment=self.environment)
        (site,) = (programs.parent / "lib").glob("python3*/site-packages")
        return self._use(programs, site / PREFIX, "with-wheel")

    def collection(self) -> str:
        """Install the collection offline into an empty path, beside ansible-core and nothing else."""
        programs = self._venv("venv-core", "ansible-core")
        for name in ("jsonschema", "rich", "lastack"):
            if list((programs.parent / "lib").glob(f"python3*/site-packages/{name}*")):
                raise ValueError(f"{name} is here: this environment is not as empty as it should be")
        path = self.work / "collections"
        environment = {**self.environment, "ANSIBLE_COLLECTIONS_PATH": str(path)}
        galaxy = [str(programs / "ansible-galaxy"), "collection"]
        tarball = str(self.packages["collection"])
        run([*galaxy, "install", "--offline", "-p", str(path), tarball], cwd=self.work, environment=environment)
        run([*galaxy, "verify", "--offline", COLLECTION], cwd=self.work, environment=environment)
        return "verified; " + self._use(programs, path / PREFIX, "with-collection", ANSIBLE_COLLECTIONS_PATH=str(path))

    def bundle(self) -> str:
        """Build the agent's bundle from two clones and from what was installed, by every Python, and run it."""
        (site,) = (self.work / "venv-wheel/lib").glob("python3*/site-packages")
        places = {
            "a clone": self.work / "source/collections",
            "another clone": self.work / "elsewhere/deeper/collections",
            "the wheel": site,
            "the collection": self.work / "collections",
        }
        scratch = self.work / "bundle"
        scratch.mkdir()
        return check_bundles(build_bundles(places, controller_pythons()), pythons(), scratch)

    def execution_environment(self) -> str:
        """Let ansible-builder read the installed collection and the example, and install what it asks for."""
        pip, bindep = self.work / "pip.txt", self.work / "bindep.txt"
        introspect = [str(BIN / "ansible-builder"), "introspect", str(self.work / "collections")]
        introspect += ["--write-pip", str(pip), "--write-bindep", str(bindep)]
        run(introspect, cwd=self.work, environment=self.environment)
        wanted, asked = _requirements(pip), _requirements(self.work / "source/requirements.txt")
        # ansible-builder passes over PyYAML, which ansible-core brings.
        if wanted != [one for one in asked if not one.startswith("pyyaml")]:
            raise ValueError(f"ansible-builder reads {wanted}, requirements.txt says {asked}")
        if not bindep.read_text(encoding="utf-8").strip():
            raise ValueError("ansible-builder reads nothing from bindep.txt")
        example = self.work / "example"
        example.mkdir()
        shutil.copy2(self.work / "source/docs/execution-environment.yml", example)
        shutil.copy2(self.packages["collection"], example)
        create = [str(BIN / "ansible-builder"), "create", "-f", "execution-environment.yml"]
        run(create, cwd=example, environment=self.environment)
        if not list((example / "context/_build").rglob(self.packages["collection"].name)):
            raise ValueError("the example's build context does not hold the collection")
        self._venv("venv-requirements", "-r", str(self.work / "source/requirements.txt"))
        return f"{len(wanted)} Python requirements beside ansible-core, installed; the example gives a build context"

    def clone(self) -> str:
        """Make the audit in a fresh clone, twice: the second has nothing to set up."""
        clone = self.work / "clone"
        copy_source(clone)
        took = []
        for round_ in ("first", "second"):
            began = time.monotonic()
            done = subprocess.run(
                ["make", "audit"],
                check=False,
                cwd=clone,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=300,
            )
            took.append(f"{round_} {time.monotonic() - began:.0f} s")
            if done.returncode:
                raise ValueError(f"the {round_} make audit ended with status {done.returncode}:\n{done.stderr[-4000:]}")
        if done.stderr:
            raise ValueError(f"the second make audit set something up again:\n{done.stderr}")
        print(done.stdout)
        reports = list((clone / "lastack-runs").rglob("report.html"))
        if len(reports) != 2:
            raise ValueError(f"two make audits left {len(reports)} reports")
        return ", ".join(took)

    def steps(self) -> tuple[tuple[str, Callable[[], str]], ...]:
        """Return the steps in the order in which they build on one another."""
        return (
            ("build the wheel, the sdist and the collection", self.builds),
            ("the wheel from the sdist", self.sdist),
            ("the wheel in an empty environment", self.wheel),
            ("the collection alone, without the Python package", self.collection),
            ("the agent's bundle", self.bundle),
            ("an execution environment", self.execution_environment),
            ("make audit in a fresh clone, twice", self.clone),
        )


def _requirements(path: Path) -> list[str]:
    """Return the requirements of a file without comments, in one spelling, sorted."""
    lines = (line.partition("#")[0].strip() for line in path.read_text(encoding="utf-8").splitlines())
    return sorted(str(Requirement(line)).lower() for line in lines if line)


def _none(what: str, found: list[str]) -> None:
    if found:
        more = [f"and {len(found) - 20} more"] if len(found) > 20 else []
        raise ValueError("\n  ".join([f"{what}:", *found[:20], *more]))


def _end(_signal: int, _frame: object) -> NoReturn:
    sys.exit(143)


def main() -> int:
    """Make every step, say how long each took; return 1 at the first that fails."""
    # So that the folder goes away also when the caller's time is over.
    signal.signal(signal.SIGTERM, _end)
    with tempfile.TemporaryDirectory(prefix="lastack-packages-") as folder:
        for title, step in Check(Path(folder).resolve()).steps():
            began = time.monotonic()
            print(f"--- {title}", flush=True)
            try:
                said = step()
            except (ValueError, OSError, subprocess.TimeoutExpired) as error:
                print(f"{title}: FAILED: {error}", file=sys.stderr)
                return 1
            print(f"    {said} ({time.monotonic() - began:.1f} s)", flush=True)
    print("--- packages: all as it should be")
    return 0


if __name__ == "__main__":
    sys.exit(main())
