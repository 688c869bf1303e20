# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A pooled HTTP client that never looks at its idle connections again: the server closes them, the pool keeps them."""

from __future__ import annotations

import http.client
import ssl
import sys
import threading

__all__: list[str] = []

POOL: list[http.client.HTTPConnection] = []


def fill(port: int, count: int, certificate: str | None) -> None:
    for __ in range(count):
        if certificate:
            context = ssl.create_default_context(cafile=certificate)
            connection: http.client.HTTPConnection = http.client.HTTPSConnection("127.0.0.1", port, context=context)
        else:
            connection = http.client.HTTPConnection("127.0.0.1", port)
        connection.request("GET", "/")
        connection.getresponse().read()
        POOL.append(connection)


if __name__ == "__main__":
    fill(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3] if len(sys.argv) > 3 else None)
    threading.Event().wait()
