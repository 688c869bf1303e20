# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Count all TCP states of this network namespace with the collector's own pass, as a whole process.

Prints the seconds that the dumps took, then ``STATE_NUMBER COUNT`` lines, as ``count_states.c`` does.
"""

from __future__ import annotations

import collections
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "collections"))

from ansible_collections.lastack.linux.plugins.module_utils.observe.sock_diag import FAMILIES, SockDiag, open_netlink

__all__: list[str] = []

if __name__ == "__main__":
    counts: collections.Counter[int] = collections.Counter()
    start = time.perf_counter()
    with SockDiag(open_netlink) as diag:
        for family in FAMILIES:
            counts.update(diag.count_states(family).by_number)
    print(f"{time.perf_counter() - start:.6f}")
    for number, count in sorted(counts.items()):
        print(number, count)
