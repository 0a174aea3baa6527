"""A loopback server that plays recorded HTTP exchanges: each request must come in turn, just as it was."""

from __future__ import annotations

import json
import re
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlsplit

if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterator, Mapping
    from email.message import Message

__all__ = ["Exchange", "playing"]


@dataclass(frozen=True, slots=True)
class Exchange:
    """A request that must come, and what is answered.

    Attributes:
        request: Method and path, such as "POST /api/v2/write".
        query: Its parameters: these, and no others.
        sent: Headers that it must have with just these values; None for one that it must not have.
        body: Its body; a mapping is compared as JSON, a pattern must match all of it.
        status: Of the answer.
        headers: Of the answer, beside its length.
        answer: The answer's body; several parts are sent as HTTP chunks; None never answers.
        cut: Whether the connection breaks off before the answer's end.
    """

    request: str
    query: Mapping[str, str] = field(default_factory=dict)
    sent: Mapping[str, str | None] = field(default_factory=dict)
    body: bytes | Mapping[str, Any] | re.Pattern[bytes] = b""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    answer: bytes | tuple[bytes, ...] | None = b""
    cut: bool = False

    def differences(self, method: str, target: str, headers: Message, body: bytes) -> list[str]:
        """What is not as it should be in a request, one line each."""
        parts = urlsplit(target)
        pairs = [
            ("request", self.request, f"{method} {parts.path}"),
            ("query", sorted(self.query.items()), sorted(parse_qsl(parts.query, keep_blank_values=True))),
            *((f"header {name}", value, headers.get(name)) for name, value in self.sent.items()),
            ("body", self.body, self._as_wanted(body)),
        ]
        return [
            f"{what}: {found!r} instead of {wanted!r}" for what, wanted, found in pairs if found != wanted
        ]

    def _as_wanted(self, body: bytes) -> Any:
        """A body, to be compared with the one that must come."""
        if isinstance(self.body, bytes):
            return body
        if isinstance(self.body, re.Pattern):
            return self.body if self.body.fullmatch(body) else body
        try:
            return json.loads(body)
        except ValueError:
            return body


class _Stage(ThreadingHTTPServer):
    """The exchanges that are still to come, and what went wrong with the others."""

    def __init__(self, exchanges: tuple[Exchange, ...]) -> None:
        super().__init__(("127.0.0.1", 0), _Player)
        self.waiting = list(exchanges)
        self.mistakes: list[str] = []
        self.over = threading.Event()
        self.lock = threading.Lock()

    def next_for(self, method: str, target: str, headers: Message, body: bytes) -> Exchange:
        """The exchange whose turn it is; a mistake is answered by 418, which nobody takes for a success."""
        with self.lock:
            if not self.waiting:
                self.mistakes.append(f"{method} {target}: nothing more was to be asked")
                return Exchange("", status=418)
            exchange = self.waiting.pop(0)
            if wrong := exchange.differences(method, target, headers, body):
                self.mistakes += wrong
                return Exchange("", status=418)
            return exchange


class _Player(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Stage

    def _play(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        exchange = self.server.next_for(self.command, self.path, self.headers, body)
        self.close_connection = True
        if exchange.answer is None:
            self.server.over.wait()
            return
        self.send_response(exchange.status)
        for name, value in exchange.headers.items():
            self.send_header(name, value)
        if isinstance(exchange.answer, bytes):
            self.send_header("Content-Length", str(len(exchange.answer) + exchange.cut))
            self.end_headers()
            self.wfile.write(exchange.answer)
            return
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        end = () if exchange.cut else (b"",)
        for part in (*exchange.answer, *end):
            self.wfile.write(b"%x\r\n%s\r\n" % (len(part), part))

    do_GET = _play  # noqa: N815 - the names are the base class's
    do_POST = _play  # noqa: N815

    def log_message(self, *words: object) -> None:
        """Keeps the test's output clean."""


@contextmanager
def playing(*exchanges: Exchange, tls: ssl.SSLContext | None = None) -> Iterator[str]:
    """The address of a server that plays these, in this order.

    Raises:
        AssertionError: Another request came, or one did not come.
    """
    with _Stage(exchanges) as stage:
        if tls:
            stage.socket = tls.wrap_socket(stage.socket, server_side=True)
        thread = threading.Thread(target=stage.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"{'https' if tls else 'http'}://127.0.0.1:{stage.server_port}"
            if not stage.mistakes:
                assert not stage.waiting, f"never asked: {[exchange.request for exchange in stage.waiting]}"
        finally:
            stage.over.set()
            stage.shutdown()
            thread.join()
            # What the client made of the 418 comes with it, as the error's context.
            assert not stage.mistakes, "\n".join(stage.mistakes)
