"""A small reader of SQLite's file format: records of single pages, without the tree that leads to them.

It is for a file that SQLite itself refuses. What it finds may be old or wrong; whoever uses it proves each
record by its checksum. The sections named here are those of https://www.sqlite.org/fileformat2.html.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING

from edge_runtime.delivery.proof import UnreadableError
from edge_runtime.delivery.wal import PAGE_SIZE, Frame, read_log

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["Image", "Record", "Value"]

INTERIOR_INDEX, LEAF_INDEX, LEAF_TABLE = 0x02, 0x0A, 0x0D  # 1.6
FLOAT, BLOB = 7, 12  # 2.1, serial types
MAX_RECORD = 64 << 20

Value = None | int | float | str | bytes


@dataclass(frozen=True, slots=True)
class Record:
    """A row of a page.

    Attributes:
        id: Its rowid; None in a table without rowids.
        values: Its columns.
    """

    id: int | None
    values: tuple[Value, ...]


class Image:
    """A database file and its log as they lie on the disk.

    Args:
        path: The file; its log lies beside it.

    Raises:
        OSError: They cannot be read.
        UnreadableError: The disk does not give a block of them; by the other methods, too.
    """

    def __init__(self, path: Path) -> None:
        self._files: dict[bool, IO[bytes]] = {}
        try:
            self._frames = read_log(path.with_name(f"{path.name}-wal")).frames
        except OSError as error:
            raise UnreadableError(error.errno, error.strerror) from None
        self._files[False] = path.open("rb", buffering=0)
        if self._frames:
            self._files[True] = path.with_name(f"{path.name}-wal").open("rb", buffering=0)
        self.pages = os.fstat(self._files[False].fileno()).st_size // PAGE_SIZE
        self._newest: dict[int, Frame] = {frame.page: frame for frame in self._frames}

    def close(self) -> None:
        """Closes the files."""
        for file in self._files.values():
            file.close()

    def head(self) -> bytes:
        """The first page, which says what the file is, as every place has it."""
        return b"".join(page for number, page in self._versions() if number == 1)

    def records(self, *kinds: int) -> Iterator[Record]:
        """The records of all versions of all pages of these kinds, older versions first."""
        for number, page in self._versions():
            start = 100 if number == 1 else 0  # 1.3: the database header stands before the first page's
            if len(page) > start + 8 and page[start] in kinds:
                yield from self._records(page, start)

    def _versions(self) -> Iterator[tuple[int, bytes]]:
        for number in range(1, self.pages + 1):
            yield number, self._read(in_log=False, offset=(number - 1) * PAGE_SIZE)
        for frame in self._frames:
            yield frame.page, self._read(in_log=True, offset=frame.offset)

    def _read(self, *, in_log: bool, offset: int) -> bytes:
        try:
            return os.pread(self._files[in_log].fileno(), PAGE_SIZE, offset)
        except OSError as error:
            # It may be there again in a minute; taken for an empty page, its rows would be lost.
            raise UnreadableError(error.errno, error.strerror) from None

    def _page(self, number: int) -> bytes:
        frame = self._newest.get(number)
        if frame is not None:
            return self._read(in_log=True, offset=frame.offset)
        return self._read(in_log=False, offset=(number - 1) * PAGE_SIZE)

    def _records(self, page: bytes, start: int) -> Iterator[Record]:
        """1.6: the page's header, then an array with the place of each cell."""
        kind = page[start]
        count = int.from_bytes(page[start + 3 : start + 5], "big")
        array = start + (12 if kind == INTERIOR_INDEX else 8)
        for place in range(array, min(array + 2 * count, len(page) - 1), 2):
            try:
                record = self._record(page, int.from_bytes(page[place : place + 2], "big"), kind)
            except (ValueError, IndexError):
                continue
            yield record

    def _record(self, page: bytes, at: int, kind: int) -> Record:
        if kind == INTERIOR_INDEX:
            at += 4  # the child to the left
        size, at = _varint(page, at)
        number = None
        if kind == LEAF_TABLE:
            number, at = _varint(page, at)
        if not 0 < size <= MAX_RECORD:
            raise ValueError
        return Record(number, tuple(_columns(self._payload(page, at, size, kind))))

    def _payload(self, page: bytes, at: int, size: int, kind: int) -> bytes:
        """1.6 and 1.7: what does not fit the page goes on in a chain of overflow pages."""
        most = PAGE_SIZE - 35 if kind == LEAF_TABLE else (PAGE_SIZE - 12) * 64 // 255 - 23
        if size <= most:
            return page[at : at + size]
        least = (PAGE_SIZE - 12) * 32 // 255 - 23
        local = least + (size - least) % (PAGE_SIZE - 4)
        local = local if local <= most else least
        parts = [page[at : at + local]]
        left, chain = size - local, int.from_bytes(page[at + local : at + local + 4], "big")
        while left > 0:
            content = self._page(chain) if chain else b""
            if len(content) < PAGE_SIZE:
                raise ValueError
            parts.append(content[4 : 4 + left])
            left -= PAGE_SIZE - 4
            chain = int.from_bytes(content[:4], "big")
        return b"".join(parts)


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """1.6: up to nine bytes, seven bits each, the ninth with all eight; and where it ends."""
    value = 0
    for place in range(at, at + 8):
        byte = data[place]
        value = value << 7 | byte & 0x7F
        if byte < 0x80:  # noqa: PLR2004 - the bit that says that more follows
            return value, place + 1
    value = value << 8 | data[at + 8]
    return value - (1 << 64) if value >> 63 else value, at + 9


def _columns(record: bytes) -> Iterator[Value]:
    """2.1: a header with the type of each column, then the columns."""
    end, at = _varint(record, 0)
    body = end
    if not 0 < end <= len(record):
        raise ValueError
    while at < end:
        kind, at = _varint(record, at)
        size = _size(kind)
        content = record[body : body + size]
        if len(content) < size:
            raise ValueError
        body += size
        yield _value(kind, content)


def _size(kind: int) -> int:
    if kind < 0 or kind in (10, 11):
        raise ValueError
    return (kind - BLOB) // 2 if kind >= BLOB else (0, 1, 2, 3, 4, 6, 8, 8, 0, 0)[kind]


def _value(kind: int, content: bytes) -> Value:
    if kind in (0, 8, 9):
        return None if kind == 0 else kind - 8
    if kind < FLOAT:
        return int.from_bytes(content, "big", signed=True)
    if kind == FLOAT:
        import struct  # noqa: PLC0415 - no table of ours has one

        number: float = struct.unpack(">d", content)[0]
        return number
    return content if kind % 2 == 0 else content.decode()
