"""One HTTP request to an InfluxDB."""

from __future__ import annotations

import base64
import errno
import http.client
import socket
from contextlib import contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode, urlsplit

from edge_runtime.errors import UsageError
from edge_runtime.influxdb.refusals import MESSAGE_BYTES, READING, Errors, refuse, unreachable, words_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from edge_runtime.influxdb.settings import InfluxSettings

__all__ = ["MAX_POST_BYTES", "BoundedResponse", "InfluxClient"]


class BoundedResponse(http.client.HTTPResponse):
    """One that takes a chunk of negative length for what it is, and not for all that may ever come."""

    def _read_next_chunk_size(self) -> int:
        size: int = super()._read_next_chunk_size()  # type: ignore[misc]
        if size < 0:
            raise http.client.HTTPException("a chunk of negative length")
        return size


# Below the 10 MB that 3 Core takes, the least of the three.
MAX_POST_BYTES = 9_000_000


class InfluxClient:
    """Requests to one server; a connection of its own for each, so that none goes stale between polls.

    Several threads may make requests at the same time.

    Args:
        settings: Where and as whom.

    Raises:
        UsageError: A file of `settings.tls` cannot be used.

    Attributes:
        settings: The same, with the secrets as they were last read.
        is_3: Whether the last answer was one of an InfluxDB 3.
        max_post_bytes: How much may be written at once; less where the server, or a proxy before it, takes
            less.
        tls: What it goes by with https; None with http.
        post_bytes: How much is written at once; less after a post that came to nothing.
    """

    def __init__(self, settings: InfluxSettings) -> None:
        self.settings = settings
        parts = urlsplit(settings.url)
        self._host = parts.hostname or ""
        self._port = parts.port
        self._prefix = parts.path.rstrip("/")
        self.tls = settings.tls.context() if parts.scheme == "https" else None
        self._version = ""
        self.is_3 = False
        self.max_post_bytes = self.post_bytes = MAX_POST_BYTES
        self._interrupted = False
        self._sockets: set[socket.socket] = set()  # of the requests under way

    @property
    def answers_any_range(self) -> bool:
        """Whether the server is one that answers a short question about a long time range.

        InfluxDB 1.x and 2.x look a first or last row up; 3 Core opens every Parquet file of the range, and
        refuses when there are too many. A server that has not said yet what it is counts as one that refuses.
        """
        return self._version.removeprefix("v").startswith(("1.", "2."))

    @contextmanager
    def request(
        self,
        method: str,
        path: str,
        parameters: Mapping[str, str],
        *,
        body: bytes | bytearray | None = None,
        errors: Errors = READING,
    ) -> Iterator[http.client.HTTPResponse]:
        """A response with a status below 300, to be read within the block.

        Raises:
            SourceUnavailableError, SinkUnavailableError: The server cannot be reached, is overloaded, or went
                away.
            SourceError, SinkError: It refuses the request.
        """
        target = f"{self._prefix}{path}?{urlencode(parameters)}"
        opened: list[socket.socket] = []
        connection, known = self._connection(opened), self.settings
        try:
            if self._interrupted:
                raise InterruptedError(errno.EINTR, "interrupted")
            response = self._answer(connection, method, target, body)
            if response.status == http.client.UNAUTHORIZED and (self.renew() or self.settings != known):
                connection.close()
                response = self._answer(connection, method, target, body)
            if response.status >= http.client.MULTIPLE_CHOICES:
                elsewhere = response.getheader("Location")
                words = f"to {elsewhere}" if elsewhere else words_of(response.read(MESSAGE_BYTES))
                refuse(response.status, words, self.settings, errors, is_3=self.is_3)
            yield response
        except (OSError, http.client.HTTPException) as error:
            raise unreachable(error, self.settings.place, errors) from None
        finally:
            connection.close()
            for ours in opened:
                self._sockets.discard(ours)
                ours.close()

    def interrupt(self) -> None:
        """Ends each request under way, and every later one, as if the server had gone away.

        Safe from a signal handler. The name of the server may still be looked up, which nothing ends.
        """
        self._interrupted = True
        for under_way in tuple(self._sockets):
            with suppress(OSError):  # it is not connected any more
                under_way.shutdown(socket.SHUT_RDWR)

    def _connected(
        self, opened: list[socket.socket], address: tuple[str, int], timeout: float, source: Any = None
    ) -> socket.socket:
        """As `socket.create_connection`, but `interrupt` reaches it from its first moment.

        Args:
            opened: Gets what is to be closed after the request.
            address: Host and port.
            timeout: In seconds.
            source: Host and port to connect from.
        """
        failed: OSError | None = None
        for family, kind, protocol, _, place in socket.getaddrinfo(*address, 0, socket.SOCK_STREAM):
            made = None
            try:
                made = socket.socket(family, kind, protocol)
                made.settimeout(timeout)
                if source:
                    made.bind(source)
                # TLS takes the socket away from its object: this one stays ours.
                opened.append(made.dup())
                self._sockets.add(opened[-1])
                if self._interrupted:
                    raise InterruptedError(errno.EINTR, "interrupted")
                made.connect(place)
            except OSError as error:
                failed = error
                if made is not None:
                    made.close()
            else:
                return made
        raise failed or OSError("the name has no address")

    def renew(self) -> bool:
        """Reads the secrets' files again; whether they hold something else than before."""
        try:
            settings = self.settings.renewed()
        except UsageError:  # just being replaced, or gone: what was refused is all there is
            return False
        changed = settings != self.settings
        self.settings = settings
        return changed

    def version(self) -> str:
        """The server's version, as /ping gives it; empty when it does not say.

        Raises:
            SourceUnavailableError: It cannot be reached.
        """
        with self.request("GET", "/ping", {}) as response:
            return response.getheader("X-Influxdb-Version") or ""

    def _answer(
        self, connection: http.client.HTTPConnection, method: str, target: str, body: bytes | bytearray | None
    ) -> http.client.HTTPResponse:
        headers = {"Accept": "application/json", "User-Agent": "edge-detect", **self._authorization()}
        try:
            connection.request(method, target, body, headers)
        except (BrokenPipeError, ConnectionResetError):
            if connection.sock is None:
                raise
            # A body that is too long is answered before it is read to its end.
        response = connection.getresponse()
        self._version = response.getheader("X-Influxdb-Version") or self._version
        self.is_3 = self._version.startswith("3.") or response.getheader("cluster-uuid") is not None
        return response

    def _connection(self, opened: list[socket.socket]) -> http.client.HTTPConnection:
        timeout = self.settings.timeout
        connection = (
            http.client.HTTPConnection(self._host, self._port, timeout=timeout)
            if self.tls is None
            else http.client.HTTPSConnection(self._host, self._port, timeout=timeout, context=self.tls)
        )
        # What http.client calls to connect.
        connection._create_connection = partial(self._connected, opened)  # type: ignore[attr-defined]  # noqa: SLF001
        connection.response_class = BoundedResponse
        return connection

    def _authorization(self) -> dict[str, str]:
        settings = self.settings
        if settings.token:
            return {"Authorization": f"Token {settings.token}"}
        if settings.username:
            pair = f"{settings.username}:{settings.password or ''}".encode()
            return {"Authorization": f"Basic {base64.b64encode(pair).decode()}"}
        return {}
