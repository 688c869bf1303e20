# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The agent as a program: ``python3 lastack-agent.pyz``, or ``python3 -m`` from a checkout."""

from __future__ import annotations

import sys

from ansible_collections.lastack.linux.agent.command import main

__all__: list[str] = []

if __name__ == "__main__":
    sys.exit(main())
