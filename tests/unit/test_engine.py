"""The engine: which rows are judged, what they are found to be, and what a later process goes on from."""

from __future__ import annotations

import json
import re
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from support.bundles import SENSORS, make_bundle, normal_rows

from edge_runtime import Engine, Readings, Reason, Verdict, load_bundle
from edge_runtime.bundle.metadata import Debounce, Hold
from edge_runtime.engine.stage import StageState
from edge_runtime.errors import SensorMismatchError
from edge_runtime.records import Results

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from edge_runtime import Bundle


HOLD = Hold(rise=1, fall=1, cap=3, level=1)
MINUTE = 60 * 10**9


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return load_bundle(make_bundle(tmp_path_factory.mktemp("bundle")))


def block(values: NDArray[np.float32], machines: list[str] | None = None) -> Readings:
    rows = len(values)
    return Readings(np.array(machines or ["press"] * rows), np.arange(rows, dtype=np.int64), values)


def through_json(states: list[StageState]) -> list[StageState]:
    return [StageState(*each) for each in json.loads(json.dumps(states))]


def mixed() -> NDArray[np.float32]:
    """64 normal rows with every eighth far off."""
    values = normal_rows(64, seed=9)
    values[::8] *= 3
    return values


def outputs(results: Results) -> NDArray[Any]:
    return np.column_stack(
        [
            results.scores.score,
            results.scores.errors,
            results.scores.expected,
            results.severity,
            results.verdicts,
        ]
    )


def test_far_off_rows_are_anomalies_and_normal_rows_are_not(bundle: Bundle) -> None:
    results = Engine(bundle).feed(block(mixed())).results
    wanted = np.zeros(64, np.int8)
    wanted[::8] = Verdict.ANOMALY
    over = results.scores.score.astype(np.float64) > bundle.metadata.threshold.value
    assert results.verdicts.tolist() == over.tolist()
    assert (results.verdicts[::8] == Verdict.ANOMALY).all()
    assert (results.verdicts != wanted).sum() <= 4  # the threshold is the 99 % quantile of normal rows
    assert results.reasons.tolist() == [Reason.NONE] * 64


def test_the_errors_sum_to_the_score_and_severity_is_the_part_of_the_threshold(bundle: Bundle) -> None:
    results = Engine(bundle).feed(block(mixed())).results
    np.testing.assert_allclose(results.scores.errors.sum(1), results.scores.score, rtol=1e-5)
    np.testing.assert_allclose(
        results.severity, results.scores.score / bundle.metadata.threshold.value, rtol=1e-6
    )
    assert [results.severity.dtype, results.scores.score.dtype] == [np.float32, np.float32]
    assert results.scores.expected.shape == (64, 4)


@pytest.mark.parametrize(
    "options", [{}, {"hold": HOLD, "debounce": Debounce(1, 2), "smooth": 3}], ids=["plain", "memory"]
)
def test_a_feed_is_judged_the_same_however_it_is_cut_into_blocks(
    tmp_path: Path, options: dict[str, Any]
) -> None:
    loaded = load_bundle(make_bundle(tmp_path, **options))
    values = mixed()
    values[5, 2], values[21, 0], values[24, 1] = np.nan, 3e38, 90.0
    times = np.arange(64, dtype=np.int64)
    times[9], times[10], times[30], times[41] = 7, 3, 13, 39
    values[41] = values[39]
    values[9] = values[7] + 1
    rows = Readings(np.array(["a", "b"] * 32), times, values)
    rows = Readings.joined([rows, rows.take(slice(50, 64))])
    now = 60 - MINUTE
    together = Engine(loaded).feed(rows, now=now).results
    for cuts in (range(79), [0, 1, 2, 9, 31, 41, 78]):
        engine = Engine(loaded)
        found = Results.joined(
            [engine.feed(rows.take(slice(a, b)), now=now).results for a, b in pairwise(cuts)]
        )
        assert found.verdicts.tolist() == together.verdicts.tolist()
        assert found.reasons.tolist() == together.reasons.tolist()
        np.testing.assert_allclose(found.scores.score, together.scores.score, rtol=1e-3, atol=1e-6)
    reasons = [Reason(code).label for code in together.reasons.tolist()]
    assert {i: reason for i, reason in enumerate(reasons) if reason} == {
        5: "missing",
        9: "conflicting",
        10: "too late",
        21: "out of range",
        24: "out of range",
        30: "too late",
        41: "repeated",
        **dict.fromkeys([61, 62, 63, 75, 76, 77], "time in the future"),
        **dict.fromkeys(range(64, 75), "repeated"),
    }


