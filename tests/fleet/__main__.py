# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A fleet for one command: ``python tests/fleet --well 24 --sick hangs,leaks -- lastack sweep -i INVENTORY``.

The command runs on the fleet's controller; ``INVENTORY``, ``SSH_CONFIG`` and ``FOLDER`` among its arguments stand for
the fleet's files. Its exit status is this one's; the fleet is gone afterwards. Without a command: a shell.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "hosts"))
from fleet_lab import FleetError, FleetLab, mixed, why_not
from illnesses import ILLNESSES

__all__ = ["main"]


def main() -> int:
    parser = argparse.ArgumentParser(prog="tests/fleet", description=__doc__)
    parser.add_argument("--well", type=int, default=12, help="healthy hosts (default: 12)")
    parser.add_argument("--sick", default="", help=f"all, or some of {', '.join(ILLNESSES)}, with commas between")
    parser.add_argument("command", nargs=argparse.REMAINDER, help="after --")
    options = parser.parse_args()
    sick = list(ILLNESSES) if options.sick == "all" else [name for name in options.sick.split(",") if name]
    unknown = [name for name in sick if name not in ILLNESSES]
    if unknown:
        parser.error(f"no such illness: {', '.join(unknown)}")
    reason = why_not()
    if reason:
        parser.error(reason)
    command = options.command[1:] if options.command[:1] == ["--"] else options.command
    try:
        with FleetLab(mixed(options.well, *sick)) as fleet:
            files = {"INVENTORY": fleet.inventory, "SSH_CONFIG": fleet.folder / "ssh_config", "FOLDER": fleet.folder}
            given = [str(files.get(word, word)) for word in command or ["bash"]]
            return subprocess.run(fleet.command(*given), env=fleet.environment(), check=False).returncode
    except FleetError as error:
        parser.error(str(error))
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
