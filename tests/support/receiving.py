"""A loopback server that takes posts, keeps them, and answers what a test wants; and ones that break HTTP."""

from __future__ import annotations

import json
import socket
import threading
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Iterator
    from email.message import Message

__all__ = ["Posted", "Receiver", "Reply", "breaking", "read_head", "receiving"]


class Posted(NamedTuple):
    """One post.

    Attributes:
        path: With its query.
        headers: All of them.
        body: As it came.
        connection: The client's port: the same for posts over one connection.
    """

    path: str
    headers: Message
    body: bytes
    connection: int

    @property
    def key(self) -> str:
        """By which the receiver tells whether it has this already."""
        return str(self.headers["Idempotency-Key"])

    @property
    def document(self) -> Any:
        """The body as JSON, which must be standard JSON."""
        return json.loads(self.body, parse_constant=_refuse)


def _refuse(name: str) -> None:
    raise AssertionError(f"{name} is no JSON")


class Reply(NamedTuple):
    """What is answered.

    Attributes:
        status: Its status.
        body: Its body.
        headers: Beside those that the server adds.
        hangs_up: Whether the connection is closed afterwards, without a word about it.
    """

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = {}  # noqa: RUF012 - nobody changes it
    hangs_up: bool = False


class Receiver(ThreadingHTTPServer):
    """The server.

    Attributes:
        posts: Those that came, also those that were refused.
        taken: Those that were answered with success, each key once: what a careful receiver has in the end.
        replies: What is answered to the next posts, the first one first; success once there are none left.
        sooner: Called with each post before it is answered.
        dates: The header Date of answers; None for the time that it is.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.posts: list[Posted] = []
        self.taken: dict[str, Posted] = {}
        self.replies: list[Reply] = []
        self.sooner: Callable[[Posted], None] = lambda _: None
        self.dates: str | None = None
        self.scheme = "http"

    @property
    def url(self) -> str:
        """Its address."""
        return f"{self.scheme}://127.0.0.1:{self.server_port}"

    @property
    def documents(self) -> list[Any]:
        """What was posted, as JSON."""
        return [one.document for one in self.posts]

    def handle_error(self, *_: object) -> None:
        """A client that hangs up is none."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Receiver

    def do_POST(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length)
        if len(body) < length:  # who posts it was killed in the middle of it
            self.close_connection = True
            return
        post = Posted(self.path, self.headers, body, self.client_address[1])
        self.server.sooner(post)
        self.server.posts.append(post)
        reply = self.server.replies.pop(0) if self.server.replies else Reply()
        if 200 <= reply.status < 300:
            self.server.taken.setdefault(post.key, post)
        self.send_response(reply.status)
        for name, value in reply.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(reply.body)))
        self.end_headers()
        self.wfile.write(reply.body)
        self.close_connection = reply.hangs_up

    def date_time_string(self, timestamp: float | None = None) -> str:
        return self.server.dates or super().date_time_string(timestamp)

    def log_message(self, *words: object) -> None:
        """Keeps the test's output clean."""


@contextmanager
def receiving(tls: ssl.SSLContext | None = None) -> Iterator[Receiver]:
    """The server, running within the block."""
    with Receiver() as server:
        if tls is not None:
            server.socket = tls.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
            server.scheme = "https"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


def read_head(connection: socket.socket) -> int:
    """Reads up to the end of a request's headers; returns the length of the body that follows."""
    head = bytearray()
    while not head.endswith(b"\r\n\r\n"):
        part = connection.recv(1)
        if not part:
            raise ConnectionError("no request")
        head += part
    return int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0])


@contextmanager
def breaking(answer: Callable[[socket.socket], None]) -> Iterator[str]:
    """The address of a server that reads the beginning of a post, and answers by its own idea of HTTP.

    Args:
        answer: Called with each connection, on a thread of its own; the connection is closed after it.
    """
    over = threading.Event()

    def serve(connection: socket.socket) -> None:
        with connection, suppress(OSError):
            connection.settimeout(60)
            read_head(connection)
            answer(connection)
            connection.shutdown(socket.SHUT_RDWR)

    def accept(listener: socket.socket) -> None:
        with suppress(OSError):
            while not over.is_set():
                connection, _ = listener.accept()
                threading.Thread(target=serve, args=(connection,), daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=accept, args=(listener,), daemon=True).start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            over.set()
            with suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
