"""Rows and alarms appended to a file, as JSON lines.

The ledger knows the file's mark after the last delivery, and before the first one to a file: what a crash
left behind that is cut off at the next start, and delivered again from the outbox.
"""

from __future__ import annotations

import errno
import os
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from edge_runtime.config import setting
from edge_runtime.errors import SinkError, SinkUnavailableError, UsageError
from edge_runtime.sinks.base import ALARMS, EVERYTHING, ROWS, TAKES, Only, SinkKind, Verdicts
from edge_runtime.sinks.outfile import OutputFile
from edge_runtime.sinks.rotation import KEEP, MAX_DAYS, MAX_MB, Rotation, rotation_of
from edge_runtime.sinks.rows import json_lines

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from edge_runtime.connector import Given
    from edge_runtime.engine.alarms import Change
    from edge_runtime.records import Results

__all__ = ["JSONL", "JsonlSettings", "JsonlSink", "probe_file"]

# What passes without anybody touching the settings: a full disk, a pipe whose reader is not there yet.
PASSING = {errno.ENOSPC, errno.EDQUOT, errno.ENXIO, errno.EIO, errno.ESTALE, errno.ETIMEDOUT}


@dataclass(frozen=True, slots=True)
class JsonlSettings:
    """Which file."""

    output: Path | None = setting(
        None, "File that results are appended to; made when missing.", flag="--output"
    )
    max_mb: float | None = setting(None, MAX_MB, unit="MB")
    max_days: float | None = setting(None, MAX_DAYS, unit="days")
    keep: int = setting(5, KEEP)
    takes: tuple[str, ...] = setting((ROWS,), TAKES)
    only: Only = EVERYTHING

    def rotation(self) -> Rotation | None:
        """When the file is renamed; None for never.

        Raises:
            UsageError: A number is out of range.
        """
        return rotation_of(self.max_mb, self.max_days, self.keep, "jsonl")


class JsonlSink:
    """Appends to one file, synced to the disk with each delivery.

    A file that another program renames or deletes is noticed, and a new one begun; one that is truncated is
    written to from its new end.

    Args:
        path: The file; made when missing. A pipe or a device is written to as it is.
        sensors: The bundle's.
        rotation: When the file is renamed by itself; None for never.
        report: Called with one line for a person.
    """

    name = "jsonl"

    def __init__(
        self,
        path: Path,
        sensors: tuple[str, ...],
        rotation: Rotation | None = None,
        report: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._path = path
        self._sensors = sensors
        self._file = OutputFile(path, rotation, report)

    def check(self) -> None:
        """Makes sure that the file can be written.

        Raises:
            SinkUnavailableError: Not now, as the disk is full.
            SinkError: It cannot.
        """
        with self._failing(SinkError):
            self._file.open()

    def resume(self, position: str | None, waiting: Sequence[bytes] = ()) -> None:
        """Cuts off what was written after the last delivery that is known, if it is what waits.

        Raises:
            SinkUnavailableError: The disk does not answer.
            ValueError: That is no position of a file.
        """
        with self._failing(SinkUnavailableError):
            self._file.resume(position, b"".join(waiting))

    def position(self) -> str | None:
        """Where the file ends, and how to know it again; None for a pipe or a device.

        Raises:
            SinkUnavailableError: The disk does not answer.
        """
        with self._failing(SinkUnavailableError):
            return self._file.mark()

    def encode(self, results: Results) -> bytes:
        """JSON lines."""
        return json_lines(results, self._sensors)

    def encode_alarm(self, change: Change) -> bytes:
        """A line of JSON."""
        return change.to_line()

    def deliver(self, payloads: Sequence[bytes]) -> None:
        """Appends and syncs; all of it or nothing.

        Raises:
            SinkUnavailableError: The disk is full or does not answer.
        """
        with self._failing(SinkUnavailableError):
            self._file.append(b"".join(payloads))

    def close(self) -> None:
        """Closes the file."""
        self._file.close()

    @contextmanager
    def _failing(self, kind: type[SinkError]) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise (SinkUnavailableError if error.errno in PASSING else kind)(
                f"cannot write it ({error.strerror})",
                where=str(self._path),
                hint="make room" if error.errno in (errno.ENOSPC, errno.EDQUOT) else None,
            ) from None


def _make(given: Given, verdicts: Verdicts) -> JsonlSink:
    path = given[JsonlSettings].output
    if path is None:
        raise UsageError("the sink jsonl needs a file", hint="name it with --output")
    return JsonlSink(path, verdicts.sensors, given[JsonlSettings].rotation(), verdicts.report)


def _probe(given: Given, verdicts: Verdicts) -> None:
    _make(given, verdicts)
    probe_file(given[JsonlSettings].output or Path())


def probe_file(path: Path) -> None:
    """Whether a file could be written, without making it.

    Raises:
        SinkError: It could not.
    """
    if path.is_dir() or not os.access(path if path.exists() else path.absolute().parent, os.W_OK):
        raise SinkError("cannot write it", where=str(path), hint="make its folder, or name another file")


JSONL = SinkKind(
    name="jsonl",
    summary="Appends rows, and alarms if asked for, to a file as lines of JSON.",
    guarantee="Exactly once: what a crash left half written is cut off and written again from the ledger.",
    tables={"jsonl": JsonlSettings},
    make=_make,
    probe=_probe,
    takes=(ROWS, ALARMS),
    settings=JsonlSettings,
)
