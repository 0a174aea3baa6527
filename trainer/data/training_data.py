"""Training data from a folder: the tables train, val and test as arrays, read once and checked."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from edge_runtime.errors import InputError, TrainingError, counted
from trainer.data.frames import meaning_of, refuse_late, roles_in, split_of
from trainer.data.machines import absences, machines_of, narrowed
from trainer.data.names import refuse_machines, refuse_sensors
from trainer.data.roles import sensors_of
from trainer.data.tables import find_table, read_table

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from edge_runtime.mapping.roles import RoleOf
    from trainer.data.choice import Columns
    from trainer.data.label_words import Meaning
    from trainer.data.split import Split

__all__ = ["TrainingData", "read_training_data"]

# Of a table's names; `prepare` writes them in this order.
SPLITS = ("train", "val", "test")
METADATA_FILE = "metadata.json"


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
        cadence_seconds: Time between two rows of one machine: the median in train where machines were chosen,
            else what metadata.json says, or the median.
        remarks: What to know of how the tables were read, in sentences for people.
        roles: What each column of the training table is for.
        narrowed: Whether machines were chosen, so that the tables have more rows than these.
        label: The column of the labels; None without labels.
        by_machine: Whether the folder's metadata.json says that each machine is in one table alone.
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
    by_machine: bool = False
    narrowed: bool = False
    label: str | None = None


def read_training_data(folder: Path, columns: Columns) -> TrainingData:
    """Reads train, val and test from a folder that `edge-train prepare` or anybody else made.

    Raises:
        InputError: A table or column is missing, or holds what it should not; or a table has no row of the
            machines that were chosen.
        UsageError: A column looks like labels and nobody says what it is, or its labels are not clear; or a
            chosen machine is in no table.
    """
    paths = {name: find_table(folder, name) for name in SPLITS}
    text = [*columns.form.time.from_, columns.form.machine]
    frames = {name: read_table(path, form=columns.form, text=text) for name, path in paths.items()}
    metadata = _metadata(folder)
    listed = [entry for entry in metadata.get("sensors", []) if isinstance(entry, dict)]
    frame = frames["train"]
    meaning = meaning_of(frames, paths, columns)
    label = None if meaning is None else meaning.column
    names = [str(entry.get("name")) for entry in listed]
    roles = roles_in(frame, columns, paths["train"], label, names)
    refuse_late(roles, frames, paths)
    sensors = columns.sensors or sensors_of(roles, str(paths["train"]))
    refuse_sensors(sensors, str(paths["train"]))
    read = {name: split_of(frames.pop(name), path, columns, sensors, meaning) for name, path in paths.items()}
    absent = list(absences(machines_of(read), columns.machines))
    read = narrowed(read, columns.machines)
    train, val, test = read.values()
    refuse_machines(map(str, np.unique(train.machines)), str(paths["train"]))
    for i, name in enumerate(sensors):
        if not np.isfinite(train.values[:, i]).any():
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
        float((not columns.machines and metadata.get("cadence_seconds")) or _cadence(train)),
        (*absent, *_remarks(meaning, (train, val, test))),
        tuple(roles),
        _is_by_machine(metadata),
        bool(columns.machines),
        label,
    )


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


def _cadence(split: Split) -> float:
    """Median time between two rows of one machine, seconds."""
    order = np.lexsort((split.times, split.machines))
    steps = np.diff(split.times[order])
    same = (split.machines[order][1:] == split.machines[order][:-1]) & (steps > 0)
    if not same.any():
        raise TrainingError("no machine has two rows", where=str(split.path), hint="take more history")
    return float(np.median(steps[same])) / 1e9


def _is_by_machine(metadata: Mapping[str, Any]) -> bool:
    split = metadata.get("split")
    return isinstance(split, dict) and split.get("by") == "machine"


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
