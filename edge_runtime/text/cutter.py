"""Whole lines out of a stream of bytes, in bounded memory."""

from __future__ import annotations

__all__ = ["MAX_LINE_BYTES", "TOO_LONG", "LineCutter"]

# Of a line, or of a message: thousands of times what a row needs.
MAX_LINE_BYTES = 1 << 20
# Why a line or message was left out, for the accounts.
TOO_LONG = f"longer than {MAX_LINE_BYTES >> 20} MiB"


class LineCutter:
    """Cuts what comes into whole lines, in time and memory that grow with its length alone.

    A line that is too long is left out to its very end: what follows its first megabyte is never taken for
    a line of its own.

    Args:
        max_bytes: How long a line may be, its end included.

    Attributes:
        left_out: Number of lines that were too long, the one that is still being left out among them.
    """

    def __init__(self, max_bytes: int = MAX_LINE_BYTES) -> None:
        self._max_bytes = max_bytes
        self._rest = bytearray()
        self._leaving_out = False
        self.left_out = 0

    def feed(self, data: bytes) -> bytes:
        """The lines that are whole now, each with its end; a line that is left out can only be the first.

        Args:
            data: What came, no longer than a line may be.
        """
        stop = data.rfind(b"\n") + 1
        if not stop:
            self._hold(data)
            return b""
        if self._rest or self._leaving_out:
            first = data.find(b"\n") + 1
            self._hold(data[:first])
            whole = bytes(self._rest) + data[first:stop]
            self._rest.clear()
            self._leaving_out = False
        else:
            whole = data[:stop]
        if stop < len(data):
            self._hold(data[stop:])
        return whole

    def end(self) -> bytes:
        """What is left of a last line without an end."""
        rest = bytes(self._rest)
        self._rest.clear()
        self._leaving_out = False
        return rest

    def _hold(self, part: bytes) -> None:
        if self._leaving_out:
            return
        if len(self._rest) + len(part) > self._max_bytes:
            self._rest.clear()
            self._leaving_out = True
            self.left_out += 1
        else:
            self._rest += part
