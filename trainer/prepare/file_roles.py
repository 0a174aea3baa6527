"""What the columns of a file are for, before its rows are read for good."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from edge_runtime.mapping.facts import Facts
from edge_runtime.mapping.form import Columns
from edge_runtime.mapping.header import machine_place
from edge_runtime.mapping.roles import Role
from edge_runtime.text.csvblocks import open_rows
from edge_runtime.text.survey import survey
from trainer.data.roles import add_frame, roles_of
from trainer.data.tables import (
    column_names,
    is_parquet,
    read_pages,
    readable,
    text_of,
    time_columns,
    times_ns,
)

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from edge_runtime.mapping.form import Form
    from edge_runtime.mapping.roles import RoleOf

__all__ = ["file_roles"]

# Of two roles in two files, the first one counts.
RANK = (Role.UNCLEAR, Role.TIME, Role.MACHINE, Role.LABEL, Role.SENSOR, Role.LEFT_OUT)


def file_roles(
    paths: Sequence[Path], form: Form, named: Sequence[str]
) -> tuple[list[RoleOf], NDArray[np.int64] | None]:
    """The role of each column, by all rows of all files; and the times of the first, if it is a CSV.

    A column is left out where the rules say so in each file that has it: what is constant in one experiment
    may move in the next.

    Args:
        paths: The files.
        form: How a CSV is written.
        named: Columns that a person called sensors.

    Raises:
        InputError: A file cannot be read, or a time in it.
    """
    first, moments = _roles_of_one(paths[0], form, named)
    found = {one.name: one for one in first}
    for path in () if named else paths[1:]:
        for one in _roles_of_one(path, form, named)[0]:
            before = found.setdefault(one.name, one)
            if RANK.index(one.role) < RANK.index(before.role):
                found[one.name] = one
            elif one.role is before.role is Role.LEFT_OUT and one.why != before.why:
                found[one.name] = replace(before, why=f"{before.why} in {paths[0].name}, or such in others")
    return list(found.values()), moments


def _roles_of_one(
    path: Path, form: Form, named: Sequence[str]
) -> tuple[list[RoleOf], NDArray[np.int64] | None]:
    with readable(path):
        if is_parquet(path):
            return roles_of(*_parquet_facts(path, form), named), None
        with open_rows(path) as stream:
            found = survey(stream, form, str(path), quick=True)
    return roles_of(found.facts, found.time_names, found.machine_name, named), found.moments


def _parquet_facts(path: Path, form: Form) -> tuple[list[Facts], tuple[str, ...], str | None]:
    names = column_names(path)
    time = time_columns(names, path, form)
    place = machine_place(names, Columns.of((), form), str(path))
    machine = None if place is None else names[place]
    facts = {name: Facts(name, quick=True) for name in names}
    looked_at = {name: fact for name, fact in facts.items() if name not in (*time, machine)}
    for frame in read_pages(path):
        machines = None if machine is None else text_of(frame[machine])
        add_frame(looked_at, frame, path, times_ns(frame, time, path, form), machines, form)
    return list(facts.values()), time, machine
