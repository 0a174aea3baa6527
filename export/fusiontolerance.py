"""By how much two correct evaluations of the channels may differ; `export.tolerance` has the reasoning."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import nn

from edge_runtime.scoring.baseline import no_baseline
from trainer.detector.following import Levels
from trainer.detector.fusion import TINY

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from edge_runtime.scoring.baseline import Given
    from trainer.detector.channels import Usual
    from trainer.detector.fusion import Fusion

__all__ = ["FusedTolerance", "fused_tolerance"]


class FusedTolerance(NamedTuple):
    """By how much the results may differ.

    Attributes:
        shift: [rows, sensors] what the expected readings' shift may be off by, scaled.
        absolute: [rows, sensors] what an error may always differ by; a score by their sum.
    """

    shift: NDArray[np.float64]
    absolute: NDArray[np.float64]


class _View(NamedTuple):
    squares: torch.Tensor  # [rows, columns]
    off: torch.Tensor  # what each of them may be off by, beside its relative part
    score: torch.Tensor  # [rows, 1]
    score_off: torch.Tensor


def fused_tolerance(
    fusion: Fusion,
    scaled: torch.Tensor,
    reproduced: torch.Tensor,
    variance: torch.Tensor,
    levels: Given | None,
    *,
    epsilon: float,
    relative: float,
) -> FusedTolerance:
    """What the errors, and the shift of what is expected, may be off by.

    A square may be off by a relative part and an absolute one. The geometric mean of sums of them has the
    same relative part, and is off by what each sum is, times how steep the mean is there. The lower one of
    two scores is off by no more than either. What shares a score are sums of such squares, weighed by the
    ratio of the two scores.

    Args:
        fusion: The channels.
        scaled: [rows, sensors] float64 scaled readings, which are the same everywhere.
        reproduced: [rows, sensors] float64 what the network makes of them.
        variance: [rows, sensors] by how much, squared, that may be off.
        levels: The slow baseline, and the bound; None for the beginning.
        epsilon: Of float32.
        relative: The relative part.
    """
    fusion = fusion.double()
    try:
        return _tolerance(fusion, scaled, reproduced, variance, levels, epsilon, relative)
    finally:
        fusion.float()


def _tolerance(
    fusion: Fusion,
    scaled: torch.Tensor,
    reproduced: torch.Tensor,
    variance: torch.Tensor,
    levels: Given | None,
    epsilon: float,
    relative: float,
) -> FusedTolerance:
    sensors, channels = scaled.shape[1], fusion.channels
    before = scaled.new_zeros((channels.history, sensors)) if channels.history else None
    residuals, _ = fusion.residuals(scaled, reproduced, before)
    # What looks back is as exact as the distances that it is made of.
    largest = residuals[:, sensors : 2 * sensors] ** 2
    if channels.history:
        padded = nn.functional.pad(largest, (0, 0, channels.history, 0))
        largest = nn.functional.max_pool2d(padded[None, None], (channels.history + 1, 1), stride=1)[0, 0]
    exact = torch.cat([variance] + [torch.zeros_like(variance)] * (len(channels.parts) - 1), 1)
    of_past = torch.cat([torch.zeros_like(largest)] * 2 + [largest] * (len(channels.parts) - 2), 1)
    spread = exact + epsilon**2 * (2 * residuals * residuals + 8 * of_past)
    given = no_baseline(residuals.shape[1]) if levels is None else levels
    about = Levels(*(torch.from_numpy(part).double() for part in given))
    baseline = about.baseline
    exponents = fusion.weights[:, 0]

    def view(moved: torch.Tensor, usual: Usual) -> _View:
        sums = torch.from_numpy(channels.energies(usual)).double()
        at = spread + epsilon**2 * moved * moved
        matrix = fusion.matrix
        white = moved @ matrix
        count = len(matrix)
        off = (at + count * epsilon**2 * moved * moved) @ (
            matrix * matrix
        ) + count * epsilon**2 * white * white
        squares, off = white * white, 16 * off / relative
        energies, energies_off = squares @ sums + TINY, off @ sums
        score = torch.exp(torch.log(energies) @ exponents)[:, None]
        steep = torch.maximum(energies, energies_off)
        others = score / energies**exponents
        score_off = (energies_off * steep ** (exponents - 1) * others).sum(1, keepdim=True)
        return _View(squares, off, score, score_off)

    fixed, adapted = view(residuals, channels.fixed), view(fusion.adapted(residuals, about), channels.adapted)
    both = (fixed.score + adapted.score).clamp(min=TINY)
    score_off = torch.maximum(fixed.score_off, adapted.score_off)
    score = torch.minimum(fixed.score, adapted.score)
    part_off = torch.clamp(score_off / both + 3 * relative, max=1.0)
    seen = (adapted.score * fixed.squares + fixed.score * adapted.squares) / both
    seen_off = fixed.off + adapted.off + part_off * (adapted.squares - fixed.squares).abs()
    shares, shares_off = seen @ fusion.shares, seen_off @ fusion.shares
    total, total_off = shares.sum(1, keepdim=True), shares_off.sum(1, keepdim=True)
    of_one = shares / total.clamp(min=TINY)
    absolute = score_off * of_one + score * (shares_off + of_one * total_off) / total.clamp(min=TINY)
    absolute = torch.minimum(absolute, score + score_off) + 4 * relative * score * of_one
    shift = part_off * baseline[:, :sensors].abs()
    return FusedTolerance(shift.numpy(), absolute.numpy())
