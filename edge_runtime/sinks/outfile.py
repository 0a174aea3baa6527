"""A file that is appended to, of which a crash, a full disk or a rotation neither loses nor doubles a byte.

A mark says how long the file was after what is known to be delivered, and how it ended there. When a process
takes the file up, what comes after the mark is cut off if it is what waits to be delivered: it was written,
but nobody was told. What anybody else wrote there stays. The file is known by how it ended and not by its
inode alone, so that the mark holds for a copy, and after a renaming.
"""

from __future__ import annotations

import errno
import fcntl
import os
import select
import stat
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from edge_runtime.files import OWN_FILE, sync_folder
from edge_runtime.sinks.filemark import Mark, end_of_lines, is_left_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from edge_runtime.sinks.rotation import Rotation

__all__ = ["OutputFile"]

PIPE_WAIT_S = 1.0


class OutputFile:
    """The file, open for appending. A pipe or a device is written to as it is: it has no mark.

    Args:
        path: Where; made when missing. When it is renamed, a new one is begun there.
        rotation: When the file is renamed by itself; None for never.
        report: Called with one line for a person.

    Every method raises `OSError` when the file cannot be read or written.
    """

    def __init__(
        self,
        path: Path,
        rotation: Rotation | None = None,
        report: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._path = Path(os.path.realpath(path))  # a link stays one when the file is renamed
        self._rotation = rotation
        self._report = report
        self._descriptor: int | None = None
        self._regular = True
        self._end = 0  # of what is whole
        self._torn = False  # whether something of a write that failed may come after that
        self._before = b""  # what comes before the next line, as another program left a line without its end
        self._taken = b""  # by a pipe that took only a part
        self._written = False  # since the last mark

    def open(self) -> None:
        """Opens it, unless it is open; begins a new one where it was renamed or deleted."""
        if self._descriptor is not None and not (self._regular and self._is_elsewhere()):
            return
        self.close()
        made = not self._path.exists()
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT
        if not made and not stat.S_ISREG(self._path.stat().st_mode):
            flags = os.O_WRONLY | os.O_NONBLOCK  # a pipe that nobody reads must not stop everything
        descriptor = os.open(self._path, flags | os.O_CLOEXEC, OWN_FILE)
        try:
            status = os.fstat(descriptor)
            self._regular = stat.S_ISREG(status.st_mode)
            if self._regular:
                _lock(descriptor)
            if made:
                sync_folder(self._path.parent)
        except BaseException:
            os.close(descriptor)
            raise
        self._descriptor, self._end = descriptor, status.st_size

    def resume(self, known: str | None, waiting: bytes = b"") -> None:
        """Takes the file up after the mark: cuts off what was written after it and nobody was told of.

        Args:
            known: The mark; None for a file that was never written to by this feed.
            waiting: What is to be delivered first: all that one delivery may have written of it.

        Raises:
            ValueError: That is not a mark.
        """
        mark = None if known is None else Mark.read(known)
        self.open()
        if not self._regular or self._descriptor is None:
            return
        if mark is None:
            self._cut(self._descriptor, end_of_lines(self._descriptor, self._end))
        else:
            self._undo(self._descriptor, mark, waiting)
        self._end = os.fstat(self._descriptor).st_size
        if self._end and os.pread(self._descriptor, 1, self._end - 1) != b"\n":
            self._before = b"\n"

    def _undo(self, descriptor: int, mark: Mark, waiting: bytes) -> None:
        """Cuts what was written after the mark off the file, or off the one that was renamed since."""
        same = os.fstat(descriptor).st_ino == mark.inode
        fits = mark.fits(descriptor) if mark.size else True
        if fits and self._end > mark.size and is_left_of(descriptor, mark.size, self._end, waiting):
            self._cut(descriptor, mark.size)
        elif same and 0 < self._end < mark.size and is_left_of(descriptor, 0, self._end, waiting):
            self._cut(descriptor, 0)  # it was truncated, and written to since
        elif (not fits or not same) and self._undo_renamed(mark, waiting):
            pass
        elif fits and self._end > mark.size:
            more = self._end - mark.size
            self._report(
                f"{self._path}: {more:,} bytes after the last delivery are not of this feed; they stay"
            )

    def _undo_renamed(self, mark: Mark, waiting: bytes) -> bool:
        """The same for a file that was renamed after the mark was set, if it still lies beside its place."""
        for other in sorted(self._path.parent.glob(f"{_literal(self._path.name)}?*")):
            with suppress(OSError):
                descriptor = os.open(other, os.O_RDWR | os.O_NONBLOCK)
                try:
                    status = os.fstat(descriptor)
                    known = mark.fits(descriptor) if mark.size else status.st_ino == mark.inode
                    if stat.S_ISREG(status.st_mode) and known:
                        if is_left_of(descriptor, mark.size, status.st_size, waiting):
                            self._cut(descriptor, mark.size)
                        return True
                finally:
                    os.close(descriptor)
        return False

    def mark(self) -> str | None:
        """Where the file ends now; None for a pipe or a device.

        Unless something was written since the last mark, this is the moment to begin a new file, if it is
        time for one: its mark is known before anything is in it.
        """
        self.open()
        if not self._regular or self._descriptor is None:
            return None
        self._mend(self._descriptor)
        if not self._written and self._rotation is not None and self._rotation.is_due(self._end):
            self.close()
            self._rotation.rotate(self._path)
            self.open()
        self._written = False
        return Mark.of(self._descriptor, self._end).text

    def append(self, data: bytes) -> None:
        """Writes all of it, and syncs it; or nothing. It goes to the file that the last mark was of."""
        if self._descriptor is None:
            self.open()
        descriptor = self._descriptor or 0
        if not self._regular:
            self._to_pipe(descriptor, data)
            return
        self._mend(descriptor)
        data, self._torn = self._before + data, True
        left = memoryview(data)
        while left:  # a disk that fills up takes a part, and refuses the next
            left = left[os.write(descriptor, left) :]
        os.fsync(descriptor)
        if not os.fstat(descriptor).st_nlink:
            self.close()
            raise OSError(errno.ENOENT, "it was deleted while it was written to")
        self._before, self._torn, self._written = b"", False, True
        self._end += len(data)

    def close(self) -> None:
        """Closes it."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None and self._torn:
            with suppress(OSError):  # the next process cuts it off
                self._mend(descriptor)
        self._torn = False
        if descriptor is not None:
            os.close(descriptor)

    def _is_elsewhere(self) -> bool:
        """Whether the path no longer leads to the open file."""
        try:
            there = self._path.stat()
        except FileNotFoundError:
            return True
        here = os.fstat(self._descriptor or 0)
        return (there.st_dev, there.st_ino) != (here.st_dev, here.st_ino)

    def _mend(self, descriptor: int) -> None:
        """Cuts off what a write left that failed, and sees what other programs did."""
        size = os.fstat(descriptor).st_size
        if self._torn and size > self._end:
            os.ftruncate(descriptor, self._end)
            size = self._end
        self._end, self._torn = size, False

    @staticmethod
    def _cut(descriptor: int, size: int) -> None:
        if size < os.fstat(descriptor).st_size:
            os.ftruncate(descriptor, size)
            os.fsync(descriptor)

    def _to_pipe(self, descriptor: int, data: bytes) -> None:
        """What a pipe took before it was full is not written again with the next try of the same data."""
        done = len(self._taken) if data.startswith(self._taken) else 0
        try:
            while done < len(data):
                try:
                    done += os.write(descriptor, memoryview(data)[done:])
                except BlockingIOError:
                    if not select.select([], [descriptor], [], PIPE_WAIT_S)[1]:
                        raise OSError(errno.EAGAIN, "its reader takes nothing") from None
        finally:
            self._taken = data[:done] if done < len(data) else b""


def _lock(descriptor: int) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise OSError(errno.EBUSY, "another edge-detect writes to it") from None
    except OSError:
        return  # some network file systems have no locks


def _literal(name: str) -> str:
    """A name as a pattern that matches nothing else."""
    return "".join(f"[{letter}]" if letter in "*?[" else letter for letter in name)
