"""The gateway computes what PyTorch computes: the same bundle, 100,000 rows, through the public interface."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from support.bundles import SENSORS, make_checkpoint, normal_rows

from edge_runtime import Engine, Readings, Verdict, load_bundle
from export.tolerance import Tolerance
from trainer.experiment.checkpoint import Checkpoint

if TYPE_CHECKING:
    from pathlib import Path

    from trainer.detector.scaler import ScalerKind

ROWS = 100_000
# Rows are compared that lie far beyond what the sensors can give.
WITHOUT_RANGES = tuple((*sensor[:4], None) for sensor in SENSORS)
PRESSURE_IN_PASCAL = (("pressure", "Pa", 101_325.0, 50.0, None), ("vibration", "mm/s", 0.5, 0.05, None))


@pytest.mark.parametrize("sensors", [WITHOUT_RANGES, PRESSURE_IN_PASCAL], ids=["four", "pascal"])
@pytest.mark.parametrize("scaler", ["minmax", "standard"])
@pytest.mark.parametrize("train", [0, 300], ids=["random", "trained"])
def test_100_000_rows_agree(
    tmp_path: Path, sensors: tuple[tuple[str, str, float, float, None], ...], scaler: ScalerKind, train: int
) -> None:
    from export.write import export_checkpoint  # noqa: PLC0415

    folder = make_checkpoint(tmp_path / "checkpoint", sensors=sensors, scaler=scaler, train=train)
    export_checkpoint(folder, tmp_path / "b.onnx")
    checkpoint = Checkpoint.load(folder)
    detector = checkpoint.detector

    values = normal_rows(ROWS, seed=7, sensors=sensors)
    random = np.random.default_rng(8)
    centre = np.asarray([s[2] for s in sensors], np.float32)
    # Half of the rows as in training, the others up to a hundred times as far from the centre.
    factor = np.where(random.random((ROWS, 1)) < 0.5, 1, 10 ** random.uniform(0, 2, (ROWS, 1))).astype(
        np.float32
    )
    values = centre + (values - centre) * factor

    score, errors, expected = detector.score(values)
    tolerance = Tolerance.of(detector, values)
    engine = Engine(load_bundle(tmp_path / "b.onnx"))
    found = [
        engine.feed(Readings(np.full(1000, "press"), np.arange(i, i + 1000), values[i : i + 1000])).results
        for i in range(0, ROWS, 1000)
    ]
    ours = np.concatenate([r.scores.score for r in found]).astype(np.float64)
    allowed = tolerance.absolute.sum(1) + tolerance.relative * score
    assert (np.abs(ours - score) <= allowed).all()
    our_errors = np.concatenate([r.scores.errors for r in found]).astype(np.float64)
    assert (np.abs(our_errors - errors) <= tolerance.absolute + tolerance.relative * errors).all()
    our_expected = np.concatenate([r.scores.expected for r in found]).astype(np.float64)
    raw = np.finfo(np.float32).eps * (np.abs(expected) + np.abs(checkpoint.parts.scaler.offset))
    assert (
        np.abs(our_expected - expected) <= tolerance.reproduced * checkpoint.parts.scaler.scale + raw
    ).all()

    # Verdicts may differ only for scores that are within the tolerance of the threshold.
    threshold = checkpoint.threshold.value
    verdicts = np.concatenate([r.verdicts for r in found])
    differ = (verdicts == Verdict.ANOMALY) != (score.astype(np.float64) > threshold)
    assert (np.abs(score[differ] - threshold) <= allowed[differ]).all()
    assert 0.05 < (verdicts == Verdict.ANOMALY).mean() < 0.95
