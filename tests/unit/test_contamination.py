"""Faults that were learnt from as if they were normal are found, named, and left out when asked for."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edge_runtime.simulation import SENSORS, Simulator
from trainer.calibration.contamination import Contamination, find_contamination
from trainer.data.split import Split
from trainer.data.training_data import TrainingData
from trainer.experiment.plan import Plan
from trainer.experiment.run import run_fit
from trainer.fitting.fit import Settings, fit
from trainer.fitting.recipes import RECIPES
from trainer.tracking import NoTracker

START = 1_767_225_600 * 10**9
SETTINGS = Settings(**RECIPES["linear"].settings)


def split(name: str, day: int, *, severity: float = 0.0, rows: int = 6000, labelled: bool = False) -> Split:
    simulator = Simulator("press-1", seed=4, severity=severity, start_ns=START + day * 86_400 * 10**9)
    block = simulator.block(rows)
    return Split(
        Path(name),
        block.times,
        np.full(rows, "press-1"),
        block.values.astype(np.float32),
        block.anomaly if labelled else None,
        None,
    )


def tables(severity: float) -> tuple[TrainingData, Split]:
    """Training with faults that nobody labelled, and the same rows with their labels."""
    train, truth = (
        split("train", 0, severity=severity, rows=24_000, labelled=labelled) for labelled in (False, True)
    )
    val, test = split("val", 1), split("test", 2, severity=2.0, labelled=True)
    return TrainingData(SENSORS, train, val, test, {}, {}, 1.0), truth


def found_in(data: TrainingData) -> Contamination:
    return find_contamination(data, fit(data, SETTINGS).detector)


def test_a_healthy_history_gives_no_reason_to_doubt() -> None:
    found = found_in(tables(0.0)[0])
    assert found.train_ratio < 1.5
    assert not found.in_training
    assert found.doubts() == []


def test_faults_among_the_training_rows_are_found_where_they_are() -> None:
    data, truth = tables(2.0)
    found = found_in(data)
    assert found.in_training
    (said,) = found.doubts()
    assert f"{found.train_ratio:.1f} times those of validation" in said
    assert "Look at press-1 2026-01-01T" in said
    assert "--clean leaves these" in said
    assert truth.labels is not None
    cleaned = found.cleaned(data).train
    assert cleaned.ignored is not None
    assert cleaned.ignored.sum() == found.rows
    # The rest are the first part of drifts, which is not labelled, and the rows around each fault.
    assert truth.labels[cleaned.ignored].mean() > 2 * truth.labels.mean()
    assert truth.labels[cleaned.ignored].sum() > 0.5 * truth.labels.sum()
    # What is left out is passed by whatever has a memory, and not learnt from.
    assert (cleaned.passed == data.train.passed).all()
    assert found_in(found.cleaned(data)).train_ratio < found.train_ratio


def test_what_somebody_ignored_before_stays_ignored() -> None:
    data, _ = tables(2.0)
    ignored = np.zeros(len(data.train), np.bool_)
    ignored[:100] = True
    data = replace(data, train=replace(data.train, ignored=ignored))
    cleaned = found_in(data).cleaned(data).train
    assert cleaned.ignored is not None
    assert cleaned.ignored[:100].all()
    assert cleaned.ignored.sum() > 100


def test_a_few_rows_far_above_the_rest_of_validation_are_said() -> None:
    data, _ = tables(0.0)
    values = data.val.values.copy()
    values[3000:3040, 2] += 40
    data = replace(data, val=replace(data.val, values=values))
    found = found_in(data)
    assert found.tail_ratio > 10
    (said,) = found.doubts()
    assert said.startswith("a few validation rows score")


@pytest.mark.parametrize("clean", [False, True])
def test_a_run_leaves_them_out_only_when_told_to(tmp_path: Path, *, clean: bool) -> None:
    data, _ = tables(2.0)
    plan = Plan(output=tmp_path, settings=SETTINGS, plots=False, clean=clean)
    results = run_fit(data, plan, NoTracker())
    stored = json.loads((tmp_path / "metrics.json").read_text())
    assert stored["cleaned_rows"] == results.cleaned_rows
    assert stored["contamination"]["train_ratio"] > 0
    if clean:
        assert results.cleaned_rows > 100
        assert f"{results.cleaned_rows:,} training rows that seemed to be faults" in results.table()
    else:
        assert results.cleaned_rows == 0
        assert "--clean" in results.doubts[0]
