"""What a program of one's own feeds the engine: arrays, lists or a table, made into `Readings`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np

from edge_runtime.conversion import machine_name, nanoseconds, numbers
from edge_runtime.engine.machine import NEVER
from edge_runtime.errors import InputError, SensorMismatchError, UsageError, counted
from edge_runtime.records import Groups, Readings
from edge_runtime.timeparse import parse_time

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from edge_runtime.bundle.metadata import Metadata

__all__ = ["take_in"]

TIME, MACHINE = "time", "machine_id"
DEFAULT_MACHINE = "machine"
MICROSECOND_NS = 1000
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def take_in(
    rows: Any, machine_id: Any, time: Any, metadata: Metadata, newest: Callable[[str], int], *, where: str
) -> Readings:
    """Rows as `Engine.feed` takes them.

    Args:
        rows: Numbers or a table.
        machine_id: Of numbers, or of a table without such a column.
        time: The same.
        metadata: The bundle's.
        newest: A machine's newest time, after which rows without times go on; `NEVER` where there is none.
        where: The bundle's name, for errors.

    Raises:
        SensorMismatchError: The readings do not have the bundle's sensors.
        InputError: A value is no number or no time, or columns are of different lengths.
    """
    sensors = metadata.sensor_names
    names = _column_names(rows)
    if names is None:
        values = _matrix(rows, sensors, where)
    else:
        values = _columns(rows, names, sensors, where)
        machine_id = rows[MACHINE] if machine_id is None and MACHINE in names else machine_id
        if time is None:
            time = rows[TIME] if TIME in names else _index_of_times(rows)
    machines = _each(DEFAULT_MACHINE if machine_id is None else machine_id, len(values), MACHINE)
    ids = np.asarray([machine_name(name) for name in machines], np.str_)
    times = _following(ids, metadata, newest) if time is None else _times(time, len(values))
    return Readings(ids, times, values)


def _column_names(rows: Any) -> list[str] | None:
    """The columns of a structured array, a mapping, a data frame or an Arrow table; else None."""
    if isinstance(rows, Mapping):
        return [str(name) for name in rows]
    for names in (
        getattr(getattr(rows, "dtype", None), "names", None),
        getattr(rows, "column_names", None),
        getattr(rows, "columns", None),
    ):
        if names is not None and not callable(names):
            return [str(name) for name in names]
    return None


def _matrix(rows: Any, sensors: tuple[str, ...], where: str) -> NDArray[np.float32]:
    """[rows, sensors] of numbers that have no names."""
    if hasattr(rows, "index") and not callable(rows.index):
        raise InputError(
            "a row with names of its own",
            where=where,
            hint="give a table: a mapping, or a data frame of one row",
        )
    values = np.array(numbers(rows))  # the caller may use the array again
    if values.shape == (0,):
        return values.reshape(0, len(sensors))
    values = values[None] if values.ndim == 1 else values
    if values.ndim != 2 or values.shape[1] != len(sensors):  # noqa: PLR2004 - rows and sensors
        raise SensorMismatchError(
            f"readings of the shape {values.shape}, but the bundle takes {len(sensors)} sensors",
            where=where,
            hint=f"give rows of {', '.join(sensors)}, in this order",
        )
    return values


def _columns(rows: Any, names: list[str], sensors: tuple[str, ...], where: str) -> NDArray[np.float32]:
    """[rows, sensors] of a table's columns."""
    missing = [sensor for sensor in sensors if sensor not in names]
    if missing:
        raise SensorMismatchError(
            f"the table has no column {', '.join(missing)}",
            where=where,
            hint=f"its columns are {', '.join(names)}",
        )
    columns = [np.atleast_1d(numbers(rows[sensor], sensor)) for sensor in sensors]
    if len({column.shape for column in columns}) > 1 or columns[0].ndim > 1:
        raise InputError("the table's columns are of different lengths", where=where)
    return np.stack(columns, axis=1)


def _index_of_times(rows: Any) -> Any:
    """A data frame's index, where that is of times."""
    index = getattr(rows, "index", None)
    return index if getattr(getattr(index, "dtype", None), "kind", "") == "M" else None


def _each(value: Any, rows: int, what: str) -> Sequence[Any]:
    """One value a row."""
    if hasattr(value, "to_numpy"):  # of pandas and Arrow
        value = value.to_numpy()
    if isinstance(value, str | bytes) or not hasattr(value, "__len__") or np.ndim(value) == 0:
        value = [value.item() if isinstance(value, np.ndarray) and value.dtype.kind != "M" else value]
    if np.ndim(value) != 1:
        raise InputError(f"{what} has the shape {np.shape(value)}", hint="give one, or one for each row")
    if len(value) not in (1, rows):
        raise InputError(
            f"{len(value):,} of {what}, but {counted(rows, 'row')}", hint="give one, or one for each row"
        )
    found: Sequence[Any] = value if len(value) == rows else [value[0]] * rows
    return found


def _times(time: Any, rows: int) -> NDArray[np.int64]:
    """[rows] nanoseconds since the epoch."""
    each = _each(time, rows, TIME)
    array = np.asarray(each)
    if array.dtype.kind in "iuM":
        return nanoseconds(array)
    moments = [_moment(value) for value in each]
    try:
        return np.array(moments, np.int64)
    except OverflowError:
        raise InputError("a time is outside the years 1677 to 2262", where=TIME) from None


def _moment(value: Any) -> int:
    """Nanoseconds since the epoch of a single value."""
    if isinstance(value, datetime) and value == value:  # noqa: PLR0124 - pandas' NaT is a datetime, too
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
    except (UsageError, OverflowError):
        pass
    raise InputError(
        f"{value!r} is not a time",
        where=TIME,
        hint="give nanoseconds since 1970 as whole numbers, datetime64, datetime, or ISO 8601 text",
    )


def _following(ids: NDArray[np.str_], metadata: Metadata, newest: Callable[[str], int]) -> NDArray[np.int64]:
    """[rows] each row a cadence after the one before of its machine."""
    if metadata.model.time_of_day:
        raise InputError("the bundle's model looks at the time of the day", hint="give time=…")
    step = max(1, round(metadata.cadence_seconds * 1e9))
    groups = Groups.of(ids)
    times = np.empty(len(ids), np.int64)
    for machine, rows in groups:
        before = newest(machine)
        first = 0 if before == NEVER else before + step
        times[rows] = first + step * np.arange(rows.stop - rows.start)
    return groups.scatter(times)
