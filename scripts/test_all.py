# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run every test that this machine can run, and say what it cannot run and why.

A suite ends in one of four ways: ``passed``; ``FAILED``; ``DID NOT RUN`` (this machine can run it, and yet no test of
it ran: a failure); ``cannot run`` with the reason (no failure). As root on Debian and Ubuntu the programs that the
suites need are installed first, unless ``LASTACK_NO_APT`` is set.
"""

from __future__ import annotations

import argparse
import collections
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ET
from dataclasses import dataclass, field
from pathlib import Path

from tool_cache import pythons

__all__ = ["Outcome", "Suite", "judge", "main", "read_failures", "read_junit", "suites"]

ROOT = Path(__file__).resolve().parent.parent
BIN = Path(sys.executable).parent
PACKAGE = "ansible_collections.lastack.linux.plugins"

PACKAGES = {
    "chromium": "chromium",
    "crun": "crun",
    # Without recommended packages gcc comes without headers and libc.a.
    "gcc": "gcc libc6-dev",
    "ip": "iproute2",
    "java": "default-jdk-headless",
    # Ubuntu has no key of Debian's archive unless asked.
    "mmdebstrap": "mmdebstrap debian-archive-keyring",
    "netstat": "net-tools",
    "node": "nodejs",
    "nsenter": "util-linux",
    "openssl": "openssl",
    "perl": "perl-base",
    "ps": "procps",
    "setpriv": "util-linux",
    "ss": "iproute2",
    "ssh": "openssh-client",
    "ssh-keygen": "openssh-client",
    "sshd": "openssh-server",
    "sysctl": "procps",
    "unshare": "util-linux",
}
"""Program to Debian packages."""
HOSTS = ("crun", "ip", "mmdebstrap", "nsenter", "setpriv", "ssh", "ssh-keygen", "unshare")
"""What the test hosts are made with."""
_FAILURE_LINES = 8
_FAILURE_LETTERS = 2000
ALIASES = {"chromium": ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")}


@dataclass(frozen=True)
class Suite:
    """One line of the table: a command, or a pytest run over ``paths``."""

    name: str
    group: str
    command: tuple[str, ...] = ()
    paths: tuple[str, ...] = ()
    programs: tuple[str, ...] = ()
    root: bool = False
    environment: dict[str, str] = field(default_factory=dict)
    limit_s: int = 900


@dataclass
class Outcome:
    """How a suite ended; counts are ``None`` where the suite counts nothing."""

    suite: str
    result: str
    seconds: float = 0.0
    passed: int | None = None
    failed: int | None = None
    skipped: int | None = None
    reason: str = ""
    skips: dict[str, int] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)
    """Test to what it said: its own words, many lines above the closing table, may be lost in a long log."""

    @property
    def bad(self) -> bool:
        """Whether this outcome fails the whole run."""
        return self.result in {"FAILED", "DID NOT RUN"}


def find_program(name: str) -> str | None:
    """Return the path of a program, also from the folders that only root's PATH holds."""
    path = os.pathsep.join([str(BIN), os.environ.get("PATH", ""), "/usr/sbin", "/sbin"])
    return next((found for alias in ALIASES.get(name, (name,)) if (found := shutil.which(alias, path=path))), None)


def _mypy(name: str, python: str, *what: str, path: str = "collections") -> Suite:
    command = (str(BIN / "mypy"), "--python-version", python, *what)
    return Suite(name, "lint", command, environment={"MYPYPATH": path})


def _shell_scripts() -> list[str]:
    folders = ("scripts", ".ci", "tests/hosts")
    files = [path for folder in folders for path in sorted((ROOT / folder).iterdir()) if path.is_file()]
    return [str(path.relative_to(ROOT)) for path in files if _is_shell(path)]


def _is_shell(path: Path) -> bool:
    first = path.read_bytes()[:40].splitlines()[:1]
    return bool(first) and first[0].startswith(b"#!") and first[0].endswith(b"sh")


def _molecule_programs() -> list[str]:
    """Return what the scenarios put on their hosts."""
    return [str(path.relative_to(ROOT)) for path in sorted((ROOT / "molecule").glob("*/files/*.py"))]


