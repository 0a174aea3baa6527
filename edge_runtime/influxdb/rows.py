"""Columns of an answer to rows of readings: no numbers, rows in parts, rows that are there twice."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from edge_runtime.errors import SourceError
from edge_runtime.influxdb.query import UnfinishedAnswerError
from edge_runtime.influxdb.series import SeriesOf
from edge_runtime.records import Readings

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from numpy.typing import NDArray

__all__ = ["Rows", "in_time_order", "sensor_values", "whole_rows"]

Marks = TypeVar("Marks", np.bool_, np.int64)
_NUMBERS = {float, int, type(None)}
_LARGEST = 2**1023
# Of one time, to which more may come: a hundred times what a plant has.
MAX_ROWS_AT_ONCE = 1_000_000


@dataclass(frozen=True, slots=True)
class Rows:
    """Some rows as a database has them, and what was wrong with them.

    Attributes:
        readings: The rows, in the order of time.
        unreadable: [rows, sensors] which values are no numbers, and missing in `readings` for that; None for
            none.
        conflicts: [rows] how many other rows of the same machine and time had another value for the same
            sensor, and were left out; None for none.
        series: Which series each row came from; None where it is not known, or after rows were put together.
        merged: [rows] how many other rows of the same machine and time brought only what this one lacked;
            None for none.
        repeated: [rows] how many such rows brought nothing new; None for none.
    """

    readings: Readings
    unreadable: NDArray[np.bool_] | None = None
    conflicts: NDArray[np.int64] | None = None
    series: SeriesOf | None = None
    merged: NDArray[np.int64] | None = None
    repeated: NDArray[np.int64] | None = None

    def __len__(self) -> int:
        return len(self.readings)

    def take(self, index: NDArray[np.intp] | NDArray[np.bool_] | slice) -> Rows:
        """The rows that a numpy index, mask or slice selects."""
        return Rows(
            self.readings.take(index),
            _or_none(None if self.unreadable is None else self.unreadable[index]),
            _or_none(None if self.conflicts is None else self.conflicts[index]),
            None if self.series is None else SeriesOf(self.series.tags, self.series.codes[index]),
            _or_none(None if self.merged is None else self.merged[index]),
            _or_none(None if self.repeated is None else self.repeated[index]),
        )

    @staticmethod
    def joined(blocks: Sequence[Rows]) -> Rows:
        """Blocks, at least one, one after the other; all of one answer, where they say their series."""
        if len(blocks) == 1:
            return blocks[0]
        unreadable = series = None
        if any(block.unreadable is not None for block in blocks):
            unreadable = np.concatenate(
                [
                    np.zeros(b.readings.values.shape, np.bool_) if b.unreadable is None else b.unreadable
                    for b in blocks
                ]
            )
        known = [block.series for block in blocks if block.series is not None]
        if len(known) == len(blocks):
            series = SeriesOf(known[0].tags, np.concatenate([one.codes for one in known]))
        lengths = list(map(len, blocks))
        conflicts, merged, repeated = (
            _counts_joined([getattr(block, name) for block in blocks], lengths)
            for name in ("conflicts", "merged", "repeated")
        )
        readings = Readings.joined([block.readings for block in blocks])
        return Rows(readings, unreadable, conflicts, series, merged, repeated)


def sensor_values(columns: Sequence[Sequence[Any]]) -> tuple[NDArray[np.float32], NDArray[np.bool_] | None]:
    """[rows, sensors] out of one column a sensor, NaN for none; and which values are no numbers."""
    pairs = [_numbers(column) for column in columns]
    wide = np.stack([values for values, _ in pairs], axis=1)
    unreadable = None
    if any(strange is not None for _, strange in pairs):
        nothing = np.zeros(len(wide), np.bool_)
        unreadable = np.stack([nothing if strange is None else strange for _, strange in pairs], axis=1)
    with np.errstate(over="ignore"):  # what float32 cannot hold is infinite, and found to be not finite later
        return wide.astype(np.float32), unreadable


def _numbers(column: Sequence[Any]) -> tuple[NDArray[np.float64], NDArray[np.bool_] | None]:
    """A column, and which values are no numbers. numpy alone would take "1.5" and true for some."""
    if not set(map(type, column)) - _NUMBERS:
        with suppress(OverflowError):  # a whole number of hundreds of digits
            return np.asarray(column, np.float64), None
    strange = np.array([type(value) not in _NUMBERS or _is_huge(value) for value in column], np.bool_)
    numbers = [None if odd else value for value, odd in zip(column, strange.tolist(), strict=True)]
    return np.asarray(numbers, np.float64), strange


def _is_huge(value: Any) -> bool:
    return type(value) is int and abs(value) > _LARGEST


def whole_rows(blocks: Iterable[Rows]) -> Iterator[Rows]:
    """The same rows, one for each machine and time, in blocks that end between two times.

    A measurement with more tags than the machine's gives several rows for one machine and time. Those that
    complete each other become one. Where two have different values for one sensor, the series that comes
    first in the order of its tags stays, and the other row is counted as a conflict.

    Raises:
        UnfinishedAnswerError: The answer ended early; all rows before the last time that came were yielded.
        SourceError: It has more rows of one time than `MAX_ROWS_AT_ONCE`.
    """
    pending: Rows | None = None
    try:
        for block in blocks:
            if pending is None:
                pending = block
                continue
            whole, pending = _cut(pending)
            if len(whole):
                yield _merged(whole)
            if len(pending) > MAX_ROWS_AT_ONCE:
                raise SourceError(f"more than {MAX_ROWS_AT_ONCE:,} rows of one time are in InfluxDB's answer")
            pending = Rows.joined([pending, block])
    except UnfinishedAnswerError:
        if pending is not None:
            whole, _ = _cut(pending)
            if len(whole):
                yield _merged(whole)
        raise
    if pending is not None:
        yield _merged(pending)


def in_time_order(streams: Sequence[Iterator[Rows]]) -> Iterator[Rows]:
    """Streams of rows as one, all in the order of time and in blocks that end between two times."""
    if len(streams) == 1:
        yield from streams[0]
        return
    heads = {place: head for place, stream in enumerate(streams) if (head := next(stream, None)) is not None}
    while heads:
        upto = min(int(head.readings.times[-1]) for head in heads.values())
        parts, ended_early = [], None
        for place, head in list(heads.items()):
            stop = int(np.searchsorted(head.readings.times, upto, side="right"))
            parts.append(head.take(slice(0, stop)))
            if stop < len(head):
                heads[place] = head.take(slice(stop, None))
                continue
            try:
                following = next(streams[place], None)
            except UnfinishedAnswerError as error:
                following, ended_early = None, error
            if following is None:
                del heads[place]
            else:
                heads[place] = following
        joined = Rows.joined([part for part in parts if len(part)])
        yield joined.take(np.argsort(joined.readings.times, kind="stable"))
        if ended_early is not None:
            raise ended_early


def _cut(block: Rows) -> tuple[Rows, Rows]:
    """The rows before the last time, and those of the last time, to which more may come."""
    times = block.readings.times
    cut = int(np.searchsorted(times, times[-1]))
    return block.take(slice(0, cut)), block.take(slice(cut, None))


def _merged(block: Rows) -> Rows:
    times = block.readings.times
    if (np.diff(times) > 0).all():
        return block
    codes = block.readings.dictionary[1]
    order = np.lexsort((codes, times))
    if not _repeats(times[order], codes[order]).any():
        return block
    if block.series is not None:
        order = np.lexsort((block.series.ranks, codes, times))
    rows = block.take(order)
    repeats = _repeats(times[order], codes[order])
    first = np.flatnonzero(np.concatenate([[True], ~repeats]))  # each machine and time's first row
    place = np.cumsum(np.concatenate([[0], ~repeats]))  # each row's place among those
    nth = np.arange(len(rows)) - first[place]
    kept = rows.take(first)
    values = kept.readings.values.copy()
    conflicts, completed, repeated = np.zeros((3, len(first)), np.int64)
    for n in range(1, int(nth.max()) + 1):
        others = np.flatnonzero(nth == n)
        into, other = place[others], rows.readings.values[others]
        known = values[into]
        gaps, came = np.isnan(known), ~np.isnan(other)
        contradicts = ((known != other) & ~gaps & came).any(axis=1)
        completes = (gaps & came).any(axis=1) & ~contradicts
        conflicts[into] += contradicts
        completed[into] += completes
        repeated[into] += ~contradicts & ~completes
        values[into] = np.where(gaps, other, known)
    unreadable = None
    if rows.unreadable is not None:
        unreadable = np.logical_or.reduceat(rows.unreadable, first) & np.isnan(values)
    merged = Readings.coded(*kept.readings.dictionary, kept.readings.times, values)
    return Rows(
        merged,
        _or_none(unreadable),
        _or_none(conflicts),
        merged=_or_none(completed),
        repeated=_or_none(repeated),
    )


def _repeats(times: NDArray[np.int64], codes: NDArray[np.integer[Any]]) -> NDArray[np.bool_]:
    """[rows - 1] which rows, but for the first, are of the same time and machine as the one before."""
    repeats: NDArray[np.bool_] = (np.diff(times) == 0) & (np.diff(codes) == 0)
    return repeats


def _counts_joined(
    blocks: Sequence[NDArray[np.int64] | None], lengths: Sequence[int]
) -> NDArray[np.int64] | None:
    """Counts of blocks of these lengths, one after the other; None where no block counts any."""
    if all(block is None for block in blocks):
        return None
    return np.concatenate(
        [
            np.zeros(rows, np.int64) if block is None else block
            for block, rows in zip(blocks, lengths, strict=True)
        ]
    )


def _or_none(marks: NDArray[Marks] | None) -> NDArray[Marks] | None:
    """None where nothing is marked."""
    return marks if marks is not None and marks.any() else None
