# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An HTTP client that looks at the status, never reads the body and never closes the response."""

from __future__ import annotations

import sys
import threading
import urllib.request
from typing import Any

__all__: list[str] = []

RESPONSES: list[Any] = []

if __name__ == "__main__":
    url = f"http://127.0.0.1:{int(sys.argv[1])}/"
    RESPONSES.extend(urllib.request.urlopen(url) for __ in range(int(sys.argv[2])))
    threading.Event().wait()
