# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The life of one test host inside the lab's private world: boot, link, ssh, commands, stop and start.

A host's files outlive its stop (an overlay over the suite's tree); its namespaces do not: whoever starts again has a
new network stack, so what was set only at run time is gone and what was persisted is back, as on a real reboot.
"""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
import uuid
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from images import UID_BASE, UID_COUNT
from lab_container import PREPARE, configuration, seed

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Host", "HostError", "own_user_namespace", "run"]

_BOOT_S = 120.0
_HALT_S = 15.0
_HALT = signal.SIGRTMIN + 3
"""systemd(1): halts the system."""


class HostError(Exception):
    """A host cannot do what was asked; the text is one sentence."""


def run(*command: str, text: str = "", timeout_s: float = 30.0) -> str:
    """Run a program to its end; ``HostError`` with its complaint if it fails."""
    done = subprocess.run(command, input=text, capture_output=True, text=True, check=False, timeout=timeout_s)
    if done.returncode:
        complaint = (done.stderr or done.stdout).strip().splitlines()
        raise HostError(f"{command[0]}: {complaint[-1] if complaint else f'status {done.returncode}'}")
    return done.stdout


@contextmanager
def own_user_namespace(user: int) -> Iterator[str]:
    """Make a user namespace that belongs to ``user``; yield its path, empty where the machine does not permit that.

    What its processes use of a limit per user (inotify(7): 128 instances, six or more a host) is charged to its maker.
    Without a maker of its own for each host, all hosts of the machine would share root's.
    """
    command = ["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups", "unshare", "--user", "--", "cat"]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, bufsize=0
    ) as holder:
        assert holder.stdin is not None
        assert holder.stdout is not None
        try:
            # The answer comes from inside of the new namespace.
            holder.stdin.write(b"\n")
            if not holder.stdout.read(1):
                yield ""
                return
            for kind in ("uid_map", "gid_map"):
                path = Path(f"/proc/{holder.pid}/{kind}")
                path.write_text(f"0 {UID_BASE} {UID_COUNT}\n", encoding="ascii")
            yield f"/proc/{holder.pid}/ns/user"
        finally:
            holder.kill()


class Host:
    """One host; its methods may be called from any thread."""

    def __init__(self, world: Path, host: dict[str, Any], cgroup: str, names: str, keys: Path) -> None:
        self.name: str = host["name"]
        self._host = host
        self._bundle = world / self.name
        self._cgroup = f"{cgroup}/{self.name}"
        self._names = names
        self._keys = keys
        self._boots = 0
        self._executions = 0
        self._pid = 0
        self._watch = -1
        self._lock = threading.Lock()

    def state(self) -> str:
        """Return ``on`` or ``off``."""
        return "on" if self._alive() else "off"

    def _alive(self) -> bool:
        return self._watch >= 0 and not select.select([self._watch], [], [], 0)[0]

    def start(self) -> None:
        """Boot; the link is there before the first process runs. Does nothing if the host is on."""
        with self._lock:
            if self._alive():
                return
            self._forget()
            self._boots += 1
            if self._boots == 1:
                self._make()
            with own_user_namespace(UID_BASE + UID_COUNT + self._host["number"]) as user_namespace:
                self._create(user_namespace)
            self._pid = int((self._bundle / "pid").read_text(encoding="ascii"))
            self._watch = os.pidfd_open(self._pid)
            self._attach()
            run("crun", "start", self.name)
            threading.Thread(target=self._guard, args=(self._boots,), daemon=True).start()

    def _guard(self, boot: int) -> None:
        """Boot again when the host ends because it reboots itself: then its init is killed by SIGHUP (reboot(2))."""
        select.select([self._watch], [], [])
        with self._lock:
            if self._boots != boot or self._watch < 0 or not self._forget():
                return
        try:
            self.start()
        except (HostError, OSError, subprocess.SubprocessError) as error:
            sys.stderr.write(f"{self.name} did not reboot: {error}\n")

    def _make(self) -> None:
        for name in ("upper", "work", "root"):
            (self._bundle / name).mkdir(parents=True)
        upper, work, root = (self._bundle / name for name in ("upper", "work", "root"))
        lower = self._host["image"]
        os.chown(upper, os.stat(lower).st_uid, os.stat(lower).st_gid)  # noqa: PTH116 - a string from JSON
        upper.chmod(0o755)
        run("mount", "-t", "overlay", "-o", f"lowerdir={lower},upperdir={upper},workdir={work}", "overlay", str(root))
        seed(root, self.name, self._names, self._keys)

    def _create(self, user_namespace: str) -> None:
        made = configuration(self.name, self._bundle / "root", self._cgroup, user_namespace)
        (self._bundle / "config.json").write_text(json.dumps(made), encoding="ascii")
        with (self._bundle / "console").open("ab") as console:
            status = subprocess.run(
                ["crun", "create", "--bundle", str(self._bundle), "--pid-file", str(self._bundle / "pid"), self.name],
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=console,
                check=False,
                timeout=_BOOT_S,
            ).returncode
        if status:
            raise HostError(f"{self.name} does not start: {self._last_words()}.")

    def _attach(self) -> None:
        """Put the host on the lab's bridge. A link's name is new at every boot: the old one may not be gone yet."""
        link = f"h{self._host['number']}.{self._boots}"
        number = self._host["number"]
        lines = [
            f"link add {link} type veth peer name eth0 address 02:00:00:00:00:{number:02x} netns {self._pid}",
            f"link set {link} master lab up",
        ]
        run("ip", "-batch", "-", text="\n".join(lines))
        addresses = (f"{self._host['address']}/24", f"{self._host['address6']}/64")
        inside = ("nsenter", "-t", str(self._pid), "--all", "sh", "-c", PREPARE, "sh")
        run(*inside, str(uuid.uuid4()), *addresses)

    def _last_words(self) -> str:
        lines = (self._bundle / "console").read_text(encoding="utf-8", errors="replace").strip().splitlines()
        return lines[-1].rstrip(".") if lines else "it says nothing"

    def wait(self) -> None:
        """Wait until sshd answers and systemd says that the system runs, degraded or not."""
        deadline = time.monotonic() + _BOOT_S
        said = "sshd does not answer"
        while time.monotonic() < deadline:
            if not self._alive():
                raise HostError(f"{self.name} ended while it booted: {self._last_words()}.")
            if not self._greets():
                time.sleep(0.02)
                continue
            said = self._capture("systemctl", "is-system-running", "--wait").strip()
            if said in {"running", "degraded"}:
                return
            time.sleep(0.05)
        raise HostError(f"{self.name} does not come up in {_BOOT_S:.0f} s: {said}.")

    def _greets(self) -> bool:
        try:
            with self.connect() as connection:
                connection.settimeout(5.0)
                return connection.recv(4) == b"SSH-"
        except OSError:
            return False

    def connect(self) -> socket.socket:
        """Return a connection to the host's sshd. ``OSError`` if there is none."""
        if not self._alive():
            raise ConnectionRefusedError(f"The host {self.name} is off.")
        return socket.create_connection((self._host["address"], 22), timeout=5.0)

    def _process(self, command: list[str]) -> tuple[Path, Path]:
        with self._lock:
            self._executions += 1
            number = self._executions
        process: Any = configuration(self.name, self._bundle / "root", self._cgroup)["process"]
        # A session of its own: the whole of it can be killed.
        process["args"] = ["setsid", *command]
        process["cwd"] = "/root"
        process["env"] = [*process["env"], "HOME=/root", "USER=root", "LOGNAME=root", "SHELL=/bin/bash"]
        path = self._bundle / f"process-{number}.json"
        path.write_text(json.dumps(process), encoding="ascii")
        return path, self._bundle / f"process-{number}.pid"

    def _capture(self, *command: str) -> str:
        path, pidfile = self._process(list(command))
        try:
            done = subprocess.run(
                ["crun", "exec", "--process", str(path), "--pid-file", str(pidfile), self.name],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                check=False,
                timeout=_BOOT_S,
            )
            return done.stdout or done.stderr
        finally:
            path.unlink()
            pidfile.unlink(missing_ok=True)

    def execute(self, command: list[str], streams: list[int], asker: socket.socket) -> int:
        """Run a command with three given streams; return its status. It is killed when the asker goes away."""
        if not self._alive():
            raise HostError(f"The host {self.name} is off.")
        if not command:
            raise HostError("There is no command to execute.")
        path, pidfile = self._process(command)
        try:
            process = subprocess.Popen(
                ["crun", "exec", "--process", str(path), "--pid-file", str(pidfile), self.name],
                stdin=streams[0],
                stdout=streams[1],
                stderr=streams[2],
            )
            watch = os.pidfd_open(process.pid)
            try:
                ready, __, __ = select.select([watch, asker], [], [])
                if watch not in ready:
                    self._kill(process, pidfile)
            finally:
                os.close(watch)
            return process.wait()
        finally:
            path.unlink()
            pidfile.unlink(missing_ok=True)

    @staticmethod
    def _kill(process: subprocess.Popen[bytes], pidfile: Path) -> None:
        try:
            os.killpg(int(pidfile.read_text(encoding="ascii")), signal.SIGKILL)
        except (OSError, ValueError):
            process.kill()
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()

    def stop(self) -> None:
        """Shut down as a machine does, at the latest by force; does nothing if the host is off."""
        with self._lock:
            if self._alive():
                signal.pidfd_send_signal(self._watch, _HALT)
                if not select.select([self._watch], [], [], _HALT_S)[0]:
                    signal.pidfd_send_signal(self._watch, signal.SIGKILL)
                    select.select([self._watch], [], [], _HALT_S)
            self._forget()

    def _forget(self) -> bool:
        """Clear away a container that has ended; return whether it ended in order to reboot."""
        if self._watch < 0:
            return False
        ended = os.waitid(os.P_PIDFD, self._watch, os.WEXITED)
        os.close(self._watch)
        self._watch = -1
        subprocess.run(["crun", "delete", "--force", self.name], check=False, capture_output=True, timeout=30)
        subprocess.run(
            ["ip", "link", "delete", f"h{self._host['number']}.{self._boots}"],
            check=False,
            capture_output=True,
            timeout=30,
        )
        return ended is not None and ended.si_code == os.CLD_KILLED and ended.si_status == signal.SIGHUP
