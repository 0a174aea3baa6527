"""Scoring with a slow baseline: however the rows come, across advances, machines and restarts."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from support.bundles import SENSORS, make_bundle, normal_rows

from edge_runtime import Engine, Readings, Reason, load_bundle
from edge_runtime.engine.stage import StageState
from trainer.experiment.checkpoint import Checkpoint

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from edge_runtime.loading.load import Bundle
    from edge_runtime.records import Results

FREE = tuple((*sensor[:4], None) for sensor in SENSORS)
ROWS = 400  # across six advances, for the baseline advances after 64
KINDS: dict[str, dict[str, Any]] = {
    "with a memory": {"smooth": 11},
    "without": {"smooth": 1},
    "everything": {"smooth": 5, "shown": {"window": 3, "rolling": 6, "period": 60.0, "clamp": 0.25}},
}
STAGES = {"with a memory": ["memory", "baseline"], "without": ["baseline"]}


@pytest.fixture(scope="module", params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def path(kind: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("drifting")
    return make_bundle(folder, sensors=FREE, channels=True, horizon=1024.0, **KINDS[kind])


@pytest.fixture(scope="module")
def bundle(path: Path) -> Bundle:
    return load_bundle(path)


def shifted(seed: int = 4, rows: int = ROWS) -> NDArray[np.float32]:
    """Rows of which a level creeps away, another leaps, and some rows are far off."""
    values = normal_rows(rows, seed=seed)
    values[:, 0] += np.linspace(0, 12, rows)
    values[rows // 4 :, 1] += 3
    values[7::40] *= 2
    return values


def block(values: NDArray[np.float32], machines: str | NDArray[np.str_] = "press") -> Readings:
    return Readings(np.full(len(values), machines), np.arange(len(values)) * 10**9, values)


def fed(engine: Engine, rows: Readings, cuts: list[int]) -> Results:
    joined = type(engine.feed(rows.take(slice(0, 0))).results).joined
    return joined([engine.feed(rows.take(slice(a, b))).results for a, b in pairwise(cuts)])


def assert_alike(one: Results, other: Results) -> None:
    assert one.reasons.tolist() == other.reasons.tolist()
    limit = 1e-4
    np.testing.assert_allclose(one.scores.score, other.scores.score, rtol=limit, atol=limit)
    np.testing.assert_allclose(one.scores.errors, other.scores.errors, rtol=limit, atol=limit)
    np.testing.assert_allclose(one.scores.expected, other.scores.expected, rtol=limit, atol=limit)
    clear = np.nan_to_num(np.abs(one.severity - 1), nan=1) > limit
    assert one.verdicts[clear].tolist() == other.verdicts[clear].tolist()


def every(size: int, rows: int = ROWS) -> list[int]:
    return [*range(0, rows, size), rows]


CUTS = {
    "one by one": every(1),
    "in threes": every(3),
    "63": every(63),
    "64": every(64),
    "65": every(65),
    "200": every(200),
    "mixed": [0, 1, 2, 60, 64, 65, 129, 130, 131, 320, 399, 400],
}


@pytest.mark.parametrize("cut", CUTS)
def test_rows_are_judged_the_same_however_they_are_cut(bundle: Bundle, cut: str) -> None:
    rows = block(shifted())
    whole = Engine(bundle).feed(rows).results
    assert np.isfinite(whole.scores.score).all()
    assert_alike(fed(Engine(bundle), rows, CUTS[cut]), whole)


def test_the_baseline_is_what_tells_a_new_level_from_an_anomaly(bundle: Bundle) -> None:
    values = np.tile(normal_rows(100, seed=8), (60, 1))
    values[100:, 0] += 16
    score = Engine(bundle).feed(block(values)).score
    assert np.median(score[100:200]) > 2 * np.median(score[-100:])


@pytest.mark.parametrize("cut", ["one by one", "in threes", "mixed", "200"])
def test_machines_in_one_feed_keep_baselines_of_their_own(bundle: Bundle, cut: str) -> None:
    own = {name: shifted(seed, ROWS // 2) for name, seed in (("a", 5), ("b", 6))}
    both = np.empty((ROWS, 4), np.float32)
    both[::2], both[1::2] = own["a"], own["b"]
    names = np.array(["a", "b"] * (ROWS // 2))
    found = fed(Engine(bundle), Readings(names, np.arange(ROWS) // 2 * 10**9, both), CUTS[cut])
    for place, name in enumerate(("a", "b")):
        assert_alike(found.take(slice(place, None, 2)), Engine(bundle).feed(block(own[name], name)).results)


@pytest.mark.parametrize("stop", [1, 40, 64, 70, 301])
@pytest.mark.parametrize("size", [1, 7])
def test_another_engine_goes_on_where_one_was_stopped(
    bundle: Bundle, kind: str, stop: int, size: int
) -> None:
    rows = block(shifted())
    whole = Engine(bundle).feed(rows).results
    first = Engine(bundle)
    kept: dict[tuple[str, ...], StageState] = {}
    for a, b in pairwise(every(size, stop)):
        first.feed(rows.take(slice(a, b)))
        changes = [StageState(*each) for each in json.loads(json.dumps(first.changes()))]
        assert [state.stage for state in changes] == ["times", *STAGES.get(kind, ["memory", "baseline"])]
        kept |= {state[:3]: state for state in changes}
    assert first.changes() == []
    second = Engine(bundle)
    assert second.restore(kept.values()) == []
    assert second.changes() == []
    everything = [state.stage for state in second.changes(everything=True) if state.value is not None]
    assert everything == ["times", *STAGES.get(kind, ["memory", "baseline"])]
    assert_alike(fed(second, rows, [stop, *range(stop + 50, ROWS, 50), ROWS]), whole.take(slice(stop, None)))


def test_what_cannot_be_read_is_dropped_said_and_begun_again(bundle: Bundle) -> None:
    rows = block(shifted())
    first = Engine(bundle)
    first.feed(rows)
    states = [state for state in first.changes() if state.stage != "times"]
    for value in ([3, "AAAA"], [64, states[-1].value[1]], "x", [True, states[-1].value[1]]):
        second = Engine(bundle)
        said = second.restore([*states[:-1], states[-1]._replace(value=value)])
        assert len(said) == 1
        assert said[0].startswith("press: the stored state of 'baseline' is unreadable (")
        assert said[0].endswith(") and has been discarded")
        assert second._graph.baseline_of("press") == Engine(bundle)._graph.baseline_of("press")
    newer = second.restore([states[-1]._replace(version=2)])
    assert "version 2, and this edge-detect knows 1" in newer[0]


@pytest.mark.parametrize("size", [1, 3, 64, 203])
@pytest.mark.parametrize("huge", [1e22, -1e20, 3e38, np.nan])
def test_a_row_that_is_not_scored_moves_nothing(bundle: Bundle, size: int, huge: float) -> None:
    values = shifted(rows=200)
    values[:, 1] += 6  # so that this level is doubted, and what is said of its residual bounded
    doubted = np.insert(values, [150, 150, 190], values[:3], axis=0)
    broken = [150, 151, 192]
    doubted[broken, 1] = huge
    seconds = np.insert(np.arange(200) * 10**9, [150, 150, 190], [1493 * 10**8, 1496 * 10**8, 1895 * 10**8])
    rows = Readings(np.full(203, "press"), seconds, doubted)
    engine, other = Engine(bundle), Engine(bundle)
    found = fed(engine, rows, every(size, 203))
    assert set(found.reasons[broken].tolist()) == {Reason.MISSING if np.isnan(huge) else Reason.NOT_FINITE}
    assert np.isnan(found.scores.expected[broken]).all()
    left = np.delete(np.arange(203), broken)
    assert_alike(found.take(left), other.feed(rows.take(left)).results)
    one, two = (each._graph.baseline_of("press") for each in (engine, other))
    assert one is not None
    assert two is not None
    np.testing.assert_allclose(one.values, two.values, rtol=1e-6, atol=1e-9)
    assert one.rows == two.rows == 200 % 64


def test_every_number_of_a_scored_row_is_one(bundle: Bundle) -> None:
    random = np.random.default_rng(5)
    values = normal_rows(2000, seed=5)
    values[:300, 1] += 6
    far = 10.0 ** random.uniform(0, 38, (1700, 4)) * random.choice([-1, 1], (1700, 4))
    values[300:] = np.where(random.random((1700, 4)) < 0.3, far, values[300:])
    results = Engine(bundle).feed(block(values)).results
    scored = np.isfinite(results.scores.score)
    assert 20 < scored[300:].sum() < 1600
    for part in (results.scores.errors, results.scores.expected):
        assert np.isfinite(part[scored]).all()
        assert np.isnan(part[~scored]).all()


def test_pytorch_gives_the_same_scores_across_advances_and_machines(path: Path, bundle: Bundle) -> None:
    names = np.array(["a", "b", "b", "c"] * 200)
    values, times = shifted(rows=800), np.arange(800) * 10**9
    detector = Checkpoint.load(path.parent / f"{path.name}.checkpoint").detector
    score, errors, expected = detector.score_rows(values, times, names)
    found = Engine(bundle).feed(Readings(names, times, values)).results.scores
    threshold = bundle.metadata.threshold.value
    np.testing.assert_allclose(found.score, score, rtol=1e-4, atol=1e-3 * threshold)
    np.testing.assert_allclose(found.errors, errors, rtol=1e-3, atol=1e-3 * threshold)
    np.testing.assert_allclose(found.expected, expected, rtol=1e-3, atol=1e-3)
    order = np.random.default_rng(1).permutation(800)
    again = detector.score_rows(values[order], times[order], names[order])
    for one, other in zip(again, (score, errors, expected), strict=True):
        np.testing.assert_array_equal(one, other[order])
    small = detector.score(values[names == "b"], block=37, times=times[names == "b"])[0]
    np.testing.assert_allclose(small, score[names == "b"], rtol=1e-4, atol=1e-4)


def test_the_errors_sum_to_the_score(bundle: Bundle) -> None:
    scores = Engine(bundle).feed(block(shifted())).results.scores
    np.testing.assert_allclose(scores.errors.sum(1), scores.score, rtol=1e-4)


def test_channels_and_baseline_survive_their_checkpoint(path: Path, tmp_path: Path) -> None:
    first = Checkpoint.load(path.parent / f"{path.name}.checkpoint")
    first.save(tmp_path / "again")
    second = Checkpoint.load(tmp_path / "again")
    assert first.parts.baseline == second.parts.baseline
    assert first.parts.channels is not None
    assert second.parts.channels is not None
    assert first.parts.channels.to_dict() == second.parts.channels.to_dict()
    one, other = (each.detector.score(shifted(), times=np.arange(ROWS) * 10**9) for each in (first, second))
    for before, after in zip(one, other, strict=True):
        np.testing.assert_array_equal(before, after)