def _docs_lint() -> tuple[str, ...]:
    """Lint the markup of all plugins and roles; references may lead to this collection and to ansible.builtin."""
    options = ("--plugin-docs", "--validate-collection-refs=self", "--disallow-unknown-collection-refs")
    return (str(BIN / "antsibull-docs"), "lint-collection-docs", *options, ".")


def suites() -> list[Suite]:
    """Return every suite, in the order in which they run."""
    tools = [
        Suite("ruff check", "lint", (str(BIN / "ruff"), "check", ".")),
        Suite("ruff format", "lint", (str(BIN / "ruff"), "format", "--check", ".")),
        _mypy("mypy targets 3.9", "3.9", "-p", f"{PACKAGE}.module_utils", "-p", f"{PACKAGE}.modules"),
        _mypy("mypy agent 3.9", "3.9", "-p", f"{PACKAGE.rpartition('.')[0]}.agent"),
        _mypy("mypy controller 3.11", "3.11", "-p", f"{PACKAGE}.plugin_utils", "-p", f"{PACKAGE}.action"),
        _mypy("mypy sweep 3.11", "3.11", "-p", f"{PACKAGE.rpartition('.')[0]}.sweep"),
        _mypy("mypy scripts", "3.11", "scripts", path="collections:scripts"),
        _mypy("mypy molecule", "3.11", "--strict", "molecule/scenario_hosts.py"),
        _mypy("mypy molecule programs", "3.9", "--strict", *_molecule_programs()),
        _mypy("mypy bench", "3.11", "bench", path="collections:bench:scripts:tests/hosts:tests/fleet"),
    ]
    # One run a folder: every folder has a conftest.py.
    tools += [
        _mypy(
            f"mypy tests/{folder}",
            "3.11",
            "--config-file=tests/mypy.ini",
            f"tests/{folder}",
            path=f"collections:bench:scripts:tests/agent:tests/fleet:tests/hosts:tests/programs:tests/{folder}",
        )
        for folder in (
            "unit",
            "kernel",
            "integration",
            "agent",
            "gallery",
            "browser",
            "fleet",
            "hosts",
            "matrix",
            "programs",
        )
        if list((ROOT / "tests" / folder).glob("*.py"))
    ]
    tools += [
        Suite("ansible-lint", "lint", (str(BIN / "ansible-lint"), "--offline", "--profile", "production", "--nocolor")),
        Suite("yamllint", "lint", (str(BIN / "yamllint"), "--strict", ".")),
        Suite("shellcheck", "lint", (str(BIN / "shellcheck"), *_shell_scripts())),
        Suite("changelog", "lint", (sys.executable, "scripts/check_changelog.py")),
        Suite("page excerpts", "lint", (sys.executable, "scripts/page_excerpts.py")),
    ]
    sanity = [
        Suite("ansible-test sanity", "sanity", (sys.executable, "scripts/check_sanity.py")),
        Suite("antsibull-docs", "sanity", _docs_lint()),
        Suite("galaxy importer", "sanity", (sys.executable, "scripts/check_galaxy.py")),
    ]
    site = next(iter((BIN.parent / "lib").glob("python3*/site-packages")), None)
    imports = [
        Suite(f"import on {one.version}", "import", (str(one.path), "scripts/smoke_imports.py", str(site)), limit_s=60)
        for one in pythons()
    ]
    return [
        *tools,
        *imports,
        *sanity,
        Suite("site", "site", (sys.executable, "scripts/build_site.py")),
        Suite("unit", "unit", paths=("tests/unit",)),
        Suite(
            "kernel",
            "kernel",
            paths=("tests/kernel",),
            programs=("ip", "java", "node", "openssl", "ps", "ss", "sysctl", "unshare"),
            root=True,
        ),
        Suite("integration", "integration", paths=("tests/integration",), programs=("ip", "ssh", "sshd"), root=True),
        # Prometheus and node_exporter are no programs to install: Debian's packages start them as services.
        Suite("agent", "agent", paths=("tests/agent",), programs=("setpriv", "unshare"), root=True),
        # Its other runtimes, libraries and servers are unpacked below the cache, not installed.
        Suite(
            "gallery",
            "gallery",
            paths=("tests/gallery",),
            programs=("gcc", "java", "node", "openssl", "perl", "setpriv", "ss", "unshare"),
            root=True,
            limit_s=1200,
        ),
        Suite("browser", "browser", paths=("tests/browser",), programs=("chromium",)),
        # Its hosts are sshd's in namespaces; sudo and old distributions come from the images of the test hosts.
        Suite("fleet", "fleet", paths=("tests/fleet",), programs=(*HOSTS, "sshd"), root=True),
        Suite("hosts", "hosts", paths=("tests/hosts",), programs=HOSTS, root=True, limit_s=1800),
        Suite("matrix", "matrix", paths=("tests/matrix",), programs=HOSTS, root=True),
        Suite(
            "molecule",
            "molecule",
            (str(BIN / "molecule"), "test", "--all"),
            programs=HOSTS,
            root=True,
            # Molecule names its folders after the clone's base name: two clones would end each other's hosts.
            environment={"ANSIBLE_HOME": str(ROOT / ".ansible")},
            limit_s=1800,
        ),
    ]


