# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An sshd on 127.0.0.1 with the keys, certificates and accounts that a test wants; /etc is its own."""

from __future__ import annotations

import socket
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["PASSWORD", "USER", "Sshd", "keygen", "why_not"]

USER = "root"
PASSWORD = "the password"
_HASH = "$6$lastack$WB/KZ9fxxQQqyEzxxoF7PfdKi1eHka75ZVbwFLdXHYAKeTLWHfPJLhDm5Xb9cNtQHUEcKIhmesOYMOkolvoFe."
_SSHD = "/usr/sbin/sshd"
_READY_S = 20.0


def why_not() -> str:
    """Return why no sshd can be had here; empty if it can."""
    if not Path(_SSHD).exists():
        return "not installed: sshd"
    tried = subprocess.run(["unshare", "-m", "true"], capture_output=True, check=False)
    return "" if tried.returncode == 0 else "private namespaces are not permitted here"


def keygen(*arguments: object) -> str:
    """Run ssh-keygen, which must succeed, and return what it says."""
    done = subprocess.run(
        ["ssh-keygen", *map(str, arguments)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    return done.stdout


class Sshd:
    """One sshd with these lines of sshd_config(5); it ends with ``with``, or with the test's process."""

    def __init__(self, folder: Path, name: str, lines: Sequence[str]) -> None:
        self._folder = folder
        self._name = name
        self._lines = lines

    def __enter__(self) -> Self:
        with socket.socket() as sock:
            sock.bind(("127.0.0.1", 0))
            self.port: int = sock.getsockname()[1]
        config = self._folder / f"{self._name}.conf"
        usual = [f"ListenAddress 127.0.0.1:{self.port}", "UsePAM no", "StrictModes no", "PermitRootLogin yes"]
        usual += ["UseDNS no", "PidFile none", "MaxStartups 100", "PrintMotd no", "PrintLastLog no"]
        # The first line wins (sshd_config(5)).
        config.write_text("\n".join([*self._lines, *usual, ""]), encoding="ascii")
        shadow = self._folder / "shadow"
        shadow.write_text(f"{USER}:{_HASH}:19000:0:99999:7:::\n", encoding="ascii")
        script = (
            "mount -t tmpfs tmpfs /run && mkdir -p -m 755 /run/sshd && mount --bind $1 /etc/shadow"
            " && exec $2 -D -e -f $3"
        )
        command = ["unshare", "-m", "sh", "-c", script, "sh", str(shadow), _SSHD, str(config)]
        with (self._folder / f"{self._name}.log").open("wb") as log:
            self._process = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", *command], stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        try:
            self._wait()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *__: object) -> None:
        self._process.kill()
        self._process.wait()

    def log(self) -> str:
        """Return what the sshd has written so far."""
        return (self._folder / f"{self._name}.log").read_text(encoding="utf-8", errors="replace")

    def _wait(self) -> None:
        deadline = time.monotonic() + _READY_S
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
            except OSError:
                if time.monotonic() > deadline or self._process.poll() is not None:
                    raise RuntimeError(self.log()) from None
                time.sleep(0.02)
            else:
                return
