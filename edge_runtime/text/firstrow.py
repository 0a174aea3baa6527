"""The first row of a CSV: whether it is one of units, and whether the times are in two columns."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edge_runtime.errors import InputError
from edge_runtime.mapping.cells import shown
from edge_runtime.mapping.header import CLOCK, likely_time

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edge_runtime.mapping.numbers import Numbers
    from edge_runtime.text.csvlayout import Layout

__all__ = ["FirstRow", "look_at"]

DAY = re.compile(rb"\d{4}[-/.]\d\d[-/.]\d\d|\d{1,2}[-/.]\d{1,2}[-/.]\d{4}|\d{8}")
DIGIT = re.compile(rb"[0-9]")


@dataclass(frozen=True, slots=True)
class FirstRow:
    """What a line was found to be.

    Attributes:
        is_empty: It says nothing, so the first row is still to come.
        is_units: It holds the units of the columns.
        remark: What to tell a person; "" for nothing.
    """

    is_empty: bool = False
    is_units: bool = False
    remark: str = ""


def look_at(cells: Sequence[bytes], layout: Layout, numbers: Numbers, number: int) -> FirstRow:
    """Looks at a line.

    Args:
        cells: Its cells, without the spaces around them.
        layout: Where the columns are.
        numbers: Tells whether a cell is a number.
        number: The line's number, for errors.

    Raises:
        InputError: Its time is a day, and another column has the time of the day.
    """
    if not any(cells):
        return FirstRow(is_empty=True)
    if len(cells) < layout.width:
        return FirstRow()
    where = f"{layout.where}, line {number}"
    at = layout.time[0] if layout.time else likely_time(layout.names, layout.columns)
    time = b"0" if at is None else cells[at]
    places = layout.sensors or layout.texts or range(layout.width)
    others = [cells[place] for place in places if place != at]
    if any(others) and not any(map(numbers.is_number, others)) and DIGIT.search(time) is None:
        units = shown(layout.delimiter.encode().join(cells))
        remark = f"{where}: taken for a row of units, not of readings: {units}"
        return FirstRow(is_units=True, remark=remark)
    clocks = [place for place, cell in enumerate(cells[: layout.width]) if CLOCK.fullmatch(cell)]
    if len(layout.time) == 1 and DAY.fullmatch(time) and clocks:
        date, clock = layout.names[layout.time[0]], layout.names[clocks[0]]
        raise InputError(
            f"column '{date}' holds days, and column '{clock}' times of the day",
            where=where,
            hint=f"name both: --time-column {date} --time-column {clock}",
        )
    return FirstRow()
