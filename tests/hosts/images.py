# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Root trees of test hosts: built once by mmdebstrap from Debian packages, kept by the hash of their recipe.

A tree is the read-only lower layer of every host of its suite. Its files belong to the user namespace that hosts run
in (``UID_BASE``), so that nothing has to be copied or mapped when a host boots.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import stat
import subprocess
import sys
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = [
    "SUITES",
    "UID_BASE",
    "UID_COUNT",
    "ImageError",
    "cache_folder",
    "image",
    "locked",
    "mirrors",
    "why_no_suite",
]

SUITES = {"bullseye": "3.9", "bookworm": "3.11", "trixie": "3.13"}
"""Debian suite to its Python."""
UID_BASE = 1_000_000
UID_COUNT = 65_536
PACKAGES = (
    "systemd",
    "systemd-sysv",
    "dbus",
    "openssh-server",
    "python3",
    "python3-apt",
    "sudo",
    "iproute2",
    "procps",
    "login",
    "libpam-modules",
)
ARCHIVE = "http://archive.debian.org/debian"
"""Where suites are that have left the mirrors."""
_CUSTOMISE = Path(__file__).resolve().parent / "customise.sh"
_OPTIONS = ('Acquire::Check-Valid-Until "false"', 'Acquire::Languages "none"', 'APT::Install-Recommends "false"')
_BUILD_S = 900.0
_NEEDED = ("mmdebstrap", "setpriv", "unshare")


class ImageError(Exception):
    """An image cannot be had; the text is one sentence."""


def cache_folder() -> Path:
    """Return the folder of everything that outlives a lab; made if it is not there."""
    base = os.environ.get("LASTACK_CACHE")
    if not base:
        base = str(Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "lastack")
    folder = Path(base).absolute() / "hosts"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    return folder


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock ``path`` against every process of this machine that uses the same cache."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def mirrors() -> list[str]:
    """Return where Debian packages may come from, the best first; an empty one is mmdebstrap's own choice."""
    found = [os.environ["LASTACK_DEBIAN_MIRROR"]] if os.environ.get("LASTACK_DEBIAN_MIRROR") else []
    command = ["apt-get", "indextargets", "--no-release-info", "--format", "$(SITE) $(RELEASE)"]
    try:
        lines = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout.splitlines()
    except (OSError, subprocess.SubprocessError):
        lines = []
    for line in lines:
        site, __, release = line.strip().partition(" ")
        # Security and update suites have no base system; other distributions' mirrors have none of our suites.
        if "debian" in site and "-" not in release and not release.endswith("/updates"):
            found.append(site.rstrip("/"))
    return list(dict.fromkeys([*found, "", ARCHIVE]))


def recipe_hash(suite: str) -> str:
    """Return what names a tree: the same for the same suite, packages, options and customisation."""
    parts = (suite, *PACKAGES, *_OPTIONS, str(UID_BASE), _CUSTOMISE.read_text(encoding="utf-8"))
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]


def image(suite: str) -> Path:
    """Return the root tree of a suite; builds it first where the cache has none. Raises ``ImageError``."""
    if suite not in SUITES:
        raise ImageError(f"There is no suite {suite!r}: it must be one of {', '.join(SUITES)}.")
    folder = cache_folder() / "images"
    folder.mkdir(exist_ok=True, mode=0o700)
    tree = folder / f"{suite}-{recipe_hash(suite)}"
    if tree.is_dir():
        return tree
    with locked(folder / f"{suite}.lock"):
        if not tree.is_dir():
            for left in folder.glob(f"{suite}-*.tmp"):
                shutil.rmtree(left)
            new = folder / f"{tree.name}.tmp"
            new.mkdir()
            try:
                _build(suite, new / "tree")
                (new / "tree").rename(tree)
            finally:
                shutil.rmtree(new, ignore_errors=True)
    return tree


def _build(suite: str, tree: Path) -> None:
    if os.geteuid():
        raise ImageError(f"The image of {suite} cannot be built: that needs root.")
    missing = [name for name in _NEEDED if not shutil.which(name)]
    if missing:
        raise ImageError(f"The image of {suite} cannot be built: not installed: {', '.join(missing)}.")
    if sys.stderr.isatty():
        sys.stderr.write(f"Building the image of {suite}; this happens once.\n")
    reason = ""
    for mirror in mirrors():
        shutil.rmtree(tree, ignore_errors=True)
        reason = _bootstrap(suite, tree, mirror) or ""
        if not reason:
            _shift(tree)
            subprocess.run(["sync", "-f", str(tree)], check=True)
            return
    raise ImageError(f"The image of {suite} cannot be built: {reason}.")


def _bootstrap(suite: str, tree: Path, mirror: str) -> str:
    """Run mmdebstrap; return its last complaint, empty if there was none."""
    # In namespaces of its own: whatever ends the build ends all of it, and no mount of it is ever the machine's.
    command = ["setpriv", "--pdeathsig", "KILL", "unshare", "--mount", "--pid", "--fork", "--kill-child"]
    command += ["--mount-proc", "--", "mmdebstrap", "--mode=root", "--format=directory", "--variant=minbase"]
    command += [f"--include={','.join(PACKAGES)}", *(f"--aptopt={option}" for option in _OPTIONS)]
    command += [f"--customize-hook={_CUSTOMISE}", suite, str(tree), *([mirror] if mirror else [])]
    environment = {**os.environ, "LC_ALL": "C.UTF-8", "DEBIAN_FRONTEND": "noninteractive", "TMPDIR": str(tree.parent)}
    try:
        done = subprocess.run(
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            check=False,
            timeout=_BUILD_S,
        )
    except subprocess.TimeoutExpired:
        return f"mmdebstrap took more than {_BUILD_S:.0f} s"
    if done.returncode == 0:
        return ""
    (cache_folder() / f"build-{suite}.log").write_text(done.stdout, encoding="utf-8")
    complaints = [line for line in done.stdout.splitlines() if line.startswith(("E:", "useradd:", "chroot:"))]
    return complaints[0].removeprefix("E: ").rstrip(".") if complaints else f"mmdebstrap ended with {done.returncode}"


def _shift(tree: Path) -> None:
    """Give every file to the hosts' user namespace; chown(2) takes setuid bits away, so they are set again."""
    paths = [str(tree)]
    for folder, folders, files in os.walk(tree):
        paths += [os.path.join(folder, name) for name in (*folders, *files)]  # noqa: PTH118 - nine thousand of them
    done = set()
    for path in paths:
        status = os.lstat(path)
        if (status.st_ino, status.st_dev) in done:
            continue
        done.add((status.st_ino, status.st_dev))
        os.lchown(path, status.st_uid + UID_BASE, status.st_gid + UID_BASE)
        if not stat.S_ISLNK(status.st_mode):
            os.chmod(path, stat.S_IMODE(status.st_mode))  # noqa: PTH101 - the same


@cache
def why_no_suite(suite: str) -> str:
    """Return why a suite's image cannot be had, one sentence; empty if it can. Builds it where it must."""
    try:
        image(suite)
    except ImageError as error:
        return str(error)
    return ""
