# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the machine's own ``ssh -G`` says of a host: ssh_config(5) with everything that only ssh itself can work out."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from ansible_collections.lastack.linux.plugins.plugin_utils.plain_text import one_line
from ansible_collections.lastack.linux.sweep.ssh_options import SettingsError
from ansible_collections.lastack.linux.sweep.ssh_tokens import home

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["FOLLOWED", "OLD_NAMES", "SYSTEM_FILE", "Answer", "ask_ssh", "ssh_program"]

Answer = dict[str, tuple[str, ...]]
"""The values of each option by its name in lower case, one for each line of ``ssh -G``."""

FOLLOWED = frozenset(
    {
        "addressfamily",
        "bindaddress",
        "bindinterface",
        "casignaturealgorithms",
        "certificatefile",
        "ciphers",
        "connecttimeout",
        "globalknownhostsfile",
        "hashknownhosts",
        "hostkeyalgorithms",
        "hostkeyalias",
        "hostname",
        "identitiesonly",
        "identityagent",
        "identityfile",
        "kbdinteractiveauthentication",
        "kexalgorithms",
        "knownhostscommand",
        "macs",
        "passwordauthentication",
        "pkcs11provider",
        "port",
        "preferredauthentications",
        "proxycommand",
        "proxyjump",
        "proxyusefdpass",
        "pubkeyacceptedalgorithms",
        "pubkeyauthentication",
        "remotecommand",
        "requiredrsasize",
        "revokedhostkeys",
        "serveralivecountmax",
        "serveraliveinterval",
        "stricthostkeychecking",
        "user",
        "userknownhostsfile",
    }
)
"""The options of ssh_config(5) that the settings of a connection are made of."""

OLD_NAMES = {
    "pubkeyacceptedkeytypes": "pubkeyacceptedalgorithms",
    "challengeresponseauthentication": "kbdinteractiveauthentication",
    "skeyauthentication": "kbdinteractiveauthentication",
    "dsaauthentication": "pubkeyauthentication",
}
"""Other names of the same."""

SYSTEM_FILE = "/etc/ssh/ssh_config"

_WAIT_S = 20.0
_MOST = 1024
# %C is ssh's own digest; this way it stands in the answer.
_ALWAYS = ("-G", "-T", "-v", "-o", "ControlPath=/%C")
_KEPT = FOLLOWED | {"host", "controlpath", "sessiontype"}
_READING = "debug1: Reading configuration data "
_NOISE = ("debug", "OpenSSH_", "Warning:", "Pseudo-terminal")
# Any other name ssh may take apart (user@host), put in lower case or write anew.
_PLAIN_NAME = re.compile(r"(?!-)[a-z0-9.-]+\Z")
_WORD = re.compile(r"[^\s=\"]+")
# ssh -G leaves the tokens of these as they are.
_LEFT_ALONE = frozenset({"proxycommand", "identityfile"})


def ssh_program() -> str | None:
    """Return the path of the machine's ssh; None if it has none."""
    return shutil.which("ssh")


def ask_ssh(program: str, arguments: Sequence[str], host: str) -> Answer:
    """Return what ``ssh -G`` answers for ``host`` with these arguments; raises ``SettingsError`` with its complaint.

    ``controlpath``, if there, is the token %C after a slash. Hosts share one answer where no file and no argument can
    tell them apart; any other host costs one process of a few milliseconds, once.
    """
    key = (program, *arguments, *_stamps(arguments))
    with _LOCK:
        asked = _ASKED.get(key)
        if asked is None:
            if len(_ASKED) >= _MOST:
                _ASKED.clear()
            asked = _ASKED[key] = _Asked(program, tuple(arguments))
    return asked.answer(host)


