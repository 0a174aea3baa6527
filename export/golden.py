"""The self-test that a bundle carries: real rows with the scores that PyTorch gave them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from edge_runtime.bundle.metadata import Golden
from edge_runtime.errors import ExportError
from edge_runtime.scoring.baseline import no_baseline
from edge_runtime.scoring.filling import Filling, in_turns
from edge_runtime.scoring.inference import seconds_of_day
from export.tolerance import Tolerance
from trainer.detector.following import Following

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edge_runtime.bundle.metadata import Degraded, Sensor
    from edge_runtime.scoring.baseline import Given
    from trainer.detector import Detector
    from trainer.experiment.golden import GoldenRows

__all__ = ["make_golden", "prove_degraded"]


def make_golden(detector: Detector, rows: GoldenRows) -> Golden:
    """Scores golden rows with PyTorch.

    The tolerance is that of `Tolerance` for the row that needs most: a bundle states one for all its rows.

    Args:
        detector: Scaler and trained network.
        rows: As `golden_rows` chose them.

    Raises:
        ExportError: There is no row, or one that is not finite or does not score finitely.
    """
    sensors, readings = len(detector.scaler.offset), rows.readings
    if readings.shape != (len(readings), sensors) or not readings.size or not np.isfinite(readings).all():
        raise ExportError(
            f"golden rows must be at least one row of {sensors} finite readings, not {readings.shape}",
            where="golden.npy",
        )
    readings = readings.astype(np.float32)
    start = None if detector.baseline is None else detector.baseline.golden
    score, _, _ = detector.score(readings, times=rows.times, start=start)
    if not np.isfinite(score).all():
        raise ExportError(
            "the network's scores are not finite", where="golden.npy", hint="train the model again"
        )
    after = None
    if detector.baseline is not None and start is not None:
        following = Following(detector.baseline, start)
        following.follow(detector.channel_residual_rows(readings, rows.times))
        after = following.state()
    tolerance = Tolerance.of(detector, readings, rows.times, _levels(detector))
    seconds = seconds_of_day(rows.times).tolist() if detector.asks_for_time else None
    return Golden(
        readings=tuple(tuple(row) for row in readings.tolist()),
        scores=tuple(score.tolist()),
        relative_tolerance=tolerance.relative,
        absolute_tolerance=float(tolerance.absolute.sum(1).max()),
        time_of_day=None if seconds is None else tuple(seconds),
        baseline_after=after,
    )


def prove_degraded(
    detector: Detector, degraded: Degraded, sensors: Sequence[Sensor], rows: GoldenRows
) -> Degraded:
    """Adds the scores that PyTorch gives golden rows in which one sensor after the other is filled.

    Args:
        detector: Scaler and trained network.
        degraded: The regressions and thresholds.
        sensors: The bundle's.
        rows: As `golden_rows` chose them.

    Raises:
        ExportError: A score is not finite.
    """
    index, filled = in_turns(Filling(degraded.absent, sensors), rows.readings.astype(np.float32))
    times = rows.times[index]
    start = None if detector.baseline is None else detector.baseline.golden
    score, _, _ = detector.score(filled, times=times, start=start)
    if not np.isfinite(score).all():
        raise ExportError(
            "the scores of rows that lack a sensor are not finite", where="degraded.json", hint="train again"
        )
    tolerance = Tolerance.of(detector, filled, times, _levels(detector))
    absolute = float(tolerance.absolute.sum(1).max())
    return replace(degraded, golden=tuple(score.tolist()), absolute_tolerance=absolute)


def _levels(detector: Detector) -> Given | None:
    """Where the baseline stands before the first golden row; None without one."""
    if detector.baseline is None:
        return None
    start = detector.baseline.golden
    return np.asarray([start.values], np.float32), no_baseline(len(start.values))[1]
