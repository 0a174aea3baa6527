"""The self-test's tolerance where the usual one would prove nothing."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from edge_runtime.bundle.agreement import MAX_RELATIVE_TOLERANCE
from export.tolerance import Tolerance

if TYPE_CHECKING:
    from edge_runtime.bundle.metadata import Golden, Metadata
    from trainer.detector import Detector
    from trainer.experiment.golden import GoldenRows

__all__ = ["provable"]


def provable(metadata: Metadata, detector: Detector, rows: GoldenRows) -> Golden:
    """The golden rows with a tolerance that a reader takes, if there is one.

    The tolerance of a score is usually the sum of its errors' tolerances. With smoothing that counts each
    sensor's rounding once for every sensor, so with many sensors that nearly repeat one another it may exceed
    the threshold. Then it is what the score itself may differ by.

    Args:
        metadata: With the golden rows and the threshold.
        detector: Scaler and trained network.
        rows: As `golden_rows` chose them.
    """
    golden = metadata.golden
    most = max(metadata.threshold.value, MAX_RELATIVE_TOLERANCE * max(golden.scores))
    if golden.absolute_tolerance < most or detector.baseline is not None:
        return golden
    tolerance = Tolerance.of(detector, rows.readings.astype(np.float32), rows.times)
    return replace(golden, absolute_tolerance=float(tolerance.score.max()))
