# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Start leaking programs in private namespaces, wait until they leak, run a command there, end everything.

    python launch.py idle_pool:40 node_unread:20 -- lastack probe --min-age-s 0

The network, process, mount and cgroup namespaces are this run's own: nothing of the machine is touched, only
127.0.0.1 of the new network namespace is used, and when this program ends, however it ends, the kernel ends every
program in the process namespace with it. Without root it takes a user namespace, where the machine allows that.
"""

from __future__ import annotations

import argparse
import fcntl
import os
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from types import FrameType

__all__ = ["PROGRAMS", "Program", "main", "why_missing"]

HERE = Path(__file__).resolve().parent
INSIDE = "--inside"
CLOSE_WAIT = "08"


class Program(NamedTuple):
    """How to start one leaking program, and who closes first."""

    argv: tuple[str, ...]
    peer: tuple[str, ...] = ()
    """Arguments of ``peer.py``; empty for a server, whose clients are made here."""
    tls: bool = False
    talks: bool = True
    """For a server: whether its clients get an answer before they close."""
    dead: bool = False
    """Whether the connections end in no socket table."""


PROGRAMS = {
    "idle_pool": Program(("python3", "idle_pool.py"), ("idle",)),
    "idle_pool_tls": Program(("python3", "idle_pool_tls.py"), ("idle",), tls=True),
    "unread_body": Program(("python3", "unread_body.py"), ("body", "--size", "40000")),
    "node_unread": Program(("node", "node_unread.js"), ("body", "--size", "170000")),
    "java_unread": Program(
        ("java", "-Xshare:auto", "-XX:TieredStopAtLevel=1", "UnreadBody.java"), ("body", "--size", "40000")
    ),
    "missing_close": Program(("python3", "missing_close.py")),
    "stuck_accept": Program(("python3", "stuck_accept.py"), talks=False),
    "shared_holder": Program(("python3", "shared_holder.py"), ("idle",)),
    "dead_sockets": Program(("python3", "dead_sockets.py"), ("reset",), dead=True),
}


def why_missing(name: str) -> str | None:
    """Return why a program cannot be started on this machine, or ``None``."""
    needed = [PROGRAMS[name].argv[0], *(["openssl"] if PROGRAMS[name].tls else [])]
    missing = [program for program in needed if program != "python3" and shutil.which(program) is None]
    return f"{' and '.join(missing)} is not installed" if missing else None


def close_wait_count() -> int:
    """Return how many sockets of this network namespace are in CLOSE_WAIT."""
    tables = [Path(f"/proc/net/{name}") for name in ("tcp", "tcp6")]
    lines = [line.split() for table in tables if table.exists() for line in table.read_text().splitlines()[1:]]
    return sum(fields[3] == CLOSE_WAIT for fields in lines)


def _loopback_up() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        # SIOCSIFFLAGS with IFF_UP | IFF_RUNNING (netdevice(7)).
        fcntl.ioctl(any_socket, 0x8914, struct.pack("16sH14x", b"lo", 0x41))


def _start(argv: tuple[str, ...]) -> subprocess.Popen[str]:
    command = [sys.executable if argv[0] == "python3" else argv[0], *argv[1:]]
    return subprocess.Popen(command, cwd=HERE, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)


def _first_line(process: subprocess.Popen[str], name: str) -> str:
    assert process.stdout is not None
    line = process.stdout.readline().strip()
    if not line:
        raise RuntimeError(f"{name} ended before it was ready")
    return line


def _visit(port: int, *, talks: bool) -> None:
    """Be a client of a leaking server: ask, wait until it surely has nothing left to read, close first."""
    with socket.create_connection(("127.0.0.1", port)) as client:
        if talks:
            client.sendall(b"hello\n")
            client.recv(64)
            time.sleep(0.1)


def _certificate(folder: str) -> str:
    path = f"{folder}/peer.pem"
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=lastack-test"
    extra = ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", path, "-out", f"{path}.certificate"]
    subprocess.run([*command.split(), *extra], check=True, capture_output=True, timeout=30)
    with Path(path).open("a", encoding="ascii") as file:
        file.write(Path(f"{path}.certificate").read_text(encoding="ascii"))
    return path


def start(name: str, count: int, folder: str) -> int:
    """Start one program with its peer; return how many sockets it will hold in CLOSE_WAIT."""
    program = PROGRAMS[name]
    if not program.peer:
        port = int(_first_line(_start(program.argv), name))
        for __ in range(count):
            _visit(port, talks=program.talks)
        return count
    secret = [_certificate(folder)] if program.tls else []
    peer = _start(("python3", "peer.py", *program.peer, *(["--certificate", *secret] if secret else [])))
    started = _start((*program.argv, _first_line(peer, "peer.py"), str(count), *secret))
    if program.dead:
        _first_line(started, name)
        return 0
    return count


def _inside(options: argparse.Namespace) -> int:
    _loopback_up()
    with tempfile.TemporaryDirectory() as folder:
        expected = 0
        for item in options.programs:
            name, __, count = item.partition(":")
            expected += start(name, int(count or 20), folder)
        deadline = time.monotonic() + options.wait_s
        while close_wait_count() < expected:
            if time.monotonic() > deadline:
                print(f"{close_wait_count()} of {expected} connections leaked in {options.wait_s} s", file=sys.stderr)
                return 3
            time.sleep(0.05)
        # The moment after the last FIN: idle long enough for a cause.
        time.sleep(options.settle_s)
        if options.outside:
            print("ready", flush=True)
            sys.stdin.read()
            return 0
        return subprocess.run(options.command, check=False, timeout=options.limit_s).returncode


def main(arguments: list[str]) -> int:
    """Enter the namespaces (once), start the programs, run the command; return its exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("programs", nargs="+", metavar="NAME[:COUNT]", help=", ".join(PROGRAMS))
    parser.add_argument("--wait-s", type=float, default=60, help="how long to wait for the leaks")
    parser.add_argument("--settle-s", type=float, default=0.3, help="how long to let them rest before the command")
    parser.add_argument("--limit-s", type=float, default=120, help="how long the command may take")
    parser.add_argument("--outside", action="store_true", help="run the command on the machine, not in the namespaces")
    inside = INSIDE in arguments
    split = arguments.index("--") if "--" in arguments else len(arguments)
    options = parser.parse_args([word for word in arguments[:split] if word != INSIDE])
    options.command = arguments[split + 1 :]
    for name in (item.partition(":")[0] for item in options.programs):
        if name not in PROGRAMS:
            parser.error(f"{name!r} is not one of {', '.join(PROGRAMS)}")
        reason = why_missing(name)
        if reason:
            parser.error(f"{name}: {reason}")
    if not options.command:
        parser.error("no command after --")
    if inside:
        return _inside(options)
    user = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
    spaces = ["--net", "--pid", "--fork", "--kill-child", "--mount-proc", "--cgroup"]
    # unshare ignores SIGTERM; should this program be killed, the kernel ends unshare, and with it what it started.
    command = ["setpriv", "--pdeathsig", "KILL", "--", "unshare", *user, *spaces, "--"]
    command += [sys.executable, __file__, INSIDE, *arguments]
    # What is ended by force cannot tidy up: its files are in a folder of this program.
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "TMPDIR": folder}
        if not options.outside:
            return subprocess.run(command, check=False, env=environment).returncode
        return _outside(command, environment, options)


def _outside(command: list[str], environment: dict[str, str], options: argparse.Namespace) -> int:
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    ) as programs:
        assert programs.stdout is not None
        try:
            if programs.stdout.readline() != "ready\n":
                return programs.wait()
            return subprocess.run(options.command, check=False, timeout=options.limit_s).returncode
        finally:
            programs.kill()


def _end(number: int, _frame: FrameType | None) -> None:
    sys.exit(128 + number)


def _ended_by_signals() -> None:
    """Let a request to end run what tidies up, without a traceback; one that is ignored (nohup) stays ignored."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _end)


if __name__ == "__main__":
    _ended_by_signals()
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(128 + signal.SIGINT)
