"""The look of `edge-detect check`: how long it lasts, and what it makes of the rows that came."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

import numpy as np
import pytest
from support.bundles import SENSORS, normal_rows

from edge_runtime import load_bundle
from edge_runtime.checkpoint import Checkpoint
from edge_runtime.engine.engine import Engine
from edge_runtime.gateway.look import FIRST_VERDICTS, MAX_ROWS, Look, Seen, look, zone_words
from edge_runtime.records import NO_TIME, Readings
from edge_runtime.sources.base import Batch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path


SECOND = 1_000_000_000
NOW = 1_900_000_000 * SECOND
NAMES = [sensor[0] for sensor in SENSORS]
HOUR = 3600.0


class Moment:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def now_ns(self) -> int:
        return NOW + round(self.seconds * 1e9)

    def clock(self) -> float:
        return self.seconds


class Scripted:
    """A source that gives these batches, each at its second."""

    name = "scripted"

    def __init__(self, moment: Moment, script: Sequence[tuple[float, Batch]], *, live: bool = True) -> None:
        self.live = live
        self.given = 0
        self.closed = threading.Event()
        self._moment = moment
        self._script = script

    def check(self) -> None:
        raise AssertionError("a look asks for rows alone")

    acknowledge = check

    def what_came(self) -> str | None:
        return None

    def close(self) -> None:
        self.closed.set()

    def batches(self, checkpoint: Checkpoint | None) -> Iterator[Batch]:
        assert checkpoint is None
        for second, batch in self._script:
            self._moment.seconds = second
            self.given += 1
            yield batch


class Waiting(Scripted):
    """One that then waits until it is closed."""

    def batches(self, checkpoint: Checkpoint | None) -> Iterator[Batch]:
        yield from super().batches(checkpoint)
        assert self.closed.wait(60)


def rows(*times: float, machine: str = "press", lacking: Sequence[str] = ()) -> Batch:
    """Rows of these seconds after NOW."""
    values = normal_rows(len(times))
    values[:, [NAMES.index(name) for name in lacking]] = np.nan
    nanoseconds = np.array([NOW + round(each * 1e9) for each in times], np.int64)
    return Batch(Readings(np.array([machine] * len(times)), nanoseconds, values), Checkpoint("never"), {})


def each_second(offset: float, number: int, **more: str) -> list[tuple[float, Batch]]:
    """A row a second of a machine whose clock is so many seconds behind."""
    return [(float(second), rows(second - offset, **more)) for second in range(number)]


@pytest.fixture
def looked(bundle: Path) -> Callable[..., Look]:
    loaded = load_bundle(bundle)

    def run(script: Sequence[tuple[float, Batch]], *, seconds: float = 1000.0, live: bool = True) -> Look:
        moment = Moment()
        source, engine = Scripted(moment, script, live=live), Engine(loaded, future_s=60.0)
        found = look(source, engine, seconds, now_ns=moment.now_ns, clock=moment.clock)
        assert source.closed.is_set()
        return found

    return run


class TestHowLong:
    def test_a_source_that_waits_is_closed_after_the_seconds(self, bundle: Path) -> None:
        source = Waiting(Moment(), [(0.0, rows(0.0))])
        engine = Engine(load_bundle(bundle), future_s=60.0)
        found = look(source, engine, 0.2, now_ns=lambda: NOW, clock=time.monotonic)
        assert found.rows == 1
        assert 0.2 <= found.seconds < 60

    def test_a_source_that_never_waits_is_left_after_the_seconds(self, looked: Callable[..., Look]) -> None:
        found = looked(each_second(0, 100), seconds=5.0)
        assert found.rows == 6
        assert found.seconds == 5.0

    @pytest.mark.parametrize(("live", "blocks"), [(False, 5), (True, 8)])
    def test_enough_rows_end_a_file_alone(
        self, looked: Callable[..., Look], *, live: bool, blocks: int
    ) -> None:
        size = MAX_ROWS // 5
        script = [(0.0, rows(*(-10_000 + block * size + i for i in range(size)))) for block in range(8)]
        assert looked(script, live=live).rows == blocks * size

    def test_the_end_of_a_source_is_the_end(self, looked: Callable[..., Look]) -> None:
        found = looked(each_second(0, 3))
        assert (found.rows, found.seconds) == (3, 2.0)


class TestOffsets:
    @pytest.mark.parametrize("behind", [0.0, 7.5, -20.0, 7200.0])
    def test_a_clock_that_is_behind_is_positive_and_one_ahead_negative(
        self, looked: Callable[..., Look], behind: float
    ) -> None:
        seen = looked(each_second(behind, 12)).machines["press"]
        # The first row may have waited for whoever looks.
        assert seen.offsets == pytest.approx([behind] * 11)
        assert seen.offset_s == pytest.approx(behind)

    def test_a_backlog_says_nothing_of_a_clock_however_many_blocks_it_comes_in(
        self, looked: Callable[..., Look]
    ) -> None:
        backlog = [(block / 100, rows(*range(-600 + 200 * block, -400 + 200 * block))) for block in range(3)]
        assert looked(backlog).machines["press"].offset_s is None
        live = [(float(second), rows(second - 1)) for second in range(1, 12)]
        seen = looked([*backlog, *live]).machines["press"]
        assert len(seen.times) == 611
        assert seen.offset_s == pytest.approx(1.0)
        assert len(seen.offsets) == 11

    def test_each_machine_has_its_own(self, looked: Callable[..., Look]) -> None:
        script = each_second(30, 5, machine="late") + [
            (5.0 + second, batch) for second, batch in each_second(-5, 5, machine="early")
        ]
        machines = looked(script).machines
        assert machines["late"].offset_s == pytest.approx(30)
        assert machines["early"].offset_s == pytest.approx(0)  # by the script, five seconds later

    def test_rows_of_a_file_have_none(self, looked: Callable[..., Look]) -> None:
        assert looked(each_second(0, 20), live=False).machines["press"].offset_s is None

    def test_rows_without_a_time_have_that_of_their_arrival(self, looked: Callable[..., Look]) -> None:
        script = []
        for second, batch in each_second(0, 12):
            readings = batch.readings
            none = Readings(readings.machines, np.full(1, NO_TIME, np.int64), readings.values)
            script.append((second, Batch(none, None, {})))
        seen = looked(script).machines["press"]
        assert seen.offset_s == pytest.approx(0, abs=1e-3)
        assert seen.gap_s == pytest.approx(1.0, abs=1e-3)


class TestZones:
    @pytest.mark.parametrize(
        ("offset", "number", "start"),
        [
            (2 * HOUR, 10, "its times are 2 h behind this gateway's clock: they may be local times"),
            (-2 * HOUR, 10, "its times are 2 h ahead of this gateway's clock: they may be local times"),
            (1800.0, 10, "its times are 0.5 h behind"),
            (-5.75 * HOUR + 4.9, 500, "its times are 5.75 h ahead of"),
            (2 * HOUR + 5.1, 10, None),
            (14 * 60.0, 10, None),
            (900.0, 10, None),
            (2 * HOUR, 9, None),
            (0.0, 10, None),
        ],
    )
    def test_whole_quarters_of_an_hour_from_two_on(
        self, offset: float, number: int, start: str | None
    ) -> None:
        words = zone_words(offset, number)
        if start is None:
            assert words is None
        else:
            assert words is not None
            assert words.startswith(start)
            assert words.endswith("write them in UTC, or with their zone")


class TestRows:
    @pytest.mark.parametrize(
        ("times", "gap"),
        [
            ([], None),
            ([0, 1], None),
            ([0, 1, 2], 1.0),
            ([5, 0, 10], 5.0),
            ([0, 1, 2, 100], 1.0),
            ([0, 0.25, 0.5, 0.75], 0.25),
        ],
    )
    def test_the_gap_is_the_median_of_three_rows_or_more(self, times: list[float], gap: float | None) -> None:
        assert Seen([round(each * 1e9) for each in times]).gap_s == gap

    def test_sensors_that_no_row_had_are_named(self, looked: Callable[..., Look]) -> None:
        found = looked([(0.0, rows(-2, lacking=["vibration", "power"])), (1.0, rows(-1, lacking=["power"]))])
        assert found.sensors_never == ("power",)
        assert looked([(0.0, rows(0))]).sensors_never == ()
        assert looked([]).sensors_never == tuple(NAMES)

    def test_the_first_ten_are_shown_and_unknown_ones_with_their_reason(
        self, looked: Callable[..., Look]
    ) -> None:
        found = looked([(0.0, rows(-30, lacking=["power"])), (0.0, rows(*range(-20, 0)))])
        assert len(found.first) == FIRST_VERDICTS
        assert found.first[0] == {
            "time": "2030-03-17T17:46:10Z",
            "machine_id": "press",
            "verdict": "unknown",
            "reason": "missing",
            "sensor_status": {"power": "failure: missing"},
        }
        one = found.first[1]
        assert set(one) > {"severity", "sensor", "unit", "actual", "expected"}
        value = normal_rows(20)[0][NAMES.index(one["sensor"])]
        assert one["actual"] == pytest.approx(float(value), rel=1e-3)
        assert found.machines["press"].verdicts["unknown"] == 1
        assert found.accounts.counters["read"] == 21
