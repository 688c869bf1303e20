# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fixed: every request has a thread of its own, and waits for the upstream no longer than it may."""

import http.server
import socketserver
import threading
import urllib.error
import urllib.request


class Silent(socketserver.BaseRequestHandler):
    """The service behind this one: it takes a request and never answers."""

    def handle(self) -> None:
        while self.request.recv(4096):
            pass


UPSTREAM = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Silent)
PRICES = f"http://127.0.0.1:{UPSTREAM.server_address[1]}/prices"


# docs: begin
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        try:
            with urllib.request.urlopen(PRICES, timeout=2) as answer:
                status, body = 200, answer.read()
        except (TimeoutError, urllib.error.URLError):
            status, body = 504, b""
        self.send_response(status)
        self.end_headers()
        self.wfile.write(body)


class Shop(http.server.ThreadingHTTPServer):
    request_queue_size = 64


# docs: end


if __name__ == "__main__":
    threading.Thread(target=UPSTREAM.serve_forever, daemon=True).start()
    with Shop(("127.0.0.1", 0), Handler) as server:
        print(f"port {server.server_port}", flush=True)
        server.serve_forever()
