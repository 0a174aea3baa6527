"""Readings out of a CSV file, plain or gzip.

The checkpoint is the number of rows that were read, and what the file begins with, so that another file is
not taken for the same.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from edge_runtime.checkpoint import Checkpoint
from edge_runtime.config import setting
from edge_runtime.errors import SourceError, UsageError
from edge_runtime.files import is_in_place
from edge_runtime.mapping.form import Columns, DefaultMachine, Form
from edge_runtime.sources.base import Batch, Feed, SourceKind
from edge_runtime.text.csvblocks import open_rows, read_blocks

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from edge_runtime.connector import Given

__all__ = ["CSV", "CsvSettings", "CsvSource"]

HEAD_BYTES = 4096


@dataclass(frozen=True, slots=True)
class CsvSettings:
    """Which file."""

    input: Path | None = setting(None, "File to read, plain or gzip, with a header line.", flag="--input")


class CsvSource:
    """A source over one file, from its first row to its last.

    Args:
        path: The file.
        columns: Which columns to read.
        report: Called with lines for a person: how the file is understood, where it does not say so.
    """

    name = "csv"
    live = False

    def __init__(self, path: Path, columns: Columns, report: Callable[[str], None] = lambda _: None) -> None:
        self._path = path
        self._columns = columns
        self._report = report
        self._closed = False

    def check(self) -> None:
        """Makes sure that the file can be read.

        Raises:
            UsageError: It cannot.
        """
        if not is_in_place(self._path):  # a pipe gives its content once
            open_rows(self._path).close()

    def what_came(self) -> str | None:
        """Nothing: what could not fit was an error at the start."""
        return None

    def acknowledge(self) -> None:
        """There is nobody to tell."""

    def close(self) -> None:
        """Ends `batches` at its next block."""
        self._closed = True

    def batches(self, checkpoint: Checkpoint | None) -> Iterator[Batch]:
        """Yields the file's rows after those of the checkpoint.

        Raises:
            InputError, SensorMismatchError: The file cannot be used.
            SourceError: The checkpoint is of another file.
        """
        head = self._head()
        done = 0 if checkpoint is None else self._rows_done(checkpoint.text, head)
        rows = 0
        with open_rows(self._path) as stream:
            for block in read_blocks(stream, self._columns, str(self._path), self._report):
                if self._closed:
                    return
                fresh = block.readings.take(slice(max(0, done - rows), None))
                rows += len(block.readings)
                if len(fresh):
                    yield Batch(fresh, Checkpoint(json.dumps({"rows": rows, "head": head})), {})

    def _head(self) -> str:
        """A digest of the file's beginning: its first bytes, as far as they cannot grow any more."""
        if is_in_place(self._path):
            return "pipe"
        try:
            with self._path.open("rb") as file:
                head = file.read(HEAD_BYTES)
        except OSError as error:
            raise UsageError(f"cannot read it ({error.strerror})", where=str(self._path)) from None
        first = head if len(head) == HEAD_BYTES else head.partition(b"\n")[0]
        return hashlib.sha256(first).hexdigest()[:16]

    def _rows_done(self, checkpoint: str, head: str) -> int:
        try:
            document = json.loads(checkpoint)
            rows, known = int(document["rows"]), document["head"]
        except (ValueError, KeyError, TypeError):
            known, rows = None, 0
        if known != head:
            raise SourceError(
                "the ledger's checkpoint is of another file",
                where=str(self._path),
                hint="use another --state file",
            )
        return rows


def _make(given: Given, feed: Feed) -> CsvSource:
    path = given[CsvSettings].input
    if path is None:
        raise UsageError("the source csv needs a file", hint="name it with --input")
    return CsvSource(path, Columns.of(feed.sensors, given[Form], given[DefaultMachine].machine), feed.report)


def _identity(given: Given) -> str:
    path = given[CsvSettings].input
    return f"csv {path.resolve()}" if path else "csv"


CSV = SourceKind(
    name="csv",
    summary="Reads a CSV file from its first row to its last, as fast as it can.",
    guarantee="At least once: with a ledger, the next start goes on after the last committed row.",
    tables={"csv": CsvSettings, "map": Form, "data": DefaultMachine},
    make=_make,
    identity=_identity,
)
