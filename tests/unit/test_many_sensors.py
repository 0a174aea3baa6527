"""Many sensors that nearly repeat one another: whatever is trained on them can be exported."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edge_runtime.loading.load import load_bundle
from export.tolerance import Tolerance
from trainer import Checkpoint, NoTracker, Plan, Settings, TrainingData, run_fit
from trainer.data.split import Split
from trainer.fitting.recipes import RECIPES

SENSORS, SOURCES, MINUTE = 52, 6, 60 * 10**9


@pytest.fixture(scope="module")
def data() -> TrainingData:
    """Fifty-two sensors of what six sources do, to a hundredth; one is exactly the sum of two others."""
    random = np.random.default_rng(0)
    readings = random.normal(size=(3000, SOURCES)) @ random.normal(size=(SOURCES, SENSORS))
    readings += 0.01 * random.normal(size=readings.shape)
    readings[:, -1] = readings[:, 0] + readings[:, 1]
    labels = np.zeros(len(readings), np.bool_)
    labels[2500:2550] = True
    readings[labels, 3] += 5

    def split(name: str, rows: slice) -> Split:
        times = np.arange(rows.start, rows.stop, dtype=np.int64) * MINUTE
        values = readings[rows].astype(np.float32)
        return Split(Path(f"{name}.csv"), times, np.full(len(times), "m"), values, labels[rows], None)

    return TrainingData(
        tuple(f"s{i}" for i in range(SENSORS)),
        split("train", slice(0, 1800)),
        split("val", slice(1800, 2400)),
        split("test", slice(2400, 3000)),
        units={},
        physical_ranges={},
        cadence_seconds=60.0,
    )


@pytest.mark.parametrize("recipe", ["linear", "autoregression"])
def test_a_smoothed_closed_form_has_a_self_test_that_proves_something(
    data: TrainingData, recipe: str, tmp_path: Path
) -> None:
    how = RECIPES[recipe]
    plan = Plan(output=tmp_path, settings=Settings(**how.settings), hold=how.hold, plots=False)
    results = run_fit(data, plan, NoTracker())
    golden = load_bundle(results.bundle).metadata.golden  # the self-test passes
    checkpoint = Checkpoint.load(tmp_path / "checkpoint")
    rows = checkpoint.golden
    tolerance = Tolerance.of(checkpoint.detector, rows.readings, rows.times)
    assert golden.absolute_tolerance == tolerance.score.max()
    assert golden.absolute_tolerance < 0.05 * results.threshold.value
    assert results.test.metrics["roc_auc"] > 0.95