def install_programs(wanted: list[Suite]) -> None:
    """Install the missing programs of ``wanted`` where that is possible: root, apt-get, no ``LASTACK_NO_APT``."""
    missing = sorted({name for suite in wanted for name in suite.programs if find_program(name) is None})
    if not missing or os.geteuid() != 0 or shutil.which("apt-get") is None or os.environ.get("LASTACK_NO_APT"):
        return
    packages = sorted({package for name in missing for package in PACKAGES[name].split()})
    print(f"Installing {' '.join(packages)} for {', '.join(missing)} ...", flush=True)
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    update = ["apt-get", "update", "-q"]
    install = ["apt-get", "install", "-y", "-q", "--no-install-recommends", *packages]
    for command in (update, install):
        done = subprocess.run(command, check=False, env=environment, stdin=subprocess.DEVNULL, capture_output=True)
        if done.returncode:
            print(done.stderr.decode(errors="replace")[-2000:], flush=True)


def why_not(suite: Suite) -> str:
    """Return why this machine cannot run ``suite``, or an empty string."""
    reasons = []
    if suite.root:
        if os.geteuid() != 0:
            reasons.append("needs root")
        else:
            tried = subprocess.run(["unshare", "--net", "--", "true"], check=False, capture_output=True, text=True)
            if tried.returncode:
                reasons.append(f"needs private network namespaces ({tried.stderr.strip()})")
    missing = sorted({PACKAGES[name] for name in suite.programs if find_program(name) is None})
    if missing:
        reasons.append(f"needs the packages {', '.join(missing)}")
    return "; ".join(reasons)


def read_junit(path: Path) -> tuple[int, int, int, dict[str, int]]:
    """Return passed, failed and skipped tests, and the skips' reasons with their number, from pytest's JUnit file."""
    passed = failed = skipped = 0
    reasons: collections.Counter[str] = collections.Counter()
    for case in ET.parse(path).iter("testcase"):  # noqa: S314 - written by pytest a moment ago
        skip = case.find("skipped")
        if case.find("failure") is not None or case.find("error") is not None:
            failed += 1
        elif skip is not None:
            skipped += 1
            reasons[skip.get("message", "no reason given")] += 1
        else:
            passed += 1
    return passed, failed, skipped, dict(reasons)


def read_failures(path: Path) -> dict[str, str]:
    """Return the failed tests of pytest's JUnit file and the last lines of what each of them said."""
    found = {}
    for case in ET.parse(path).iter("testcase"):  # noqa: S314 - written by pytest a moment ago
        for said in (case.find("failure"), case.find("error")):
            if said is not None:
                text = "\n".join([said.get("message") or "", *(said.text or "").splitlines()[-_FAILURE_LINES:]])
                found[f"{case.get('classname')}::{case.get('name')}"] = text[:_FAILURE_LETTERS]
    return found


def judge(status: int, passed: int, failed: int) -> str:
    """Return the result of a pytest run; status 5 is pytest's "no tests collected"."""
    if failed or status not in {0, 5}:
        return "FAILED"
    return "passed" if passed else "DID NOT RUN"


