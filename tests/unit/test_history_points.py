"""Points are what their rows come to, whichever source they are made of, and no row is lost between two."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import numpy as np
import pytest
from support.bundles import SENSORS, make_bundle
from support.pasts import EVER, SECOND, START, Past, simulated, small_blocks, some_past

from edge_runtime import load_bundle
from edge_runtime.history import bounds
from edge_runtime.history import points as making
from edge_runtime.history.bounds import DAY, Bounds
from edge_runtime.history.columns import SEVERITY_ERROR
from edge_runtime.history.reading import reading_history
from edge_runtime.records import Verdict
from edge_runtime.timeparse import EARLIEST

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from edge_runtime import Bundle
    from edge_runtime.history.points import Points
    from edge_runtime.history.rows import Rows

# What points may be made of, and of what they are then.
WAYS = {0: making.WAYS, 60: making.WAYS[2:], 3600: making.WAYS[3:]}


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return load_bundle(None)


@pytest.fixture
def past(bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Past:
    small_blocks(monkeypatch)
    return some_past(tmp_path / "history", bundle)


def numbers(rows: Rows, within: NDArray[np.bool_]) -> NDArray[np.float64]:
    return np.column_stack([rows.values, rows.severity])[within].astype(np.float64)


def assert_points(points: Points, rows: Rows) -> None:
    """Each bucket by itself, from all rows."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # of columns without a number
        for place, begin in enumerate(points.times.tolist()):
            within = (rows.times >= begin) & (rows.times < begin + points.width)
            assert points.rows[place] == within.sum()
            assert points.anomalous[place] == (rows.verdicts[within] == Verdict.ANOMALY).sum()
            assert points.unknown[place] == (rows.verdicts[within] == Verdict.UNKNOWN).sum()
            own = numbers(rows, within)
            least, mean, greatest = (which(own, 0) for which in (np.nanmin, np.nanmean, np.nanmax))
            np.testing.assert_array_equal(points.least[place, :-1], least[:-1].astype(np.float32))
            np.testing.assert_array_equal(points.greatest[place, :-1], greatest[:-1].astype(np.float32))
            np.testing.assert_allclose(points.mean[place, :-1], mean[:-1], rtol=1e-5)
            for column, wanted in ((points.least, least), (points.mean, mean), (points.greatest, greatest)):
                np.testing.assert_allclose(column[place, -1], wanted[-1], rtol=SEVERITY_ERROR)


