"""Sensors that stand still or jump: found as the definition says, however the rows come, and said by name."""

from __future__ import annotations

import json
from itertools import pairwise
from math import isfinite
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from support.bundles import SENSORS, make_bundle, normal_rows

from edge_runtime import Engine, Readings, Reason, load_bundle
from edge_runtime.bundle.metadata import Hold, SensorLimit
from edge_runtime.engine.sensors import SensorWatch
from edge_runtime.engine.stage import StageState

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from edge_runtime.loading.load import Bundle

NAMES = [sensor[0] for sensor in SENSORS]
SECOND = 10**9
# Temperature may stand still; pressure and power are limited in their rate; each has a distance of its own.
LIMITS = (
    SensorLimit(None, 0.5, None),
    SensorLimit(5, 0.25, None),
    SensorLimit(12, 0.0, 2.0),
    SensorLimit(3, 1.0, 40.0),
)
KINDS: dict[str, dict[str, Any]] = {
    "a row by itself": {},
    "without a sensor": {"degraded": True, "hold": Hold(1.0, 1.0, 10.0, 5.5)},
    "without a sensor, with memory": {"degraded": True, "smooth": 11, "channels": True, "horizon": 1024.0},
}
ROWS = 700


@pytest.fixture(scope="module", params=KINDS)
def bundle(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return load_bundle(make_bundle(tmp_path_factory.mktemp("watched"), limits=LIMITS, **KINDS[request.param]))


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return load_bundle(make_bundle(tmp_path_factory.mktemp("watched"), limits=LIMITS))


def defined(values: NDArray[np.float32], times: NDArray[np.int64]) -> list[list[str]]:
    """[rows][sensors] each reading's fault, straight from the definition."""
    columns = [
        list(_defined(values[:, place].tolist(), (times / SECOND).tolist(), limit, sensor[4]))
        for place, (limit, sensor) in enumerate(zip(LIMITS, SENSORS, strict=True))
    ]
    return [list(row) for row in zip(*columns, strict=True)]


def _defined(
    readings: list[float], times: list[float], limit: SensorLimit, physical: tuple[float, float] | None
) -> Iterator[str]:
    run, last, at = list[float](), np.nan, 0.0
    for reading, time in zip(readings, times, strict=True):
        fault = _by_itself(reading, physical or (-np.inf, np.inf))
        if fault != "missing":
            run = [*run, reading] if run and abs(reading - run[0]) <= limit.within else [reading]
        if not fault and len(run) >= (limit.flat_rows or np.inf):
            fault = "flat"
        if not fault and abs(reading - last) > (limit.max_rate or np.inf) * max(1.0, time - at):
            fault = "too steep"
        if not fault:
            last, at = reading, time
        yield fault


def _by_itself(reading: float, physical: tuple[float, float]) -> str:
    if np.isnan(reading):
        return "missing"
    if not isfinite(reading):
        return "not finite"
    return "" if physical[0] <= reading <= physical[1] else "out of range"


def coarse(seed: int, rows: int = ROWS) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Readings in few steps, so that there are runs of every length; with gaps, faults and frozen sensors."""
    random = np.random.default_rng(seed)
    values = normal_rows(rows, seed=seed)
    values[:, 1] = 1.0 + 0.25 * np.cumsum(random.integers(-1, 2, rows)).clip(-3, 9)
    values[:, 2] = 50.0 + np.cumsum(random.integers(-1, 2, rows) * random.choice([0.0, 1.0, 3.0], rows))
    values[:, 3] = 200.0 + 20 * np.cumsum(random.choice([-1, 0, 1, 3], rows)).clip(-5, 90)
    for place in range(4):
        for start in random.integers(0, rows, 6).tolist():
            values[start : start + int(random.integers(2, 60)), place] = values[start, place]
        values[random.integers(0, rows, 12), place] = random.choice(np.array([np.nan, np.inf, 1e5, 0.0]), 12)
    times = np.cumsum(random.choice([1, 1, 1, 2, 40], rows)).astype(np.int64) * SECOND
    return values, times


def calm(rows: int) -> NDArray[np.float32]:
    """Rows with nothing against them: no sensor stands still, and pressure and power keep to their rates."""
    values = normal_rows(rows, seed=4)
    values[:, 1] = 0.9 + 0.7 * (np.arange(rows) % 2)
    values[:, 2] = 50.0 + np.arange(rows) % 2
    values[:, 3] = 200.0 + 10 * (np.arange(rows) % 2)
    return values


def blocks(readings: Readings, cuts: list[int]) -> list[Readings]:
    return [readings.take(slice(a, b)) for a, b in pairwise(cuts)]


def faults_of(found: NDArray[np.int8] | None, rows: int) -> list[list[str]]:
    codes = np.zeros((rows, len(NAMES)), np.int8) if found is None else found
    return [[Reason(code).label for code in row] for row in codes.tolist()]


@pytest.mark.parametrize("seed", range(8))
def test_it_finds_what_the_definition_says_however_the_rows_are_cut(plain: Bundle, seed: int) -> None:
    values, times = coarse(seed)
    wanted = defined(values, times)
    assert {"missing", "not finite", "out of range", "flat", "too steep", ""} == {
        fault for row in wanted for fault in row
    }
    readings = Readings(np.full(len(values), "m"), times, values)
    random = np.random.default_rng(seed)
    for cuts in (
        [0, ROWS],
        [*range(ROWS + 1)],
        [0, *sorted(set(random.integers(1, ROWS, 40).tolist())), ROWS],
        [0, *range(3, ROWS, 9), ROWS],
    ):
        engine = Engine(plain)
        found = [
            row
            for part in blocks(readings, cuts)
            for row in faults_of(engine.feed(part).results.faults, len(part))
        ]
        assert found == wanted


def test_machines_among_one_another_do_not_meet(plain: Bundle) -> None:
    rows = {name: coarse(seed) for seed, name in enumerate(("a", "b", "c"))}
    random = np.random.default_rng(5)
    order = random.permutation(np.repeat(list(rows), ROWS))
    place = {name: iter(range(ROWS)) for name in rows}
    picked = [(name, next(place[name])) for name in order.tolist()]
    values = np.array([rows[name][0][row] for name, row in picked])
    times = np.array([rows[name][1][row] for name, row in picked])
    engine, found = Engine(plain), list[list[str]]()
    for part in blocks(Readings(order, times, values), [0, 1, 2, 5, 300, 301, 900, 3 * ROWS]):
        found += faults_of(engine.feed(part).results.faults, len(part))
    for name, (own, moments) in rows.items():
        mine = [row for (machine, _), row in zip(picked, found, strict=True) if machine == name]
        assert mine == defined(own, moments)


@pytest.mark.parametrize("stop", [1, 57, 333, 690])
def test_another_engine_goes_on_where_one_was_stopped(plain: Bundle, stop: int) -> None:
    values, times = coarse(2)
    readings = Readings(np.full(ROWS, "m"), times, values)
    before, states = Engine(plain), dict[tuple[str, ...], StageState]()
    for part in blocks(readings, [*range(stop + 1)]):
        before.feed(part)
        # Some commits are left out, as when several rows share one.
        if len(states) % 3 == 0:
            states |= {state[:3]: state for state in before.changes()}
    states |= {state[:3]: state for state in before.changes()}
    stored = [StageState(*json.loads(json.dumps(state))) for state in states.values()]
    after = Engine(plain)
    assert after.restore(stored) == []
    rest = after.feed(readings.take(slice(stop, None)))
    assert faults_of(rest.results.faults, ROWS - stop) == defined(values, times)[stop:]


def test_a_frozen_sensor_is_out_until_it_moves_and_the_others_go_on(bundle: Bundle) -> None:
    values = calm(60)
    values[20:40, 1] = 1.2 + 0.2 * (np.arange(20) % 2)
    judged = Engine(bundle).feed(Readings(np.full(60, "m"), np.arange(60) * SECOND, values))
    flat = range(24, 40)
    assert {i: status for i, status in enumerate(judged.sensor_status) if status} == {
        row: {"vibration": "failure: flat"} for row in flat
    }
    if bundle.metadata.degraded is None:
        assert {i: reason for i, reason in enumerate(judged.reasons) if reason} == dict.fromkeys(flat, "flat")
        assert np.isnan(judged.score[24:40]).all()
    else:
        assert {i: name for i, name in enumerate(judged.degraded) if name} == dict.fromkeys(flat, "vibration")
        assert "unknown" not in judged.verdicts
    np.testing.assert_array_equal(judged.results.readings.values, values)


def test_two_sensors_out_make_a_row_unknown_that_names_both(bundle: Bundle) -> None:
    values = calm(40)
    values[10:, 1] = values[10, 1]
    values[30, 3] = np.nan
    values[31, 2] += 90
    judged = Engine(bundle).feed(Readings(np.full(40, "m"), np.arange(40) * SECOND, values))
    assert judged.reasons[30:32] == ["missing", "flat"]
    assert judged.sensor_status[30:32] == [
        {"vibration": "failure: flat", "power": "failure: missing"},
        {"vibration": "failure: flat", "pressure": "out of specification: too steep"},
    ]
    assert judged.rows()[31]["sensor_status"] == judged.sensor_status[31]
    assert "sensor_status" not in judged.rows()[0]


def test_a_jump_is_out_for_as_long_as_it_is_out_of_reach(plain: Bundle) -> None:
    values = calm(30)
    values[:, 2] = 50 + 0.5 * (np.arange(30) % 3)
    values[10, 2] = 58.0  # one row
    values[20:, 2] += 9.0  # for good: two a second reach it in the fifth second
    judged = Engine(plain).feed(Readings(np.full(30, "m"), np.arange(30) * SECOND, values))
    out = {i: status for i, status in enumerate(judged.sensor_status) if status}
    assert out == {row: {"pressure": "out of specification: too steep"} for row in (10, 20, 21, 22, 23)}


def test_single_rows_leave_their_state_behind_as_blocks_do(plain: Bundle) -> None:
    values = calm(60)
    rows = Readings(np.full(60, "m"), np.arange(60) * SECOND, values)
    engine, whole = Engine(plain), Engine(plain)
    engine.feed(rows.take(slice(0, 2)))
    engine.changes()
    watch = engine._watch
    assert watch is not None
    for part in blocks(rows.take(slice(2, 60)), [*range(59)]):
        # Each takes the path of a single row, but for those at which the counter is drawn up anew.
        assert watch.is_ordinary("m", part.times.item(), part.values.tolist()[0])
        engine.feed(part)
        assert ("m", SensorWatch.name) in {(state.machine, state.stage) for state in engine.changes()}
    whole.feed(rows)
    assert watch.state("m") == whole._watch.state("m")  # type: ignore[union-attr]
    runs, last = watch.state("m") or ([], [])
    assert [run for _, run in runs] == [1, 1, 1]
    assert [at for _, at in last] == [59 * SECOND] * 2


def test_a_time_of_the_future_that_was_forgotten_leaves_no_sensor_out_of_reach(plain: Bundle) -> None:
    values, now = calm(40), 20 * SECOND
    engine = Engine(plain)
    engine.feed(Readings(np.full(10, "m"), np.arange(10) * SECOND, values[:10]))
    far = values[10:11] + np.float32(40)
    far[0, 2] = 80.0
    assert engine.feed(Readings(["m"], [10**6 * SECOND], far)).verdicts[0] != "unknown"
    assert len(engine.forget_the_future(now)) == 1
    after = Readings(np.full(20, "m"), (20 + np.arange(20)) * SECOND, values[20:])
    single, other = Engine(plain), Engine(plain)
    for each in (single, other):
        each.restore(StageState(*state) for state in engine.changes(everything=True))
    assert engine.feed(after).reasons == [""] * 20
    assert other.feed(after, now=now + 60 * SECOND).reasons == [""] * 20
    assert [single.feed(part).reasons[0] for part in blocks(after, [*range(21)])] == [""] * 20


def test_a_gap_in_time_lets_a_sensor_move_on(plain: Bundle) -> None:
    values = calm(2)
    values[:, 2], values[:, 3] = (50.0, 90.0), 200.0
    for seconds, reason in ((1, "too steep"), (19, "too steep"), (20, "")):
        times = np.array([0, seconds]) * SECOND
        assert Engine(plain).feed(Readings(np.full(2, "m"), times, values)).reasons[1] == reason


def test_rows_that_are_not_new_have_no_part_in_it(plain: Bundle) -> None:
    values = calm(10)
    values[:, 1] = np.linspace(1.0, 1.2, 10)
    readings = Readings(np.full(10, "m"), np.arange(10) * SECOND, values)
    engine = Engine(plain)
    engine.feed(readings.take(slice(0, 4)))
    for _ in range(5):
        assert set(engine.feed(readings.take(slice(0, 4))).reasons) == {"repeated"}
    judged = engine.feed(readings.take(slice(2, 10)))
    assert judged.reasons == ["repeated", "repeated", *["flat"] * 6]
    late = readings.take(slice(0, 1)).with_values(values[:1] + 9)
    assert engine.feed(late).reasons == ["conflicting"]
    future = Readings(["m"], [10**6 * SECOND], values[:1])
    assert engine.feed(future, now=10 * SECOND).reasons == ["time in the future"]
    assert engine.feed(Readings(["m"], [10 * SECOND], values[:1])).reasons == ["flat"]


def test_what_fails_to_be_scored_may_be_fed_again(plain: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    values, times = coarse(3)
    readings = Readings(np.full(ROWS, "m"), times, values)
    engine, found = Engine(plain), list[list[str]]()
    for part in blocks(readings, [0, *range(5, ROWS, 23), ROWS]):
        with monkeypatch.context() as patched:
            patched.setattr(engine._graph, "score", _fail)
            if len(part) > 1:
                with pytest.raises(OSError, match="no score"):
                    engine.feed(part)
        found += faults_of(engine.feed(part).results.faults, len(part))
    assert found == defined(values, times)


def _fail(*_: object) -> None:
    raise OSError("no score")


@pytest.mark.parametrize(
    "value",
    [
        [],
        [[], []],
        [[[1.0, 2]] * 3, [[1.0, 5]]],
        [[[1.0, 2]] * 2, [[1.0, 5]] * 2],
        [[[1.0, -1]] * 3, [[1.0, 5]] * 2],
        [[["1", 2]] * 3, [[1.0, 5]] * 2],
        [[[1.0, 2.5]] * 3, [[1.0, 5]] * 2],
        [[[1.0]] * 3, [[1.0, 5]] * 2],
        [[[1.0, 2**70]] * 3, [[1.0, 5]] * 2],
        [[[float("inf"), 2]] * 3, [[1.0, 5]] * 2],
        [[[1e300, 2]] * 3, [[1.0, 5]] * 2],
        [[[1.0, True]] * 3, [[1.0, 5]] * 2],
        [[[1.0, 2]] * 3, [[1.0, 10**400]] * 2],
        [[[1.0, 2]] * 3, [[1.0, -(10**400)]] * 2],
        [[[1.0, 2]] * 3, [[float("inf"), 5]] * 2],
        [[[1.0, 2]] * 3, [[10**400, 5]] * 2],
        "text",
        7,
        None,
        {"a": 1},
    ],
)
def test_a_state_that_is_none_is_dropped_and_said(plain: Bundle, value: Any) -> None:
    engine = Engine(plain)
    dropped = engine.restore([StageState(plain.digest, SensorWatch.name, "m", 1, value)])
    assert len(dropped) == (value is not None)
    values, times = coarse(1, 50)
    judged = engine.feed(Readings(np.full(50, "m"), times, values))
    assert faults_of(judged.results.faults, 50) == defined(values, times)
