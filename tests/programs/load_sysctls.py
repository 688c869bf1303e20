# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run this machine's own sysctl loader over trees of files and say what it wrote; a test reads it (root, Python 3.9).

Each run is in a mount namespace of its own where /proc/sys and every folder that a loader reads are empty memory
disks: no setting and no file of the machine is in reach. Standard input and output are JSON:

    {"loader": "boot" | "reload", "keys": [path below /proc/sys], "trees": [{path: base64, or "->TARGET"}]}
    {"missing": sentence} or {"runs": [{"written": {path: value, or null if nothing was written}, "log": text}]}
"""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

UNTOUCHED = "?"
BOOT = ("/usr/lib/systemd/systemd-sysctl", "/lib/systemd/systemd-sysctl")

# $1: the tree; $2: where the outcome goes; the rest: the loader. Everything is mounted before anything is run, and a
# failed mount ends it.
SCRIPT = """
set -eu
tree=$1; out=$2; shift 2
for folder in /etc /run /opt /usr/local /usr/lib/sysctl.d /proc/sys; do mount -t tmpfs none "$folder"; done
test -z "$(ls -A /proc/sys)"
cp -a "$tree/sys/." /proc/sys/
for folder in etc run opt usr/local usr/lib/sysctl.d; do
    if test -d "$tree/root/$folder"; then cp -a "$tree/root/$folder/." "/$folder/"; fi
done
"$@" >"$out/log" 2>&1 || true
cp -a /proc/sys/. "$out/"
"""


def loader(name: str) -> list[str] | None:
    """The command of a loader; none if this machine does not have it."""
    if not Path("/usr/lib/sysctl.d").is_dir():
        return None
    if name == "boot":
        return next(([path] for path in BOOT if Path(path).exists()), None)
    program = shutil.which("sysctl", path="/usr/sbin:/sbin:/usr/bin:/bin")
    return [program, "--system"] if program else None


def run(command: list[str], tree: dict[str, str], keys: list[str]) -> dict[str, object]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        out = folder / "out"
        for made in (out, folder / "root"):
            made.mkdir()
        for path, content in tree.items():
            place = folder / "root" / path
            place.parent.mkdir(parents=True, exist_ok=True)
            if content.startswith("->"):
                os.symlink(content[2:], place)  # noqa: PTH211 # it may dangle
            else:
                place.write_bytes(base64.b64decode(content))
        for key in keys:
            place = folder / "sys" / key
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(UNTOUCHED)
        shell = ["unshare", "--mount", "--propagation", "private", "sh", "-c", SCRIPT, "sh"]
        subprocess.run([*shell, name, str(out), *command], check=True, timeout=20)
        values = {key: (out / key).read_text().rstrip("\n") for key in keys}
        written = {key: None if value == UNTOUCHED else value for key, value in values.items()}
        return {"written": written, "log": (out / "log").read_text(errors="replace")}


def main() -> None:
    asked = json.load(sys.stdin)
    command = loader(asked["loader"])
    if command is None:
        answer: dict[str, object] = {"missing": f"no loader for {asked['loader']} on this machine"}
    else:
        answer = {"runs": [run(command, tree, asked["keys"]) for tree in asked["trees"]]}
    json.dump(answer, sys.stdout)


if __name__ == "__main__":
    main()
