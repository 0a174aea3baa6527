"""Where a file ended, so that it is known again when it was copied, renamed or written to since."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import asdict, dataclass

__all__ = ["Mark", "end_of_lines", "is_left_of"]

TAIL_BYTES = 4096
STEP_BYTES = 1 << 16
SECTOR_BYTES = 512
# What lines of our own begin with; a power cut leaves NULs where nothing was written.
OWN = (b'{"', b"\0")


@dataclass(frozen=True, slots=True)
class Mark:
    """Where a file ended.

    Attributes:
        size: Its length in bytes.
        inode: Of the file.
        tail: Digest of the last bytes before `size`; empty where it is not known, or nothing is before it.
    """

    size: int
    inode: int
    tail: str = ""

    @staticmethod
    def of(descriptor: int, size: int) -> Mark:
        """The mark of an open file at this length."""
        return Mark(size, os.fstat(descriptor).st_ino, _tail(descriptor, size))

    @staticmethod
    def read(text: str) -> Mark:
        """What `text` gave, now or in an earlier version, which had no tail.

        Raises:
            ValueError: It is something else.
        """
        try:
            known = json.loads(text)
            return Mark(int(known["size"]), int(known["inode"]), str(known.get("tail", "")))
        except (KeyError, TypeError, AttributeError):
            raise ValueError("not a mark of a file") from None

    @property
    def text(self) -> str:
        """The mark as JSON."""
        return json.dumps(asdict(self))

    def fits(self, descriptor: int) -> bool:
        """Whether a file had this mark, and is at least as long."""
        status = os.fstat(descriptor)
        if status.st_size < self.size:
            return False
        return _tail(descriptor, self.size) == self.tail if self.tail else status.st_ino == self.inode


def _tail(descriptor: int, size: int) -> str:
    start = max(0, size - TAIL_BYTES)
    return hashlib.sha256(os.pread(descriptor, size - start, start)).hexdigest()[:32] if size else ""


def is_left_of(descriptor: int, start: int, size: int, waiting: bytes) -> bool:
    """Whether all that a file has from `start` on is what a crash left of writing these bytes there.

    After a power cut, a sector of them may never have been written, and reads as NULs.
    """
    if size - start > len(waiting) + 1:
        return False
    found = os.pread(descriptor, size - start, start)
    # A line of another program may have been ended first.
    return any(_is_left_of(found, start, before + waiting) for before in (b"", b"\n"))


def _is_left_of(found: bytes, start: int, wanted: bytes) -> bool:
    if len(found) > len(wanted):
        return False
    at = 0
    while at < len(found):
        stop = min(len(found), at + SECTOR_BYTES - (start + at) % SECTOR_BYTES)
        sector = found[at:stop]
        if sector != wanted[at:stop] and sector.strip(b"\0"):
            return False
        at = stop
    return True


def end_of_lines(descriptor: int, size: int) -> int:
    """Where the last whole line ends, if a line of our own was cut short; else the file's end."""
    stop = size
    while stop > 0:
        start = max(0, stop - STEP_BYTES)
        at = os.pread(descriptor, stop - start, start).rfind(b"\n")
        if at >= 0 or start == 0:
            line = start + at + 1
            return line if _is_cut_short(os.pread(descriptor, size - line, line)) else size
        stop = start
    return size


def _is_cut_short(line: bytes) -> bool:
    if not line.startswith(OWN):
        return False
    try:
        json.loads(line)
    except (ValueError, RecursionError):
        return True
    return False
