"""A way to a server on which a test decides what becomes of what is sent."""

from __future__ import annotations

import socket
import socketserver
import threading
from contextlib import suppress
from typing import Literal, Self

__all__ = ["MODES", "Crossing", "Mode"]

Mode = Literal["open", "away", "garbage", "page", "error", "silent"]
# Open; the connection ends at once; bytes that are no HTTP; a proxy's page, which says that all is well; an
# error; or the server does what it is asked, and its answer does not arrive.
MODES: tuple[Mode, ...] = ("open", "away", "garbage", "page", "error", "silent")
PAGE = b"<html><body>Welcome</body></html>"
ANSWERS = {
    "away": b"",
    "garbage": bytes(range(256)) * 4,
    "page": b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: %d\r\n\r\n%s" % (len(PAGE), PAGE),
    "error": b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
}
READ_BYTES = 1 << 16


class Crossing:
    """Forwards connections to a server on loopback, within a `with` block.

    Args:
        port: Of the server.

    Attributes:
        mode: What becomes of connections from now on.
        url: Its own.
    """

    def __init__(self, port: int) -> None:
        self.mode: Mode = "open"
        crossing = self

        class Handler(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                with suppress(OSError):
                    crossing._cross(self.request, port)

        class Server(socketserver.ThreadingTCPServer):
            daemon_threads = True
            allow_reuse_address = True

        self._server = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _cross(self, near: socket.socket, port: int) -> None:
        mode = self.mode
        if mode in ANSWERS:
            if ANSWERS[mode]:
                near.recv(READ_BYTES)
                near.sendall(ANSWERS[mode])
            return
        with socket.create_connection(("127.0.0.1", port)) as far:
            forth = threading.Thread(target=_pump, args=(near, far), daemon=True)
            forth.start()
            if mode == "silent":
                far.recv(READ_BYTES)
            else:
                _pump(far, near)
            near.shutdown(socket.SHUT_RDWR)
            forth.join(10)


def _pump(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(READ_BYTES):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)
