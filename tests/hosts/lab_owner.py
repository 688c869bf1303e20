# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A program that owns a lab until it is killed: the tests of what is left after that start it."""

from __future__ import annotations

import sys
import time

from lab import HostSpec, Lab

__all__: list[str] = []


def main() -> None:
    with Lab([HostSpec(name) for name in sys.argv[1:]]) as lab:
        sys.stdout.write(f"{lab.folder}\n")
        sys.stdout.flush()
        time.sleep(600)


if __name__ == "__main__":
    main()
