# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the gallery's runtimes, servers and libraries come from: the machine, Debian's archive, PyPI or npm.

What is not installed is fetched into the cache and unpacked there; nothing is installed on the machine. Each function
of ``TOOLCHAINS`` returns the words that an ``entry.toml`` may use in its commands, and raises ``NoProgram`` with one
sentence where the toolchain cannot be had.
"""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from certificate import certificate
from debian_jars import class_path
from debian_programs import NoProgram, unpacked
from go_program import go_root
from npm_packages import node_modules
from trust_store import PASSWORD, trust_store

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["TOOLCHAINS", "NoProgram", "words"]


def _installed(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        raise NoProgram(f"{name} is not installed")
    return found


def _python() -> dict[str, str]:
    """The interpreter of .venv, which has the client libraries (pyproject.toml pins them)."""
    return {"python": sys.executable}


def _java() -> dict[str, str]:
    """A JDK: its launcher compiles a single source file."""
    return {"java": _installed("java")}


def _httpclient4() -> dict[str, str]:
    """The class path of Apache HttpClient 4.5."""
    jars = ("httpclient.jar", "httpcore.jar", "commons-logging.jar", "commons-codec.jar")
    packages = ("libhttpclient-java", "libhttpcore-java", "libcommons-logging-java", "libcommons-codec-java")
    return {"httpclient4": class_path(jars, packages)}


def _okhttp() -> dict[str, str]:
    """The class path of OkHttp 3."""
    return {"okhttp": class_path(("okhttp.jar", "okio.jar"), ("libokhttp-java", "libokio-java"))}


def _trust_store() -> dict[str, str]:
    """The peers' certificate for ``-Djavax.net.ssl.trustStore``."""
    return {"trust_store": str(trust_store()), "trust_store_password": PASSWORD}


def _node() -> dict[str, str]:
    return {"node": _installed("node")}


def _undici() -> dict[str, str]:
    """``NODE_PATH`` for ``require('undici')``."""
    integrity = "sha512-EvRlUt/QqAEvXdQeRMYUfwOQsfzpDztykrG2owGEE/rBOBoYv9uF39ZzsNDh4lTFHhTr2XOZjKkYgueD12ZmGA=="
    return {"undici": str(node_modules("undici", "6.29.1", integrity))}


def _go() -> dict[str, str]:
    """``go_run`` builds a program and runs it: ``{python} {go_run} {go_root} NAME {program} …``."""
    root = go_root()
    run = str(Path(__file__).with_name("go_program.py"))
    return {"go": str(root / "bin" / "go"), "go_root": str(root), "go_run": run}


def _certificate() -> dict[str, str]:
    """Of 127.0.0.1: with its key for a peer, and the public part, which a program has to trust."""
    both, public = certificate()
    return {"certificate": str(both), "public_certificate": str(public)}


def _nginx() -> dict[str, str]:
    return {"nginx": str(_runs(unpacked("nginx", "nginx", "nginx-common")))}


def _haproxy() -> dict[str, str]:
    """HAProxy, and the folder for LD_LIBRARY_PATH (an installed one needs none)."""
    packages = ("haproxy", "liblua5.3-0", "libopentracing-c-wrapper0", "libopentracing1")
    program = _runs(unpacked("haproxy", *packages))
    return {"haproxy": str(program), "haproxy_libraries": _libraries(program)}


def _php() -> dict[str, str]:
    """PHP of the command line with its curl extension, which ``-n -d extension=`` loads without any php.ini."""
    packages = ("php8.2-cli", "php8.2-common", "php8.2-curl", "libargon2-1", "libcurl4", "libedit2", "libicu72")
    program = _runs(unpacked("php8.2", *packages, "libmagic1", "libsodium23", "libxml2"))
    found = sorted(program.parents[2].glob("usr/lib/php/2*/curl.so"))
    if not found:
        raise NoProgram(f"{program} has no curl extension: php8.2-curl is not installed")
    _runs(found[0], _libraries(program))
    return {"php": str(program), "php_libraries": _libraries(program), "php_curl": str(found[0])}


def _ruby() -> dict[str, str]:
    """Ruby and its standard library; RUBYLIB names the folders if it is not installed."""
    program = _runs(unpacked("ruby3.1", "ruby3.1", "libruby3.1", "libyaml-0-2", "libffi8", "libgmp10", "libedit2"))
    libraries = _libraries(program)
    folders = [program.parents[2] / "usr/lib/ruby/3.1.0", Path(libraries) / "ruby/3.1.0"] if libraries else []
    return {"ruby": str(program), "ruby_libraries": libraries, "rubylib": ":".join(map(str, folders))}


def _postgres() -> dict[str, str]:
    """The folder of PostgreSQL's server programs, and the one of its libraries for LD_LIBRARY_PATH."""
    installed = sorted(Path("/").glob("usr/lib/postgresql/*/bin/initdb"))
    if installed:
        return {"postgres": str(installed[-1].parent), "postgres_libraries": ""}
    packages = ("postgresql-common", "postgresql-15", "libpq5", "libicu72", "libldap-2.5-0", "libsasl2-2", "libxml2")
    # Of what Debian puts in /usr/bin; the programs themselves are below /usr/lib.
    common = unpacked("pg_ctlcluster", *packages)
    found = sorted(common.parents[2].glob("usr/lib/postgresql/*/bin/initdb"))
    if not found:
        raise NoProgram("the PostgreSQL server is not installed, only its postgresql-common")
    libraries = _libraries(common)
    for name in ("postgres", "initdb"):
        _runs(found[-1].with_name(name), libraries)
    return {"postgres": str(found[-1].parent), "postgres_libraries": libraries}


def _libraries(program: Path) -> str:
    """The folder of the shared libraries that were unpacked with it; empty if it is the machine's own program."""
    found = sorted(program.parents[2].glob("usr/lib/*-linux-gnu*")) if program.parents[2] != Path("/") else []
    return str(found[0]) if found else ""


def _runs(program: Path, libraries: str | None = None) -> Path:
    """The program, if all its shared libraries are there."""
    folder = _libraries(program) if libraries is None else libraries
    environment = {**os.environ, "LC_ALL": "C", "LD_LIBRARY_PATH": folder}
    done = subprocess.run(["ldd", str(program)], check=False, capture_output=True, text=True, env=environment)
    missing = [line.split()[0] for line in done.stdout.splitlines() if "not found" in line]
    if missing:
        raise NoProgram(f"{program.name} lacks {', '.join(missing)}")
    return program


TOOLCHAINS: dict[str, Callable[[], dict[str, str]]] = {
    "python": _python,
    "java": _java,
    "httpclient4": _httpclient4,
    "okhttp": _okhttp,
    "trust_store": _trust_store,
    "node": _node,
    "undici": _undici,
    "go": _go,
    "certificate": _certificate,
    "nginx": _nginx,
    "postgres": _postgres,
    "haproxy": _haproxy,
    "php": _php,
    "ruby": _ruby,
}

_asked = {name: functools.cache(function) for name, function in TOOLCHAINS.items()}


def words(needs: Sequence[str]) -> dict[str, str]:
    """Return the words of all these toolchains.

    Raises:
        NoProgram: one of them cannot be had here; the message is one sentence.
    """
    found: dict[str, str] = {}
    for name in needs:
        found |= _asked[name]()
    return found
