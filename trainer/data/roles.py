"""What the columns of a table are for: its sensors, and what is left out by which rule."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from edge_runtime.errors import InputError
from edge_runtime.mapping.form import PLAIN
from edge_runtime.mapping.numbers import Numbers
from edge_runtime.mapping.roles import Role, RoleOf, roles
from trainer.data.columns import DECIMAL, cells_of, place_of

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from edge_runtime.mapping.facts import Facts
    from edge_runtime.mapping.form import Form

__all__ = ["add_frame", "roles_of", "sensors_of", "with_others"]


def add_frame(
    facts: Mapping[str, Facts],
    frame: pd.DataFrame,
    path: Path,
    moments: NDArray[np.int64],
    machines: NDArray[np.str_] | None,
    form: Form = PLAIN,
) -> None:
    """Adds a table, or a page of it, to the facts about its columns.

    Args:
        facts: Column to its facts; other columns are passed over.
        frame: The table.
        path: Its file.
        moments: [rows] nanoseconds since 1970.
        machines: [rows] machine ids; None where all rows are of one machine.
        form: How a CSV is written.
    """
    codes, names = (np.zeros(len(frame), np.intp), [""]) if machines is None else pd.factorize(machines)
    of_machine = [(str(name), np.flatnonzero(codes == code)) for code, name in enumerate(names)]
    marks, place = frame.attrs.get(DECIMAL, {}), place_of(frame, path)
    for name, fact in facts.items():
        column = frame[name]
        if pd.api.types.is_bool_dtype(column) or pd.api.types.is_datetime64_any_dtype(column):
            fact.add_words([str(cell) for cell in column.dropna().tolist()], len(column))
        elif pd.api.types.is_numeric_dtype(column):
            fact.add_values(column.to_numpy(np.float64, na_value=np.nan), moments, of_machine)
        else:
            numbers = Numbers(replace(form, decimal=form.decimal or marks.get(name, "")), ",")
            fact.add(cells_of(column), numbers, place, moments, of_machine)


def roles_of(
    facts: Sequence[Facts],
    time: Sequence[str],
    machine: str | None,
    named: Sequence[str],
    prepared: Collection[str] = (),
) -> list[RoleOf]:
    """The role of each column.

    Args:
        facts: Of each column.
        time: Columns of the times.
        machine: That of the machine ids; None for none.
        named: Columns that are the sensors because a person said so; empty to go by the rules.
        prepared: Columns that were taken for sensors when the table was prepared; they are.
    """
    found = roles(facts, time, machine, named=named, labels=())
    if named:
        return found
    return [
        replace(column, role=Role.SENSOR, why="a sensor when it was prepared", hint="")
        if column.name in prepared and column.role is Role.LEFT_OUT
        else column
        for column in found
    ]


def with_others(
    found: Sequence[RoleOf],
    label: str | None,
    left_out: Collection[str | None],
    told: Sequence[RoleOf] = (),
) -> list[RoleOf]:
    """The same with the column of the labels, and those that a person left out.

    Args:
        found: By the rules.
        label: The column of the labels; None for none.
        left_out: Columns that are nothing.
        told: Columns of which a person said what they are for, unless they are the time or the machine.
    """
    by_name = {column.name: column for column in told}
    changed = []
    for column in found:
        if column.name in by_name and column.role not in {Role.TIME, Role.MACHINE}:
            changed.append(by_name[column.name])
        elif column.name == label:
            changed.append(RoleOf(column.name, Role.LABEL, "its values tell normal rows from others"))
        elif column.name in left_out:
            changed.append(RoleOf(column.name, Role.LEFT_OUT, "by its name, or by --drop"))
        else:
            changed.append(column)
    return changed


def sensors_of(found: Sequence[RoleOf], where: str) -> tuple[str, ...]:
    """The columns that are sensors.

    Raises:
        InputError: A column may be one or not, or none is.
    """
    for column in found:
        if column.role is Role.UNCLEAR:
            raise InputError(
                f"column '{column.name}' {column.why}",
                where=where,
                hint=f'add {column.hint}; or leave the column out: --drop "{column.name}"',
            )
    names = tuple(column.name for column in found if column.role is Role.SENSOR)
    if not names:
        numbers = [column.hint for column in found if column.role is Role.LEFT_OUT and column.hint]
        raise InputError(
            "no column that is one of a sensor by its numbers",
            where=where,
            hint=f"name the sensors, such as {numbers[0]}" if numbers else "see `edge-detect read FILE`",
        )
    return names
