"""CSV in and out."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import IO, TYPE_CHECKING

import numpy as np

from edge_runtime.engine.status import texts_of_rows
from edge_runtime.errors import UsageError
from edge_runtime.files import write_all
from edge_runtime.records import COMPLETE, Reason, Results, Verdict
from edge_runtime.scorefile.blocks import Block
from edge_runtime.text import lines
from edge_runtime.text.csvblocks import open_rows, read_blocks

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from edge_runtime.mapping.form import Columns

__all__ = ["STANDARD", "CsvReader", "CsvWriter"]

STANDARD = Path("-")
CALL_ROWS = 512
VERDICTS = [verdict.label for verdict in Verdict]
REASONS = [reason.label for reason in Reason]
SPECIAL = frozenset(',"\r\n')


class CsvReader:
    """Reads a CSV, plain or gzip; "-" is standard input."""

    rows: int | None = None

    def __init__(self, path: Path, columns: Columns, report: Callable[[str], None] = lambda _: None) -> None:
        self._path = path
        self._columns = columns
        self._report = report

    def blocks(self, skip: int) -> Iterator[Block]:
        """The rows after the first `skip`, a few thousand at a time.

        Raises:
            UsageError: The file cannot be opened.
            InputError, SensorMismatchError: It cannot be used; the line is named.
        """
        standard = self._path == STANDARD
        where = "standard input" if standard else str(self._path)
        stream = _standard_input() if standard else open_rows(self._path)
        try:
            for found in read_blocks(stream, self._columns, where, self._report):
                rows = len(found.readings)
                if skip < rows:
                    left = slice(skip, None)
                    yield Block(found.readings.take(left), found.times[left])
                skip = max(0, skip - rows)
        finally:
            if not standard:
                stream.close()


class CsvWriter:
    """Writes times, machine ids, scores, verdicts and each sensor's error.

    Args:
        columns: The names.
        with_expected: Whether to write what the model expected, too.
        with_degraded: Whether to write without which sensor a row was judged, too.
        with_status: Whether to write which sensors are not good, too.
    """

    def __init__(
        self,
        columns: Columns,
        *,
        with_expected: bool,
        with_degraded: bool = False,
        with_status: bool = False,
    ) -> None:
        self._columns = columns
        self._with_expected = with_expected
        # The last one, which is also that of `COMPLETE`, is none.
        self._without = [*map(_quoted, columns.sensors), ""] if with_degraded else []
        self._with_status = with_status
        self._stream: IO[bytes]
        self._file: IO[bytes] | None = None
        names = [f"error_{name}" for name in columns.sensors]
        names += [f"expected_{name}" for name in columns.sensors] * with_expected
        first = [columns.time, columns.machine, "score", "severity", "verdict", "reason"]
        first += ["degraded"] * with_degraded + ["sensor_status"] * with_status
        self._header = [*first, *names]
        self._constants = ["", *[","] * (len(self._header) - 1), "\n"]

    def open(self, place: Path | IO[bytes], *, first: bool) -> None:
        """Begins a part."""
        if isinstance(place, Path):
            self._stream = self._file = place.open("wb")
        else:
            self._stream, self._file = place, None
        if first:
            write_all(self._stream, (",".join(map(_quoted, self._header)) + "\n").encode())

    def write(self, block: Block, results: Results) -> None:
        """Appends rows."""
        for start in range(0, len(results), CALL_ROWS):
            part = slice(start, start + CALL_ROWS)
            times = block.times[part] if isinstance(block.times, tuple) else None
            write_all(self._stream, self._text(times, results.take(part)))

    def _text(self, times: tuple[bytes, ...] | None, results: Results) -> bytes:
        readings, scores = results.readings, results.scores
        names, codes = readings.dictionary
        numbers = [scores.score[:, None], results.severity[:, None], scores.errors]
        score, severity, *rest = lines.columns(
            [*numbers, *([scores.expected] if self._with_expected else [])]
        )
        return lines.join(
            self._constants,
            [
                lines.moments(readings.times) if times is None else lines.cells(times),
                lines.choices([_quoted(name) for name in names], codes),
                score,
                severity,
                lines.choices(VERDICTS, results.verdicts),
                lines.choices(REASONS, results.reasons),
                *self._degraded(results),
                *self._status(results),
                *rest,
            ],
        )

    def _degraded(self, results: Results) -> list[NDArray[np.uint32]]:
        """The column of the sensors without which rows were judged, where there is one."""
        if not self._without:
            return []
        places = results.degraded
        codes = np.full(len(results), COMPLETE) if places is None else places
        return [lines.choices(self._without, codes)]

    def _status(self, results: Results) -> list[NDArray[np.uint32]]:
        """The column of the sensors that are not good, where there is one."""
        if not self._with_status:
            return []
        texts, codes = texts_of_rows(results.faults, len(results), self._columns.sensors)
        return [lines.choices([_quoted(text) for text in texts], codes)]

    def close(self) -> None:
        """Ends the part."""
        self._stream.flush()
        if self._file is not None:
            os.fsync(self._file.fileno())
            self._file.close()

    def join(self, parts: list[Path], path: Path) -> None:
        """One file after the other: only the first has a header."""
        with path.open("wb") as whole:
            for part in parts:
                with part.open("rb") as file:
                    shutil.copyfileobj(file, whole, 1 << 20)
            whole.flush()
            os.fsync(whole.fileno())


def _standard_input() -> IO[bytes]:
    try:
        return sys.stdin.buffer
    except AttributeError:  # it may have been started without one
        raise UsageError("standard input is closed", hint="give it a file or a pipe") from None


def _quoted(cell: str) -> str:
    return '"' + cell.replace('"', '""') + '"' if SPECIAL & set(cell) else cell
