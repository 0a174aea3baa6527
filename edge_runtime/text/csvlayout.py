"""Where the columns of a CSV are, by its header."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from typing import TYPE_CHECKING

from edge_runtime.errors import InputError, SensorMismatchError, listed
from edge_runtime.mapping.header import machine_place, time_places
from edge_runtime.text.head import Head

if TYPE_CHECKING:
    from edge_runtime.mapping.form import Columns

__all__ = ["Layout", "header_names", "read_layout"]


@dataclass(frozen=True)
class Layout:
    """Where these columns are in one CSV.

    Attributes:
        columns: What is read.
        names: The header.
        delimiter: What is between two cells.
        time: Where the time is, or the date and the time of day.
        machine: Where the machine id is; None where there is none.
        sensors: Where each sensor is.
        where: What is read, for errors.
        texts: Where each column is that is given as it is written.
    """

    columns: Columns
    names: tuple[str, ...]
    delimiter: str
    time: tuple[int, ...]
    machine: int | None
    sensors: tuple[int, ...]
    where: str
    texts: tuple[int, ...] = ()

    @property
    def width(self) -> int:
        """Number of columns."""
        return len(self.names)

    @cached_property
    def read(self) -> tuple[int, ...]:
        """The places of the columns that are read, in their order."""
        machine = () if self.machine is None else (self.machine,)
        return tuple(sorted({*self.time, *machine, *self.sensors, *self.texts}))

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
        # Cells that are empty after the last one say nothing.
        return re.compile(f"^{delimiter.join(parts)}{delimiter}*+\r?$".encode(), re.MULTILINE)

    @cached_property
    def nothing(self) -> re.Pattern[bytes]:
        """Matches a line that is empty but for delimiters, or the header once more."""
        delimiter = re.escape(self.delimiter.encode())
        header = delimiter.join(rb"\s*" + re.escape(name.encode()) + rb"\s*" for name in self.names)
        return re.compile(rb"^(?:[\s" + delimiter + rb"]*|" + header + rb")$", re.MULTILINE)


def read_layout(header: str, columns: Columns, where: str, delimiter: str = "") -> Layout:
    """Finds the columns in a header.

    Raises:
        InputError: There is no header, or no time column.
        SensorMismatchError: A sensor's column is missing.
    """
    if not header.strip():
        raise InputError("the file is empty", where=where, hint="give a CSV with a header line")
    if not delimiter:
        head = Head(columns.form, where)
        head.take(header)
        delimiter = head.delimiter or ","
    names = header_names(header, delimiter, where)
    time = time_places(names, columns, where)
    for sensor in columns.sensors:
        if names.count(sensor) != 1:
            what = "two columns" if sensor in names else "no column"
            hint = f"its columns are: {listed(names)}"
            raise SensorMismatchError(f"{what} '{sensor}', a sensor of the bundle", where=where, hint=hint)
    machine = machine_place(names, columns, where)
    return Layout(columns, names, delimiter, time, machine, tuple(map(names.index, columns.sensors)), where)


def header_names(header: str, delimiter: str, where: str) -> tuple[str, ...]:
    """The names in a header, without the spaces around them.

    Raises:
        InputError: It is no line of a CSV.
    """
    import csv  # noqa: PLC0415 - not for a stream of another format

    try:
        return tuple(name.strip() for name in next(csv.reader(header.splitlines(True), delimiter=delimiter)))
    except (csv.Error, StopIteration) as error:
        raise InputError(f"the header is not one of a CSV ({error})", where=where) from None
