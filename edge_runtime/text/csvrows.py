"""Lines of a CSV to columns: how it is written is found or named, and errors name the line."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from edge_runtime.errors import InputError, counted
from edge_runtime.mapping.cells import Place, codes, shown
from edge_runtime.mapping.numbers import Numbers, as_float32
from edge_runtime.mapping.times import Times
from edge_runtime.records import Readings
from edge_runtime.text.csvlayout import Layout, read_layout
from edge_runtime.text.recoder import refused_encoding
from edge_runtime.timeparse import zone_remark

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy as np
    from numpy.typing import NDArray

__all__ = ["CsvBlock", "CsvLines", "CsvRows", "Layout", "read_layout"]


@dataclass(frozen=True)
class CsvBlock:
    """Some rows, by their columns.

    Attributes:
        times: [rows] the times as they were written.
        moments: [rows] nanoseconds since the epoch.
        names: Machine ids.
        codes: [rows] each row's place among them; None where all are of the first.
        numbers: For each sensor [rows] float64.
        texts: For each column that is given as it is written [rows] its cells.
        place: Where the rows are, for errors.
        reader: Reads other numbers that are written as those of the sensors.
    """

    times: tuple[bytes, ...]
    moments: NDArray[np.int64]
    names: tuple[str, ...]
    codes: NDArray[np.intp] | None
    numbers: list[NDArray[np.float64]]
    texts: list[tuple[bytes, ...]]
    place: Place
    reader: Numbers

    def __len__(self) -> int:
        return len(self.times)

    @cached_property
    def readings(self) -> Readings:
        """The rows as a bundle takes them."""
        return Readings.coded(self.names, self.codes, self.moments, as_float32(self.numbers))


class CsvRows:
    """Reads a CSV's rows, block by block, from its first one.

    Args:
        layout: Where the columns are.
        report: Called with a line for a person: what was left out, and what was understood how.
        latest_ns: A number after this is no epoch; None where the clock is not to be asked.
    """

    def __init__(
        self,
        layout: Layout,
        report: Callable[[str], None] = lambda _: None,
        latest_ns: int | None = None,
    ) -> None:
        form = layout.columns.form
        self.layout = layout
        self.numbers = Numbers(form, layout.delimiter)
        self.times = Times(form.time, latest_ns)
        self._report = report
        self._first = True
        self._told = False
        # Nothing else would find out that a line is none of the table.
        self._timeless = not layout.time

    def parse(self, text: bytes, first_line: int) -> CsvBlock | None:
        """Whole lines to columns; None when they are all empty.

        Args:
            text: The lines, each with its end, but for the last one.
            first_line: Number of the first line, for errors.

        Raises:
            InputError: A row is ragged or a cell cannot be read; the line is named.
        """
        layout = self.layout
        if self._first:
            text = self._look(text, first_line)
        lines = text.count(b"\n") + (not text.endswith(b"\n"))
        if b'"' not in text:
            cells = self._cells(text, lines)
            if cells is not None and not (self._timeless and self._has_strange_lines(text)):
                try:
                    return self._block(cells, Place(layout.where, first_line))
                except InputError:
                    if not self._has_strange_lines(text):
                        raise
            elif cells is None:
                self._refuse_ragged(text, first_line)
        import csv  # noqa: PLC0415 - not at every start

        where = f"{layout.where}, line {first_line}"
        try:
            lines_of_text = text.decode().removesuffix("\n").split("\n")
            rows = list(csv.reader(lines_of_text, delimiter=layout.delimiter, strict=True))
        except csv.Error as error:
            raise InputError(f"not a CSV ({error})", where=where) from None
        except UnicodeDecodeError as error:
            raise refused_encoding(error, where) from None
        if len(rows) != lines:  # with a quote that is not closed it would take along the lines that follow
            raise InputError("a cell in quotes goes over more than one line", where=where)
        return self.parse_cells([[cell.encode() for cell in row] for row in rows], first_line)

    def _cells(self, text: bytes, lines: int) -> tuple[tuple[bytes, ...], ...] | None:
        """The columns of `layout.read` of lines without quotes; None where they are not all alike."""
        layout, delimiter, width = self.layout, self.layout.delimiter.encode(), self.layout.width
        if b"\r" in text:
            text = text.replace(b"\r\n", b"\n").removesuffix(b"\r")
        if b"\r" not in text:
            cells = text.removesuffix(b"\n").replace(b"\n", delimiter + b"\n").split(delimiter)
            first = b"".join(cells[::width])
            # Each line end stands before the first cell of a row, and no other.
            if len(cells) == lines * width and first.count(b"\n") == lines - 1:
                firsts = tuple(first.split(b"\n")) if 0 in layout.read else ()
                found = tuple(firsts if place == 0 else tuple(cells[place::width]) for place in layout.read)
                if b"_" not in text or not self._has_underscore(found):
                    return found
        matched = layout.pattern.findall(text)
        if len(matched) != lines:
            return None
        # Of a pattern with one group, it is the group; of one with several, a tuple of them.
        return (tuple(matched),) if len(layout.read) == 1 else tuple(zip(*matched, strict=True))

    def _has_underscore(self, cells: tuple[tuple[bytes, ...], ...]) -> bool:
        """Whether there is one in a number, where Python would read over it."""
        numbers = (
            of for place, of in zip(self.layout.read, cells, strict=True) if place in self.layout.sensors
        )
        return any(b"_" in b"".join(of) for of in numbers)

    def parse_cells(self, rows: Sequence[Sequence[bytes]], first_line: int) -> CsvBlock | None:
        """Rows of cells, one by one: what the pattern does not fit, or what is in quotes."""
        layout, kept, lines = self.layout, [], []
        header = [name.encode() for name in layout.names]
        for number, row in enumerate(rows):
            cells = [cell.strip() for cell in row]
            # Such as an empty line, or one of two exports that were put together.
            if not any(cells) or cells == header:
                continue
            if len(row) < layout.width or any(cells[layout.width :]):
                raise self._ragged(len(row), first_line + number)
            if self._first and self._is_units(row, first_line + number):
                continue
            kept.append(row[: layout.width])
            lines.append(number)
        if not kept:
            return None
        columns = list(zip(*kept, strict=True))
        place = Place(layout.where, first_line, lines)
        for at, name in zip(layout.sensors, layout.columns.sensors, strict=True):
            if b"_" in b"".join(columns[at]):
                bad = next(number for number, cell in enumerate(columns[at]) if b"_" in cell)
                what = f"'{shown(columns[at][bad])}' in column '{name}' is not a number"
                raise InputError(what, where=place.row(bad))
        return self._block(tuple(columns[at] for at in layout.read), place)

    def _look(self, text: bytes, first_line: int) -> bytes:
        """Looks at the first row, unless it has quotes; the text without one of units."""
        line, end, rest = text.partition(b"\n")
        if b'"' in line:
            return text
        is_units = self._is_units(line.split(self.layout.delimiter.encode()), first_line)
        return end + rest if is_units else text

    def _is_units(self, row: Sequence[bytes], line: int) -> bool:
        """Whether the first row is one of units; the next one is the first then, as after an empty one."""
        from edge_runtime.text.firstrow import look_at  # noqa: PLC0415 - once a stream

        found = look_at([cell.strip() for cell in row], self.layout, self.numbers, line)
        if found.remark:
            self._report(found.remark)
        self._first = found.is_units or found.is_empty
        return found.is_units

    def _has_strange_lines(self, text: bytes) -> bool:
        """Whether a line is empty but for delimiters, or the header once more."""
        return self.layout.nothing.search(text.removesuffix(b"\n")) is not None

    def _refuse_ragged(self, text: bytes, first_line: int) -> None:
        """Before each of what may be a million cells is made."""
        delimiter, width = self.layout.delimiter.encode(), self.layout.width
        for at, line in enumerate(text.split(b"\n")):
            cells = line.count(delimiter) + 1
            if (
                cells != width
                and line.strip()
                and not (cells > width and line.rstrip(b"\r").endswith(delimiter))
            ):
                raise self._ragged(cells, first_line + at)

    def _ragged(self, width: int, line: int) -> InputError:
        return InputError(
            f"{counted(width, 'cell')} where the header has {self.layout.width}",
            where=f"{self.layout.where}, line {line}",
        )

    def _block(self, cells: tuple[tuple[bytes, ...], ...], place: Place) -> CsvBlock:
        """The columns of `layout.read` to what they mean."""
        layout = self.layout
        by_place = dict(zip(layout.read, cells, strict=True))
        written = by_place[layout.time[0]] if layout.time else ()
        if len(layout.time) > 1:
            written = tuple(map(b" ".join, zip(written, by_place[layout.time[1]], strict=True)))
        names: tuple[str, ...] = (layout.columns.default_machine,)
        of_row = None
        if layout.machine is not None:
            names, of_row = codes(by_place[layout.machine], layout.columns.default_machine, place)
        sensors = zip(layout.sensors, layout.columns.sensors, strict=True)
        numbers = [self.numbers.read(by_place[at], name, place) for at, name in sensors]
        moments = self.times.read(written, place, names, of_row)
        if not self._told and written:
            self._tell(written[0])
        texts = [by_place[at] for at in layout.texts]
        return CsvBlock(written, moments, names, of_row, numbers, texts, place, self.numbers)

    def _tell(self, first: bytes) -> None:
        """What was understood without being said by the text, once."""
        self._told = True
        form = self.layout.columns.form
        if (
            self.times.zone is None
            and not form.time.format
            and (remark := zone_remark(first.decode("utf-8", "replace")))
        ):
            self._report(f"{self.layout.where}: {remark}")
        if self.numbers.decimal != "." and not form.decimal:
            some = "" if self.numbers.decimal else " in some columns"
            self._report(f"{self.layout.where}: numbers have a decimal comma{some}")


class CsvLines:
    """Reads blocks of lines of a CSV whose header was read; no cell has a line end in it.

    Args:
        rows: Reads them.
    """

    def __init__(self, rows: CsvRows) -> None:
        self._rows = rows

    def parse(self, text: bytes, first_line: int) -> tuple[Readings, dict[str, int]]:
        """Whole lines to readings; none is left out.

        Raises:
            InputError: A row is ragged or a cell cannot be read; the line is named.
        """
        block = self._rows.parse(text, first_line)
        if block is None:
            return Readings.empty(len(self._rows.layout.sensors)), {}
        return block.readings, {}
