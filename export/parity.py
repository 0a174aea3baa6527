"""The proof that ONNX Runtime computes what PyTorch computes, row by row."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from edge_runtime.errors import ExportError
from edge_runtime.scoring.inference import infer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from edge_runtime.bundle.metadata import Sensor
    from trainer.detector import Detector

__all__ = ["RELATIVE_TOLERANCE", "Parity", "Tolerance", "check_parity", "random_rows"]

RELATIVE_TOLERANCE = 1e-4
EPSILON = float(np.finfo(np.float32).eps)
RANDOM_ROWS = 4096
# In training ranges: rows as in training, then ever further outside.
SPREADS = (1.0, 10.0, 1000.0)


@dataclass(frozen=True, slots=True)
class Tolerance:
    """By how much two correct float32 evaluations of a detector may differ.

    Both compute the same real numbers and differ in the order in which they add. The roundings are as good
    as independent (Higham and Mary, 2019, "A new approach to probabilistic rounding error analysis"), so
    variances add: each of a dot product's k additions is off by eps of a partial sum, whose square is about
    the sum of the squares of the terms and of the result; and what a layer is off by reaches the next through
    its weights, those of the whitening among them. A residual r may be off by d, four standard deviations,
    and its square by 2·|r|·d + d², which for any a > 0 is at most a·r² + (1 + 1/a)·d². That is the form used:
    a relative part a of 1e-4, far below what moves a verdict, and an absolute part of d²/a.

    Attributes:
        reproduced: [rows, sensors] what a reproduced reading may be off by, scaled.
        relative: Part of the value by which a score or an error may differ.
        absolute: [rows, sensors] what an error may always differ by; a score by their sum.
    """

    reproduced: NDArray[np.float64]
    relative: float
    absolute: NDArray[np.float64]

    @staticmethod
    @torch.no_grad()
    def of(detector: Detector, readings: NDArray[np.float32]) -> Tolerance:
        """The tolerance for each row of [rows, sensors] readings in raw units."""
        scaled = torch.from_numpy(detector.scaler.transform(readings)).double()
        value = scaled
        variance = torch.zeros_like(value)  # scaling is one subtraction and one division: the same everywhere
        for layer in detector.network.modules():
            if isinstance(layer, nn.Linear):
                value, variance = _linear(value, variance, layer.weight.double().T, layer.bias.double())
            elif isinstance(layer, nn.ReLU):
                variance = variance * (value > 0)
                value = value.relu()
        reproduced: NDArray[np.float64] = 4 * variance.sqrt().numpy()
        if (whitening := detector.whitening) is not None:
            rounded = EPSILON**2 * (scaled * scaled + value * value)
            residual, variance = scaled - value, variance + rounded
            if (average := detector.average) is not None:
                residual, variance = _averaged(residual, variance, torch.from_numpy(average.weights).double())
            about = residual - torch.from_numpy(whitening.centre).double()
            matrix = torch.from_numpy(whitening.matrix).double()
            _, variance = _linear(about, variance, matrix, torch.zeros(()).double())
        absolute = 16 * variance.numpy() / RELATIVE_TOLERANCE / readings.shape[1]
        if (smoothing := detector.smoothing) is not None:
            absolute = _smoothed(absolute, smoothing.rows)
        return Tolerance(reproduced, RELATIVE_TOLERANCE, absolute)


def _averaged(
    residual: torch.Tensor, variance: torch.Tensor, weights: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """A weighted mean over the last rows, and by how much, squared, it may be off."""

    def mean(series: torch.Tensor, by: torch.Tensor) -> torch.Tensor:
        padded = nn.functional.pad(series, (0, 0, len(by) - 1, 0))
        return nn.functional.conv2d(padded[None, None], by.reshape(1, 1, -1, 1))[0, 0]

    squares = weights * weights
    roundings = len(weights) * EPSILON**2 * mean(residual * residual, squares)
    return mean(residual, weights), mean(variance, squares) + roundings


def _smoothed(absolute: NDArray[np.float64], rows: int) -> NDArray[np.float64]:
    """What smoothed errors may be off by: a mean by no more than its worst row, a share of it twice."""
    padded = np.concatenate([np.zeros((rows - 1, absolute.shape[1])), absolute])
    worst = np.lib.stride_tricks.sliding_window_view(padded, rows, axis=0).max(-1)
    smoothed: NDArray[np.float64] = absolute + worst + 2 * worst.sum(1, keepdims=True)
    return smoothed


def _linear(
    value: torch.Tensor, variance: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """A product and by how much, squared, it may be off: what came in, and its own sum's roundings."""
    terms = (value * value) @ (weight * weight) + bias * bias
    value = value @ weight + bias
    return value, variance @ (weight * weight) + len(weight) * EPSILON**2 * (terms + value * value)


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


def random_rows(sensors: Sequence[Sensor], seed: int, rows: int = RANDOM_ROWS) -> NDArray[np.float32]:
    """Rows spread over each sensor's training range and far beyond it, [rows, sensors], raw units."""
    random = np.random.default_rng(seed)
    low, high = np.asarray([s.training_range for s in sensors], np.float64).T
    spread = random.choice(SPREADS, (rows, 1))
    middle, half = (low + high) / 2, np.maximum((high - low) / 2, np.spacing(np.abs(high)))
    drawn: NDArray[np.float32] = (middle + random.uniform(-1, 1, (rows, len(low))) * half * spread).astype(
        np.float32
    )
    return drawn


def check_parity(session: Any, detector: Detector, readings: NDArray[np.float32], what: str) -> Parity:
    """Scores rows with both and compares scores, errors and expected readings.

    Args:
        session: Of the bundle.
        detector: What the bundle was made from.
        readings: [rows, sensors] raw units.
        what: What to call the rows in an error.

    Raises:
        ExportError: A value differs by more than the tolerance.
    """
    torch_outputs = [np.asarray(output, np.float64) for output in detector.score(readings)]
    start = None if detector.state_shape is None else np.zeros(detector.state_shape, np.float32)
    scores, _ = infer(session, readings, start)
    onnx_outputs = [
        np.asarray(output, np.float64) for output in (scores.score, scores.errors, scores.expected)
    ]
    expected = torch_outputs[2]
    tolerance = Tolerance.of(detector, readings)
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
                mend="this is a defect of the export; nothing was written",
            )
        used = max(used, float((difference / allowance).max()))
    difference = np.abs(onnx_outputs[0] - torch_outputs[0])
    relative = difference / np.maximum(torch_outputs[0], np.finfo(np.float32).tiny)
    return Parity(len(readings), float(difference.max()), float(relative.max()), used)
