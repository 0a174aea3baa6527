"""Readings from standard input: CSV with a header, JSON lines or line protocol; the first line tells which.

A line that cannot be read is skipped and counted, because a stream has to live; so is one that is too long,
to its very end. A last line without a line end may be incomplete, so it is not read either, unless it is a
whole JSON object. What is there is handed on at once: a row alone, or a backlog as one block.
"""

from __future__ import annotations

import codecs
import os
import select
import sys
from typing import TYPE_CHECKING

from edge_runtime.errors import InputError, UsageError
from edge_runtime.mapping.cells import Unmapped
from edge_runtime.mapping.form import Columns, DefaultMachine, Form
from edge_runtime.records import Readings
from edge_runtime.sources.base import Batch, Feed, SourceKind
from edge_runtime.text.cutter import TOO_LONG, LineCutter
from edge_runtime.text.lineprotocol import LineProtocol, is_line_protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from edge_runtime.checkpoint import Checkpoint
    from edge_runtime.connector import Given
    from edge_runtime.text.complaints import Complaints
    from edge_runtime.text.csvrows import CsvLines
    from edge_runtime.text.head import Head
    from edge_runtime.text.jsonrows import JsonRows
    from edge_runtime.text.recoder import Recoder

__all__ = ["STDIN", "StdinSource"]

READ_BYTES = 1 << 18
IDLE_S = 0.5
WHERE = "standard input"
UNREADABLE = "unreadable line"
UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
UNFINISHED = "unfinished last line"


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
        self._complaints: Complaints | None = None  # none so far
        self._cutter = LineCutter()
        self._recoder: Recoder | None = None  # UTF-8 needs none
        self._head: Head | None = None  # no header has begun
        self._parser: CsvLines | JsonRows | LineProtocol | None = None
        self._is_json = self._is_decoded = False
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

    def batches(self, checkpoint: Checkpoint | None) -> Iterator[Batch]:  # noqa: ARG002 - a pipe cannot go back
        """Yields rows as they come; an empty batch when none came for a while.

        Raises:
            InputError, SensorMismatchError: The header cannot be used.
        """
        room = memoryview(bytearray(READ_BYTES))
        while True:
            ready, _, _ = select.select([self._descriptor, self._wake_read], [], [], IDLE_S)
            if self._wake_read in ready:
                return
            if not ready:
                if self._complaints is not None:
                    self._complaints.tell_due()
                yield Batch(Readings.empty(len(self._columns.sensors)), None, {})
                continue
            # Into room that is there: a new quarter of a megabyte for each row would be mapped and cleared.
            data = bytes(room[: os.readv(self._descriptor, [room])])
            if not data:
                if rest := self._cutter.end():
                    yield self._last(rest)
                if self._parser is None:
                    raise InputError(
                        "it is empty", where=WHERE, hint="give CSV with a header, JSON lines or line protocol"
                    )
                if self._complaints is not None:
                    self._complaints.tell_all()
                return
            text = self._cutter.feed(self._decoded(data))
            if text or self._cutter.left_out:
                yield self._batch(text)

    def _batch(self, text: bytes) -> Batch:
        left_out, self._cutter.left_out = self._cutter.left_out, 0
        if left_out:
            self._line += left_out
            self._complain(f"it is {TOO_LONG}", f"{WHERE}, line {self._line}")
        if self._parser is None and text:
            text = self._begin(text)
        first_line = self._line + 1
        self._line += text.count(b"\n")
        try:
            batch = self._parse(text, first_line)
        except InputError:
            batch = self._one_by_one(text, first_line)
        if left_out:
            batch.skipped[TOO_LONG] = left_out
        return batch

    def _last(self, rest: bytes) -> Batch:
        """The last line, which has no line end."""
        # Of these alone the end can be seen.
        may_be_object = self._is_json or self._parser is None
        if not rest.strip() or (may_be_object and rest.lstrip()[:1] == b"{" and rest.rstrip()[-1:] == b"}"):
            return self._batch(rest)
        if self._parser is None:
            self._begin(rest)  # which says what is wrong, if it is no header
        self._line += 1
        self._complain(
            "the last line has no line end, so it may be incomplete", f"{WHERE}, line {self._line}"
        )
        return Batch(Readings.empty(len(self._columns.sensors)), None, {UNFINISHED: 1})

    def _decoded(self, data: bytes) -> bytes:
        """The same in UTF-8, with line feeds."""
        if not self._is_decoded:
            self._is_decoded = True
            data = data.removeprefix(codecs.BOM_UTF8)
            encoding = self._columns.form.encoding
            odd = data[:2] in UTF_16 or (b"\r" in data and b"\n" not in data)
            if encoding or odd:
                from edge_runtime.text.recoder import Recoder  # noqa: PLC0415 - for few streams

                self._recoder = Recoder(encoding, WHERE, errors="replace")
        return data if self._recoder is None else self._recoder.feed(data)

    def _begin(self, text: bytes) -> bytes:
        """Finds out what the stream is, and reads a header; returns what is left to read."""
        while self._parser is None and text:
            line, _, rest = text.partition(b"\n")
            if self._head is None and line.lstrip()[:1] == b"{":
                from edge_runtime.text.jsonrows import JsonRows  # noqa: PLC0415 - not of another format

                self._parser, self._is_json = (
                    JsonRows(self._columns, WHERE, self._unmapped, self._report),
                    True,
                )
                return text
            if self._head is None and not line.startswith(b"#") and is_line_protocol(line):
                self._parser = LineProtocol(self._columns, WHERE, self._unmapped)
                return text
            self._line += 1
            # What stands before the first line that counts does not tell what it is.
            nothing = not line.strip() or line.startswith(b"#")
            if self._head is not None or not nothing or self._columns.form.skip_rows:
                self._take_header(line)
            text = rest
        return text

    def _take_header(self, line: bytes) -> None:
        from edge_runtime.text.csvrows import CsvLines, CsvRows, read_layout  # noqa: PLC0415 - as above
        from edge_runtime.text.head import Head  # noqa: PLC0415 - as above

        self._head = self._head or Head(self._columns.form, WHERE)
        if self._head.take(line.removesuffix(b"\r").decode("utf-8", "replace")):
            try:
                layout = read_layout(self._head.header, self._columns, WHERE, self._head.delimiter)
            except InputError as error:
                raise _no_header(line, self._line, error) from None
            self._parser = CsvLines(CsvRows(layout, self._report))

    def _complain(self, what: str, where: str, hint: str | None = None) -> None:
        if self._complaints is None:
            from edge_runtime.text.complaints import Complaints  # noqa: PLC0415 - not at every start

            self._complaints = Complaints(self._report)
        self._complaints.add(what, where, hint)

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
                self._complain(error.what, error.where or WHERE, error.hint)
        skipped = {UNREADABLE: bad} if bad else {}
        for batch in good:
            for reason, number in batch.skipped.items():
                skipped[reason] = skipped.get(reason, 0) + number
        blocks = [batch.readings for batch in good] or [Readings.empty(len(self._columns.sensors))]
        return Batch(Readings.joined(blocks), None, skipped)


