"""Columns of int64, planned by `plan.py`, as one block of bytes, and back.

A block is a deflated part and the low bits of all columns, which do not deflate. The deflated part holds the
lengths of its three parts, the facts about columns, bytes (distances stored whole, and what a writer adds),
and the unary codes of all columns one after another; long runs take next to nothing there.
"""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

import numpy as np

from edge_runtime.history.plan import ESCAPE, FRAME, LARGEST, WORD, Way, spread

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edge_runtime.history.plan import Plan

__all__ = ["Reader", "Writer"]

MASK = (1 << WORD) - 1
LEVEL = 6
# Unary codes take at most so many bits a number, on average; a reader counts on it.
UNARY_BITS = 8


class Writer:
    """Takes columns and bytes, and gives them as one block of bytes."""

    def __init__(self) -> None:
        self._facts = bytearray()
        self._parts: list[bytes] = []
        self._low: list[bytes] = []
        self._unary: list[NDArray[np.int64]] = []

    def number(self, number: int) -> None:
        """One int64; small ones take a byte."""
        left = ((number << 1) ^ (number >> (WORD - 1))) & MASK
        while left > 0x7F:  # noqa: PLR2004
            self._facts.append(left & 0x7F | 0x80)
            left >>= 7
        self._facts.append(left)

    def data(self, data: bytes) -> None:
        """Bytes; the reader has to know how many."""
        self._parts.append(data)

    def integers(self, plan: Plan) -> None:
        """A column; the reader has to know of how many numbers."""
        self.number(plan.way)
        self.number(plan.first)
        self.number(plan.divisor)
        if plan.distances is None:
            return
        distances, low = plan.distances.astype("<u8"), plan.low
        unary = np.minimum(distances >> np.uint64(low), np.uint64(ESCAPE)).astype(np.int64)
        if int(unary.sum()) > (UNARY_BITS - 1) * len(unary):
            low = int(distances.max()).bit_length()
            unary = np.zeros_like(unary)
        self.number(low)
        if plan.bases is None:
            self.number(plan.centre)
        else:
            self.integers(plan.bases)
        octets = distances.view(np.uint8).reshape(-1, 8)
        whole, rest = divmod(low, 8)
        self._low.append(octets[:, :whole].T.tobytes())
        if rest:
            bits = octets[:, whole] >> np.arange(rest, dtype=np.uint8)[:, None] & 1
            self._low.append(np.packbits(bits).tobytes())
        self.data(octets[unary == ESCAPE].T.tobytes())
        self._unary.append(unary)

    def finished(self) -> bytes:
        """Everything, which a `Reader` takes apart."""
        unary = np.concatenate([np.empty(0, np.int64), *self._unary])
        ends = np.cumsum(unary + 1)
        bits = np.zeros(ends[-1] if len(ends) else 0, np.uint8)
        bits[ends - 1] = 1
        sizes = Writer()
        parts, codes = b"".join(self._parts), np.packbits(bits).tobytes()
        for size in (len(self._facts), len(parts), len(codes)):
            sizes.number(size)
        packer = zlib.compressobj(LEVEL, zlib.DEFLATED, -zlib.MAX_WBITS)
        deflated = packer.compress(bytes(sizes._facts + self._facts) + parts + codes) + packer.flush()
        return deflated + b"".join(self._low)


