"""Which columns of a text to read, and where a header has them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from edge_runtime.errors import InputError, listed
from edge_runtime.mapping.form import Form, RecordForm

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = [
    "MACHINE_NAMES",
    "ONE_MACHINE",
    "PLAIN",
    "TIME_NAMES",
    "Columns",
    "likely_time",
    "machine_place",
    "time_places",
]

# Names that are looked for, in this order and in any case, where a person named no column.
TIME_NAMES = ("time", "timestamp", "datetime", "_time", "date", "ts")
MACHINE_NAMES = ("machine_id", "machine")
ONE_MACHINE = "machine"
PLAIN = Form()


@dataclass(frozen=True, slots=True)
class Columns:
    """Which columns to read.

    Attributes:
        sensors: In the order of the bundle.
        time: The column of times, or "time" for that or one with a name like it; "" to read none.
        machine: The column of machine ids, or "machine_id" for that or "machine"; may be missing in the data.
        default_machine: The id of every row where it is.
        form: How cells are written.
    """

    sensors: tuple[str, ...]
    time: str = TIME_NAMES[0]
    machine: str = MACHINE_NAMES[0]
    default_machine: str = ONE_MACHINE
    form: Form = PLAIN

    @classmethod
    def of(cls, sensors: Sequence[str], form: RecordForm, default_machine: str = ONE_MACHINE) -> Columns:
        """The columns that a form names, or the usual ones."""
        form = form if isinstance(form, Form) else Form(form.time, form.machine)
        time = form.time.from_[0] if form.time.from_ else TIME_NAMES[0]
        return cls(tuple(sensors), time, form.machine or MACHINE_NAMES[0], default_machine, form)


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
