"""The proof that ONNX Runtime computes what PyTorch computes, row by row."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from edge_runtime.bundle.caps import LARGEST
from edge_runtime.errors import ExportError
from edge_runtime.scoring.inference import DAY_NS, infer, seconds_of_day
from export.tolerance import EPSILON, Tolerance
from trainer.detector import TINY
from trainer.experiment.golden import GoldenRows

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from edge_runtime.bundle.metadata import Baseline, Sensor
    from edge_runtime.scoring.baseline import Given
    from trainer.detector import Detector

__all__ = ["Parity", "check_parity", "random_rows"]

RANDOM_ROWS = 4096
# In training ranges: rows as in training, then ever further outside.
SPREADS = (1.0, 10.0, 1000.0)
# The slow baseline that they are scored with, in parts of what is usual for a residual.
DRIFTED = 3.0


@dataclass(frozen=True, slots=True)
class Parity:
    """The largest differences found.

    Attributes:
        rows: Number of rows compared.
        score_difference: Largest difference of a score.
        relative_difference: Largest difference of a score as a part of it.
        allowance_used: Largest part of its tolerance that any value used, 0 to 1.
    """

    rows: int
    score_difference: float
    relative_difference: float
    allowance_used: float


def random_rows(sensors: Sequence[Sensor], seed: int, rows: int = RANDOM_ROWS) -> GoldenRows:
    """Rows spread over each sensor's training range and far beyond it, at any time of the day."""
    random = np.random.default_rng(seed)
    low, high = np.asarray([s.training_range for s in sensors], np.float64).T
    spread = random.choice(SPREADS, (rows, 1))
    middle, half = (low + high) / 2, np.maximum((high - low) / 2, np.spacing(np.abs(high)))
    drawn: NDArray[np.float32] = (middle + random.uniform(-1, 1, (rows, len(low))) * half * spread).astype(
        np.float32
    )
    return GoldenRows(drawn, np.sort(random.integers(0, DAY_NS, rows)))


def check_parity(session: Any, detector: Detector, rows: GoldenRows, what: str) -> Parity:
    """Scores rows with both and compares scores, errors and expected readings.

    Args:
        session: Of the bundle.
        detector: What the bundle was made from.
        rows: A machine's first rows.
        what: What to call the rows in an error.

    Raises:
        ExportError: A value differs by more than the tolerance.
    """
    readings, times = rows.readings, rows.times
    levels = None if detector.baseline is None else _drifted(detector.baseline)
    torch_outputs = [
        np.asarray(output, np.float64) for output in detector.score(readings, times=times, levels=levels)
    ]
    start = None if detector.state_shape is None else np.zeros(detector.state_shape, np.float32)
    seconds = seconds_of_day(times) if detector.asks_for_time else None
    scores = infer(session, readings, start, seconds, levels).scores
    onnx_outputs = [
        np.asarray(output, np.float64) for output in (scores.score, scores.errors, scores.expected)
    ]
    expected = torch_outputs[2]
    tolerance = Tolerance.of(detector, readings, times, levels)
    scale, offset = (
        detector.scaler.scale.astype(np.float64),
        np.abs(detector.scaler.offset.astype(np.float64)),
    )
    # An expected reading is also rounded twice in raw units: after the multiplication and after the addition.
    raw = tolerance.reproduced * scale + EPSILON * (np.abs(expected) + offset)
    allowed = (
        tolerance.absolute.sum(1) + tolerance.relative * torch_outputs[0],
        tolerance.absolute + tolerance.relative * torch_outputs[1],
        raw,
    )
    used = 0.0
    for name, ours, theirs, allowance in zip(
        ("score", "errors", "expected"), onnx_outputs, torch_outputs, allowed, strict=True
    ):
        difference = np.abs(ours - theirs)
        wrong = ~(difference <= allowance)  # so that a NaN counts as different
        if wrong.any():
            worst = np.unravel_index(np.argmax(np.where(wrong, difference / allowance, 0)), wrong.shape)
            raise ExportError(
                f"ONNX Runtime and PyTorch differ on {int(wrong.sum())} values of '{name}' over "
                f"{len(readings)} {what} rows: {ours[worst]:.7g} against {theirs[worst]:.7g}",
                where="parity",
                hint="this is a defect of the export; nothing was written",
            )
        used = max(used, float((difference / np.maximum(allowance, TINY)).max()))
    difference = np.abs(onnx_outputs[0] - torch_outputs[0])
    relative = difference / np.maximum(torch_outputs[0], np.finfo(np.float32).tiny)
    return Parity(len(readings), float(difference.max()), float(relative.max()), used)


def _drifted(baseline: Baseline) -> Given:
    """A baseline far from where it begins, up and down in turns; every third column is bounded."""
    places, spread = np.arange(len(baseline.spread)), np.asarray([baseline.spread])
    signs = np.where(places % 2, -1.0, 1.0)
    bound = np.where(places % 3, LARGEST, baseline.bound * spread)
    return (DRIFTED * signs * spread).astype(np.float32), bound.astype(np.float32)
