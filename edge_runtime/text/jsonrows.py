"""JSON lines to readings: one object a line, with a time, a machine's id and a number for each sensor."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np

from edge_runtime.errors import InputError, UsageError, printable
from edge_runtime.mapping.cells import NOT_MAPPED, Place, codes
from edge_runtime.mapping.numbers import as_float32
from edge_runtime.mapping.times import Times
from edge_runtime.records import NO_TIME, Readings
from edge_runtime.timeparse import zone_remark

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from edge_runtime.mapping.cells import Unmapped
    from edge_runtime.mapping.form import Columns

__all__ = ["JsonRows"]

NUMBERS = {float, int, type(None)}
PLAIN = {str, *NUMBERS}


class JsonRows:
    """Reads blocks of lines.

    Args:
        columns: Which keys to read.
        where: What the lines are of, for errors.
        unmapped: Takes the keys of objects with none of the sensors.
        report: Called once with a line for a person, if times name no zone.
    """

    def __init__(
        self,
        columns: Columns,
        where: str,
        unmapped: Unmapped,
        report: Callable[[str], None] | None = None,
    ) -> None:
        self._columns = columns
        if len(columns.form.time.from_) > 1:
            raise UsageError("a JSON object has its time under one key", where="--time-column")
        self._times = Times(columns.form.time)
        self._where = where
        self._unmapped = unmapped
        self._sensors = frozenset(columns.sensors)
        self._report = report

    def parse(self, text: bytes, first_line: int) -> tuple[Readings, dict[str, int]]:
        """Whole lines to readings, and how many were left out, by reason.

        Raises:
            InputError: A line cannot be read; it is named.
        """
        place = Place(self._where, first_line)
        documents = []
        for number, line in enumerate(text.split(b"\n")):
            if line and not line.isspace():
                try:
                    documents.append(json.loads(line))
                except (ValueError, RecursionError) as error:
                    raise InputError(f"not a JSON object ({error})", where=place.row(number)) from None
        return self.readings(documents, place)

    def readings(self, documents: Sequence[Any], place: Place) -> tuple[Readings, dict[str, int]]:
        """Objects to readings; the time of one that has none is `NO_TIME`.

        One without any of the sensors is left out; those that are, are counted by their reason.

        Raises:
            InputError: One is no object, or a value is none of a reading; the first line is named.
        """
        columns = self._columns
        if set(map(type, documents)) - {dict}:
            raise InputError("not a JSON object", where=place.row(0))
        given = len(documents)
        strange = [one for one in documents if self._sensors.isdisjoint(one)]
        if strange:
            for one in strange:
                self._unmapped.add(one)
            documents = [one for one in documents if not self._sensors.isdisjoint(one)]
        skipped = {NOT_MAPPED: given - len(documents)} if strange else {}
        if not documents:
            return Readings.empty(len(columns.sensors)), skipped
        numbers = [
            self._numbers([one.get(name) for one in documents], name, place) for name in columns.sensors
        ]
        machines = self._plain([one.get(columns.machine) for one in documents], columns.machine, place)
        names, of_row = codes(
            [b"" if name is None else str(name).encode("utf-8", "replace") for name in machines],
            columns.default_machine,
            place,
        )
        written = self._plain([one.get(columns.time) for one in documents], columns.time, place)
        there = [row for row, one in enumerate(written) if one is not None]
        moments = np.full(len(written), NO_TIME, np.int64)
        if there:
            cells = [str(written[row]).encode("utf-8", "replace") for row in there]
            codes_there = None if of_row is None else of_row[there]
            moments[there] = self._times.read(cells, Place.of(place, there), names, codes_there)
            self._tell(cells[0].decode())
        return Readings.coded(names, of_row, moments, as_float32(numbers)), skipped

    def _tell(self, first: str) -> None:
        """Says once that times name no zone."""
        report, self._report = self._report, None
        if report is not None and self._times.zone is None and (remark := zone_remark(first)):
            report(f"{self._where}: {remark}")

    @staticmethod
    def _plain(column: list[Any], name: str, place: Place) -> list[Any]:
        """A column of texts and numbers; an id or a time is nothing else."""
        if set(map(type, column)) - PLAIN:
            row = next(row for row, value in enumerate(column) if type(value) not in PLAIN)
            raise InputError(f"'{name}' is {_shown(column[row])}, not text or a number", where=place.row(row))
        return column

    @staticmethod
    def _numbers(column: list[Any], name: str, place: Place) -> Any:
        if set(map(type, column)) - NUMBERS:
            row = next(row for row, value in enumerate(column) if type(value) not in NUMBERS)
            raise InputError(f"'{name}' is {_shown(column[row])}, not a number", where=place.row(row))
        try:
            return np.asarray(column, np.float64)
        except OverflowError:  # an integer of hundreds of digits
            return np.asarray([np.nan if value is None else _finite(value) for value in column])


def _shown(value: Any) -> str:
    """A value for an error message; of an object or array, which may be as deep as it likes, what it is."""
    if isinstance(value, dict | list):
        return "an array" if isinstance(value, list) else "an object"
    return f"'{printable(str(value))}'"


def _finite(value: float) -> float:
    try:
        return float(value)
    except OverflowError:
        return float("inf") if value > 0 else float("-inf")