def _no_header(line: bytes, number: int, error: InputError) -> InputError:
    """The error for a first line that is no header of a CSV, and may have been meant as something else."""
    meant = {b"[": ("a JSON array", "write one object a line"), b"{": ("JSON", "write one object a line")}
    what, hint = meant.get(line.lstrip()[:1], ("", ""))
    if not what and b"=" in line:
        what, hint = "line protocol with a mistake", "a space or comma in a tag needs a backslash before it"
    if not what:
        return error
    from edge_runtime.mapping.cells import shown  # noqa: PLC0415 - for few streams

    return InputError(f"'{shown(line)}' seems to be {what}", where=f"{WHERE}, line {number}", hint=hint)


def _standard_input() -> int:
    try:
        return sys.stdin.fileno()
    except (AttributeError, ValueError):  # a service may have been started without one
        raise UsageError("standard input is closed", hint="give it a file or a pipe") from None


def _make(given: Given, feed: Feed) -> StdinSource:
    return StdinSource(
        Columns.of(feed.sensors, given[Form], given[DefaultMachine].machine), report=feed.report
    )


STDIN = SourceKind(
    name="stdin",
    summary="Reads standard input: CSV with a header, JSON lines or line protocol; the first line tells.",
    guarantee="At most once: a pipe cannot go back to what was read but not committed.",
    tables={"map": Form, "data": DefaultMachine},
    make=_make,
    identity=lambda _: "stdin",
)
