# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A small tracker for tests: search, create and change tickets over HTTP; every call is a line of a file.

Arguments: the file, the token that callers need. Prints ``port N`` and serves until its input ends.
"""

from __future__ import annotations

import json
import re
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

__all__: list[str] = []

CALLS, TOKEN = Path(sys.argv[1]), sys.argv[2]
TICKETS: list[dict[str, Any]] = []


class Tracker(BaseHTTPRequestHandler):
    """``/issues``: GET with ``search``, POST; ``/issues/N``: PATCH."""

    def _answer(self, status: int, value: object) -> None:
        data = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def _serve(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        body: dict[str, Any] = json.loads(self.rfile.read(length)) if length else {}
        with CALLS.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"method": self.command, "path": self.path, "body": body}) + "\n")
        if self.headers.get("Authorization") != f"Bearer {TOKEN}":
            self._answer(401, {"error": "who are you"})
            return
        place = urlsplit(self.path)
        number = re.fullmatch(r"/issues/(\d+)", place.path)
        if self.command == "GET" and place.path == "/issues":
            wanted = parse_qs(place.query)["search"][0]
            self._answer(200, [one for one in TICKETS if wanted in one["body"]])
        elif self.command == "POST" and place.path == "/issues":
            TICKETS.append({"number": len(TICKETS) + 1, **body})
            self._answer(201, TICKETS[-1])
        elif self.command == "PATCH" and number:
            TICKETS[int(number[1]) - 1].update(body)
            self._answer(200, TICKETS[int(number[1]) - 1])
        else:
            self._answer(404, {"error": "no such place"})

    do_GET = do_POST = do_PATCH = _serve  # noqa: N815 - http.server looks for these names

    def log_message(self, *__: object) -> None:
        """Say nothing."""


def main() -> None:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Tracker)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(f"port {server.server_port}", flush=True)  # noqa: T201 - the starter reads it
    sys.stdin.read()


if __name__ == "__main__":
    main()
