"""What the columns of a file are for."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from edge_runtime.mapping.columns import Columns, machine_place
from edge_runtime.mapping.facts import Facts
from edge_runtime.mapping.roles import Role, RoleOf, roles
from edge_runtime.text.csvblocks import open_rows
from edge_runtime.text.survey import survey
from trainer.tables import column_names, is_parquet, read_pages, readable, time_columns, times_ns

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from edge_runtime.mapping.form import Form
    from trainer.label_words import Meaning

__all__ = ["file_roles"]


def file_roles(
    path: Path,
    form: Form,
    *,
    named: Sequence[str],
    dropped: Collection[str | None],
    label: Meaning | None,
) -> tuple[list[RoleOf], NDArray[np.int64] | None]:
    """The role of each column, by all of its rows; and the times of a CSV, which were read for that.

    Args:
        path: The file.
        form: How a CSV is written.
        named: Columns that a person called sensors.
        dropped: Columns that are no sensors.
        label: What the labels mean, and which column has them; None for none.

    Raises:
        InputError: The file cannot be read, or a time in it.
    """
    moments = None
    with readable(path):
        if is_parquet(path):
            facts, time, machine = _parquet_facts(path, form)
        else:
            with open_rows(path) as stream:
                found = survey(stream, form, str(path), quick=True)
            facts, time, machine = found.facts, found.time_names, found.machine_name
            moments = found.moments
    chosen = []
    for column in roles(facts, time, machine, named=named):
        if label is not None and column.name == label.column:
            chosen.append(RoleOf(column.name, Role.LABEL, "its values tell normal rows from others"))
        elif column.name in dropped:
            chosen.append(RoleOf(column.name, Role.LEFT_OUT, "it is no sensor, by its name or --drop"))
        else:
            chosen.append(column)
    return chosen, moments


def _parquet_facts(path: Path, form: Form) -> tuple[tuple[Facts, ...], tuple[str, ...], str | None]:
    names = column_names(path)
    time = time_columns(names, path, form)
    place = machine_place(names, Columns.of((), form), str(path))
    machine = None if place is None else names[place]
    facts = {name: Facts(name) for name in names}
    for frame in read_pages(path):
        moments = times_ns(frame, time, path, form)
        codes, found = pd.factorize(frame[machine]) if machine else (np.zeros(len(frame), np.intp), [""])
        machines = [(str(name), np.flatnonzero(codes == code)) for code, name in enumerate(found)]
        for name, fact in facts.items():
            column = frame[name]
            if name in (*time, machine):
                continue
            if pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column):
                fact.add_values(column.to_numpy(np.float64, na_value=np.nan), moments, machines)
            else:
                fact.add_words([str(cell) for cell in column.dropna().tolist()], len(column))
    return tuple(facts.values()), time, machine
