"""Where a header has the times and the machine ids."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from edge_runtime.errors import InputError, listed
from edge_runtime.mapping.form import MACHINE_NAMES, TIME_NAMES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edge_runtime.mapping.form import Columns

__all__ = ["CLOCK", "likely_time", "machine_place", "time_places"]

# A time of the day, without its date.
CLOCK = re.compile(rb"\d{1,2}:\d\d(?::\d\d(?:[.,]\d+)?)?(?: *[AaPp][Mm])?")


def time_places(names: Sequence[str], columns: Columns, where: str) -> tuple[int, ...]:
    """Where a header has the times: one place, or that of the date and that of the time of day.

    Raises:
        InputError: There is no such column, or two that it may be.
    """
    if not columns.time:
        return ()
    wanted = columns.form.time.from_ or (columns.time,)
    places = []
    for name in wanted:
        usual = TIME_NAMES if name == TIME_NAMES[0] and not columns.form.time.from_ else ()
        place = _find(names, name, usual)
        if place is None:
            raise InputError(
                f"no column '{name}' for the time",
                where=where,
                hint=f"its columns are: {listed(names)}; name one with --time-column",
            )
        places.append(place)
    return tuple(places)


def likely_time(names: Sequence[str], columns: Columns) -> int | None:
    """Where the times may be in a table of which none are read; None where no name says so."""
    wanted = columns.form.time.from_[0] if columns.form.time.from_ else TIME_NAMES[0]
    return _find(names, wanted, TIME_NAMES)


def machine_place(names: Sequence[str], columns: Columns, where: str) -> int | None:
    """Where a header has the machine ids; None where it has none.

    Raises:
        InputError: A column that a person named is not there.
    """
    place = _find(names, columns.machine, MACHINE_NAMES if columns.machine == MACHINE_NAMES[0] else ())
    if place is None and columns.form.machine:
        raise InputError(
            f"no column '{columns.machine}' for the machines",
            where=where,
            hint=f"its columns are: {listed(names)}; leave --machine-column out if there is but one",
        )
    return place


def _find(names: Sequence[str], wanted: str, usual: Sequence[str]) -> int | None:
    """The place of a column: by its very name, or by the first of the usual ones, in any case."""
    if wanted in names:
        return list(names).index(wanted)
    lower = [name.lower() for name in names]
    return next((lower.index(name) for name in usual if name in lower), None)
