"""Readings from standard input: CSV with a header, or JSON lines; the first line tells which.

Delivery: at most once; a pipe cannot go back. A line that cannot be read is skipped and counted, because a
stream has to live. A row is handed on as soon as it is there.
"""

from __future__ import annotations

import csv
import json
import os
import select
import sys
from typing import TYPE_CHECKING, Any

import numpy as np

from edge_runtime.csvrows import Columns, Layout, parse_rows, parse_times, read_layout
from edge_runtime.errors import InputError
from edge_runtime.records import Readings
from edge_runtime.sources.base import Batch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["StdinSource"]

READ_BYTES = 1 << 18
LONGEST_LINE = 1 << 20
IDLE_S = 0.5
WHERE = "standard input"


class StdinSource:
    """A source over a file descriptor.

    Args:
        columns: Which columns, or JSON keys, to read.
        descriptor: What to read from.
        report: Called with what was wrong with a line that is skipped.
    """

    name = "stdin"

    def __init__(
        self, columns: Columns, *, descriptor: int | None = None, report: Callable[[str], None] | None = None
    ) -> None:
        self._columns = columns
        self._descriptor = sys.stdin.fileno() if descriptor is None else descriptor
        self._report = report or (lambda _: None)
        self._layout: Layout | None = None
        self._json = False
        self._line = 0
        self._wake_read, self._wake_write = os.pipe()

    def check(self) -> None:
        """There is nothing to check before the first line."""

    def close(self) -> None:
        """Ends `batches`, also while it waits for input."""
        os.write(self._wake_write, b"x")

    def batches(self, checkpoint: str | None) -> Iterator[Batch]:  # noqa: ARG002 - a pipe cannot go back
        """Yields rows as they come; an empty batch when none came for a while.

        Raises:
            InputError, SensorMismatchError: The header cannot be used.
        """
        rest = b""
        while True:
            ready, _, _ = select.select([self._descriptor, self._wake_read], [], [], IDLE_S)
            if self._wake_read in ready:
                return
            if not ready:
                yield Batch(Readings.empty(len(self._columns.sensors)), None, {})
                continue
            data = os.read(self._descriptor, READ_BYTES)
            lines, rest = _cut(rest + data, ended=not data)
            if lines:
                yield self._batch(lines)
            if not data:
                if self._layout is None and not self._json:
                    raise InputError("it is empty", where=WHERE, mend="give CSV with a header, or JSON lines")
                return

    def _batch(self, lines: list[str]) -> Batch:
        if self._layout is None and not self._json:
            first = lines[0].lstrip("\ufeff").lstrip()
            self._json = first.startswith("{")
            if not self._json:
                self._layout = read_layout(first, self._columns, WHERE)
                self._line = 1
                lines = lines[1:]
        first_line = self._line + 1
        self._line += len(lines)
        try:
            return Batch(self._parse(lines, first_line), None, {})
        except InputError:
            return self._one_by_one(lines, first_line)

    def _one_by_one(self, lines: list[str], first_line: int) -> Batch:
        """The good lines among bad ones."""
        good, bad = [], 0
        for i, line in enumerate(lines):
            try:
                good.append(self._parse([line], first_line + i))
            except InputError as error:
                bad += 1
                self._report(str(error))
        blocks = [block for block in good if len(block)]
        skipped = {"unreadable line": bad} if bad else {}
        if not blocks:
            return Batch(Readings.empty(len(self._columns.sensors)), None, skipped)
        return Batch(
            Readings(
                np.concatenate([block.machines for block in blocks]),
                np.concatenate([block.times for block in blocks]),
                np.concatenate([block.values for block in blocks]),
            ),
            None,
            skipped,
        )

    def _parse(self, lines: list[str], first_line: int) -> Readings:
        if self._layout is None:
            return self._parse_json([line for line in lines if line.strip()], first_line)
        try:
            rows = [row for row in csv.reader(lines, delimiter=self._layout.delimiter, strict=True) if row]
        except csv.Error as error:
            raise InputError(str(error), where=f"{WHERE}, line {first_line}") from None
        if not rows:
            return Readings.empty(len(self._columns.sensors))
        return parse_rows(rows, self._layout, first_line).readings

    def _parse_json(self, lines: list[str], first_line: int) -> Readings:
        columns = self._columns
        rows: list[list[float]] = []
        machines, times = [], []
        for i, line in enumerate(lines):
            where = f"{WHERE}, line {first_line + i}"
            try:
                document = json.loads(line)
                times.append(str(document[columns.time]))
                rows.append([_number(document.get(sensor)) for sensor in columns.sensors])
                machines.append(str(document.get(columns.machine) or columns.default_machine))
            except KeyError:
                raise InputError(f"no '{columns.time}'", where=where) from None
            except (ValueError, TypeError, AttributeError, RecursionError) as error:
                raise InputError(f"not a JSON object with numbers ({error})", where=where) from None
        if not rows:
            return Readings.empty(len(columns.sensors))
        with np.errstate(over="ignore"):
            values = np.asarray(rows, np.float64).astype(np.float32)
        return Readings(
            np.asarray(machines, np.str_), parse_times(times, f"{WHERE}, line", first_line), values
        )


def _number(value: Any) -> float:
    if value is None:
        return float("nan")
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{value!r} is not a number")
    return float(value)


def _cut(data: bytes, *, ended: bool) -> tuple[list[str], bytes]:
    """Whole lines, and what is left of the last; a line without an end is cut where it gets too long."""
    stop = len(data) if ended or len(data) > LONGEST_LINE else data.rfind(b"\n") + 1
    return data[:stop].decode("utf-8", "replace").splitlines(), data[stop:]
