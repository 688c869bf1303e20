# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How a test host is ill: what is different in its files, its sshd, its disk and its inventory entry.

Every illness but ``changed_key``, ``unreachable`` and ``silent`` is inside of the host, as it would be on a real one.
"""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["ILLNESSES", "LEAKED", "LOOKED_AT", "MOVED_PYTHON", "PASSWORD", "PASSWORD_HASH", "USER", "Illness"]

USER = "operator"
"""The user without rights of its own that every host has."""
PASSWORD = "correct horse battery"
"""What USER types for sudo where sudo asks."""
_WRONG = "incorrect horse battery"
LEAKED = 5
"""Connections that a host with ``leaks`` holds in CLOSE_WAIT."""

# crypt(5) of PASSWORD.
PASSWORD_HASH = "$6$lastacktest$cX8gBNWZukzPoXU3EKyeiNGMiBQOblOL8Pq.VGF7SAVkbQmgyrFDTqu8p11quH5QgmyhxGMWI7x/XDYaQkIGI."

_SICK = "/opt/sick"
_FORCED = f"ForceCommand {_SICK}\n"
_PYTHONS = ("/usr/bin/python3", "/usr/bin/python3.9", "/usr/bin/python3.11", "/usr/bin/python3.13")

MOVED_PYTHON = "/opt/python3"
"""Where the Python of some sick hosts really is."""
# What a .pth file imports, every Python of the host runs at its start, an isolated one too (site, docs.python.org) …
_PTH = "/usr/lib/python3/dist-packages/sick.pth"
_MODULE = "/usr/lib/python3/dist-packages/sick.py"
# … but with -S; then the program that is given with -c begins with it.
_PYTHON = f"""\
#!/bin/bash
[ "$1 $SICK_VERSION" = "-V 3.6.8" ] && echo "Python 3.6.8" && exit
given=() last=
for one; do
    [ "$last" = -c ] && one="exec(open('{_MODULE}').read(), {{}})"$'\\n'"$one"
    given+=("$one") last=$one
done
exec -a "$0" {MOVED_PYTHON} "${{given[@]}}"
"""

_LEAK = f"""
import socket, time
with socket.create_server(("127.0.0.1", 8099)) as server:
    clients = []
    for _ in range({LEAKED}):
        clients.append(socket.create_connection(server.getsockname()))
        server.accept()[0].close()
    time.sleep(36000)
"""

# Years in the future for everything that Python asks; the machine's clock is nobody's to set.
_CLOCK = """
import datetime, time
_OFF = 0 if hasattr(datetime, "sick") else 9 * 365 * 86400
datetime.sick = True
_time, _time_ns, _gmtime, _localtime = time.time, time.time_ns, time.gmtime, time.localtime
_clock_gettime, _datetime = time.clock_gettime, datetime.datetime
time.time = lambda: _time() + _OFF
time.time_ns = lambda: _time_ns() + _OFF * 10**9
time.gmtime = lambda seconds=None: _gmtime(time.time() if seconds is None else seconds)
time.localtime = lambda seconds=None: _localtime(time.time() if seconds is None else seconds)
time.clock_gettime = lambda clock: _clock_gettime(clock) + (_OFF if clock == time.CLOCK_REALTIME else 0)
class datetime_(_datetime):
    @classmethod
    def now(cls, tz=None):
        return cls.fromtimestamp(time.time(), tz)
    @classmethod
    def utcnow(cls):
        return cls.utcfromtimestamp(time.time())
datetime_.__name__ = datetime_.__qualname__ = "datetime"
datetime.datetime = datetime_
"""

_OLD = """
import collections, sys
_Version = collections.namedtuple("version_info", "major minor micro releaselevel serial")
sys.version_info = _Version(3, 6, 8, "final", 0)
sys.version = "3.6.8 (default, Jan  1 2019, 00:00:00) \\n[GCC 8.3.0]"
sys.hexversion = 0x030608F0
"""

# Holds the only place of sshd for an unauthenticated connection, until sshd has refused one because of it.
_HOLD_ONCE = """
import pathlib, socket, time
log = pathlib.Path("/var/log/sshd.log")
while not log.exists() or "listening" not in log.read_text():
    time.sleep(0.05)
held = socket.create_connection(("127.0.0.1", 22))
held.recv(1)
deadline = time.monotonic() + 600
while time.monotonic() < deadline and "drop connection" not in log.read_text():
    time.sleep(0.1)
