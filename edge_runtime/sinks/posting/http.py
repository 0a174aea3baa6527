"""Posts over one connection to one server, each within a deadline as a whole, and in little memory."""

from __future__ import annotations

import http.client
import io
import socket
import ssl
import time
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from edge_runtime.influxdb.client import BoundedResponse
from edge_runtime.sinks.posting.answers import unreachable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from edge_runtime.sinks.posting.target import Target

__all__ = ["Answer", "Poster"]

# Of an answer's body; what is longer is not read, and its connection not used again.
MAX_ANSWER_BYTES = 1 << 16
# How a connection shows that the server closed it between two posts.
STALE = (ConnectionError, ssl.SSLEOFError, ssl.SSLZeroReturnError)
# What `http.client` raises, beside OSError, where what comes is not HTTP.
NO_HTTP = (http.client.HTTPException, ValueError)


class Answer(NamedTuple):
    """What a server answered.

    Attributes:
        status: Its status.
        body: The beginning of its body, as far as it came.
        date: Its header Date; None where it has none.
    """

    status: int
    body: bytes
    date: str | None


class Poster:
    """Posts to one server, over one connection as long as the server keeps it; a `with` block closes it.

    Args:
        target: Which server.
        timeout: Seconds that one post may take, from the connection to the last byte of the answer. The
            server's name may take longer to be looked up, which nothing ends.
        context: How TLS checks the server; None for plain HTTP.
        clock: Monotonic clock, in seconds.
    """

    def __init__(
        self,
        target: Target,
        timeout: float,
        context: ssl.SSLContext | None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._target = target
        self._timeout = timeout
        self._context = context
        self._clock = clock
        self._connection: _Connection | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def connect(self) -> None:
        """Makes sure that the server takes a connection, and posts nothing.

        Raises:
            SinkUnavailableError: It does not.
        """
        with self:
            try:
                self._connection = self._opened(_Deadline(self._timeout, self._clock))
            except OSError as error:
                raise unreachable(error, self._target, self._timeout) from None

    def post(self, path: str, body: bytes, headers: Mapping[str, str]) -> Answer:
        """What the server answers, whatever that is.

        Args:
            path: Of the address, with its query.
            body: What is posted.
            headers: With it, beside its length and the host.

        Raises:
            SinkUnavailableError: It cannot be reached, or gives no answer of HTTP in time.
        """
        deadline = _Deadline(self._timeout, self._clock)
        headers = {"Host": self._target.host_header, "User-Agent": "edge-detect", **headers}
        try:
            if self._connection is not None:
                try:
                    return self._exchange(self._connection, deadline, path, body, headers)
                except STALE:
                    self.close()
                    if deadline.answered:  # so it has seen this post, and must not see it twice at once
                        raise
            return self._exchange(self._opened(deadline), deadline, path, body, headers)
        except (OSError, *NO_HTTP) as error:
            self.close()
            raise unreachable(error, self._target, self._timeout) from None

    def close(self) -> None:
        """Closes the connection; the next post opens another one."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _exchange(
        self, connection: _Connection, deadline: _Deadline, path: str, body: bytes, headers: Mapping[str, str]
    ) -> Answer:
        self._connection = connection
        connection.within(deadline)
        # A body that is not wanted may be answered, and the connection closed, before it is read to its end.
        with suppress(BrokenPipeError, ConnectionResetError):
            connection.request("POST", path, body, headers)
        response = connection.getresponse()
        found = b""
        try:
            with suppress(OSError, *NO_HTTP):  # the status has been said
                found = response.read(MAX_ANSWER_BYTES)
            if response.will_close or not response.isclosed():
                self.close()
        finally:
            response.close()
        return Answer(response.status, found, response.getheader("Date"))

    def _opened(self, deadline: _Deadline) -> _Connection:
        target = self._target
        plain = _connected(target.host, target.port, deadline)
        if self._context is None:
            return _Connection(target.host, target.port, plain)
        try:
            plain.settimeout(deadline.left())
            secure = self._context.wrap_socket(plain, server_hostname=target.host)
        except BaseException:
            plain.close()
            raise
        return _Connection(target.host, target.port, secure)


class _Deadline:
    """When a post is over.

    Attributes:
        answered: Whether anything has come from the server.
    """

    def __init__(self, seconds: float, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._ends = clock() + seconds
        self.answered = False

    def left(self) -> float:
        """Seconds that are left, more than 0.

        Raises:
            TimeoutError: None are.
        """
        left = self._ends - self._clock()
        if left <= 0:
            raise TimeoutError("the time for this post is over")
        return left


class _Connection(http.client.HTTPConnection):
    """One over a socket that is connected already; it never connects by itself."""

    auto_open = 0

    def __init__(self, host: str, port: int, sock: socket.socket) -> None:
        super().__init__(host, port)
        self.sock = sock
        self._deadline: _Deadline | None = None
        self._head: bytes | None = None  # of a request, until its body follows; empty before it is there

    def within(self, deadline: _Deadline) -> None:
        """From now on this deadline holds; a request with a body follows."""
        self._deadline, self._head = deadline, b""
        # What http.client makes a response with.
        self.response_class = partial(_Response, deadline)  # type: ignore[assignment]

    def send(self, data: Any) -> None:
        """As the base class does, but head and body together, which takes a quarter less of the processor.

        Python lets no single call of `sendall` last longer than its timeout.
        """
        if self._head == b"":
            self._head = data
            return
        if self._head is not None:
            data, self._head = self._head + data, None
        if self.sock is not None and self._deadline is not None:
            self.sock.settimeout(self._deadline.left())
        super().send(data)


class _Response(BoundedResponse):
    """One that is read within a deadline, however slowly it trickles."""

    def __init__(self, deadline: _Deadline, sock: socket.socket, *arguments: Any, **named: Any) -> None:
        super().__init__(sock, *arguments, **named)
        self.fp.close()
        self.fp = io.BufferedReader(_Timed(sock, deadline))


class _Timed(io.RawIOBase):
    """What a socket receives, each time with what is left of the deadline as its timeout."""

    def __init__(self, sock: socket.socket, deadline: _Deadline) -> None:
        super().__init__()
        self._sock = sock
        self._deadline = deadline
        self._raw = sock.makefile("rb", buffering=0)

    def readable(self) -> bool:
        """It is."""
        return True

    def readinto(self, buffer: Any) -> int | None:
        """Waits for some bytes, or the end."""
        self._sock.settimeout(self._deadline.left())
        count = self._raw.readinto(buffer)
        self._deadline.answered |= bool(count)
        return count

    def close(self) -> None:
        """Lets go of the socket."""
        self._raw.close()
        super().close()


def _connected(host: str, port: int, deadline: _Deadline) -> socket.socket:
    """A socket that is connected to the first of the host's addresses that takes it."""
    failed: OSError | None = None
    addresses = socket.getaddrinfo(host, port, 0, socket.SOCK_STREAM)
    for number, (family, kind, protocol, _, place) in enumerate(addresses):
        made = socket.socket(family, kind, protocol)
        try:
            # One that takes no packets, as where IPv6 leads nowhere, leaves time for the others.
            made.settimeout(deadline.left() / (len(addresses) - number))
            made.connect(place)
            made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except OSError as error:
            failed = error
            made.close()
        else:
            return made
    raise failed or OSError("the name has no address")
