"""Lines of a CSV to readings: delimiter and time format are found, errors name the line."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from typing import TYPE_CHECKING

from edge_runtime.errors import InputError, SensorMismatchError, listed
from edge_runtime.records import Readings
from edge_runtime.text.cells import Place, as_float32, codes, floats, shown, times

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["Columns", "CsvBlock", "CsvLines", "Layout", "parse_cells", "parse_lines", "read_layout"]


@dataclass(frozen=True, slots=True)
class Columns:
    """Which columns to read.

    Attributes:
        sensors: In the order of the bundle.
        time: The column of times.
        machine: The column of machine ids; may be missing in the data.
        default_machine: The id of every row where it is.
    """

    sensors: tuple[str, ...]
    time: str = "time"
    machine: str = "machine_id"
    default_machine: str = "machine"


@dataclass(frozen=True)
class Layout:
    """Where these columns are in one CSV."""

    columns: Columns
    delimiter: str
    width: int
    time: int
    machine: int | None
    sensors: tuple[int, ...]
    where: str

    @cached_property
    def read(self) -> tuple[int, ...]:
        """The places of the columns that are read, in their order."""
        machine = () if self.machine is None else (self.machine,)
        return tuple(sorted({self.time, *machine, *self.sensors}))

    @cached_property
    def pattern(self) -> re.Pattern[bytes]:
        """Matches a line without quotes, and gives the cells that are read."""
        delimiter = re.escape(self.delimiter)
        cell = f"[^{delimiter}\r\n]*+"
        # What has an underscore in it is looked at cell by cell: Python would take 1_000 for a number.
        number = f"[^{delimiter}_\r\n]*+"
        # Columns side by side that are not read are one part, however many.
        parts: list[str] = []
        for read, run in groupby(range(self.width), self.read.__contains__):
            places = list(run)
            if read:
                parts += [f"({number if place in self.sensors else cell})" for place in places]
            else:
                parts.append(f"{cell}(?:{delimiter}{cell}){{{len(places) - 1}}}")
        return re.compile(f"^{delimiter.join(parts)}\r?$".encode(), re.MULTILINE)


@dataclass(frozen=True, slots=True)
class CsvBlock:
    """Some rows.

    Attributes:
        readings: The rows.
        times: [rows] the times as they were written.
    """

    readings: Readings
    times: tuple[bytes, ...]


def read_layout(header: str, columns: Columns, where: str) -> Layout:
    """Finds the columns in a header line.

    Raises:
        InputError: There is no header, or no time column.
        SensorMismatchError: A sensor's column is missing.
    """
    if not header.strip():
        raise InputError("the file is empty", where=where, hint="give a CSV with a header line")
    import csv  # noqa: PLC0415 - not for a stream of another format

    delimiter = max(",;\t", key=header.count)
    try:
        names = [name.strip() for name in next(csv.reader([header], delimiter=delimiter))]
    except csv.Error as error:
        raise InputError(f"the header is not one of a CSV ({error})", where=where) from None
    found = f"its columns are: {listed(names)}"
    if columns.time not in names:
        raise InputError(
            f"no column '{columns.time}' for the time", where=where, hint=f"{found}; see --time-column"
        )
    for sensor in columns.sensors:
        if names.count(sensor) != 1:
            what = "two columns" if sensor in names else "no column"
            raise SensorMismatchError(f"{what} '{sensor}', a sensor of the bundle", where=where, hint=found)
    return Layout(
        columns=columns,
        delimiter=delimiter,
        width=len(names),
        time=names.index(columns.time),
        machine=names.index(columns.machine) if columns.machine in names else None,
        sensors=tuple(map(names.index, columns.sensors)),
        where=where,
    )


class CsvLines:
    """Reads blocks of lines of a CSV whose header was read; no cell has a line end in it.

    Args:
        layout: Where the columns are.
        first_time: Called once, with the first time as it is written.
    """

    def __init__(self, layout: Layout, first_time: Callable[[str], None] | None = None) -> None:
        self._layout = layout
        self._first_time = first_time

    def parse(self, text: bytes, first_line: int) -> tuple[Readings, dict[str, int]]:
        """Whole lines to readings; none is left out.

        Raises:
            InputError: A row is ragged or a cell cannot be read; the line is named.
        """
        block = parse_lines(text, self._layout, first_line)
        if block is None:
            return Readings.empty(len(self._layout.sensors)), {}
        if self._first_time is not None:
            self._first_time(block.times[0].decode("utf-8", "replace"))
            self._first_time = None
        return block.readings, {}


def parse_lines(text: bytes, layout: Layout, first_line: int) -> CsvBlock | None:
    """Whole lines to readings; None when they are all empty.

    Args:
        text: The lines, each with its end, but for the last one.
        layout: Where the columns are.
        first_line: Number of the first line, for errors.

    Raises:
        InputError: A row is ragged or a cell cannot be read; the line is named.
    """
    lines = text.count(b"\n") + (not text.endswith(b"\n"))
    if b'"' not in text:
        found = layout.pattern.findall(text)
        if len(found) == lines:
            return _block(tuple(zip(*found, strict=True)), layout, first_line)
        # Before each of what may be a million cells is made.
        for at, line in enumerate(text.split(b"\n")):
            width = line.count(layout.delimiter.encode()) + 1
            if width != layout.width and line.strip(b"\r"):
                raise _ragged(width, layout, first_line + at)
    import csv  # noqa: PLC0415 - not at every start

    where = f"{layout.where}, line {first_line}"
    try:
        lines_of_text = text.decode().removesuffix("\n").split("\n")
        rows = list(csv.reader(lines_of_text, delimiter=layout.delimiter, strict=True))
    except (csv.Error, UnicodeDecodeError) as error:
        raise InputError(f"not a CSV in UTF-8 ({error})", where=where) from None
    if len(rows) != lines:  # with a quote that is not closed it would take along the lines that follow
        raise InputError("a cell in quotes goes over more than one line", where=where)
    return parse_cells([[cell.encode() for cell in row] for row in rows], layout, first_line)


def parse_cells(rows: Sequence[Sequence[bytes]], layout: Layout, first_line: int) -> CsvBlock | None:
    """Rows of cells, one by one: what the pattern does not fit, or what is in quotes."""
    for number, row in enumerate(rows):
        if row and len(row) != layout.width:
            raise _ragged(len(row), layout, first_line + number)
    whole = [row for row in rows if row]
    if not whole:
        return None
    cells = list(zip(*whole, strict=True))
    place = Place(layout.where, first_line)
    for at, name in zip(layout.sensors, layout.columns.sensors, strict=True):
        if b"_" in b"".join(cells[at]):
            bad = next(number for number, cell in enumerate(cells[at]) if b"_" in cell)
            what = f"'{shown(cells[at][bad])}' in column '{name}' is not a number"
            raise InputError(what, where=place.row(bad))
    return _block(tuple(cells[at] for at in layout.read), layout, first_line)


def _ragged(width: int, layout: Layout, line: int) -> InputError:
    return InputError(
        f"{width} cells where the header has {layout.width}", where=f"{layout.where}, line {line}"
    )


def _block(cells: tuple[tuple[bytes, ...], ...], layout: Layout, first_line: int) -> CsvBlock:
    """The columns of `layout.read` to readings."""
    by_place = dict(zip(layout.read, cells, strict=True))
    place = Place(layout.where, first_line)
    written = by_place[layout.time]
    names: tuple[str, ...] = (layout.columns.default_machine,)
    of_row = None
    if layout.machine is not None:
        names, of_row = codes(by_place[layout.machine], layout.columns.default_machine, place)
    sensors = zip(layout.sensors, layout.columns.sensors, strict=True)
    values = as_float32([floats(by_place[at], name, place) for at, name in sensors])
    return CsvBlock(Readings.coded(names, of_row, times(written, place), values), written)