@pytest.mark.parametrize("step", WAYS)
def test_points_are_what_their_rows_come_to(step: int, past: Past, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(making, "WAYS", WAYS[step])
    monkeypatch.setattr(making, "PIECE_SPANS", 7)
    with reading_history(past.path) as reader:
        for machine, rows in past.rows().items():
            whole = max(1, step * SECOND)
            for first, most in ((0, 2000), (0, 20), (333, 100), (1998, 5), (700, 1)):
                start = int(rows.times[first])
                (points,) = reader.points(machine, start, START + 2100 * SECOND, most)
                assert points.step == step
                assert [sensor.name for sensor in points.sensors] == [one[0] for one in SENSORS]
                assert 0 < len(points) <= max(2, most)
                assert (points.times % points.width == 0).all()
                assert (np.diff(points.times) > 0).all()
                assert points.width % whole == 0
                kept = rows.take(rows.times >= start // whole * whole)
                assert_points(points, kept)
                assert points.rows.sum() == len(kept)
            assert reader.points(machine, START - DAY, START - DAY // 2) == []
            assert reader.points(machine, START + 100, START + 100) == []
        assert reader.points("nobody", 0, EVER) == []
    past.history.close()


def test_the_finest_source_is_taken_that_is_not_too_much(past: Past, monkeypatch: pytest.MonkeyPatch) -> None:
    """There are 1,800 rows in blocks, or 30 minutes, which cost as much as 210 rows."""
    monkeypatch.setattr(making, "ROWS_PER_SPAN", 7)
    monkeypatch.setattr(making, "WAITING_BYTES", 10**9)  # rows that wait are left out of the account
    times = START + 100 * SECOND, START + 1900 * SECOND
    with reading_history(past.path) as reader:
        for most_rows, step in ((2000, 0), (1000, 60), (215, 60), (200, 3600), (0, 3600)):
            monkeypatch.setattr(making, "MOST_ROWS", most_rows)
            assert [one.step for one in reader.points("press-3", *times)] == [step]
        monkeypatch.setattr(making, "MOST_ROWS", 600)
        assert [one.step for one in reader.points("press-3", START + 1500 * SECOND, times[1])] == [0]
        monkeypatch.setattr(making, "WAITING_BYTES", 1)  # they count for more than may be read
        assert [one.step for one in reader.points("press-3", START + 1500 * SECOND, times[1])] == [3600]
    past.history.close()


def test_where_rows_are_gone_minutes_and_hours_are_taken_and_nothing_is_lost_or_double(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows are kept for a day and minutes for four; each is taken out a block or a span at a time."""
    small_blocks(monkeypatch, rows=100, commits=2)
    past = Past(tmp_path / "history", bundle, Bounds(max_days=1))
    for day in (0, 2, 4.2, 6.3, 7.29):
        readings = simulated(1, 1000, start=START + round(day * DAY), seed=round(day))
        for place in range(0, 1000, 90):
            past.take(readings.take(slice(place, place + 90)))
    (rows,) = past.rows().values()
    with reading_history(past.path) as reader:
        (span,) = reader.machines()
        assert 1000 < span.rows < 2500
        points = reader.points("press-1", START, START + 9 * DAY, 2000)
        assert [one.step for one in points] == [3600, 60, 0]
        assert sum(len(one) for one in points) <= 2000
        assert sum(int(one.rows.sum()) for one in points) == len(rows) == 5000
        assert sum(int(one.anomalous.sum()) for one in points) == (rows.verdicts == Verdict.ANOMALY).sum()
        ends = [int(one.times[-1]) + one.width for one in points[:-1]]
        assert all(end <= int(one.times[0]) + one.width for end, one in zip(ends, points[1:], strict=True))
        everything = np.column_stack([rows.values, rows.severity])
        least = np.nanmin([np.nanmin(one.least, 0) for one in points], 0)
        np.testing.assert_array_equal(least, np.nanmin(everything, 0))
        total = np.nansum([np.nansum(one.mean[:, :4] * one.rows[:, None], 0) for one in points], 0)
        np.testing.assert_allclose(total, rows.values.sum(0, dtype=np.float64), rtol=1e-5)
    past.history.close()


def test_blocks_that_reach_further_back_than_minutes_leave_room_for_hours(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A row every two hours: a block is of weeks."""
    small_blocks(monkeypatch, rows=300, commits=2)
    monkeypatch.setattr(bounds, "MINUTES_PER_ROWS", 1)
    past = Past(tmp_path / "history", bundle, Bounds(max_days=30))
    readings = simulated(1, 970)
    readings.times[:] = START + np.arange(970) * 7200 * SECOND
    for place in range(0, 970, 10):
        past.take(readings.take(slice(place, place + 10)))
    with reading_history(past.path) as reader:
        points = reader.points("press-1", START, START + 100 * DAY)
        assert [one.step for one in points] == [3600, 0]
        assert sum(int(one.rows.sum()) for one in points) == 970
    past.history.close()


def test_other_sensors_have_points_of_their_own(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small_blocks(monkeypatch, commits=1)
    renamed = tuple((f"{name} 2", unit, *rest) for name, unit, *rest in SENSORS)
    other = load_bundle(make_bundle(tmp_path, sensors=renamed, seed=4))
    same = load_bundle(make_bundle(tmp_path, "same.onnx", seed=5))
    past, readings = Past(tmp_path / "history", bundle), simulated(1, 1200)
    for start, following in ((0, other), (300, bundle), (600, same), (900, same)):
        past.take(readings.take(slice(start, start + 300)))
        past.restart(following)
    with reading_history(past.path) as reader:
        for step, ways in WAYS.items():
            monkeypatch.setattr(making, "WAYS", ways)
            points = reader.points("press-1", START, START + 1200 * SECOND, 100)
            names = [one.sensors[0].name[-2:] for one in points]
            assert {one.step for one in points} == {step}
            if step == 0:
                assert names == ["re", " 2", "re"]
                assert [int(one.rows.sum()) for one in points] == [300, 300, 600]
            assert sum(int(one.rows.sum()) for one in points) == 1200
    past.history.close()


@pytest.mark.parametrize("most", [1, 2, 2000])
@pytest.mark.parametrize(("start", "stop"), [(-(2**63), 2**63), (-(2**90), 2**90), (0, 2**63)])
def test_any_range_of_time_has_its_points(past: Past, start: int, stop: int, most: int) -> None:
    (rows,) = {len(rows) for rows in past.rows().values()}
    with reading_history(past.path) as reader:
        points = reader.points("press-1", start, stop, most)
        assert sum(int(one.rows.sum()) for one in points) == rows
        assert all(int(one.times[0]) <= START < int(one.times[0]) + one.width for one in points)
        assert sum(len(part.rows) for part in reader.rows("press-1", start, stop)) == rows
        assert reader.alarms(start, stop) == reader.alarms(0, EVER)
        assert reader.statuses("press-1", start, stop) == reader.statuses("press-1", 0, EVER)
        assert reader.states("press-1", start, stop) == reader.states("press-1", 0, EVER)


def test_a_point_begins_no_earlier_than_time_itself(bundle: Bundle, tmp_path: Path) -> None:
    past, readings = Past(tmp_path / "history", bundle), simulated(1, 100, start=EARLIEST)
    past.take(readings)
    with reading_history(past.path) as reader:
        for stop in (0, EARLIEST + 10**12):
            (points,) = reader.points("press-1", EARLIEST, stop)
            assert (np.diff(points.times) > 0).all()
            assert points.times[0] == EARLIEST
            assert points.rows.sum() == 100
    past.history.close()
