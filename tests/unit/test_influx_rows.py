"""Rows put together out of several series: against a dictionary that does it one reading at a time."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import numpy as np
import pytest

from edge_runtime.influxdb.query import UnfinishedAnswerError
from edge_runtime.influxdb.rows import Rows, in_time_order, sensor_values, whole_rows
from edge_runtime.influxdb.series import SeriesOf
from edge_runtime.records import Readings

if TYPE_CHECKING:
    from collections.abc import Iterator

# Time, machine, tags, values: None for none, a text for what is no number.
Point = tuple[int, str, tuple[str, ...], tuple[float | str | None, ...]]
# Values, and how many other rows contradicted them, brought what they lacked, and brought nothing new.
Row = tuple[list[float | str | None], int, int, int]
SENSORS = 3


def seeded(seed: int) -> random.Random:
    return random.Random(seed)  # noqa: S311 - nothing secret


def points_of(random_numbers: random.Random, number: int) -> list[Point]:
    """Points in the order of time; several series a machine, some of which contradict each other."""
    found: list[Point] = []
    for _ in range(number):
        values = tuple(random_numbers.choice([None, None, 1.0, 2.0, "n/a"]) for _ in range(SENSORS))
        tags = (random_numbers.choice("ba"), random_numbers.choice("yx"))
        found.append((random_numbers.randrange(number // 4 + 1), random_numbers.choice("mn"), tags, values))
    # A series has one point a time.
    unique = {(time, machine, tags): values for time, machine, tags, values in found}
    return sorted(((*key, values) for key, values in unique.items()), key=lambda point: point[0])


def blocks_of(points: list[Point], size: int) -> Iterator[Rows]:
    known: list[tuple[str, ...]] = []
    for start in range(0, len(points), size):
        part = points[start : start + size]
        for _, _, tags, _ in part:
            if tags not in known:
                known.append(tags)
        values, unreadable = sensor_values([[point[3][i] for point in part] for i in range(SENSORS)])
        readings = Readings(
            np.array([point[1] for point in part]), np.array([point[0] for point in part], np.int64), values
        )
        codes = np.array([known.index(point[2]) for point in part], np.intp)
        yield Rows(readings, unreadable, None, SeriesOf(known, codes))


def merged(points: list[Point]) -> dict[tuple[int, str], Row]:
    """What is right, by definition: the first number by the order of tags stays."""
    rows: dict[tuple[int, str], Row] = {}
    for time, machine, _, values in sorted(points, key=lambda point: point[2]):
        key = (time, machine)
        if key not in rows:
            rows[key] = (list(values), 0, 0, 0)
            continue
        kept, conflicts, completed, repeated = rows[key]
        contradicts = completes = False
        for i, value in enumerate(values):
            if isinstance(value, float):
                if not isinstance(kept[i], float):
                    completes = True
                elif kept[i] != value:
                    contradicts = True
            if (isinstance(value, float) and not isinstance(kept[i], float)) or kept[i] is None:
                kept[i] = value
        completes = completes and not contradicts
        same = not contradicts and not completes
        rows[key] = (kept, conflicts + contradicts, completed + completes, repeated + same)
    return rows


def read(blocks: Iterator[Rows]) -> dict[tuple[int, str], Row]:
    rows: dict[tuple[int, str], Row] = {}
    last = -1
    for block in blocks:
        times = block.readings.times
        assert times[0] > last, "a block begins with a time of the one before"
        assert (np.diff(times) >= 0).all()
        last = int(times[-1])
        for i in range(len(block)):
            values: list[float | str | None] = [
                None if np.isnan(value) else float(value) for value in block.readings.values[i]
            ]
            if block.unreadable is not None:
                for place in np.flatnonzero(block.unreadable[i]).tolist():
                    assert values[place] is None
                    values[place] = "n/a"
            key = int(times[i]), str(block.readings.machines[i])
            assert key not in rows
            conflicts, completed, repeated = (
                0 if counts is None else int(counts[i])
                for counts in (block.conflicts, block.merged, block.repeated)
            )
            rows[key] = values, conflicts, completed, repeated
    return rows


@pytest.mark.parametrize("seed", range(30))
@pytest.mark.parametrize("size", [1, 2, 7, 1000])
def test_rows_of_one_machine_and_time_become_one(seed: int, size: int) -> None:
    points = points_of(seeded(seed), 60)
    found = read(whole_rows(blocks_of(points, size)))
    assert found == merged(points)
    assert sum(1 + sum(others) for _, *others in found.values()) == len(points)


@pytest.mark.parametrize("seed", range(30))
def test_streams_come_in_the_order_of_time(seed: int) -> None:
    numbers = seeded(seed)
    streams = [
        [(time, f"{machine}{i}", tags, values) for time, machine, tags, values in points_of(numbers, 40)]
        for i in range(3)
    ]
    parts = [whole_rows(blocks_of(points, numbers.choice([1, 3, 50]))) for points in streams]
    assert read(in_time_order(parts)) == merged([point for points in streams for point in points])


@pytest.mark.parametrize("seed", range(30))
def test_a_stream_that_ends_early_leaves_whole_times(seed: int) -> None:
    numbers = seeded(seed)
    streams = [
        [(time, f"{machine}{i}", tags, values) for time, machine, tags, values in points_of(numbers, 40)]
        for i in range(2)
    ]

    def cut(points: list[Point]) -> Iterator[Rows]:
        yield from blocks_of(points[: len(points) // 2], 5)
        raise UnfinishedAnswerError("cut off")

    found: list[Rows] = []
    blocks = in_time_order([whole_rows(cut(streams[0])), whole_rows(blocks_of(streams[1], 5))])
    with pytest.raises(UnfinishedAnswerError):
        found.extend(iter(lambda: next(blocks), None))
    last = int(found[-1].readings.times[-1])
    every = merged([point for points in streams for point in points])
    assert read(iter(found)) == {key: row for key, row in every.items() if key[0] <= last}
    assert last < streams[0][len(streams[0]) // 2 - 1][0]


def test_marks_that_are_of_other_rows_are_none() -> None:
    values, unreadable = sensor_values([["n/a", 1.0], [1.0, True]])
    assert unreadable is not None
    assert unreadable.tolist() == [[True, False], [False, True]]
    rows = Rows(Readings(np.array(["m", "m"]), np.array([1, 2]), values), unreadable, np.array([0, 2]))
    first, second = rows.take(slice(0, 1)), rows.take(slice(1, 2))
    assert first.conflicts is None
    assert second.conflicts is not None
    joined = Rows.joined([first, second, first])
    assert joined.conflicts is not None
    assert joined.conflicts.tolist() == [0, 2, 0]
    assert joined.unreadable is not None
    assert joined.unreadable.tolist() == [[True, False], [False, True], [True, False]]