class Reader:
    """Takes a block of bytes apart, in the order in which it was written.

    Args:
        data: What `Writer.finished` gave.
        limit: Bytes that the deflated part may have at most.
        columns: Numbers that all columns may have at most.

    Raises:
        ValueError: Here and from each method, if the data is not what a writer gives.
    """

    def __init__(self, data: bytes | memoryview, limit: int, columns: int) -> None:
        inflater = zlib.decompressobj(-zlib.MAX_WBITS)
        try:
            self._plain = inflater.decompress(data, limit)
        except zlib.error as error:
            raise ValueError(f"the deflated part is damaged: {error}") from None
        if not inflater.eof:
            raise ValueError("the deflated part is cut off, or too long")
        self._low = memoryview(inflater.unused_data)
        self._place, self._stop = 0, len(self._plain)
        facts, parts, codes = self.count(), self.count(), self.count()
        self._stop = self._part = self._place + facts
        self._last = self._part + parts
        if self._last + codes != len(self._plain) or 8 * codes > UNARY_BITS * (columns + 1):
            raise ValueError("the sizes of the parts do not fit")
        bits = np.unpackbits(np.frombuffer(self._plain, np.uint8, codes, self._last))
        ends = np.flatnonzero(bits.view(np.bool_))
        self._unary = np.diff(ends, prepend=-1)
        self._unary -= 1
        self._escapes = bool((self._unary == ESCAPE).any())

    def number(self) -> int:
        """One int64."""
        left = shift = 0
        while shift < WORD:
            if self._place >= self._stop:
                break
            byte = self._plain[self._place]
            self._place += 1
            left |= (byte & 0x7F) << shift
            if byte < 0x80:  # noqa: PLR2004
                left &= MASK
                return (left >> 1) ^ -(left & 1)
            shift += 7
        raise ValueError("a number is cut off")

    def count(self, most: int = LARGEST) -> int:
        """One number from 0 to `most`."""
        number = self.number()
        if not 0 <= number <= most:
            raise ValueError(f"a count of {number}")
        return number

    def data(self, size: int) -> NDArray[np.uint8]:
        """So many bytes."""
        place, self._part = self._part, self._part + size
        if self._part > self._last:
            raise ValueError("bytes are missing")
        return np.frombuffer(self._plain, np.uint8, size, place)

    def integers(self, count: int) -> NDArray[np.int64]:
        """A column of so many numbers."""
        way, first, divisor = self.count(Way.FRAMES), self.number(), self.number()
        if way == Way.LINE:
            numbers = np.arange(count, dtype=np.int64)
        else:
            low = self.count(WORD)
            if way == Way.FRAMES and count < FRAME:
                raise ValueError("a frame is incomplete")
            bases = spread(self.integers(count // FRAME), count) if way == Way.FRAMES else self.number()
            numbers = self._distances(count, low)
            numbers += bases
            if way == Way.STEPS:
                np.cumsum(numbers, out=numbers)
        if divisor != 1:
            numbers *= divisor
        numbers += first
        return numbers

    def _distances(self, count: int, low: int) -> NDArray[np.int64]:
        """[count] of `low` low bits and what is in unary."""
        unary, self._unary = self._unary[:count], self._unary[count:]
        if len(unary) < count:
            raise ValueError("a column is cut off")
        distances = unary.astype("<u8") << np.uint64(low)
        octets = distances.view(np.uint8).reshape(count, 8)
        whole, rest = divmod(low, 8)
        for place in range(whole):
            octets[:, place] = self._bytes(count)
        if rest:
            planes = np.unpackbits(self._bytes(-(-rest * count // 8)), count=rest * count).reshape(
                rest, count
            )
            for place in range(1, rest):
                planes[0] |= planes[place] << place
            octets[:, whole] |= planes[0]
        if self._escapes and len(escaped := np.flatnonzero(unary == ESCAPE)):
            octets[escaped] = self.data(8 * len(escaped)).reshape(8, -1).T
        signs = -(distances & np.uint64(1)).view(np.int64)
        return (distances >> np.uint64(1)).view(np.int64) ^ signs

    def _bytes(self, size: int) -> NDArray[np.uint8]:
        """So many bytes of the low bits."""
        if size > len(self._low):
            raise ValueError("a column is cut off")
        taken, self._low = self._low[:size], self._low[size:]
        return np.frombuffer(taken, np.uint8)

    def finish(self) -> None:
        """There must be nothing left."""
        if self._place != self._stop or self._part != self._last or len(self._unary) or len(self._low):
            raise ValueError("more data than rows")
