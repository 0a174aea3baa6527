"""How channels and the slow baseline are fitted: odd sensors, and settings that exclude each other."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge_runtime import Engine, Readings, load_bundle
from edge_runtime.errors import TrainingError, UsageError
from trainer.data.split import Split
from trainer.data.training_data import TrainingData
from trainer.experiment.plan import Plan
from trainer.experiment.run import run_fit
from trainer.fitting.channels import make_baseline
from trainer.fitting.fit import Settings, fit
from trainer.tracking import NoTracker

SENSORS = ("a", "b", "still", "copy", "sum")
STILL = 2
ODD: dict[str, Any] = {"epochs": 3, "two_channels": True, "adapt": "1024", "smooth": 3}


def split(rows: int, seed: int, *, moving: bool = True) -> Split:
    """Two machines in turns; two sensors that wander, one that stands still, a copy, and a sum."""
    random = np.random.default_rng(seed)
    a, b = random.normal(20, 2, rows), random.normal(1000, 0.5, rows)
    values = np.column_stack([a, b, np.full(rows, 7.0), a, a + b]).astype(np.float32)
    values[1::50, 0] = np.nan
    if not moving:
        values[:] = values[0]
    times = np.arange(rows, dtype=np.int64) // 2 * 10**9 + seed * 10**15
    return Split(Path("t.csv"), times, np.array(["m", "n"] * (rows // 2)), values, None, None)


def tables(**options: Any) -> TrainingData:
    train, val, test = (split(rows, i, **options) for i, rows in enumerate((2000, 1000, 600)))
    return TrainingData(SENSORS, train, val, test, {}, {}, 1.0)


@pytest.mark.parametrize(
    "settings",
    [
        ODD,
        {**ODD, "scaler": "standard"},
        {**ODD, "adapt": "off", "clamp": 0.25},
        {**ODD, "lasting": 20, "sudden": 0.25},
        {**ODD, "sudden": 1.0, "smooth": 1, "adapt": "off"},
    ],
)
def test_sensors_that_stand_still_copy_or_sum_others_are_fitted_exported_and_scored(
    settings: dict[str, Any], tmp_path: Path
) -> None:
    data = tables()
    run_fit(data, Plan(output=tmp_path, settings=Settings(**settings), plots=False), NoTracker())
    bundle = load_bundle(next(tmp_path.glob("*.onnx")))
    test = data.test.take(data.test.finite)
    scores = Engine(bundle).feed(Readings(test.machines, test.times, test.values)).results.scores
    assert np.isfinite(scores.score).all()
    assert np.isfinite(scores.expected).all()
    assert (scores.errors[:, STILL] == 0).all()
    assert (scores.score > bundle.metadata.threshold.value).mean() < 0.05
    broken = test.values[:200].copy()
    broken[:, 3] += 8  # the copy no longer is one
    found = Engine(bundle).feed(Readings(np.full(200, "m"), np.arange(200) * 10**9, broken)).results
    assert np.median(found.severity) > 1


def test_a_still_sensor_that_moves_in_use_is_no_anomaly_by_itself_but_its_channel_is_followed() -> None:
    fitted = fit(tables(), Settings(**ODD))
    baseline, channels = fitted.parts.baseline, fitted.parts.channels
    assert baseline is not None
    assert channels is not None
    assert (np.asarray(baseline.spread) > 0).all()
    assert not channels.matrix[[STILL, 5 + STILL]].any()
    rows = split(200, 5)
    values = rows.values[rows.finite]
    moved = values.copy()
    moved[:, STILL] += 100
    clean, other = (fitted.detector.score(each, times=np.arange(len(values)))[0] for each in (values, moved))
    assert np.isfinite(other).all()
    assert np.isfinite(clean).all()


def test_where_nothing_moves_nothing_is_fitted() -> None:
    with pytest.raises(TrainingError, match="nothing moves"):
        fit(tables(moving=False), Settings(**ODD))


@pytest.mark.parametrize("horizon", [1024, 1025, 5000, 86_400, 864_000, 10**9])
@pytest.mark.parametrize("columns", [2, 3, 104])
def test_a_baseline_of_any_horizon_is_one_that_a_bundle_may_have(horizon: int, columns: int) -> None:
    from edge_runtime.bundle.needs import check_baseline  # noqa: PLC0415

    spread = np.geomspace(1e-4, 10, columns)
    baseline = make_baseline(spread, float(horizon))
    check_baseline(baseline, baseline.golden, columns)
    assert 64 <= baseline.rows <= 4096
    assert horizon >= 16 * baseline.rows
    # About to advance, and fast in one column at least, slowly in another.
    assert 0 < baseline.rows - baseline.golden.rows < 32
    fast = np.abs(baseline.golden.persistence) > baseline.persistent
    assert fast.any()
    assert not fast.all()


@pytest.mark.parametrize(
    ("settings", "where"),
    [
        ({"two_channels": True, "average": 0.5}, "--average"),
        ({"two_channels": True, "whiten": False}, "--no-whiten"),
        ({"adapt": "day"}, "--adapt"),
        ({"adapt": "2000"}, "--adapt"),
        ({"clamp": 0.25, "scaler": "standard"}, "--clamp"),
        ({"clamp": -1.0}, "--clamp"),
        ({"clamp": float("nan")}, "--clamp"),
        ({"floor": 0.0}, "--floor"),
        ({"floor": 1.5}, "--floor"),
        ({"floor": float("nan")}, "--floor"),
        *(
            ({"two_channels": True, "adapt": adapt}, "--adapt")
            for adapt in ("", "night", "Day", "1023", "0", "-2000", "2000.5", "1e4", "1000000001", "9" * 5000)
        ),
        *(({"two_channels": True, "adapt": adapt}, "--adapt") for adapt in ("٢٠٠٠", "²⁰⁰⁰", " 2000")),
    ],
)
def test_settings_that_do_not_go_together_are_refused(settings: dict[str, Any], where: str) -> None:
    with pytest.raises(UsageError) as caught:
        Settings(**settings).features(4)
    assert caught.value.where == where


@pytest.mark.parametrize(
    ("adapt", "cadence", "rows"),
    [
        ("off", 1.0, None),
        ("day", 1.0, 86_400),
        ("day", 3600.0, 1024),
        ("1024", 9.0, 1024),
        ("99999", 1.0, 99_999),
    ],
)
def test_levels_are_followed_over_so_many_rows(adapt: str, cadence: float, rows: int | None) -> None:
    assert Settings(two_channels=True, adapt=adapt).horizon_rows(cadence) == rows
