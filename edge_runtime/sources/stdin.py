"""Readings from standard input: CSV with a header, JSON lines or line protocol; the first line tells which.

A line that cannot be read is skipped and counted, because a stream has to live. What is there is handed on at
once: a row alone, or a backlog as one block.
"""

from __future__ import annotations

import codecs
import os
import select
import sys
from typing import TYPE_CHECKING

from edge_runtime.errors import InputError, UsageError
from edge_runtime.records import Readings
from edge_runtime.sources.base import Batch, Feed, SourceKind
from edge_runtime.sources.layout import DataLayout
from edge_runtime.text.csvrows import Columns, CsvLines, read_layout
from edge_runtime.text.jsonrows import JsonRows
from edge_runtime.text.lineprotocol import LineProtocol, is_line_protocol
from edge_runtime.text.unmapped import Unmapped
from edge_runtime.timeparse import zone_remark

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from edge_runtime.connector import Given

__all__ = ["STDIN", "StdinSource"]

READ_BYTES = 1 << 18
LONGEST_LINE = 1 << 20
IDLE_S = 0.5
WHERE = "standard input"
UNREADABLE = "unreadable line"


class StdinSource:
    """A source over a file descriptor.

    Args:
        columns: Which columns, or JSON keys, to read.
        descriptor: What to read from.
        report: Called with what was wrong with a line that is skipped.
    """

    name = "stdin"
    live = True

    def __init__(
        self, columns: Columns, *, descriptor: int | None = None, report: Callable[[str], None] | None = None
    ) -> None:
        self._columns = columns
        self._descriptor = _standard_input() if descriptor is None else descriptor
        self._report = report or (lambda _: None)
        self._parser: CsvLines | JsonRows | LineProtocol | None = None
        self._line = 0
        self._unmapped = Unmapped((columns.time, columns.machine))
        self._wake_read, self._wake_write = os.pipe()

    def check(self) -> None:
        """There is nothing to check before the first line."""

    def what_came(self) -> str | None:
        """What came instead of readings."""
        if self._unmapped:
            sensors = ", ".join(self._columns.sensors)
            return f"no line has one of the sensors {sensors}; there are: {self._unmapped}"
        return "no line with readings has come so far"

    def acknowledge(self) -> None:
        """There is nobody to tell."""

    def close(self) -> None:
        """Ends `batches`, also while it waits for input."""
        os.write(self._wake_write, b"x")

    def batches(self, checkpoint: str | None) -> Iterator[Batch]:  # noqa: ARG002 - a pipe cannot go back
        """Yields rows as they come; an empty batch when none came for a while.

        Raises:
            InputError, SensorMismatchError: The header cannot be used.
        """
        rest, room = b"", memoryview(bytearray(READ_BYTES))
        while True:
            ready, _, _ = select.select([self._descriptor, self._wake_read], [], [], IDLE_S)
            if self._wake_read in ready:
                return
            if not ready:
                yield Batch(Readings.empty(len(self._columns.sensors)), None, {})
                continue
            # Into room that is there: a new quarter of a megabyte for each row would be mapped and cleared.
            data = bytes(room[: os.readv(self._descriptor, [room])])
            text, rest = _cut(rest + data, ended=not data)
            if text:
                yield self._batch(text)
            if not data:
                if self._parser is None:
                    raise InputError(
                        "it is empty", where=WHERE, hint="give CSV with a header, JSON lines or line protocol"
                    )
                return

    def _batch(self, text: bytes) -> Batch:
        if self._parser is None:
            text = self._begin(text)
        first_line = self._line + 1
        self._line += text.count(b"\n")
        try:
            return self._parse(text, first_line)
        except InputError:
            return self._one_by_one(text, first_line)

    def _begin(self, text: bytes) -> bytes:
        """Finds out what the stream is; returns what is left to read."""
        text = text.removeprefix(codecs.BOM_UTF8)
        first, _, left = text.partition(b"\n")
        if first.lstrip().startswith(b"{"):
            self._parser = JsonRows(self._columns, WHERE, self._unmapped, self._look_at_time)
        elif is_line_protocol(first):
            self._parser = LineProtocol(self._columns, WHERE, self._unmapped)
        else:
            header = first.decode("utf-8", "replace")
            self._parser = CsvLines(read_layout(header, self._columns, WHERE), self._look_at_time)
            self._line = 1
            return left
        return text

    def _look_at_time(self, first: str) -> None:
        if remark := zone_remark(first):
            self._report(f"{WHERE}: {remark}")

    def _parse(self, text: bytes, first_line: int) -> Batch:
        if self._parser is None or not text:
            return Batch(Readings.empty(len(self._columns.sensors)), None, {})
        readings, skipped = self._parser.parse(text, first_line)
        return Batch(readings, None, skipped)

    def _one_by_one(self, text: bytes, first_line: int) -> Batch:
        """The good lines among bad ones."""
        good, bad = [], 0
        for i, line in enumerate(text.removesuffix(b"\n").split(b"\n")):
            try:
                good.append(self._parse(line, first_line + i))
            except InputError as error:
                bad += 1
                self._report(str(error))
        skipped = {UNREADABLE: bad} if bad else {}
        for batch in good:
            for reason, number in batch.skipped.items():
                skipped[reason] = skipped.get(reason, 0) + number
        blocks = [batch.readings for batch in good] or [Readings.empty(len(self._columns.sensors))]
        return Batch(Readings.joined(blocks), None, skipped)


def _cut(data: bytes, *, ended: bool) -> tuple[bytes, bytes]:
    """Whole lines, and what is left of the last; a line without an end is cut where it gets too long."""
    stop = len(data) if ended or len(data) > LONGEST_LINE else data.rfind(b"\n") + 1
    return data[:stop], data[stop:]


def _standard_input() -> int:
    try:
        return sys.stdin.fileno()
    except (AttributeError, ValueError):  # a service may have been started without one
        raise UsageError("standard input is closed", hint="give it a file or a pipe") from None


def _make(given: Given, feed: Feed) -> StdinSource:
    return StdinSource(given[DataLayout].columns(feed.sensors), report=feed.report)


STDIN = SourceKind(
    name="stdin",
    summary="Reads standard input: CSV with a header, JSON lines or line protocol; the first line tells.",
    guarantee="At most once: a pipe cannot go back to what was read but not committed.",
    tables={"data": DataLayout},
    make=_make,
    identity=lambda _: "stdin",
)
