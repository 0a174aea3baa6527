"""Rollups: what a minute's or an hour's rows of a machine come to, for when the rows themselves are gone."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from edge_runtime.records import Verdict

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from edge_runtime.history.rows import Rows

__all__ = ["Rollups", "gathered", "rolled", "rolled_by", "rollups_joined", "rollups_read"]

SECOND = 1_000_000_000
# Counts take 1, 2 or 4 bytes; the greatest ones of the first two.
WIDTHS = (b"\1", b"\2", b"\4")
LARGEST = np.array([2**8 - 1, 2**16 - 1])
# What is stored of a span, as numpy has it.
COLUMNS = {
    "rows": "u4",
    "anomalous": "u4",
    "unknown": "u4",
    "counts": "u4",
    "least": "f4",
    "mean": "f4",
    "greatest": "f4",
}


@dataclass(slots=True, eq=False)
class Rollups:
    """Some spans of one length, of one machine and one bundle.

    The last column is the severity, those before it are the sensors.

    Attributes:
        starts: [spans] int64, seconds since the epoch.
        rows: [spans] uint32, number of rows.
        anomalous: [spans] uint32, how many of them were anomalous.
        unknown: [spans] uint32, how many of them were unknown.
        counts: [spans, columns] uint32, how many of a column's numbers there were.
        least: [spans, columns] float32; NaN where there was none.
        mean: [spans, columns] float32; to seven digits at best.
        greatest: [spans, columns] float32.
    """

    starts: NDArray[np.int64]
    rows: NDArray[np.uint32]
    anomalous: NDArray[np.uint32]
    unknown: NDArray[np.uint32]
    counts: NDArray[np.uint32]
    least: NDArray[np.float32]
    mean: NDArray[np.float32]
    greatest: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.starts)

    def take(self, spans: slice | NDArray[np.bool_]) -> Rollups:
        """These spans."""
        return Rollups(*(getattr(self, name)[spans] for name in self.__slots__))

    def written(self) -> list[bytes]:
        """Each span as bytes, without its start."""
        found: list[bytes] = [b""] * len(self)
        widths = 1 << np.searchsorted(LARGEST, self.rows)  # no count is greater
        for width in np.unique(widths).tolist():
            places = np.flatnonzero(widths == width)
            records = np.empty(len(places), _record(self.counts.shape[1], width))
            records["width"] = width
            for name in COLUMNS:
                records[name] = getattr(self, name)[places]
            data, size = records.tobytes(), records.dtype.itemsize
            for number, place in enumerate(places.tolist()):
                found[place] = data[number * size : (number + 1) * size]
        return found

    def with_more(self, other: Rollups) -> Rollups:
        """The same spans with further rows: both have the same starts."""
        counts = self.counts + other.counts
        with np.errstate(all="ignore"):
            sums = sum(
                np.where(one.counts, one.mean.astype(np.float64) * one.counts, 0.0) for one in (self, other)
            )
            mean = np.where(counts, sums / counts, np.nan).astype(np.float32)
        return Rollups(
            self.starts,
            self.rows + other.rows,
            self.anomalous + other.anomalous,
            self.unknown + other.unknown,
            counts,
            np.fmin(self.least, other.least),
            mean,
            np.fmax(self.greatest, other.greatest),
        )


def rolled(rows: Rows, step: int) -> Rollups:
    """Rows of one machine, in the order of their times, as spans of `step` seconds."""
    found = rolled_by(rows, rows.times // (step * SECOND))
    found.starts *= step
    return found


def rolled_by(rows: Rows, keys: NDArray[np.int64]) -> Rollups:
    """Rows of one machine as spans of equal neighbouring keys, which are their starts.

    Args:
        rows: The rows, in the order of their times.
        keys: [rows] of any meaning, not falling.
    """
    at = _firsts(keys)

    def added(column: NDArray[Any]) -> NDArray[Any]:
        return np.add.reduceat(column, at, dtype=np.int64)

    count = np.diff(np.append(at, len(rows)))
    shape = len(at), rows.values.shape[1] + 1
    counts = np.empty(shape, np.uint32)
    least, mean, greatest = (np.empty(shape, np.float32) for _ in range(3))
    for place, column in enumerate([*rows.values.T, rows.severity]):
        numbers, known = np.ascontiguousarray(column), count
        missing = np.isnan(numbers)
        sums = numbers
        if missing.any():
            known, sums = count - added(missing), np.where(missing, np.float32(0), numbers)
        counts[:, place] = known
        least[:, place] = np.fmin.reduceat(numbers, at)
        greatest[:, place] = np.fmax.reduceat(numbers, at)
        with np.errstate(all="ignore"):
            mean[:, place] = np.add.reduceat(sums, at, dtype=np.float64) / known
    return Rollups(
        keys[at],
        count.astype(np.uint32),
        added(rows.verdicts == Verdict.ANOMALY).astype(np.uint32),
        added(rows.verdicts == Verdict.UNKNOWN).astype(np.uint32),
        counts,
        least,
        mean,
        greatest,
    )


def rollups_joined(parts: Sequence[Rollups]) -> Rollups:
    """Spans, of equally many columns, one after the other."""
    return Rollups(*(np.concatenate([getattr(one, name) for one in parts]) for name in Rollups.__slots__))


def gathered(spans: Rollups, keys: NDArray[np.int64]) -> Rollups:
    """Spans of equal neighbouring keys as one, which has the key for its start.

    Args:
        spans: At least one.
        keys: [spans] of any meaning, not falling.
    """
    at = _firsts(keys)
    if len(at) == len(keys):
        return Rollups(keys, *(getattr(spans, name) for name in Rollups.__slots__[1:]))

    def added(column: NDArray[Any]) -> NDArray[Any]:
        return np.add.reduceat(column, at, axis=0, dtype=np.int64)

    counts = added(spans.counts)
    sums = np.where(spans.counts, spans.mean.astype(np.float64) * spans.counts, 0.0)
    with np.errstate(all="ignore"):
        mean = np.add.reduceat(sums, at, axis=0) / counts
    return Rollups(
        keys[at],
        added(spans.rows).astype(np.uint32),
        added(spans.anomalous).astype(np.uint32),
        added(spans.unknown).astype(np.uint32),
        counts.astype(np.uint32),
        np.fmin.reduceat(spans.least, at, axis=0),
        mean.astype(np.float32),
        np.fmax.reduceat(spans.greatest, at, axis=0),
    )


def _firsts(keys: NDArray[np.int64]) -> NDArray[np.intp]:
    """The first place of each key."""
    if not len(keys):
        return np.empty(0, np.intp)
    return np.append(np.intp(0), np.flatnonzero(keys[1:] != keys[:-1]) + 1)


def rollups_read(starts: Sequence[int], data: Sequence[bytes], sensors: int) -> Rollups:
    """What `Rollups.written` made.

    Raises:
        ValueError: It is not of so many sensors, or there are no spans.
    """
    sizes = np.fromiter(map(len, data), np.int64, len(data))
    parts = []
    for first, stop in pairwise([*_firsts(sizes).tolist(), len(data)]):
        width = data[first][:1]
        record = _record(sensors + 1, width[0]) if width in WIDTHS else None
        if record is None or sizes[first] != record.itemsize:
            raise ValueError(f"a rollup of {sensors} sensors has another size or format")
        records = np.frombuffer(b"".join(data[first:stop]), record)
        if (records["width"] != width[0]).any():
            raise ValueError("a rollup has another format")
        parts.append(records)
    columns = (np.concatenate([part[name].astype(kind) for part in parts]) for name, kind in COLUMNS.items())
    return Rollups(np.array(starts, np.int64), *columns)


def _record(columns: int, width: int) -> np.dtype[Any]:
    """A span, with `width` bytes for each count."""
    shapes = {name: () if name in {"rows", "anomalous", "unknown"} else (columns,) for name in COLUMNS}
    kinds = {name: f"<u{width}" if kind == "u4" else "<f4" for name, kind in COLUMNS.items()}
    return np.dtype([("width", "u1"), *((name, kinds[name], shapes[name]) for name in COLUMNS)])
