"""Messages that are too long are drained from the socket before the client holds them.

The client gets such a message without its content, so that it can be acknowledged and counted like any other:
one that is refused by closing the connection would come again for ever.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge_runtime.text.cutter import MAX_LINE_BYTES

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["OVERSIZE", "PacketFilter"]

# The content that a message has which was too long.
OVERSIZE = b"\0 too long for edge-detect"
PUBLISH = 3
DRAIN_BYTES = 1 << 16
# What begins a message: its topic with two bytes of length, and two bytes of packet id.
MAX_BEGINNING = 2 + 0xFFFF + 2
CONTINUES = 0x80  # in a byte of a packet's length: another one follows
MAX_LENGTH_BYTES = 4


class PacketFilter:
    """Reads packets from a socket that does not block, for a client that asks for them byte by byte.

    Args:
        receive: Takes up to so many bytes from the socket, and raises `BlockingIOError` when there are none;
            none at its end.
        max_bytes: How long a packet may be.
    """

    def __init__(self, receive: Callable[[int], bytes], max_bytes: int = MAX_LINE_BYTES) -> None:
        self._receive = receive
        self._max_bytes = max_bytes
        self._command: int | None = None  # of the packet that is being read
        self._length = b""  # as far as it was read
        self._ready = b""  # what to give next
        self._left = 0  # bytes of the packet that are still to come
        self._draining = False
        self._beginning = bytearray()

    def read(self, size: int) -> bytes:
        """Up to so many bytes; none at the end.

        Raises:
            BlockingIOError: There are none now.
            ConnectionError: A packet is too long that is not a message.
        """
        if self._command is None:
            data = self._receive(1)
            if data:
                self._command, self._length = data[0], b""
            return data
        while not self._ready and not self._left:
            if not self._read_length():
                return b""
        if self._draining and not self._drain():
            return b""
        if self._ready:
            data, self._ready = self._ready[:size], self._ready[size:]
        else:
            data = self._receive(min(size, self._left))
            self._left -= len(data)
        if not self._ready and not self._left:
            self._command = None
        return data

    def _read_length(self) -> bool:
        """One more byte of the packet's length; whether there was one."""
        byte = self._receive(1)
        self._length += byte
        if not byte or (byte[0] & CONTINUES and len(self._length) < MAX_LENGTH_BYTES):
            return bool(byte)
        self._left = sum((part & ~CONTINUES) << 7 * place for place, part in enumerate(self._length))
        if self._left <= self._max_bytes:
            self._ready = self._length
        elif self._command is None or self._command >> 4 != PUBLISH:
            raise ConnectionError(f"a packet of {self._left:,} bytes that is not a message")
        else:
            self._draining = True
            self._beginning.clear()
        return True

    def _drain(self) -> bool:
        """Leaves out what is left of a message; whether all of it came."""
        while self._left:
            data = self._receive(min(self._left, DRAIN_BYTES))
            if not data:
                return False
            self._left -= len(data)
            self._beginning += data[: MAX_BEGINNING - len(self._beginning)]
        self._draining = False
        topic = 2 + int.from_bytes(self._beginning[:2], "big")
        acknowledged = (self._command or 0) & 0b0110
        body = bytes(self._beginning[: topic + (2 if acknowledged else 0)]) + OVERSIZE
        self._ready = _length_of(len(body)) + body
        return True


def _length_of(size: int) -> bytes:
    found = bytearray()
    while True:
        size, part = size >> 7, size & ~CONTINUES & 0x7F
        found.append(part | (CONTINUES if size else 0))
        if not size:
            return bytes(found)