class _Asked:
    """The answers for one line of arguments."""

    def __init__(self, program: str, arguments: tuple[str, ...]) -> None:
        self._program = program
        self._arguments = arguments
        self._lock = threading.Lock()
        self._differ = any(_may_differ(argument) for argument in arguments)
        self._for_all: Answer | None = None
        self._single: dict[str, Answer] = {}

    def answer(self, host: str) -> Answer:
        """Return the answer for ``host``, thread-safe."""
        single = self._single.get(host)
        if single is not None:
            return single
        if not self._differ and _PLAIN_NAME.match(host):
            with self._lock:
                if self._for_all is None and not self._differ:
                    return self._first(host)
            shared = self._for_all
            # ssh refuses a host that is its own jump host.
            if shared is not None and host not in "".join(shared.get("proxyjump", ())):
                return {**shared, "host": (host,), "hostname": (host,)}
        return self._kept(host, _run(self._program, self._arguments, host)[0])

    def _first(self, host: str) -> Answer:
        answer, files = _run(self._program, self._arguments, host)
        if answer.get("hostname") == (host,) and not any(_tells_apart(file) for file in files):
            self._for_all = {name: values for name, values in answer.items() if name != "controlpath"}
        else:
            self._differ = True
        return self._kept(host, answer)

    def _kept(self, host: str, answer: Answer) -> Answer:
        if len(self._single) >= _MOST:
            self._single.clear()
        self._single[host] = answer
        return answer


_LOCK = threading.Lock()
_ASKED: dict[tuple[object, ...], _Asked] = {}


def _run(program: str, arguments: Sequence[str], host: str) -> tuple[Answer, list[str]]:
    """Return the answer of one ``ssh -G``, and the files that it has read."""
    try:
        done = subprocess.run(  # noqa: S603 - the machine's ssh; every argument stands for itself, no shell is asked
            [program, *_ALWAYS, *arguments, "--", host],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            errors="surrogateescape",
            timeout=_WAIT_S,
            check=False,
            # Ctrl-C is for the sweep.
            start_new_session=True,
        )
    except subprocess.TimeoutExpired:
        raise SettingsError(
            f"ssh -G did not say within {_WAIT_S:g} s what its configuration has for this host"
        ) from None
    except (OSError, ValueError) as error:
        raise SettingsError(f"ssh -G cannot be run: {one_line(str(error), 120)}") from None
    complaints = done.stderr.splitlines()
    if done.returncode:
        said = next((line for line in complaints if line.strip() and not line.startswith(_NOISE)), "no reason given")
        raise SettingsError(f"ssh takes no such settings: {one_line(_placed(said), 240)}")
    answer: dict[str, list[str]] = {}
    for line in done.stdout.splitlines():
        name, __, value = line.partition(" ")
        name = OLD_NAMES.get(name.lower(), name.lower())
        if name in _KEPT:
            # Thousands of hosts have the same lists of algorithms.
            answer.setdefault(name, []).append(sys.intern(value))
    files = [line.removeprefix(_READING).strip() for line in complaints if line.startswith(_READING)]
    return {name: tuple(values) for name, values in answer.items()}, files


def _placed(complaint: str) -> str:
    """Say where an option of the command line comes from: the operator has typed none of it."""
    return re.sub(r"^command-line:?( line \d+)?: ?", "in the host's ssh arguments and variables: ", complaint).rstrip(
        "."
    )


def _tells_apart(path: str) -> bool:
    try:
        lines = Path(path).read_text("utf-8", errors="replace").splitlines()
    except OSError:
        return True
    return any(_may_differ(line) for line in lines)


def _may_differ(line: str) -> bool:
    """Tell whether a line of a file, or an argument, may mean something else for another host."""
    words = _WORD.findall(line)
    if not words or line.lstrip().startswith("#"):
        return False
    name = words[0].lower()
    if name == "host":
        return words[1:] != ["*"]
    if name in {"match", "hostname"} or name.startswith("canonical"):
        return True
    return "%" in line and (name not in _LEFT_ALONE or "%C" in line)


def _stamps(arguments: Sequence[str]) -> list[tuple[int, ...] | None]:
    """Return what changes with the files that are read first."""
    at = [place for place, argument in enumerate(arguments[:-1]) if argument == "-F"]
    files = [arguments[at[-1] + 1]] if at else [f"{home()}/.ssh/config", SYSTEM_FILE]
    found: list[tuple[int, ...] | None] = []
    for file in files:
        try:
            status = Path(file).stat()
        except (OSError, ValueError):
            found.append(None)
        else:
            found.append((status.st_ino, status.st_size, status.st_mtime_ns))
    return found
