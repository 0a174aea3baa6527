"""What the channels make of a row: the score, each sensor's share, and what was expected."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import nn

from trainer.detector.channels import SUDDEN

if TYPE_CHECKING:
    from trainer.detector.channels import Channels, Usual
    from trainer.detector.following import Levels

__all__ = ["TINY", "Fused", "Fusion"]

TINY = 1e-30  # keeps 0 / 0 from being NaN, and the logarithm finite; it is lost beside any score


class Fused(NamedTuple):
    """What was made of rows.

    Attributes:
        shares: [rows, sensors] how the score is to be shared; their sum is any.
        score: [rows, 1].
        shift: [1 or rows, sensors] what the expected scaled readings lie above the reproduced ones.
    """

    shares: torch.Tensor
    score: torch.Tensor
    shift: torch.Tensor


class Fusion(nn.Module):
    """The channels as PyTorch computes them; `export.fusion` writes the same as nodes.

    Args:
        channels: As they were fitted.
    """

    level: torch.Tensor
    matrix: torch.Tensor
    weights: torch.Tensor
    shares: torch.Tensor
    reach: torch.Tensor
    remains: torch.Tensor

    def __init__(self, channels: Channels) -> None:
        super().__init__()
        self.channels = channels
        for name, value in (
            ("level", channels.level),
            ("matrix", channels.matrix),
            ("weights", channels.weights),
            ("shares", channels.shares),
            ("reach", channels.reach),
            ("remains", channels.remains),
        ):
            self.register_buffer(name, torch.from_numpy(value.copy()))

    def residuals(
        self, scaled: torch.Tensor, reproduced: torch.Tensor, before: torch.Tensor | None
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Those of all channels, which a baseline follows, and the distances to be kept.

        Args:
            scaled: [rows, sensors] scaled readings, oldest first.
            reproduced: [rows, sensors] what the network made of them.
            before: [history, sensors] distances of the rows before; None for channels without a history.

        Returns:
            [rows, columns], channel by channel; and what comes before the next rows.
        """
        distance = scaled - self.level
        parts = [scaled - reproduced, distance]
        if before is None:
            return torch.cat(parts, 1), None
        known = torch.maximum(torch.minimum(distance, self.reach), -self.reach)
        series = torch.cat([before, known])
        history, rows = self.channels.history, self.channels.rows
        if rows > 1:
            mean = nn.functional.avg_pool2d(series[None, None], (rows, 1), stride=1)[0, 0]
            parts.append(mean)
        if SUDDEN in self.channels.names:
            parts.append(known - self.remains * series[history - 1 : -1])
        return torch.cat(parts, 1), series[-history:]

    @staticmethod
    def adapted(residuals: torch.Tensor, levels: Levels) -> torch.Tensor:
        """[rows, columns] about the slow baseline, and within the bound."""
        return torch.maximum(torch.minimum(residuals - levels.baseline, levels.bound), -levels.bound)

    def squares(self, residuals: torch.Tensor) -> torch.Tensor:
        """[rows, columns] of the white residuals."""
        white = residuals @ self.matrix
        return white * white

    def logarithm(self, squares: torch.Tensor, view: Usual) -> torch.Tensor:
        """[rows, 1] of the score of one view."""
        energies = squares @ torch.from_numpy(self.channels.energies(view)) + TINY
        return torch.log(energies) @ self.weights

    def forward(self, residuals: torch.Tensor, levels: Levels | None) -> Fused:
        """Judges rows.

        Args:
            residuals: As `residuals` gave them.
            levels: What they are judged with; None for a detector without a slow baseline.
        """
        sensors = len(self.level)
        squares = self.squares(residuals)
        logarithm = self.logarithm(squares, self.channels.fixed)
        shift = residuals.new_zeros((1, sensors))
        if levels is not None:
            adapted = self.squares(self.adapted(residuals, levels))
            other = self.logarithm(adapted, self.channels.adapted)
            # How much of a row's explanation is the baseline's view: most of it where that fits better.
            # Each part is computed, for 1 - part would be lost in rounding where a row is far off.
            parts = torch.softmax(torch.cat([logarithm, other], 1), 1)
            part, rest = parts[:, :1], parts[:, 1:]
            squares = rest * squares + part * adapted
            shift = part * levels.baseline[:, :sensors]
            logarithm = torch.minimum(logarithm, other)
        score = torch.exp(logarithm)
        return Fused(squares @ self.shares, score, shift)

    @staticmethod
    def errors(fused: Fused) -> torch.Tensor:
        """[rows, sensors] that sum to the score."""
        return fused.shares * (fused.score / (fused.shares.sum(1, keepdim=True) + TINY))
