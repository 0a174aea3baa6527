"""Results appended to a file, as JSON lines.

The ledger knows how long the file was after the last delivery; what a crash left behind that is cut off at
the next start, and delivered again from the outbox.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING

from edge_runtime.config import setting
from edge_runtime.errors import SinkError, SinkUnavailableError, UsageError
from edge_runtime.files import OWN_FILE
from edge_runtime.sinks.base import SinkKind, Verdicts
from edge_runtime.sinks.rows import json_lines

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edge_runtime.connector import Given
    from edge_runtime.records import Results

__all__ = ["JSONL", "JsonlSettings", "JsonlSink"]


@dataclass(frozen=True, slots=True)
class JsonlSettings:
    """Which file."""

    output: Path | None = setting(
        None, "File that results are appended to; made when missing.", flag="--output"
    )


class JsonlSink:
    """Appends to one file, synced to the disk with each delivery.

    Args:
        path: The file; made when missing.
        sensors: The bundle's.
    """

    name = "jsonl"

    def __init__(self, path: Path, sensors: tuple[str, ...]) -> None:
        self._path = path
        self._sensors = sensors
        self._file: IO[bytes] | None = None

    def check(self) -> None:
        """Makes sure that the file can be written.

        Raises:
            SinkError: It cannot.
        """
        try:
            self._open().flush()
        except OSError as error:
            raise SinkError(f"cannot write it ({error.strerror})", where=str(self._path)) from None

    def resume(self, position: str | None) -> None:
        """Cuts off what came after the last delivery; without one, a line that a crash cut short."""
        file = self._open()
        size = file.seek(0, os.SEEK_END)
        keep = size
        if position is not None:
            known = json.loads(position)
            # A file that is shorter or another was rotated away: there is nothing of ours to undo.
            if known["inode"] == os.fstat(file.fileno()).st_ino and known["size"] <= size:
                keep = int(known["size"])
        else:
            keep = self._whole_lines(file, size)
        if keep < size:
            file.truncate(keep)
            file.seek(keep)
            os.fsync(file.fileno())

    def position(self) -> str | None:
        """The file's size, and which file it is."""
        status = os.fstat(self._open().fileno())
        return json.dumps({"size": status.st_size, "inode": status.st_ino})

    def encode(self, results: Results) -> bytes:
        """JSON lines."""
        return json_lines(results, self._sensors)

    def deliver(self, payloads: Sequence[bytes]) -> None:
        """Appends and syncs; all of it or nothing.

        Raises:
            SinkUnavailableError: The disk is full or does not answer.
        """
        size: int | None = None
        try:
            file = self._open()
            size = file.seek(0, os.SEEK_END)
            left = memoryview(b"".join(payloads))
            while left:  # a disk that fills up takes a part, and refuses the next
                left = left[file.write(left) :]
            os.fsync(file.fileno())
        except OSError as error:
            self._undo(size)
            raise SinkUnavailableError(
                f"cannot write it ({error.strerror})", where=str(self._path), hint="make room"
            ) from None

    def close(self) -> None:
        """Closes the file."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _open(self) -> IO[bytes]:
        if self._file is None:
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT, OWN_FILE)
            self._file = os.fdopen(descriptor, "r+b", buffering=0)
        return self._file

    def _undo(self, size: int | None) -> None:
        try:
            if self._file is not None and size is not None:
                self._file.truncate(size)
        except OSError:
            pass  # the next start cuts it off
        finally:
            self.close()

    @staticmethod
    def _whole_lines(file: IO[bytes], size: int) -> int:
        """Where the last whole line ends."""
        step = 65536
        stop = size
        while stop > 0:
            start = max(0, stop - step)
            file.seek(start)
            at = file.read(stop - start).rfind(b"\n")
            if at >= 0:
                return start + at + 1
            stop = start
        return 0


def _make(given: Given, verdicts: Verdicts) -> JsonlSink:
    path = given[JsonlSettings].output
    if path is None:
        raise UsageError("the sink jsonl needs a file", hint="name it with --output")
    return JsonlSink(path, verdicts.sensors)


def _probe(given: Given, verdicts: Verdicts) -> None:
    """Whether the file could be written, without making it."""
    _make(given, verdicts)
    path = given[JsonlSettings].output or Path()
    if path.is_dir() or not os.access(path if path.exists() else path.absolute().parent, os.W_OK):
        raise SinkError("cannot write it", where=str(path), hint="make its folder, or name another file")


JSONL = SinkKind(
    name="jsonl",
    summary="Appends each row to a file as a line of JSON.",
    guarantee="Exactly once: what a crash left half written is cut off and written again from the ledger.",
    tables={"jsonl": JsonlSettings},
    make=_make,
    probe=_probe,
)
