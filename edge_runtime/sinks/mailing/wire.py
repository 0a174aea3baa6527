"""A connection to a mail server: every step ends in time, and nothing that it says is without an end."""

from __future__ import annotations

import smtplib
import socket
import time

from edge_runtime.errors import SinkUnavailableError, printable

__all__ = ["Wire", "own_name"]

MAX_REPLY_BYTES, PIECE = 1 << 16, 1 << 14
MAX_WORDS, MAX_ODD, MIN_SECRET = 300, 80, 6


class Wire(smtplib.SMTP):
    """A connection, which is not made yet.

    Args:
        place: The server, for messages.
        timeout: Seconds for which it may be silent.

    Attributes:
        place: As above.
        secrets: What no message shows.
    """

    def __init__(self, place: str, timeout: float) -> None:
        super().__init__(timeout=timeout, local_hostname="localhost")
        self.place = place
        self.secrets: tuple[str, ...] = ()
        self._silence_s = timeout
        self._ends = 0.0
        self._read = bytearray()

    def begin(self, seconds: float) -> None:
        """What comes next has to be done within so many seconds, however lively the server is."""
        self._ends = time.monotonic() + seconds

    def left(self) -> float:
        """Seconds for which the next step may be silent.

        Raises:
            TimeoutError: There are none.
        """
        left = min(self._silence_s, self._ends - time.monotonic())
        if left <= 0:
            raise TimeoutError
        return left

    @property
    def unread(self) -> bool:
        """Whether the server has said more than was asked."""
        return bool(self._read)

    def send(self, s: str | bytes) -> None:  # type: ignore[override]
        """Sends all of it, in time."""
        if self.sock is None:
            raise smtplib.SMTPServerDisconnected
        data = s.encode(self.command_encoding) if isinstance(s, str) else s
        for start in range(0, len(data), PIECE):
            self.sock.settimeout(self.left())
            self.sock.sendall(data[start : start + PIECE])

    def getreply(self) -> tuple[int, bytes]:
        """An answer, whole and in time: its code, and its words line by line."""
        words, size = list[bytes](), 0
        while True:
            line = self._line()
            size += len(line)
            if not line[:3].isdigit() or size > MAX_REPLY_BYTES:
                raise self.away(
                    f"something other than a mail server answers ({self.said(None, line[:MAX_ODD])})",
                    "check host, port and security in [email]",
                )
            words.append(line[4:].strip())
            if line[3:4] != b"-":
                return int(line[:3]), b"\n".join(words)

    def _line(self) -> bytes:
        while (end := self._read.find(b"\n") + 1) == 0 and len(self._read) <= MAX_REPLY_BYTES:
            if self.sock is None:
                raise smtplib.SMTPServerDisconnected
            self.sock.settimeout(self.left())
            more = self.sock.recv(PIECE)
            if not more:
                raise smtplib.SMTPServerDisconnected
            self._read += more
        line = bytes(self._read[:end] if end else self._read)
        del self._read[: len(line)]
        return line

    def away(self, what: str, hint: str | None = None) -> SinkUnavailableError:
        """The error for a server with which something is wrong now."""
        return SinkUnavailableError(what, where=self.place, hint=hint or "it is tried again later")

    def said(self, code: int | None, words: bytes) -> str:
        """An answer on one line. A server may repeat what it was sent, and no secret is shown."""
        text = words.decode("utf-8", "replace")
        for secret in self.secrets:
            text = text.replace(secret, "…")
        shown = ["…" if self._is_secret(word) else word for word in text.split()]
        return printable(" ".join(shown if code is None else [str(code), *shown]), MAX_WORDS)

    def _is_secret(self, word: str) -> bool:
        """Whether it is part of a secret, which an answer of bounded length may end with."""
        return len(word) >= MIN_SECRET and any(word in secret for secret in self.secrets)


def own_name(sock: socket.socket) -> str:
    """What this machine calls itself: its name if it has a whole one, or else its address."""
    name = socket.gethostname()
    if "." in name and name.isascii() and name.replace(".", "").replace("-", "").isalnum():
        return name
    address = str(sock.getsockname()[0]).partition("%")[0]
    return f"[IPv6:{address}]" if ":" in address else f"[{address}]"