def test_missing_infinite_and_impossible_readings_are_unknown_and_move_nothing_else(bundle: Bundle) -> None:
    values = mixed()
    wanted = outputs(Engine(bundle).feed(block(values)).results)
    values[3, 1] = np.nan
    values[5, 0] = np.inf
    values[7] = [np.nan, np.inf, 1, 1]
    values[11, 0] = 999
    results = Engine(bundle).feed(block(values)).results
    broken = [3, 5, 7, 11]
    assert results.verdicts[broken].tolist() == [Verdict.UNKNOWN] * 4
    assert results.reasons[broken].tolist() == [
        *(Reason.MISSING, Reason.NOT_FINITE, Reason.MISSING, Reason.OUT_OF_RANGE),
    ]
    for column in (results.scores.score, results.scores.errors, results.scores.expected, results.severity):
        assert np.isnan(column[broken]).all()
    whole = np.setdiff1d(np.arange(64), broken)
    np.testing.assert_allclose(outputs(results)[whole], wanted[whole], rtol=1e-5, atol=1e-6)


def test_no_row_is_judged_twice_and_one_machine_costs_another_nothing(bundle: Bundle) -> None:
    engine = Engine(bundle)
    engine.feed(block(normal_rows(5, seed=1), ["a"] * 5))
    again = engine.feed(block(normal_rows(5, seed=1), ["a", "a", "b", "b", "a"]))
    assert again.reasons == ["repeated", "repeated", "", "", "repeated"]
    results, skipped = again.split()
    assert results.readings.machines.tolist() == ["b", "b"]
    assert skipped == {"repeated": 3}
    results, skipped = engine.feed(block(normal_rows(1, seed=2), ["c"])).split()
    assert (len(results), skipped) == (1, {})


def test_what_is_skipped_moves_no_state(tmp_path: Path) -> None:
    engine = Engine(load_bundle(make_bundle(tmp_path, smooth=3, hold=HOLD)))
    values = mixed()
    engine.feed(block(values[:10]), now=0)
    assert engine.changes()
    far = Readings(np.full(2, "press"), np.array([2 * MINUTE, 3 * MINUTE]), values[10:12])
    assert engine.feed(far, now=0).reasons == ["time in the future"] * 2
    assert engine.feed(block(values[:10] + 1), now=0).reasons == ["conflicting"] * 10
    assert engine.feed(block(values[:10]), now=0).reasons == ["repeated"] * 10
    assert engine.changes() == []
    # Without a clock nothing is in the future: a file scores tomorrow as it does today.
    assert engine.feed(far).reasons == ["", ""]


def test_a_row_may_be_so_far_ahead_of_the_clock_and_no_further(bundle: Bundle) -> None:
    engine = Engine(bundle, future_s=5)
    second = 10**9
    for ahead, reason in ((5 * second, ""), (5 * second + 1, "time in the future")):
        for rows in (1, 2):
            times = np.full(rows, 100 * second + ahead) + np.arange(rows) * second
            readings = Readings(
                np.array([f"{ahead} {rows} {i}" for i in range(rows)]), times, normal_rows(rows)
            )
            found = engine.feed(readings, now=100 * second).reasons
            assert found == [reason, "time in the future"][:rows]


def test_a_machine_beyond_the_bound_is_unknown_and_the_others_go_on(bundle: Bundle) -> None:
    engine = Engine(bundle, max_machines=2)
    names = ["a", "b", "c", "a", "c"]
    assert engine.feed(block(normal_rows(5), names)).reasons == [
        *("", "", "too many machines", "", "too many machines"),
    ]
    later = Readings(np.array(["c"]), np.array([9]), normal_rows(1))
    assert engine.feed(later).reasons == ["too many machines"]
    assert {state.machine for state in engine.changes()} == {"a", "b"}


