"""Training data from a folder: the tables train, val and test as arrays, read once and checked."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from edge_runtime.errors import InputError, TrainingError, UsageError
from edge_runtime.mapping.numbers import NOTHING
from trainer.names import refuse_machines, refuse_sensors
from trainer.tables import find_table, numeric_columns, read_table, time_columns, times_ns

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

__all__ = ["Columns", "Split", "TrainingData", "read_training_data"]

MACHINE_COLUMN = "machine_id"
LABEL_COLUMN = "anomaly"
KIND_COLUMN = "kind"
# Never taken for a sensor unless it is named.
LABEL_NAMES = (LABEL_COLUMN, KIND_COLUMN, "label", "is_anomaly", "changepoint")
ONE_MACHINE = "machine"
METADATA_FILE = "metadata.json"


@dataclass(frozen=True, slots=True)
class Columns:
    """Which columns to read; None and empty for those that are usually there.

    Attributes:
        sensors: The sensors, in this order; empty for every column of numbers that is nothing else.
        time: None for "time", "timestamp" and the like.
        machine: None for "machine_id", and for one machine where there is no such column.
        label: 0 in normal rows; None for "anomaly", and for no labels where there is no such column.
    """

    sensors: tuple[str, ...] = ()
    time: str | None = None
    machine: str | None = None
    label: str | None = None


@dataclass(frozen=True, slots=True)
class Split:
    """One table.

    Attributes:
        path: The file.
        times: [rows] int64 nanoseconds since the epoch, UTC.
        machines: [rows] machine ids, a numpy unicode array.
        values: [rows, sensors] float32 in raw units; NaN where a reading is missing.
        labels: [rows] bool, True in anomalous rows; None where the table has no labels.
        kinds: [rows] kind of anomaly, empty where unknown; None where the table has no kinds.
        finite: [rows] bool, whether every reading of the row is there and finite.
    """

    path: Path
    times: NDArray[np.int64]
    machines: NDArray[np.str_]
    values: NDArray[np.float32]
    labels: NDArray[np.bool_] | None
    kinds: NDArray[np.str_] | None
    finite: NDArray[np.bool_] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "finite", np.isfinite(self.values).all(1))

    def __len__(self) -> int:
        return len(self.times)

    @property
    def normal(self) -> NDArray[np.bool_]:
        """[rows] bool: finite and not labelled as anomalous."""
        return self.finite if self.labels is None else self.finite & ~self.labels

    @property
    def normal_values(self) -> NDArray[np.float32]:
        """The readings of the normal rows."""
        return self.values[self.normal]


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
    """

    sensors: tuple[str, ...]
    train: Split
    val: Split
    test: Split
    units: dict[str, str]
    physical_ranges: dict[str, tuple[float, float]]
    cadence_seconds: float


def read_training_data(folder: Path, columns: Columns) -> TrainingData:
    """Reads train, val and test from a folder that `edge-train prepare` or anybody else made.

    Raises:
        InputError: A table or column is missing, or holds what it should not.
        UsageError: A chosen column is chosen twice.
    """
    paths = {name: find_table(folder, name) for name in ("train", "val", "test")}
    frame = read_table(paths["train"])
    sensors = columns.sensors or _sensors(frame, columns, paths["train"])
    if len(set(sensors)) < len(sensors):
        raise UsageError("a sensor is named twice", where="--sensor")
    refuse_sensors(sensors, str(paths["train"]))
    train = _split(frame, paths["train"], columns, sensors)
    refuse_machines(map(str, np.unique(train.machines)), str(paths["train"]))
    for i, name in enumerate(sensors):
        if not np.isfinite(train.values[:, i]).any():  # noqa: PD011 - not a frame
            raise InputError(
                f"column '{name}' has no reading",
                where=str(paths["train"]),
                hint="choose others with --sensor",
            )
    val, test = (_split(read_table(paths[name]), paths[name], columns, sensors) for name in ("val", "test"))
    metadata = _metadata(folder)
    listed = [entry for entry in metadata.get("sensors", []) if isinstance(entry, dict)]
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
    )


def _sensors(frame: pd.DataFrame, columns: Columns, path: Path) -> tuple[str, ...]:
    """Every column of numbers; one with numbers and text in it is a mistake rather than no sensor."""
    others = {
        _time(frame, columns, path),
        columns.machine or MACHINE_COLUMN,
        columns.label or LABEL_COLUMN,
        *LABEL_NAMES,
    }
    chosen = []
    for name in map(str, frame.columns):
        if name in others or pd.api.types.is_datetime64_any_dtype(frame[name]):
            continue
        if pd.api.types.is_numeric_dtype(frame[name]) or _holds_numbers(frame[name]):
            numeric_columns(frame, [name], path)
            chosen.append(name)
    if not chosen:
        raise InputError(
            "no column of numbers", where=str(path), hint="name the sensors' columns with --sensor"
        )
    return tuple(chosen)


def _holds_numbers(column: pd.Series[Any]) -> bool:
    """Whether a text column looks like a sensor's all the same: empty, or a number in most of its cells."""
    text = column.astype("object").where(column.notna(), "").astype(str).str.strip()
    cells = text[~text.str.lower().isin([word.decode() for word in NOTHING])]
    # Leading zeros are names.
    numbers = pd.to_numeric(cells, errors="coerce").notna() & ~cells.str.match(r"[+-]?0\d")
    return len(cells) == 0 or float(numbers.mean()) > 0.5  # noqa: PLR2004


def _split(frame: pd.DataFrame, path: Path, columns: Columns, sensors: tuple[str, ...]) -> Split:
    values = numeric_columns(frame, sensors, path)
    with np.errstate(over="ignore"):  # beyond float32 is infinite, so not finite
        rows = values.astype(np.float32)
    machine = _named(frame, columns.machine, MACHINE_COLUMN, path)
    label = _named(frame, columns.label, LABEL_COLUMN, path)
    return Split(
        path,
        times_ns(frame, _time(frame, columns, path), path),
        np.full(len(frame), ONE_MACHINE) if machine is None else _text(frame[machine]),
        rows,
        None if label is None else np.nan_to_num(numeric_columns(frame, [label], path)[:, 0]) != 0,
        _text(frame[KIND_COLUMN]) if KIND_COLUMN in frame and KIND_COLUMN not in sensors else None,
    )


def _time(frame: pd.DataFrame, columns: Columns, path: Path) -> str:
    if columns.time is None:
        return time_columns(list(map(str, frame.columns)), path)[0]
    return str(_named(frame, columns.time, "", path))


def _named(frame: pd.DataFrame, chosen: str | None, usual: str, path: Path) -> str | None:
    """The chosen column, which must be there, or the usual one when it is."""
    if chosen is None:
        return usual if usual in frame.columns else None
    if chosen not in frame.columns:
        raise InputError(
            f"no column '{chosen}'", where=str(path), hint=f"it has {', '.join(map(str, frame.columns))}"
        )
    return chosen


def _text(column: pd.Series[Any]) -> NDArray[np.str_]:
    # By category: a few distinct names in very many rows.
    codes, names = pd.factorize(column.astype("object").where(column.notna(), ""))
    text: NDArray[np.str_] = np.asarray([str(name) for name in names], np.str_)[codes]
    return text


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
