"""The three tables as they were read, column by column: what each is for, and the arrays they become."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from edge_runtime.errors import InputError
from edge_runtime.mapping.facts import Facts
from edge_runtime.mapping.form import Columns as MappedColumns
from edge_runtime.mapping.header import machine_place
from edge_runtime.mapping.roles import EMPTY
from trainer.data.label_column import KIND_COLUMN, LABEL_COLUMN, choose_labels
from trainer.data.label_words import ANOMALOUS, IGNORED, Cells
from trainer.data.machines import ONE_MACHINE
from trainer.data.roles import add_frame, roles_of, with_others
from trainer.data.split import Split
from trainer.data.tables import numeric_columns, text_of, time_columns, times_ns

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import pandas as pd
    from numpy.typing import NDArray

    from edge_runtime.mapping.roles import RoleOf
    from trainer.data.choice import Columns
    from trainer.data.label_words import Meaning

__all__ = ["meaning_of", "refuse_late", "roles_in", "split_of"]


def meaning_of(
    frames: Mapping[str, pd.DataFrame], paths: Mapping[str, Path], columns: Columns
) -> Meaning | None:
    """What the labels of the tables mean, by all of them together."""
    names = list(dict.fromkeys(str(name) for frame in frames.values() for name in frame.columns))
    if columns.label is not None and columns.label not in names:
        _named(frames["train"], columns.label, "", paths["train"])
    for name in columns.drop:
        if name not in names:
            _named(frames["train"], name, "", paths["train"])

    def look(wanted: Sequence[str]) -> dict[str, Cells]:
        found = {name: Cells() for name in wanted}
        for frame in frames.values():
            for name in frame.columns.intersection(list(wanted)):
                found[name].add(frame[name])
        return found

    train, path = frames["train"], paths["train"]
    taken = (*_time(train, columns, path), _machine(train, columns, path), *columns.sensors)
    return choose_labels(names, columns.labels, taken, look, str(paths["train"].parent))


def roles_in(
    frame: pd.DataFrame, columns: Columns, path: Path, label: str | None, listed: Sequence[str]
) -> list[RoleOf]:
    """What each column is for; sensors are those that are named, else those that `prepare` listed."""
    time, machine = _time(frame, columns, path), _machine(frame, columns, path)
    facts = {name: Facts(name, quick=True) for name in map(str, frame.columns)}
    looked_at = {name: fact for name, fact in facts.items() if name not in (*time, machine)}
    machines = None if machine is None else text_of(frame[machine])
    moments = times_ns(frame, time, path, columns.form, machines)
    add_frame(looked_at, frame, path, moments, machines, columns.form)
    found = roles_of(list(facts.values()), time, machine, columns.sensors, listed)
    others = {LABEL_COLUMN, KIND_COLUMN, columns.label, *columns.drop} - set(columns.sensors)
    return with_others(found, label, others)


def refuse_late(
    roles: Sequence[RoleOf], frames: Mapping[str, pd.DataFrame], paths: Mapping[str, Path]
) -> None:
    """A column that is empty in training and has numbers later is a sensor that nothing can be learnt of."""
    for column in roles:
        later = [name for name, frame in frames.items() if column.name in frame and column.why == EMPTY]
        if any(np.isfinite(_numbers(frames[name][column.name])).any() for name in later):
            raise InputError(
                f"column '{column.name}' has no reading",
                where=str(paths["train"]),
                hint=f'take a history in which it has some, or leave it out: --drop "{column.name}"',
            )


def _numbers(column: pd.Series[Any]) -> NDArray[np.float64]:
    kind = column.dtype.kind
    return column.to_numpy(np.float64, na_value=np.nan) if kind in "iuf" else np.empty(0)


def split_of(
    frame: pd.DataFrame, path: Path, columns: Columns, sensors: tuple[str, ...], meaning: Meaning | None
) -> Split:
    """The arrays of one table."""
    values = numeric_columns(frame, sensors, path, columns.form)
    with np.errstate(over="ignore"):  # beyond float32 is infinite, so not finite
        rows = values.astype(np.float32)
    machine = _machine(frame, columns, path)
    machines = None if machine is None else text_of(frame[machine])
    other = (*sensors, *columns.drop, columns.label)
    labelled = meaning is not None and meaning.column in frame.columns
    states = meaning.states(frame[meaning.column]) if meaning is not None and labelled else None
    return Split(
        path,
        times_ns(frame, _time(frame, columns, path), path, columns.form, machines),
        np.full(len(frame), ONE_MACHINE) if machines is None else machines,
        rows,
        None if states is None else states == ANOMALOUS,
        text_of(frame[KIND_COLUMN]) if KIND_COLUMN in frame and KIND_COLUMN not in other else None,
        states == IGNORED if states is not None and (states == IGNORED).any() else None,
    )


def _time(frame: pd.DataFrame, columns: Columns, path: Path) -> tuple[str, ...]:
    return time_columns(list(map(str, frame.columns)), path, columns.form)


def _machine(frame: pd.DataFrame, columns: Columns, path: Path) -> str | None:
    names = list(map(str, frame.columns))
    place = machine_place(names, MappedColumns.of((), columns.form), str(path))
    return None if place is None else names[place]


def _named(frame: pd.DataFrame, chosen: str | None, usual: str, path: Path) -> str | None:
    """The chosen column, which must be there, or the usual one when it is."""
    if chosen is None:
        return usual if usual in frame.columns else None
    if chosen not in frame.columns:
        raise InputError(
            f"no column '{chosen}'", where=str(path), hint=f"it has {', '.join(map(str, frame.columns))}"
        )
    return chosen
