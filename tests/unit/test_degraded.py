"""Rows that lack one sensor: filled, judged with a threshold of their own, and said so in every output."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from support.bundles import SENSORS, make_bundle, normal_rows

from edge_runtime import Engine, Readings, Reason, load_bundle
from edge_runtime.bundle.metadata import Debounce, Hold
from edge_runtime.engine.stage import StageState
from edge_runtime.records import COMPLETE

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from edge_runtime.loading.load import Bundle
    from edge_runtime.records import Results

ROWS = 300
NAMES = [sensor[0] for sensor in SENSORS]
KINDS: dict[str, dict[str, Any]] = {
    "a row by itself": {},
    "a memory": {"smooth": 11, "shown": {"window": 3}},
    "a baseline": {"channels": True, "horizon": 1024.0, "smooth": 11},
    "a baseline without memory": {"channels": True, "horizon": 1024.0},
}
OPTIONS: dict[str, Any] = {"hold": Hold(1.0, 1.0, 10.0, 5.5), "debounce": Debounce(2, 3)}


@pytest.fixture(scope="module", params=KINDS)
def path(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_bundle(tmp_path_factory.mktemp("degraded"), degraded=True, **OPTIONS, **KINDS[request.param])


@pytest.fixture(scope="module")
def bundle(path: Path) -> Bundle:
    return load_bundle(path)


def broken(rows: int = ROWS) -> NDArray[np.float32]:
    """Vibration is away for a while, single readings are unusable, and some rows lack two of them."""
    values = normal_rows(rows, seed=4)
    values[100:180, 1] = np.nan
    values[20, 0] = np.inf
    values[40, 2] = 301.0  # beyond its physical range
    values[120, 3] = values[121, 3] = np.nan
    values[200, 0], values[200, 3] = 999.0, np.nan
    values[140:150, 0] += 12
    values[250:256, 2] += 30
    return values


def block(values: NDArray[np.float32], machines: Any = "press") -> Readings:
    return Readings(np.full(len(values), machines), np.arange(len(values)) * 10**9, values)


def fed(engine: Engine, rows: Readings, cuts: list[int]) -> Results:
    parts = [engine.feed(rows.take(slice(a, b))).results for a, b in pairwise(cuts)]
    return parts[0].joined(parts)


def places(results: Results) -> list[int]:
    """The sensor without which each row was judged, or `COMPLETE`."""
    return [COMPLETE] * len(results) if results.degraded is None else results.degraded.tolist()


def assert_alike(one: Results, other: Results) -> None:
    assert one.reasons.tolist() == other.reasons.tolist()
    assert places(one) == places(other)
    for name in ("score", "errors", "expected"):
        ours, theirs = getattr(one.scores, name), getattr(other.scores, name)
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(one.severity, other.severity, rtol=1e-4, atol=1e-4)
    assert one.verdicts.tolist() == other.verdicts.tolist()


def test_one_missing_sensor_is_judged_and_named_and_two_are_unknown(bundle: Bundle) -> None:
    values = broken()
    judged = Engine(bundle).feed(block(values))
    unknown = {120: "missing", 121: "missing", 200: "missing"}
    assert {i: r for i, r in enumerate(judged.reasons) if r} == unknown
    without = {20: "temperature", 40: "pressure"}
    without |= {row: "vibration" for row in range(100, 180) if row not in unknown}
    assert {i: name for i, name in enumerate(judged.degraded) if name} == without
    assert set(judged.verdicts) == {"normal", "anomaly", "unknown"}
    results = judged.results
    np.testing.assert_array_equal(results.readings.values, values)
    for row, name in without.items():
        place = NAMES.index(name)
        assert results.scores.errors[row, place] == 0
        np.testing.assert_allclose(results.scores.errors[row].sum(), results.scores.score[row], rtol=1e-5)
        assert np.isfinite(results.scores.expected[row]).all()
    assert judged.rows()[110]["degraded"] == "vibration"
    assert judged.rows()[110]["readings"]["vibration"] is None
    assert "degraded" not in judged.rows()[0]
    assert "degraded" not in judged.rows()[120]


@pytest.mark.parametrize("cuts", [[*range(ROWS + 1)], [0, 1, 99, 101, 150, 151, 181, ROWS], [0, 7, ROWS]])
def test_rows_are_judged_the_same_however_they_are_cut(bundle: Bundle, cuts: list[int]) -> None:
    rows = block(broken())
    assert_alike(fed(Engine(bundle), rows, cuts), Engine(bundle).feed(rows).results)


def test_a_filled_row_scores_and_moves_everything_as_if_the_sensor_had_read_so(bundle: Bundle) -> None:
    found = bundle.metadata.degraded
    assert found is not None
    values, filled = broken(), broken()
    for row in range(ROWS):
        low, high = np.array([s.physical_range for s in bundle.metadata.sensors], np.float32).T
        unusable = np.flatnonzero(~((values[row] >= low) & (values[row] <= high)))
        if len(unusable) == 1:
            absence = found.absent[unusable[0]]
            others = np.where(np.arange(4) == unusable[0], 0.0, values[row].astype(np.float64))
            filled[row, unusable[0]] = absence.intercept + np.dot(absence.coefficients, others)
    one, other = Engine(bundle), Engine(bundle)
    judged, as_if = one.feed(block(values)).results, other.feed(block(filled)).results
    np.testing.assert_allclose(judged.scores.score, as_if.scores.score, rtol=1e-6)
    np.testing.assert_allclose(judged.scores.expected, as_if.scores.expected, rtol=1e-6)
    moved = {(state.stage, state.machine): state.value for state in one.changes()}
    expected = {(state.stage, state.machine): state.value for state in other.changes()}
    for stage in ("memory", "baseline"):
        assert moved.get((stage, "press")) == expected.get((stage, "press"))


def test_the_threshold_is_that_of_the_absence_and_debounce_and_hold_go_on(bundle: Bundle) -> None:
    found = bundle.metadata.degraded
    assert found is not None
    results = Engine(bundle).feed(block(broken())).results
    limit = np.full(ROWS, bundle.metadata.threshold.value)
    for row, place in enumerate(places(results)):
        if place != COMPLETE:
            limit[row] = found.absent[place].threshold
    known = results.reasons == Reason.NONE
    np.testing.assert_allclose(results.severity[known], (results.scores.score / limit)[known], rtol=1e-6)
    above = (results.scores.score.astype(np.float64) > limit)[known]
    last, counter, expected = [False] * 3, 0.0, []
    for one in above.tolist():
        last = [*last[1:], one]
        passed = sum(last) >= 2
        counter = min(10.0, counter + 1) if passed else max(0.0, counter - 1)
        expected.append(int(passed or counter > 5.5))
    assert results.verdicts[known].tolist() == expected
    assert sum(expected[100:178]) > 0


def test_a_machine_with_a_threshold_of_its_own_keeps_its_part_of_it(tmp_path: Path) -> None:
    bundle = load_bundle(make_bundle(tmp_path, degraded=True, per_machine={"own": 5.0}))
    found, threshold = bundle.metadata.degraded, bundle.metadata.threshold
    assert found is not None
    values = normal_rows(4, seed=6)
    values[[1, 3], 0] = np.nan
    results = Engine(bundle).feed(block(values, np.array(["own", "own", "other", "other"]))).results
    limits = results.scores.score / results.severity
    absent = found.absent[0].threshold
    wanted = [5.0, absent * 5.0 / threshold.value, threshold.value, absent]
    np.testing.assert_allclose(limits, wanted, rtol=1e-6)


@pytest.mark.parametrize("stop", [101, 140, 180, 230])
def test_another_engine_goes_on_where_one_was_stopped(bundle: Bundle, stop: int) -> None:
    rows = block(broken())
    whole = Engine(bundle).feed(rows).results
    first, second = Engine(bundle), Engine(bundle)
    first.feed(rows.take(slice(0, stop)))
    kept = [StageState(*each) for each in json.loads(json.dumps(first.changes()))]
    assert second.restore(kept) == []
    rest = fed(second, rows, [stop, stop + 1, stop + 30, ROWS])
    assert_alike(rest, whole.take(slice(stop, None)))


def test_old_rows_are_not_judged_again_without_a_sensor(bundle: Bundle) -> None:
    engine, rows = Engine(bundle), block(broken())
    engine.feed(rows)
    again = engine.feed(rows.take(slice(90, 130)))
    assert again.degraded == [""] * 40
    assert again.split()[0].degraded is None
    assert not len(again.split()[0])


def test_a_filled_row_whose_score_is_not_finite_is_unknown(tmp_path: Path) -> None:
    free = tuple((*sensor[:4], None) for sensor in SENSORS)
    bundle = load_bundle(make_bundle(tmp_path, degraded=True, sensors=free))
    values = normal_rows(3, seed=6)
    values[1] = [np.nan, 3e38, 3e38, 3e38]
    judged = Engine(bundle).feed(block(values))
    assert judged.reasons == ["", "not finite", ""]
    assert judged.degraded == ["", "", ""]
    assert judged.results.degraded is None


def test_shares_go_to_the_others_evenly_where_none_has_any() -> None:
    from edge_runtime.records import Scores  # noqa: PLC0415
    from edge_runtime.scoring.filling import StandIn  # noqa: PLC0415

    shares = np.array([[0.0, 2.0, 0.0], [1.0, 2.0, 3.0], [1.0, 0.0, 1.0]], np.float32)
    scores = Scores(shares.sum(1), shares.copy(), shares.copy())
    StandIn._share(scores, np.array([1, COMPLETE, 0], np.int16))
    np.testing.assert_allclose(scores.errors, [[1.0, 0.0, 1.0], [1.0, 2.0, 3.0], [0.0, 0.0, 2.0]])


def test_without_the_feature_such_rows_are_unknown_as_before(tmp_path: Path) -> None:
    bundle = load_bundle(make_bundle(tmp_path, **OPTIONS))
    judged = Engine(bundle).feed(block(broken()))
    counts = {name: judged.reasons.count(name) for name in set(judged.reasons)}
    assert counts == {"": ROWS - 83, "missing": 81, "not finite": 1, "out of range": 1}
    assert judged.degraded == [""] * ROWS
    assert judged.results.degraded is None


def test_what_fills_lies_within_the_physical_range(tmp_path: Path) -> None:
    bundle = load_bundle(make_bundle(tmp_path, degraded=True))
    found = bundle.metadata.degraded
    assert found is not None
    from edge_runtime.scoring.filling import Filling  # noqa: PLC0415

    values = np.array([[150.0, np.nan, 290.0, 4900.0], [-39.0, np.nan, 1.0, 1.0]], np.float32)
    filled = Filling(found.absent, bundle.metadata.sensors).fill(values, np.array([1, 1]))
    absence = found.absent[1]
    plain = [
        absence.intercept + np.dot(absence.coefficients, np.nan_to_num(row).astype(float)) for row in values
    ]
    assert plain[1] < 0  # which no vibration can be
    assert filled[1, 1] == 0
    assert filled[0, 1] == np.float32(plain[0])