def _run(command: list[str], environment: dict[str, str], limit_s: int) -> int:
    """Run in a process group of its own and end that group, and only that, when the time is over."""
    process = subprocess.Popen(
        command, cwd=ROOT, env={**os.environ, **environment}, stdin=subprocess.DEVNULL, start_new_session=True
    )
    try:
        return process.wait(limit_s)
    except subprocess.TimeoutExpired:
        print(f"stopped after {limit_s} s: {' '.join(command)}", flush=True)
        return 124
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGTERM)
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


def run_suite(suite: Suite) -> Outcome:
    """Run one suite, its output straight to the terminal."""
    reason = why_not(suite)
    if reason:
        return Outcome(suite.name, "cannot run", reason=reason)
    print(f"\n=== {suite.name}", flush=True)
    environment = {"PATH": os.pathsep.join([str(BIN), os.environ.get("PATH", "")]), **suite.environment}
    start = time.monotonic()
    if suite.command:
        if not Path(suite.command[0]).exists():
            return Outcome(suite.name, "DID NOT RUN", reason=f"{suite.command[0]} is missing: run make dev")
        status = _run(list(suite.command), environment, suite.limit_s)
        return Outcome(suite.name, "FAILED" if status else "passed", time.monotonic() - start)
    if not any(list((ROOT / path).glob("test_*.py")) for path in suite.paths):
        return Outcome(suite.name, "DID NOT RUN", reason=f"no test files in {' '.join(suite.paths)}")
    with tempfile.TemporaryDirectory() as folder:
        junit = Path(folder) / "junit.xml"
        # No cache and no colour: two runs in one clone must not meet, and the output goes to a log.
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--junitxml={junit}", *suite.paths]
        status = _run(command, environment, suite.limit_s)
        passed, failed, skipped, skips = read_junit(junit) if junit.exists() else (0, 0, 0, {})
        failures = read_failures(junit) if junit.exists() else {}
    result = judge(status, passed, failed)
    reason = {"DID NOT RUN": "no test of it ran", "FAILED": f"pytest ended with status {status}"}.get(result, "")
    return Outcome(suite.name, result, time.monotonic() - start, passed, failed, skipped, reason, skips, failures)


def table(outcomes: list[Outcome]) -> str:
    """Return the closing table as text."""
    lines = [f"{'suite':<24} {'result':<12} {'passed':>7} {'failed':>7} {'skipped':>7} {'seconds':>8}"]
    for one in outcomes:
        counts = " ".join(f"{'-' if value is None else value:>7}" for value in (one.passed, one.failed, one.skipped))
        note = f"  {one.reason}" if one.reason else ""
        lines.append(f"{one.suite:<24} {one.result:<12} {counts} {one.seconds:>8.1f}{note}")
        lines += [f"{'':<24} skipped {number}: {why}" for why, number in one.skips.items()]
    for one in outcomes:
        for test, said in one.failures.items():
            lines += ["", f"FAILED {test}", *(f"    {line}" for line in said.splitlines())]
    return "\n".join(lines)


def main(arguments: list[str]) -> int:
    """Run what was asked for; return 1 if anything failed or did not run though it could."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    groups = list(dict.fromkeys(suite.group for suite in suites()))
    parser.add_argument("--only", action="append", choices=groups, help="run only this group (may be repeated)")
    parser.add_argument("--summary", type=Path, help="write the outcomes as JSON here, too")
    options = parser.parse_args(arguments)
    # A shell's background job starts with Ctrl-C ignored, and the programs under test would ignore it, too.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    wanted = [suite for suite in suites() if not options.only or suite.group in options.only]
    install_programs(wanted)
    outcomes = [run_suite(suite) for suite in wanted]
    print(f"\n{table(outcomes)}", flush=True)
    if options.summary:
        options.summary.write_text(json.dumps([vars(one) for one in outcomes], indent=1), encoding="utf-8")
    bad = [one.suite for one in outcomes if one.bad]
    print(f"\nFAILED: {', '.join(bad)}" if bad else "\nAll that this machine can run has passed.", flush=True)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
