"""What a program of one's own feeds the engine: arrays, lists or a table, made into `Readings`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np

from edge_runtime.errors import InputError, SensorMismatchError, UsageError
from edge_runtime.records import Groups, Readings, nanoseconds, numbers
from edge_runtime.timeparse import parse_time

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edge_runtime.bundle.metadata import Metadata

__all__ = ["take_in"]

TIME, MACHINE = "time", "machine_id"
DEFAULT_MACHINE = "machine"
MICROSECOND_NS = 1000
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def take_in(
    rows: Any, machine_id: Any, time: Any, metadata: Metadata, newest: Mapping[str, int], *, where: str
) -> Readings:
    """Rows as `Engine.feed` takes them.

    Args:
        rows: Numbers or a table.
        machine_id: Of numbers, or of a table without such a column.
        time: The same.
        metadata: The bundle's.
        newest: Machine to its newest time, after which rows without times go on.
        where: The bundle's name, for errors.

    Raises:
        SensorMismatchError: The readings do not have the bundle's sensors.
        InputError: A value is no number or no time, or columns are of different lengths.
    """
    sensors = metadata.sensor_names
    names = _column_names(rows)
    if names is None:
        values = numbers(rows)
        if values.size == 0:
            values = values.reshape(0, len(sensors))
        elif values.ndim == 1:
            values = values[None]
        if values.ndim != 2 or values.shape[1] != len(sensors):  # noqa: PLR2004 - rows and sensors
            raise SensorMismatchError(
                f"readings of the shape {values.shape}, but the bundle takes {len(sensors)} sensors",
                where=where,
                mend=f"give rows of {', '.join(sensors)}, in this order",
            )
    else:
        missing = [sensor for sensor in sensors if sensor not in names]
        if missing:
            raise SensorMismatchError(
                f"the table has no column {', '.join(missing)}",
                where=where,
                mend=f"its columns are {', '.join(names)}",
            )
        columns = [np.atleast_1d(numbers(rows[sensor], sensor)) for sensor in sensors]
        if len({column.shape for column in columns}) > 1 or columns[0].ndim > 1:
            raise InputError("the table's columns are of different lengths")
        values = np.stack(columns, axis=1)
        machine_id = rows[MACHINE] if machine_id is None and MACHINE in names else machine_id
        time = rows[TIME] if time is None and TIME in names else time
    machines = _each(DEFAULT_MACHINE if machine_id is None else machine_id, len(values), MACHINE)
    ids = np.asarray([str(name) for name in machines], np.str_)
    times = _following(ids, metadata, newest) if time is None else _times(time, len(values))
    return Readings(ids, times, values)


def _column_names(rows: Any) -> list[str] | None:
    """A table's columns; None of what is no table."""
    if isinstance(rows, Mapping):
        return [str(name) for name in rows]
    names = getattr(getattr(rows, "dtype", None), "names", None)
    return None if names is None else list(names)


def _each(value: Any, rows: int, what: str) -> Sequence[Any]:
    """One value a row."""
    if isinstance(value, np.ndarray):
        value = value[None] if value.ndim == 0 else value
    elif isinstance(value, str | bytes) or not hasattr(value, "__len__"):
        value = [value]
    if len(value) not in (1, rows):
        raise InputError(f"{len(value):,} of {what}, but {rows:,} rows", mend="give one, or one for each row")
    found: Sequence[Any] = value if len(value) == rows else [value[0]] * rows
    return found


def _times(time: Any, rows: int) -> NDArray[np.int64]:
    """[rows] nanoseconds since the epoch."""
    each = _each(time, rows, TIME)
    array = np.asarray(each)
    if array.dtype.kind in "iuM":
        return nanoseconds(array)
    return np.array([_moment(value) for value in each], np.int64)


def _moment(value: Any) -> int:
    """Nanoseconds since the epoch of a single value."""
    if isinstance(value, datetime):
        since = (value if value.tzinfo else value.replace(tzinfo=UTC)) - EPOCH
        microseconds = (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds
        return microseconds * MICROSECOND_NS
    if isinstance(value, np.datetime64 | np.integer):
        return int(nanoseconds(np.asarray([value]))[0])
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    try:
        # Neither "now" nor "-1h", for there is no clock here, nor digits whose unit is anybody's guess.
        if isinstance(value, str) and value[:1].isdigit() and not value.strip().isdigit():
            return parse_time(value, 0)
    except UsageError:
        pass
    raise InputError(
        f"{value!r} is not a time",
        where=TIME,
        mend="give nanoseconds since 1970 as whole numbers, datetime64, datetime, or ISO 8601 text",
    )


def _following(ids: NDArray[np.str_], metadata: Metadata, newest: Mapping[str, int]) -> NDArray[np.int64]:
    """[rows] each row a cadence after the one before of its machine."""
    if metadata.model.time_of_day:
        raise InputError("the bundle's model looks at the time of the day", mend="give time=…")
    step = max(1, round(metadata.cadence_seconds * 1e9))
    groups = Groups.of(ids)
    times = np.empty(len(ids), np.int64)
    for machine, rows in groups:
        first = newest.get(machine, -step) + step
        times[rows] = first + step * np.arange(rows.stop - rows.start)
    return groups.scatter(times)
