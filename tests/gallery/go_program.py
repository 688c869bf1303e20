# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Build a Go program of the gallery once, and run it in this process's place.

The binary stands below the cache, by the content of its source, and is called as the application is: a fix does not
rename it. It is static (no cgo), as most Go programs in containers are; ``--stripped`` leaves symbols and DWARF out.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

# A program of the stage has only its own folder on the path.
sys.path.append(str(Path(__file__).resolve().parents[2] / "scripts"))

from debian_programs import NoProgram, unpacked
from tool_cache import cache_folder, locked

__all__ = ["binary", "go_root"]

_PACKAGES = ("golang-go", "golang-1.19-go", "golang-1.19-src")
_FLAGS = ("-trimpath",)
_BUILD_S = 600


def go_root() -> Path:
    """Return GOROOT: the machine's own Go, or Debian's in the cache, with the standard library compiled.

    Raises:
        NoProgram: there is neither.
    """
    go = unpacked("go", *_PACKAGES)
    root = Path(_go(go, None, "env", "GOROOT").strip()) if go.parent.parent == Path("/usr") else go.resolve().parents[1]
    # What takes long is done before a program has to answer in time.
    _go(go, root, "build", *_FLAGS, "encoding/json", "net/http")
    return root


def binary(root: Path, source: Path, name: str, *, stripped: bool) -> Path:
    """Return the path of the program that is built from this source file, called ``name``.

    Raises:
        NoProgram: it does not compile; the message is the compiler's.
    """
    flags = [*_FLAGS, *(["-ldflags=-s -w"] if stripped else [])]
    key = hashlib.sha256(f"{(root / 'VERSION').read_text('ascii')} {flags} ".encode() + source.read_bytes())
    folder = cache_folder("go") / "programs"
    folder.mkdir(exist_ok=True)
    path = folder / key.hexdigest()[:16] / name
    with locked(folder):
        if not path.exists():
            # Who was killed while it built has left its folder; nobody else builds now.
            for left in folder.glob("building-*"):
                shutil.rmtree(left, ignore_errors=True)
            with tempfile.TemporaryDirectory(dir=folder, prefix="building-") as scratch:
                made = Path(scratch) / name
                _go(root / "bin" / "go", root, "build", *flags, "-o", str(made), str(source))
                path.parent.mkdir(exist_ok=True)
                made.replace(path)
    return path


def _go(go: Path, root: Path | None, *arguments: str) -> str:
    cache = cache_folder("go")
    environment = {
        **os.environ,
        **({"GOROOT": str(root)} if root else {}),
        "CGO_ENABLED": "0",
        "GOCACHE": str(cache / "build"),
        "GOENV": "off",
        "GOFLAGS": "-mod=mod",
        "GOPATH": str(cache / "path"),
        "GOPROXY": "off",
        "GOTOOLCHAIN": "local",
    }
    try:
        done = subprocess.run(
            [str(go), *arguments],
            check=False,
            capture_output=True,
            text=True,
            errors="replace",
            env=environment,
            timeout=_BUILD_S,
        )
    except subprocess.TimeoutExpired as error:
        raise NoProgram(f"go {arguments[0]} did not end within {_BUILD_S} s") from error
    if done.returncode:
        raise NoProgram(f"go {arguments[0]}: {done.stderr.strip()}")
    return done.stdout


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("root", type=Path, help="GOROOT")
    parser.add_argument("name", help="of the binary")
    parser.add_argument("source", type=Path)
    parser.add_argument("arguments", nargs="*")
    parser.add_argument("--stripped", action="store_true")
    options = parser.parse_args()
    program = binary(options.root, options.source, options.name, stripped=options.stripped)
    os.execv(program, [str(program), *options.arguments])