def test_whoever_came_first_has_the_room_however_the_feed_is_cut(bundle: Bundle) -> None:
    rows = block(normal_rows(3), ["b", "a", "b"])
    assert Engine(bundle, max_machines=1).feed(rows).reasons == ["", "too many machines", ""]
    engine = Engine(bundle, max_machines=1)
    assert [engine.feed(rows.take(slice(i, i + 1))).reasons[0] for i in range(3)] == [
        *("", "too many machines", ""),
    ]
    many = Engine(bundle)
    many.feed(block(normal_rows(5), ["a", "b", "c", "d", "e"]))
    few = Engine(bundle, max_machines=2)
    few.restore(many.changes())
    assert sorted(few._times.machines) == ["d", "e"]


def test_a_machine_takes_no_more_memory_than_it_says(tmp_path: Path) -> None:
    import tracemalloc  # noqa: PLC0415

    loaded = load_bundle(make_bundle(tmp_path, smooth=3, hold=HOLD, debounce=Debounce(2, 30)))
    engine = Engine(loaded)
    # What does not depend on the number of machines is there already.
    engine.feed(block(np.tile(mixed()[:60], (200, 1)), ["first"] * 12_000))
    names = [f"machine-{i}" for i in range(200)]
    blocks = [
        Readings(np.repeat(names, 60), np.tile(np.arange(60), 200) + 60 * i, np.tile(mixed()[:60], (200, 1)))
        for i in range(5)
    ]
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    for each in blocks:
        engine.feed(each)
    taken = (tracemalloc.get_traced_memory()[0] - before) / 200
    tracemalloc.stop()
    assert 0.2 * engine.machine_bytes < taken < engine.machine_bytes


@pytest.mark.parametrize("huge", [1e30, -3e38])
@pytest.mark.parametrize("rows", [1, 3])
def test_a_reading_so_far_off_that_its_score_overflows_is_unknown_never_normal(
    tmp_path: Path, huge: float, rows: int
) -> None:
    ranges = [(*sensor[:4], None) for sensor in SENSORS]
    engine = Engine(load_bundle(make_bundle(tmp_path, sensors=ranges)))
    values = normal_rows(4)
    values[2, 2] = huge
    engine.feed(block(values[:1]))
    found = [engine.feed(block(values).take(slice(i, i + rows))) for i in range(1, 4, rows)]
    results = Results.joined([each.results for each in found])
    assert results.verdicts.tolist() == [Verdict.NORMAL, Verdict.UNKNOWN, Verdict.NORMAL]
    assert results.reasons[1] == Reason.NOT_FINITE
    assert np.isnan(results.severity[1])
    assert np.isnan(results.scores.expected[1]).all()


@pytest.mark.parametrize("rows", [0, 1])
def test_blocks_of_no_row_and_of_none_that_is_usable(bundle: Bundle, rows: int) -> None:
    results = Engine(bundle).feed(block(np.full((rows, 4), np.nan, np.float32))).results
    assert len(results) == rows
    assert results.scores.errors.shape == (rows, 4)
    assert results.verdicts.tolist() == [Verdict.UNKNOWN] * rows


def test_readings_of_other_sensors_are_refused_by_name(bundle: Bundle) -> None:
    with pytest.raises(
        SensorMismatchError, match="3 sensors, but the bundle takes 4; give temperature, vibration"
    ):
        Engine(bundle).feed(block(np.zeros((1, 3), np.float32)))


def test_a_machine_with_a_threshold_of_its_own_is_judged_by_it(tmp_path: Path) -> None:
    bundle = load_bundle(make_bundle(tmp_path, per_machine={"loud": 1e6, "quiet": 1e-6}))
    values = np.repeat(mixed()[:1], 3, axis=0)
    results = Engine(bundle).feed(block(values, ["loud", "quiet", "other"])).results
    assert results.verdicts.tolist() == [Verdict.NORMAL, Verdict.ANOMALY, Verdict.ANOMALY]
    score = float(results.scores.score[0])
    np.testing.assert_allclose(
        results.severity, [score / 1e6, score / 1e-6, score / bundle.metadata.threshold.value], rtol=1e-5
    )


