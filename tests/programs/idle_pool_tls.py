# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The pooled client of ``idle_pool.py`` over TLS: under a name of its own, so that it is an application of its own."""

from __future__ import annotations

import sys
import threading

from idle_pool import fill

__all__: list[str] = []

if __name__ == "__main__":
    fill(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3])
    threading.Event().wait()
