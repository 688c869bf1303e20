# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""On a test host: put sysctl files into the host's own folders, ask the resolver, run both loaders, take all back.

For throw-away hosts alone: it writes /etc, /run, /usr and the host's real sysctls (root, Python 3.9). Standard input
and output are JSON; values are those of the kernel, as it says them:

    {"tree": {path: text, or "->TARGET"}, "start": {key: value that stands before a loader runs}}
    {"said": {loader: {key: value}}, "places": {loader: {key: "file:line"}}, "found": {loader: {key: value}}, "log": …}
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from ansible_collections.lastack.linux.plugins.module_utils.observe.sysctl_files import resolve, sysctl_path

ASIDE = ".put-aside"
BOOT = ("/usr/lib/systemd/systemd-sysctl", "/lib/systemd/systemd-sysctl")


def place(tree: dict[str, str]) -> None:
    for path, content in tree.items():
        file = Path(path)
        file.parent.mkdir(parents=True, exist_ok=True)
        if os.path.lexists(file):
            # With a name that no loader reads.
            file.rename(path + ASIDE)
        if content.startswith("->"):
            file.symlink_to(content[2:])
        else:
            file.write_text(content, encoding="utf-8")


def take_back(tree: dict[str, str]) -> None:
    for path in tree:
        file = Path(path)
        if os.path.lexists(file):
            file.unlink()
        if os.path.lexists(path + ASIDE):
            Path(path + ASIDE).rename(file)


def kernel(key: str) -> Path:
    return Path("/proc/sys") / sysctl_path(key)


def main() -> None:
    asked = json.load(sys.stdin)
    start = asked["start"]
    boot = next(path for path in BOOT if Path(path).exists())
    answer: dict[str, dict[str, dict[str, str]]] = {"said": {}, "places": {}, "found": {}, "log": {}}
    place(asked["tree"])
    try:
        files = resolve(keys=start)
        for loader, winners, command in (
            ("boot", files.boot, [boot]),
            ("reload", files.reload, ["sysctl", "--system"]),
        ):
            for key, value in start.items():
                kernel(key).write_text(value, encoding="ascii")
            done = subprocess.run(
                command, check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=30
            )
            answer["said"][loader] = {key: winners[key].value for key in start if key in winners}
            answer["places"][loader] = {key: winners[key].place for key in start if key in winners}
            answer["found"][loader] = {key: kernel(key).read_text(encoding="ascii").strip() for key in start}
            answer["log"][loader] = {"status": str(done.returncode), "text": done.stdout}
    finally:
        take_back(asked["tree"])
        for key, value in start.items():
            kernel(key).write_text(value, encoding="ascii")
    json.dump(answer, sys.stdout)


if __name__ == "__main__":
    main()
