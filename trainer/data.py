"""Training data from a folder: the tables train, val and test as arrays, read once and checked."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from edge_runtime.errors import InputError, TrainingError, UsageError, counted
from edge_runtime.mapping.facts import Facts
from edge_runtime.mapping.form import PLAIN
from edge_runtime.mapping.form import Columns as MappedColumns
from edge_runtime.mapping.header import machine_place
from edge_runtime.mapping.roles import EMPTY
from trainer.column_roles import add_frame, roles_of, sensors_of, with_others
from trainer.label_column import KIND_COLUMN, LABEL_COLUMN, LabelChoice, choose_labels
from trainer.label_words import ANOMALOUS, IGNORED, Cells
from trainer.names import refuse_machines, refuse_sensors
from trainer.split import Split
from trainer.tables import find_table, numeric_columns, read_table, text_of, time_columns, times_ns

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    import pandas as pd
    from numpy.typing import NDArray

    from edge_runtime.mapping.form import Form
    from edge_runtime.mapping.roles import RoleOf
    from trainer.label_words import Meaning

__all__ = ["Columns", "Split", "TrainingData", "read_training_data"]

# Of a table's names; `prepare` writes them in this order.
SPLITS = ("train", "val", "test")
ONE_MACHINE = "machine"
METADATA_FILE = "metadata.json"


@dataclass(frozen=True, slots=True)
class Columns:
    """Which columns to read; None and empty for those that are usually there.

    Attributes:
        sensors: The sensors, in this order; empty for every column of numbers that is nothing else.
        label: The labels; None for "anomaly" with 0 and 1, and for no labels where there is no such column.
        normal: Values of the label in normal rows; empty where they say it themselves.
        ignore: Values of the label in rows to ignore, besides empty cells.
        drop: Columns to leave out.
        form: How the tables are written, and what their columns of times and machine ids are called.

    Raises:
        UsageError: A column is chosen twice.
    """

    sensors: tuple[str, ...] = ()
    label: str | None = None
    normal: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    drop: tuple[str, ...] = ()
    form: Form = PLAIN

    def __post_init__(self) -> None:
        if len(set(self.sensors)) < len(self.sensors):
            raise UsageError("a sensor is named twice", where="--sensor")
        self.labels.refuse_twice(
            {
                "--sensor": self.sensors,
                "--time-column": self.form.time.from_,
                "--machine-column": (self.form.machine or None,),
            }
        )

    @property
    def labels(self) -> LabelChoice:
        """What was said about labels."""
        return LabelChoice(self.label, self.normal, self.ignore, self.drop)


@dataclass(frozen=True, slots=True)
class TrainingData:
    """The three tables and what is known of their columns.

    Attributes:
        sensors: The sensors' names, in the order of the columns of `values`.
        train: Fits the scaler and the network.
        val: Stops the training and gives the threshold.
        test: Decides nothing.
        units: Sensor to its unit, where the folder's metadata.json says so.
        physical_ranges: Sensor to its physical range, where the folder's metadata.json says so.
        cadence_seconds: Time between two rows of one machine, by metadata.json or else the median in train.
        remarks: What to know of how the tables were read, in sentences for people.
        roles: What each column of the training table is for.
    """

    sensors: tuple[str, ...]
    train: Split
    val: Split
    test: Split
    units: dict[str, str]
    physical_ranges: dict[str, tuple[float, float]]
    cadence_seconds: float
    remarks: tuple[str, ...] = ()
    roles: tuple[RoleOf, ...] = ()


def read_training_data(folder: Path, columns: Columns) -> TrainingData:
    """Reads train, val and test from a folder that `edge-train prepare` or anybody else made.

    Raises:
        InputError: A table or column is missing, or holds what it should not.
        UsageError: A column looks like labels and nobody says what it is, or its labels are not clear.
    """
    paths = {name: find_table(folder, name) for name in SPLITS}
    text = [*columns.form.time.from_, columns.form.machine]
    frames = {name: read_table(path, form=columns.form, text=text) for name, path in paths.items()}
    metadata = _metadata(folder)
    listed = [entry for entry in metadata.get("sensors", []) if isinstance(entry, dict)]
    frame = frames["train"]
    meaning = _meaning(frames, paths, columns)
    label = None if meaning is None else meaning.column
    names = [str(entry.get("name")) for entry in listed]
    roles = _roles(frame, columns, paths["train"], label, names)
    _refuse_late(roles, frames, paths)
    sensors = columns.sensors or sensors_of(roles, str(paths["train"]))
    refuse_sensors(sensors, str(paths["train"]))
    train, val, test = (
        _split(frames.pop(name), path, columns, sensors, meaning) for name, path in paths.items()
    )
    refuse_machines(map(str, np.unique(train.machines)), str(paths["train"]))
    for i, name in enumerate(sensors):
        if not np.isfinite(train.values[:, i]).any():  # noqa: PD011 - not a frame
            raise InputError(
                f"column '{name}' has no reading",
                where=str(paths["train"]),
                hint="choose others with --sensor",
            )
    return TrainingData(
        sensors,
        train,
        val,
        test,
        {str(entry.get("name")): str(entry.get("unit") or "") for entry in listed},
        {
            str(entry.get("name")): (float(entry["physical_range"][0]), float(entry["physical_range"][1]))
            for entry in listed
            if entry.get("physical_range")
        },
        float(metadata.get("cadence_seconds") or _cadence(train)),
        tuple(_remarks(meaning, (train, val, test))),
        tuple(roles),
    )


def _meaning(
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


def _remarks(meaning: Meaning | None, splits: Sequence[Split]) -> Iterator[str]:
    if meaning is None:
        return
    if meaning.remark:
        yield meaning.remark
    for split in splits:
        if split.labels is None:
            yield f"{split.path.name} has no column '{meaning.column}' and is unlabelled"
    if ignored := sum(int((~split.counted).sum()) for split in splits):
        how = "is empty" if meaning.ignored == {""} else "is empty or a value to ignore"
        rows = counted(ignored, "row is ignored: its", "rows are ignored: their")
        yield f"{rows} cell of '{meaning.column}' {how}"


def _roles(
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


def _refuse_late(
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


def _split(
    frame: pd.DataFrame, path: Path, columns: Columns, sensors: tuple[str, ...], meaning: Meaning | None
) -> Split:
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


def _cadence(split: Split) -> float:
    """Median time between two rows of one machine, seconds."""
    order = np.lexsort((split.times, split.machines))
    steps = np.diff(split.times[order])
    same = (split.machines[order][1:] == split.machines[order][:-1]) & (steps > 0)
    if not same.any():
        raise TrainingError("no machine has two rows", where=str(split.path), hint="take more history")
    return float(np.median(steps[same])) / 1e9


def _metadata(folder: Path) -> dict[str, Any]:
    """What `edge-train prepare` wrote beside the tables; empty where others made them."""
    path = folder / METADATA_FILE
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise InputError(f"cannot be read ({error})", where=str(path)) from None
    return document if isinstance(document, dict) else {}
