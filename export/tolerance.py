"""By how much two correct evaluations of a detector may differ."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn

from edge_runtime.scoring.inference import seconds_of_day
from export.fusiontolerance import fused_tolerance
from trainer.detector.features import MIN_VARIANCE

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edge_runtime.scoring.baseline import Given
    from trainer.detector import Detector
    from trainer.detector.features import InputFeatures

__all__ = ["EPSILON", "RELATIVE_TOLERANCE", "Tolerance"]

RELATIVE_TOLERANCE = 1e-4
EPSILON = float(np.finfo(np.float32).eps)
# Of a sine or cosine, by which two mathematical libraries may differ.
TRIGONOMETRIC = 2 * EPSILON

Uncertain = tuple[torch.Tensor, torch.Tensor]  # values and, squared, by how much they may be off


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
        absolute: [rows, sensors] what an error may always differ by.
    """

    reproduced: NDArray[np.float64]
    relative: float
    absolute: NDArray[np.float64]

    @property
    def score(self) -> NDArray[np.float64]:
        """[rows] what a score may always differ by."""
        total: NDArray[np.float64] = self.absolute.sum(1)
        return total

    @staticmethod
    @torch.no_grad()
    def of(
        detector: Detector,
        readings: NDArray[np.float32],
        times: NDArray[np.int64] | None = None,
        levels: Given | None = None,
    ) -> Tolerance:
        """The tolerance for each of a machine's first rows.

        Args:
            detector: What is evaluated.
            readings: [rows, sensors] raw units.
            times: [rows] ns, where the detector asks for the time of day.
            levels: The slow baseline and the bound, of a detector that has one; None for the beginning.
        """
        # Scaling is one subtraction and one division: the same everywhere.
        scaled = torch.from_numpy(detector.scaler.transform(readings)).double()
        series = torch.cat([scaled[:1].expand(detector.history, -1), scaled])
        shown = (series, torch.zeros_like(series))
        if detector.features is not None:
            seconds = None if times is None else torch.from_numpy(seconds_of_day(times)).double()
            shown = _features(detector.features, series, seconds)
        value, variance = _network(detector, shown)
        reproduced: NDArray[np.float64] = 4 * variance.sqrt().numpy()
        if detector.fusion is not None:
            fused = fused_tolerance(
                detector.fusion,
                scaled,
                value,
                variance + EPSILON**2 * value * value,
                levels,
                epsilon=EPSILON,
                relative=RELATIVE_TOLERANCE,
            )
            reproduced, absolute = reproduced + fused.shift, fused.absolute
        else:
            absolute = _weighed(detector, scaled, value, variance)
        if (smoothing := detector.smoothing) is not None:
            absolute = _worst(absolute, smoothing.rows)
        return Tolerance(reproduced, RELATIVE_TOLERANCE, absolute)


def _weighed(
    detector: Detector, scaled: torch.Tensor, value: torch.Tensor, variance: torch.Tensor
) -> NDArray[np.float64]:
    """[rows, sensors] what the errors of a single channel may always differ by."""
    if (whitening := detector.whitening) is not None:
        rounded = EPSILON**2 * (scaled * scaled + value * value)
        residual, variance = scaled - value, variance + rounded
        if (average := detector.average) is not None:
            residual, variance = _averaged(residual, variance, torch.from_numpy(average.weights).double())
        about = residual - torch.from_numpy(whitening.centre).double()
        matrix = torch.from_numpy(whitening.matrix).double()
        _, variance = _linear(about, variance, matrix, torch.zeros(()).double())
    absolute: NDArray[np.float64] = 16 * variance.numpy() / RELATIVE_TOLERANCE / scaled.shape[1]
    return absolute


def _features(features: InputFeatures, series: torch.Tensor, seconds: torch.Tensor | None) -> Uncertain:
    """Rows before and changes are exact; means, deviations and phases are rounded."""
    value = features.of(series, seconds)
    variance = torch.zeros_like(value)
    sensors, shown = features.sensors, features.window + features.differences
    if features.rolling:
        means = slice(sensors * shown, sensors * (shown + 1))
        deviations = slice(means.stop, means.stop + sensors)
        last = series[features.history - features.rolling + 1 :]
        squares = nn.functional.avg_pool2d((last * last)[None], (features.rolling, 1), stride=1)[0]
        fourths = nn.functional.avg_pool2d((last**4)[None], (features.rolling, 1), stride=1)[0]
        rounded = features.rolling * EPSILON**2
        variance[:, means] = rounded * squares
        off = rounded * fourths + 4 * value[:, means] ** 2 * rounded * squares + EPSILON**2 * squares**2
        # A root is steep where it is small, but by no more than the root of what it is off by.
        least = torch.clamp(value[:, deviations] ** 2, min=MIN_VARIANCE)
        variance[:, deviations] = torch.minimum(off / least / 4, off.sqrt())
    if features.phases:
        variance[:, -features.phases :] = TRIGONOMETRIC**2
    return value, variance


def _network(detector: Detector, shown: Uncertain) -> Uncertain:
    """Through each member's layers, and their mean."""
    found = [_chain(chain, *shown) for chain in detector.network.chains]
    members = len(found)
    value = sum((v for v, _ in found), torch.zeros(())) / members
    variance = sum((v for _, v in found), torch.zeros(())) / members**2
    if members > 1:
        variance = variance + members * EPSILON**2 * value * value
    return value, variance


def _chain(layers: nn.Sequential, value: torch.Tensor, variance: torch.Tensor) -> Uncertain:
    for layer in layers:
        if isinstance(layer, nn.Linear):
            value, variance = _linear(value, variance, layer.weight.double().T, layer.bias.double())
        elif isinstance(layer, nn.Conv1d) and layer.bias is not None:
            # A convolution is a product of each row with those before it.
            rows = layer.kernel_size[0]
            weight = layer.weight.double().permute(1, 2, 0).reshape(-1, layer.out_channels)
            value, variance = (part.unfold(0, rows, 1).flatten(1) for part in (value, variance))
            value, variance = _linear(value, variance, weight, layer.bias.double())
        elif isinstance(layer, nn.ReLU):
            variance = variance * (value > 0)
            value = value.relu()
    return value, variance


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


def _worst(absolute: NDArray[np.float64], rows: int) -> NDArray[np.float64]:
    """[rows, columns] the largest of the last so many rows: a mean of them is off by no more."""
    padded = np.concatenate([np.zeros((rows - 1, absolute.shape[1])), absolute])
    worst: NDArray[np.float64] = np.lib.stride_tricks.sliding_window_view(padded, rows, axis=0).max(-1)
    return worst


def _linear(
    value: torch.Tensor, variance: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """A product and by how much, squared, it may be off: what came in, and its own sum's roundings."""
    squares, rounded = weight * weight, len(weight) * EPSILON**2
    variance = (variance + rounded * value * value) @ squares
    value = value @ weight + bias
    return value, variance + rounded * (bias * bias + value * value)
