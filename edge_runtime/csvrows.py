"""Readings out of CSV text, block by block: delimiter and time format are found, errors name the line."""

from __future__ import annotations

import csv
import gzip
from dataclasses import dataclass
from itertools import islice
from typing import IO, TYPE_CHECKING

import numpy as np

from edge_runtime.errors import InputError, SensorMismatchError, UsageError
from edge_runtime.records import Readings
from edge_runtime.timeparse import parse_time

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

__all__ = ["Columns", "CsvBlock", "Layout", "open_text", "parse_rows", "read_blocks", "read_layout"]

BLOCK_ROWS = 4096
GZIP_MAGIC = b"\x1f\x8b"
NOTHING = frozenset({"", "nan", "na", "n/a", "null", "none"})


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


@dataclass(frozen=True, slots=True)
class Layout:
    """Where these columns are in one CSV."""

    columns: Columns
    delimiter: str
    width: int
    time: int
    machine: int | None
    sensors: tuple[int, ...]
    where: str


@dataclass(frozen=True, slots=True)
class CsvBlock:
    """Some rows.

    Attributes:
        readings: The rows.
        times: [rows] the times as they were written.
    """

    readings: Readings
    times: tuple[str, ...]


def open_text(path: Path) -> IO[str]:
    """A text file for reading, out of gzip when it is in it.

    Raises:
        UsageError: There is no such file, or it cannot be read.
    """
    try:
        with path.open("rb") as probe:
            zipped = probe.read(2) == GZIP_MAGIC
        stream: IO[str] = (  # the caller's to close
            gzip.open(path, "rt", encoding="utf-8-sig", newline="")  # noqa: SIM115
            if zipped
            else path.open("r", encoding="utf-8-sig", newline="")
        )
    except OSError as error:
        raise UsageError(
            f"cannot read it ({error.strerror})", where=str(path), mend="name a CSV file"
        ) from None
    return stream


def read_layout(header: str, columns: Columns, where: str) -> Layout:
    """Finds the columns in a header line.

    Raises:
        InputError: There is no header, or no time column.
        SensorMismatchError: A sensor's column is missing.
    """
    if not header.strip():
        raise InputError("the file is empty", where=where, mend="give a CSV with a header line")
    delimiter = max(",;\t", key=header.count)
    names = [name.strip() for name in next(csv.reader([header], delimiter=delimiter))]
    found = f"its columns are: {', '.join(names)}"
    if columns.time not in names:
        raise InputError(
            f"no column '{columns.time}' for the time", where=where, mend=f"{found}; see --time-column"
        )
    for sensor in columns.sensors:
        if names.count(sensor) != 1:
            what = "two columns" if sensor in names else "no column"
            raise SensorMismatchError(f"{what} '{sensor}', a sensor of the bundle", where=where, mend=found)
    return Layout(
        columns=columns,
        delimiter=delimiter,
        width=len(names),
        time=names.index(columns.time),
        machine=names.index(columns.machine) if columns.machine in names else None,
        sensors=tuple(map(names.index, columns.sensors)),
        where=where,
    )


def read_blocks(stream: IO[str], columns: Columns, where: str) -> Iterator[CsvBlock]:
    """A whole CSV, a few thousand rows at a time.

    Raises:
        InputError: It is empty, ragged, not text, or a cell cannot be read; the line is named.
        SensorMismatchError: A sensor's column is missing.
    """
    try:
        layout = read_layout(stream.readline(), columns, where)
        reader = csv.reader(stream, delimiter=layout.delimiter)
        while True:
            first = reader.line_num + 2
            rows = [row for row in islice(reader, BLOCK_ROWS) if row]
            if not rows:
                return
            yield parse_rows(rows, layout, first)
    except (UnicodeDecodeError, gzip.BadGzipFile, EOFError, csv.Error) as error:
        raise InputError(f"not a CSV in UTF-8 ({error})", where=where) from None


def parse_rows(rows: Sequence[Sequence[str]], layout: Layout, first_line: int) -> CsvBlock:
    """Rows of cells to readings.

    Args:
        rows: The cells.
        layout: Where the columns are.
        first_line: Number of the first row's line, for errors.

    Raises:
        InputError: A row is ragged or a cell cannot be read; the line is named.
    """
    for i, row in enumerate(rows):
        if len(row) != layout.width:
            raise InputError(
                f"{len(row)} cells where the header has {layout.width}",
                where=f"{layout.where}, line {first_line + i}",
            )
    cells = list(zip(*rows, strict=True))
    where = f"{layout.where}, line"
    times = cells[layout.time]
    if layout.machine is None:
        machines = np.full(len(rows), layout.columns.default_machine)
    else:
        machines = np.asarray(
            [cell.strip() or layout.columns.default_machine for cell in cells[layout.machine]], np.str_
        )
    values = [
        _numbers(cells[at], name, where, first_line)
        for at, name in zip(layout.sensors, layout.columns.sensors, strict=True)
    ]
    with np.errstate(over="ignore"):  # a number beyond float32 becomes infinite, and the row unknown
        block = np.stack(values, axis=1).astype(np.float32)
    return CsvBlock(Readings(machines, parse_times(times, where, first_line), block), times)


def _numbers(cells: Sequence[str], name: str, where: str, first_line: int) -> NDArray[np.float64]:
    try:
        return np.asarray(list(map(float, cells)), np.float64)
    except ValueError:
        return np.asarray(
            [_number(cell, name, where, first_line + i) for i, cell in enumerate(cells)], np.float64
        )


def _number(cell: str, name: str, where: str, line: int) -> float:
    if cell.strip().lower() in NOTHING:
        return float("nan")
    try:
        return float(cell)
    except ValueError:
        raise InputError(
            f"'{cell[:40]}' in column '{name}' is not a number", where=f"{where} {line}"
        ) from None


def parse_times(cells: Sequence[str], where: str, first_line: int) -> NDArray[np.int64]:
    """Times as RFC 3339 (UTC when they name no zone) or as an epoch in s, ms, us or ns.

    Raises:
        InputError: One cannot be read; the line is named.
    """
    # Text without a zone but Z is what numpy reads by itself, a hundred times faster.
    if cells and cells[0][-1:] in ("Z", "z") and _plain(cells):
        try:
            return np.asarray([cell[:-1] for cell in cells], "datetime64[ns]").astype(np.int64)
        except ValueError:
            pass
    return np.asarray([_time(cell, where, first_line + i) for i, cell in enumerate(cells)], np.int64)


def _plain(cells: Iterable[str]) -> bool:
    return all(len(cell) >= 20 and cell[-1] in "Zz" for cell in cells)  # noqa: PLR2004 - as 2026-01-31T08:00:00Z


def _time(cell: str, where: str, line: int) -> int:
    text = cell.strip()
    whole, dot, fraction = text.partition(".")
    try:
        if text[:1].isdigit():
            if dot and whole.isdigit() and fraction.isdigit():  # an epoch with a fraction of a second
                return parse_time(whole, 0) + int(fraction[:9].ljust(9, "0"))
            return parse_time(text, 0)
    except UsageError:
        pass
    raise InputError(
        f"'{cell[:40]}' is not a time", where=f"{where} {line}", mend="write 2026-01-31T08:00:00Z"
    ) from None
