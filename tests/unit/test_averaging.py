"""The average of residuals: in numpy, in PyTorch and by its definition the same."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from support.bundles import make_checkpoint, normal_rows

from edge_runtime.errors import TrainingError, UsageError
from trainer.detector import Detector
from trainer.detector.averaging import ResidualAverage
from trainer.detector.parts import DetectorParts
from trainer.experiment.checkpoint import Checkpoint

if TYPE_CHECKING:
    from pathlib import Path


def test_the_weights_fall_by_the_same_part_and_sum_to_1() -> None:
    average = ResidualAverage(0.1)
    assert average.rows == 44
    assert average.weights.sum() == pytest.approx(1)
    np.testing.assert_allclose(average.weights[:-1] / average.weights[1:], 0.9, rtol=1e-5)


def test_pytorch_averages_residuals_before_they_are_whitened(tmp_path: Path) -> None:
    checkpoint = Checkpoint.load(make_checkpoint(tmp_path / "c", average=0.3))
    parts = checkpoint.parts
    assert parts.average == ResidualAverage(0.3)
    assert parts.whitening is not None
    values = normal_rows(80, seed=5)
    scaler, average = parts.scaler, parts.average
    plain = Detector(DetectorParts(parts.network, scaler))
    residuals = scaler.transform(values) - scaler.transform(plain.score(values)[2])
    mean, averaged = np.zeros(4), []
    for row in residuals:
        mean = 0.7 * mean + 0.3 * row
        averaged.append(mean)
    found = Detector(DetectorParts(parts.network, scaler, average=average))
    times, machines = np.arange(80), np.full(80, "m")
    # What is cut off the exponential weights' end is a hundredth.
    np.testing.assert_allclose(found.residuals(values, times, machines), averaged, atol=0.02)
    residuals = found.residuals(values, times, machines)
    white = (residuals - parts.whitening.centre) @ parts.whitening.matrix
    wanted = (white**2).sum(1) / 4
    np.testing.assert_allclose(checkpoint.detector.score(values, block=9)[0], wanted, rtol=0.01, atol=1e-3)


def test_machines_are_averaged_apart_in_time_order(tmp_path: Path) -> None:
    checkpoint = Checkpoint.load(make_checkpoint(tmp_path / "c", average=0.3))
    detector, values = checkpoint.detector, normal_rows(100, seed=2)
    machines, times = np.repeat(["a", "b"], 50), np.tile(np.arange(50), 2)
    one = [detector.residuals(values[h], times[h], machines[h]) for h in (slice(50), slice(50, 100))]
    mixed = np.random.default_rng(3).permutation(100)
    found = detector.residuals(values[mixed], times[mixed], machines[mixed])
    np.testing.assert_allclose(found, np.concatenate(one)[mixed], atol=1e-6)


def test_a_weight_that_makes_no_sense_is_refused() -> None:
    for weight in (0.0, 1.0, -0.1, 0.995, float("nan")):
        with pytest.raises(UsageError, match="not a weight"):
            ResidualAverage(weight)
    with pytest.raises(TrainingError, match="not the description of an average"):
        ResidualAverage.from_dict({})
