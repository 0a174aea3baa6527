"""A loopback server that gives one answer to whatever it is asked, in HTTP chunks, as an InfluxDB would."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    Answer = Callable[[str], Iterable[bytes]]

__all__ = ["Answering", "answering"]


class Answering(ThreadingHTTPServer):
    """The server.

    Attributes:
        answer: What it says to a target, piece by piece; each is an HTTP chunk, if it is not raw.
        headers: Of the answer.
        raw: Whether the pieces are sent as they are, each with its own idea of a chunk.
        version: Of which InfluxDB it says to be.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Answerer)
        self.answer: Answer = lambda _: ()
        self.headers: dict[str, str] = {}
        self.raw = False
        self.version = "1.8.10"

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.server_port}"

    def says(self, *pieces: bytes) -> None:
        """It answers this to everything."""
        self.answer = lambda _: pieces

    def handle_error(self, *_: object) -> None:
        """A client that hangs up is none."""


class _Answerer(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Answering

    def _answer(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.close_connection = True
        self.send_response(200)
        self.send_header("X-Influxdb-Version", self.server.version)
        for name, value in self.server.headers.items():
            self.send_header(name, value)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for part in self.server.answer(self.path):
            if part:
                self.wfile.write(part if self.server.raw else b"%x\r\n%s\r\n" % (len(part), part))
        self.wfile.write(b"0\r\n\r\n")

    do_GET = _answer  # noqa: N815 - the names are the base class's
    do_POST = _answer  # noqa: N815

    def log_message(self, *words: object) -> None:
        """Keeps the test's output clean."""


@contextmanager
def answering() -> Iterator[Answering]:
    """The server, running within the block."""
    with Answering() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