"""

_MUTE = """
import socket, time
server = socket.create_server(("0.0.0.0", 22), backlog=1024)
held = []
while True:
    held.append(server.accept())
"""


class Illness(NamedTuple):
    """What is different on a host."""

    sshd: str = ""
    """More lines for sshd_config(5)."""
    files: dict[str, str] = {}  # noqa: RUF012 - nobody changes it
    """Path to text; a text that starts with ``#!`` is a program."""
    without: tuple[str, ...] = ()
    """Paths that the host does not have."""
    moved: bool = False
    """Whether its Python is at MOVED_PYTHON."""
    beside: tuple[str, ...] = ()
    """A program beside sshd."""
    instead: tuple[str, ...] = ()
    """The first process, instead of sshd."""
    full: bool = False
    """Every file system that can be written is full."""
    present: bool = True
    """Whether there is a host at all."""
    silent: bool = False
    """Whether packets to it vanish (a firewall that drops) instead of a quick refusal."""
    known: bool = True
    """Whether known_hosts has the key that the host has; otherwise it has another one."""
    variables: dict[str, object] = {}  # noqa: RUF012 - nobody changes it
    """What its inventory entry has."""


def _forced(script: str) -> Illness:
    return Illness(_FORCED, {_SICK: f"#!/bin/bash\n{script}"})


def _python(patch: str, *, version: str = "") -> Illness:
    files = {_PTH: "import sick\n", _MODULE: patch, _PYTHONS[0]: _PYTHON.replace("$SICK_VERSION", version)}
    return Illness(files=files, without=_PYTHONS, moved=True)


def _sudo(rule: str, *, given: str = "") -> Illness:
    variables: dict[str, object] = {"ansible_user": USER, "ansible_become": True}
    if given:
        variables["ansible_become_password"] = given
    return Illness(files={f"/etc/sudoers.d/{USER}": rule}, variables=variables)


ILLNESSES: dict[str, Illness] = {
    "hangs": _forced("exec sleep 36000\n"),
    "slow": _forced('sleep 5\nexec bash -c "$SSH_ORIGINAL_COMMAND"\n'),
    "closes": _forced('bash -c "$SSH_ORIGINAL_COMMAND" | head -c 600\nsleep 0.5\nkill -9 $PPID\n'),
    "banner": Illness(
        _FORCED + "Banner /opt/banner\n",
        {
            _SICK: '#!/bin/bash\nyes "All connections are monitored and recorded." | head -n 10000\n'
            'exec bash -c "$SSH_ORIGINAL_COMMAND"\n',
            "/opt/banner": "Authorised use only.\n" * 20,
        },
    ),
    "floods": _forced("head -c 1G /dev/zero\n"),
    "changed_key": Illness(known=False),
    "full_disk": Illness(full=True),
    "wrong_clock": _python(_CLOCK),
    "no_python": Illness(without=_PYTHONS),
    "old_python": _python(_OLD, version="3.6.8"),
    "sudo_nopasswd": _sudo(f"{USER} ALL=(ALL) NOPASSWD: ALL\n"),
    "sudo_password": _sudo(f"{USER} ALL=(ALL) ALL\n", given=PASSWORD),
    "sudo_wants_password": _sudo(f"{USER} ALL=(ALL) ALL\n"),
    "sudo_wrong_password": _sudo(f"{USER} ALL=(ALL) ALL\n", given=_WRONG),
    "sudo_refuses": _sudo("# nobody\n", given=PASSWORD),
    "leaks": Illness(files={"/opt/leak.py": _LEAK}, beside=("/usr/bin/python3", "/opt/leak.py")),
    "sshd_limits": Illness(
        "MaxStartups 1\n", {"/opt/hold.py": _HOLD_ONCE}, beside=("/usr/bin/python3", "/opt/hold.py")
    ),
    "mute": Illness(files={"/opt/mute.py": _MUTE}, instead=("/usr/bin/python3", "/opt/mute.py")),
    "refused": Illness(instead=("/usr/bin/sleep", "36000")),
    "unreachable": Illness(present=False),
    "silent": Illness(present=False, silent=True),
}
"""Name to illness. LOOKED_AT are those that a sweep can look at all the same."""
LOOKED_AT = (
    "banner",
    "full_disk",
    "leaks",
    "slow",
    "sshd_limits",
    "sudo_nopasswd",
    "sudo_password",
    "wrong_clock",
)
