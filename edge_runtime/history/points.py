"""A machine's history as points to be drawn: of rows, minutes or hours, whichever is the finest in time."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from itertools import groupby
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from edge_runtime.history.parts import NOTHING, parts, waiting, waiting_of
from edge_runtime.history.rollups import gathered, rolled_by, rollups_joined, rollups_read
from edge_runtime.history.schema import HOUR_S, MINUTE_S
from edge_runtime.timeparse import EARLIEST, LATEST

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from edge_runtime.history.asking import Asked, SensorOf
    from edge_runtime.history.parts import Waiting
    from edge_runtime.history.rollups import Rollups

    Sensors = tuple[SensorOf, ...]
    # Of buckets of so many ns, which have their numbers for starts.
    _Pieces = Callable[[int], Iterator[tuple[Sensors, Rollups]]]

__all__ = ["MOST_ROWS", "Points", "points_of"]

SECOND, MILLISECOND = 1_000_000_000, 1_000_000
ROWS = 0
# What is read for a few points: so many rows, or as many spans as take as long as so many rows.
MOST_ROWS, ROWS_PER_SPAN = 100_000, 6
# Ways to cover a time, from the newest to the oldest of it; the first that is not too much is taken.
WAYS = ((ROWS, MINUTE_S, HOUR_S), (ROWS, HOUR_S), (MINUTE_S, HOUR_S), (HOUR_S,))
PIECE_SPANS = 16_384
MOST_WIDTH = 2**62  # a longer one would not be an int64

COUNT = """SELECT COALESCE(SUM(rows), 0) FROM blocks WHERE machine = ?1 AND start >= COALESCE(
    (SELECT MAX(start) FROM blocks WHERE machine = ?1 AND start <= ?2), ?2) AND start < ?3 AND stop >= ?2"""
# So many bytes is a row of four sensors that waits; most other rows are not much wider.
WAITING_BYTES = 40
WAITING = "SELECT COALESCE(SUM(LENGTH(data)), 0) / ? FROM recent"
SPANS = """SELECT start, bundle, data FROM rollups WHERE machine = ? AND step = ? AND start >= ? AND start < ?
    ORDER BY start, bundle LIMIT ?"""


@dataclass(frozen=True, slots=True, eq=False)
class Points:
    """Some points, one after the other, of equal sensors and made of the same.

    Attributes:
        step: What they are made of: 0 rows, 60 minutes, 3600 hours.
        sensors: What the columns are; one more, the last, is the severity.
        width: How much time a point stands for, ns; at least a step.
        times: [points] int64, where that begins, nanoseconds since the epoch.
        rows: [points] number of rows.
        anomalous: [points] how many of them were anomalous.
        unknown: [points] how many of them were unknown.
        least: [points, columns] float32; NaN where there was no number.
        mean: [points, columns] float32.
        greatest: [points, columns] float32.
    """

    step: int
    sensors: tuple[SensorOf, ...]
    width: int
    times: NDArray[np.int64]
    rows: NDArray[np.uint32]
    anomalous: NDArray[np.uint32]
    unknown: NDArray[np.uint32]
    least: NDArray[np.float32]
    mean: NDArray[np.float32]
    greatest: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.times)


class _Known(NamedTuple):
    """What there is of a machine: rows in the wanted time, and where each source begins."""

    rows: int
    waiting: int  # rows of all machines that are not packed yet, about
    replaced: bool  # whether some are there twice, and so in minutes and hours as well
    first: dict[int, int]  # of blocks and of each step's spans, nanoseconds; missing where there is none


class _Stretch(NamedTuple):
    """A time that is covered by one source; the last one also has the rows that are not packed yet."""

    step: int
    start: int
    stop: int


def points_of(asked: Asked, machine: int, start: int, stop: int, most: int) -> list[Points]:
    """As `HistoryReader.points`, of a machine's code."""
    if stop <= start:
        return []
    known = asked.ask(lambda db: _known(db, machine, start, stop))
    stretches = _covered(known, start, stop)
    # Of each stretch, the first and the last bucket may hold a part of their time alone.
    width = min(MOST_WIDTH, -(-(stop - start) // max(1, most + 1 - 2 * len(stretches))))
    found = []
    for stretch in stretches:
        since = start if stretch is stretches[-1] else None
        pieces = (_of_rows if stretch.step == ROWS else _of_spans)(asked, machine, stretch, since)
        # Of rows, whole milliseconds read better.
        whole = stretch.step * SECOND or (MILLISECOND if width > SECOND else 1)
        own = -(-width // whole) * whole  # no bucket has half a span
        for sensors, of in groupby(pieces(own), key=lambda one: one[0]):
            found.append(_points(stretch.step, sensors, own, [one for _, one in of]))
    return found


def _known(db: sqlite3.Connection, machine: int, start: int, stop: int) -> _Known:
    first = {}
    oldest = db.execute("SELECT MIN(start) FROM blocks WHERE machine = ?", (machine,)).fetchone()[0]
    if oldest is not None:
        first[ROWS] = int(oldest)
    for step in (MINUTE_S, HOUR_S):
        query = "SELECT MIN(start) FROM rollups WHERE machine = ? AND step = ?"
        oldest = db.execute(query, (machine, step)).fetchone()[0]
        if oldest is not None:
            first[step] = int(oldest) * SECOND
    rows, waiting = (
        int(db.execute(query, of).fetchone()[0])
        for query, of in ((COUNT, (machine, start, stop)), (WAITING, (WAITING_BYTES,)))
    )
    replaced = db.execute("SELECT 1 FROM cuts WHERE machine = ? LIMIT 1", (machine,)).fetchone() is not None
    return _Known(rows, waiting, replaced, first)


def _covered(known: _Known, start: int, stop: int) -> list[_Stretch]:
    """Which source is for which time, oldest first: the finest that is not too much to read."""
    for way in WAYS:
        stretches = _by(way, known.first, start, stop)
        cost = known.waiting + sum(
            known.rows if one.step == ROWS else _spans(one, known.first) * ROWS_PER_SPAN for one in stretches
        )
        if cost <= MOST_ROWS or known.replaced:
            break
    return stretches


def _by(way: tuple[int, ...], first: dict[int, int], start: int, stop: int) -> list[_Stretch]:
    """A finer source for as long as it reaches back, and a coarser one for the time before."""
    there = [way[0]]
    for coarser in way[1:]:
        # Blocks of few rows a day may reach further back than minutes, which are of no use then.
        own = first.get(there[-1])
        if coarser in first and (own is None or first[coarser] < _floor(own, coarser)):
            there.append(coarser)
    found, end = list[_Stretch](), stop
    for step, following in zip(there, (*there[1:], None), strict=True):
        begin = start
        if following is not None:
            own = first.get(step, end)
            # It may begin within a span, which has rows that are gone already.
            begin = max(start, min(end, -_floor(-own, following)))
        if begin < end or not found:
            found.append(_Stretch(step, begin, end))
        end = begin
    return found[::-1]


def _floor(time: int, step: int) -> int:
    """The beginning of its span."""
    whole = step * SECOND
    return time // whole * whole


def _spans(stretch: _Stretch, first: dict[int, int]) -> int:
    """How many spans there may be."""
    begin = max(stretch.start, first.get(stretch.step, stretch.stop))
    return max(0, stretch.stop - begin) // (stretch.step * SECOND)


def _of_rows(asked: Asked, machine: int, stretch: _Stretch, since: int | None) -> _Pieces:
    def pieces(width: int) -> Iterator[tuple[Sensors, Rollups]]:
        start = stretch.start if since is None else since
        for part in parts(asked, machine, start, stretch.stop, packed_from=stretch.start):
            yield part.sensors, rolled_by(part.rows, part.rows.times // width)

    return pieces


def _of_spans(asked: Asked, machine: int, stretch: _Stretch, since: int | None) -> _Pieces:
    """Spans; for the last stretch also the rows that are in none yet, as they are at the same moment."""
    step, whole, stop = stretch.step, stretch.step * SECOND, -(-stretch.stop // SECOND)

    def piece(db: sqlite3.Connection, after: int) -> tuple[list[tuple[int, int, bytes]], Waiting]:
        spans = db.execute(SPANS, (machine, step, after, stop, PIECE_SPANS)).fetchall()
        return spans, NOTHING if since is None or len(spans) == PIECE_SPANS else waiting(db)

    def pieces(width: int) -> Iterator[tuple[Sensors, Rollups]]:
        after, goes_on = stretch.start // SECOND // step * step, True
        while goes_on:
            spans, found = asked.ask(partial(piece, after=after))
            if goes_on := len(spans) == PIECE_SPANS:
                # The last one may have grown when the next ones are fetched.
                after = spans[-1][0]
                spans = [span for span in spans if span[0] < after]
            starts, bundles, data = list(zip(*spans, strict=True)) or ((), (), ())
            place = 0
            for bundle, of in groupby(bundles):
                first, place = place, place + len(list(of))
                sensors = asked.layout(bundle).sensors
                try:
                    rollups = rollups_read(starts[first:place], data[first:place], len(sensors))
                except ValueError:
                    asked.note_damage(starts[first] * SECOND, (starts[place - 1] + step) * SECOND)
                    continue
                rollups.starts = rollups.starts * SECOND // width
                yield sensors, rollups
        # Like the others, a span counts whole that begins before the wanted time, or ends after it.
        first, last = (stretch.start if since is None else since) // whole, -(-stretch.stop // whole)
        for part in waiting_of(asked, machine, first * whole, last * whole, found):
            yield part.sensors, rolled_by(part.rows, part.rows.times // width)

    return pieces


def _points(step: int, sensors: Sensors, width: int, pieces: list[Rollups]) -> Points:
    spans = rollups_joined(pieces)
    spans = gathered(spans, spans.starts)
    return Points(
        step,
        sensors,
        width,
        # One that begins before all times would not be an int64.
        np.where(spans.starts < -(LATEST // width), EARLIEST, spans.starts * width),
        spans.rows,
        spans.anomalous,
        spans.unknown,
        spans.least,
        spans.mean,
        spans.greatest,
    )