def test_the_hold_runs_per_machine_across_calls_and_unknown_rows_leave_it_alone(tmp_path: Path) -> None:
    path = make_bundle(tmp_path, hold=HOLD)
    normal, off = normal_rows(1)[0], normal_rows(1)[0] * 3
    lost = np.array([np.nan] * 4, np.float32)
    rows = block(np.array([off, off, lost, off, normal, off, normal, normal, off], np.float32))
    wanted = [1, 1, 2, 1, 1, 1, 1, 0, 1]
    assert Engine(load_bundle(path)).feed(rows).results.verdicts.tolist() == wanted
    first = Engine(load_bundle(path))
    found = [int(first.feed(rows.take(slice(i, i + 1))).results.verdicts[0]) for i in range(4)]
    changes = through_json(first.changes())
    assert [(state.stage, state.value) for state in changes if state.stage == "hold"] == [("hold", 3.0)]
    second = Engine(load_bundle(path))
    assert second.restore(changes) == []
    found += [int(second.feed(rows.take(slice(i, i + 1))).results.verdicts[0]) for i in range(4, 9)]
    assert found == wanted


def test_mixed_machines_hold_apart(tmp_path: Path) -> None:
    engine = Engine(load_bundle(make_bundle(tmp_path, hold=Hold(rise=1, fall=1, cap=2, level=0.5))))
    normal, off = normal_rows(1)[0], normal_rows(1)[0] * 3
    rows = np.array([off, normal, off, normal, normal, normal], np.float32)
    results = engine.feed(block(rows, ["a", "b", "a", "b", "a", "b"])).results
    assert results.verdicts.tolist() == [1, 0, 1, 0, 1, 0]
    assert {s.machine: s.value for s in engine.changes() if s.stage == "hold"} == {"a": 1.0}


def test_another_bundle_goes_on_from_a_machines_times_alone(tmp_path: Path) -> None:
    first = Engine(load_bundle(make_bundle(tmp_path, "a.onnx", hold=HOLD, smooth=5)))
    rows = block(np.repeat(normal_rows(1) * 3, 4, axis=0))
    first.feed(rows)
    states = through_json(first.changes())
    assert [state.stage for state in states] == ["times", "memory", "hold"]
    other = Engine(load_bundle(make_bundle(tmp_path, "b.onnx", hold=HOLD, smooth=5, seed=1)))
    assert other.restore(states) == []
    assert other.feed(rows).reasons == ["repeated"] * 4
    following = Readings(np.full(4, "press"), np.arange(4, 8), rows.values)
    fresh = Engine(other.bundle).feed(following)
    np.testing.assert_allclose(other.feed(following).score, fresh.score, rtol=1e-6)


@pytest.mark.parametrize(
    ("value", "version", "why"),
    [
        ([1, "AAAA", ""], 1, "decompressing"),
        ([1, "no base64!", ""], 1, "base64|Non-base64|padding"),
        ([1.5, "", ""], 1, "the newest time is not a time"),
        ([1], 1, "not enough values"),
        ({"unreadable": "x"}, 1, "not enough values|Incorrect padding"),
        ([2**70, "eAEDAAAAAAE=", "1ZgPWA=="], 1, "the newest time is not a time"),
        ([5, "eAEDAAAAAAE=", ""], 2, "version 2, and this edge-detect knows 1"),
    ],
)
def test_a_state_that_cannot_be_read_is_dropped_and_said(
    bundle: Bundle, value: object, version: int, why: str
) -> None:
    engine = Engine(bundle)
    said = engine.restore([StageState("-", "times", "m", version, value), *good_states(bundle, "other")])
    assert len(said) == 1
    assert re.match(
        f"m: the stored state of 'times' is unreadable .*({why}).* and has been discarded", said[0]
    )
    assert engine.feed(block(normal_rows(2), ["m", "other"])).reasons == ["", "repeated"]


def good_states(bundle: Bundle, machine: str) -> list[StageState]:
    engine = Engine(bundle)
    engine.feed(block(normal_rows(2), [machine, machine]))
    return engine.changes()


def test_a_newest_time_of_the_future_is_forgotten_when_the_clock_is_known(bundle: Bundle) -> None:
    year_2036 = 2_085_978_496 * 10**9
    ahead = StageState("-", "times", "m", 1, [year_2036, "", ""])
    blind = Engine(bundle)
    assert blind.restore([ahead]) == []
    assert blind.feed(block(normal_rows(1), ["m"])).reasons == ["too late"]
    engine = Engine(bundle)
    assert engine.restore([ahead], now=10**9) == [
        "m: the newest time on record was in the future, and has been discarded"
    ]
    assert [tuple(state) for state in engine.changes()] == [("-", "times", "m", 1, None)]
    assert engine.feed(block(normal_rows(1), ["m"])).reasons == [""]
