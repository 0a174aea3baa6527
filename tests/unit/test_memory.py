"""A model with memory: row by row, in blocks, across machines and restarts, it gives the same scores."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from support.bundles import make_bundle, normal_rows

from edge_runtime import Engine, Readings, load_bundle
from edge_runtime.engine.stage import StageState
from export.tolerance import Tolerance
from trainer.experiment.checkpoint import Checkpoint

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

SMOOTH = 5


AVERAGE = 0.5  # of which 7 rows count


EVERYTHING = {"window": 3, "differences": True, "rolling": 6, "period": 60.0, "harmonics": 2}
MEMORIES: dict[str, dict[str, Any]] = {
    "smoothed": {"smooth": SMOOTH, "train": 100},
    "averaged": {"average": AVERAGE, "train": 100},
    "both": {"smooth": SMOOTH, "average": AVERAGE, "train": 100},
    "window": {"shown": {"window": 4}},
    "convolutional": {"model": "convolutional"},
    "autoregression": {"model": "linear", "shown": {"window": 5}, "average": AVERAGE},
    "everything": {"smooth": SMOOTH, "average": AVERAGE, "shown": EVERYTHING},
    "ensemble": {"members": 3, "model": "variational", "smooth": SMOOTH, "shown": {"rolling": 10}},
}
STATE_ROWS = {
    "smoothed": SMOOTH - 1,
    "averaged": 6,
    "both": SMOOTH - 1 + 6,
    "window": 3 + 1,
    "convolutional": 8 + 1,
    "autoregression": 4 + 1 + 6,
    "everything": 5 + 1 + 6 + SMOOTH - 1,
    "ensemble": 9 + 1 + SMOOTH - 1,
}


@pytest.fixture(scope="module", params=MEMORIES)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def path(kind: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_bundle(tmp_path_factory.mktemp("memory"), **MEMORIES[kind])


@pytest.fixture(scope="module")
def series() -> NDArray[np.float32]:
    """200 rows: normal, a long anomaly with dips, a spike."""
    values = normal_rows(200, seed=4)
    values[50:80:2] *= 3
    values[120] *= 3
    return values


def block(values: NDArray[np.float32], machine: str = "press", first: int = 0) -> Readings:
    times = np.arange(first, first + len(values), dtype=np.int64) * 10**9
    return Readings(np.full(len(values), machine), times, values)


def scores(path: Path, *blocks: Readings) -> NDArray[np.float32]:
    engine = Engine(load_bundle(path))
    return np.concatenate([engine.feed(rows).score for rows in blocks])


def test_the_state_is_in_the_bundles_own_words(path: Path, kind: str) -> None:
    bundle = load_bundle(path)
    assert bundle.metadata.model.state_shape == bundle.graph.state_shape
    assert bundle.graph.state_shape == (STATE_ROWS[kind], 4)


def test_a_dip_of_a_long_anomaly_is_held_and_a_spike_is_let_go(
    tmp_path: Path, series: NDArray[np.float32]
) -> None:
    found = scores(make_bundle(tmp_path, smooth=SMOOTH, train=100), block(series))
    normal, dips = np.median(found[:50]), found[61:80:2]
    assert (dips > 3 * normal).all()
    assert found[120] > 100 * normal
    assert np.median(found[121:126]) < dips.min()


def test_row_by_row_equals_the_whole_series_and_pytorch(path: Path, series: NDArray[np.float32]) -> None:
    whole = scores(path, block(series))
    single = scores(path, *(block(series[i : i + 1], first=i) for i in range(len(series))))
    cuts = [0, 3, 4, 50, 51, 123, 200]
    blocks = scores(path, *(block(series[a:b], first=a) for a, b in pairwise(cuts)))
    detector = Checkpoint.load(path.parent / f"{path.name}.checkpoint").detector
    times = np.arange(len(series)) * 10**9
    tolerance = Tolerance.of(detector, series, times)
    allowed = tolerance.absolute.sum(1) + tolerance.relative * whole
    for other in (single, blocks, detector.score(series, times=times)[0]):
        assert (np.abs(other - whole) <= allowed).all()


def test_errors_sum_to_the_score_in_held_rows_too(path: Path, series: NDArray[np.float32]) -> None:
    results = Engine(load_bundle(path)).feed(block(series)).results
    np.testing.assert_allclose(results.scores.errors.sum(1), results.scores.score, rtol=1e-5)


def test_machines_in_one_block_keep_their_own_state(path: Path, series: NDArray[np.float32]) -> None:
    both = np.empty((400, 4), np.float32)
    both[::2], both[1::2] = series, series[::-1]
    machines = np.array(["a", "b"] * 200)
    found = Engine(load_bundle(path)).feed(Readings(machines, np.arange(400) // 2 * 10**9, both)).score
    np.testing.assert_allclose(found[::2], scores(path, block(series)), rtol=1e-3)
    np.testing.assert_allclose(found[1::2], scores(path, block(series[::-1].copy())), rtol=1e-3)


def test_the_state_survives_a_restart(path: Path, series: NDArray[np.float32]) -> None:
    whole = scores(path, block(series))
    first = Engine(load_bundle(path))
    kept: dict[tuple[str, ...], StageState] = {}
    for start in range(0, 70, 10):
        first.feed(block(series[start : start + 10], first=start))
        changes = [StageState(*each) for each in json.loads(json.dumps(first.changes()))]
        assert [(state.owner, state.stage, state.machine) for state in changes] == [
            ("-", "times", "press"),
            (first.bundle.digest, "memory", "press"),
        ]
        kept |= {state[:3]: state for state in changes}
    assert first.changes() == []
    second = Engine(load_bundle(path))
    assert second.restore(kept.values()) == []
    rest = second.feed(block(series[70:], first=70)).score
    np.testing.assert_allclose(rest, whole[70:], rtol=1e-3)
    fresh = scores(path, block(series[70:]))
    assert not np.allclose(fresh[:3], whole[70:73], rtol=1e-3)


def test_a_row_that_overflows_or_is_lost_leaves_no_trace(path: Path, series: NDArray[np.float32]) -> None:
    broken = np.insert(series, [55, 56], [[3e38] * 4, [np.nan] * 4], axis=0).astype(np.float32)
    rows = block(broken)
    # A second that the others do not have, so that they are as far apart as without.
    seconds = np.insert(np.arange(len(series)) * 10**9, [55, 56], [545 * 10**8, 555 * 10**8])
    results = Engine(load_bundle(path)).feed(Readings(rows.machines, seconds, rows.values)).results
    assert results.verdicts[[55, 57]].tolist() == [2, 2]
    left = np.delete(results.scores.score, [55, 57])
    np.testing.assert_allclose(left, scores(path, block(series)), rtol=1e-3)
