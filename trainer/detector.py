"""The detector: scaler, network and score in one module. What this computes is what gets exported."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from trainer.scaler import SensorScaler
    from trainer.whitening import ResidualWhitening

__all__ = ["Detector"]


class Detector(nn.Module):
    """Raw readings in; score, errors and expected readings out.

    The reconstruction error of a sensor is its squared residual, scaled and whitened, divided by the number
    of sensors, so that the errors of a row sum to its score, the mean squared error.

    Args:
        network: Reproduces scaled rows, such as `SensorAutoencoder`.
        scaler: Fitted on normal training rows.
        whitening: Fitted on their residuals; None for none.
    """

    offset: torch.Tensor
    scale: torch.Tensor
    centre: torch.Tensor
    matrix: torch.Tensor

    def __init__(
        self, network: nn.Module, scaler: SensorScaler, whitening: ResidualWhitening | None = None
    ) -> None:
        super().__init__()
        self.network = network
        self.scaler = scaler
        self.whitening = whitening
        self.register_buffer("offset", torch.from_numpy(scaler.offset.copy()))
        self.register_buffer("scale", torch.from_numpy(scaler.scale.copy()))
        if whitening is not None:
            self.register_buffer("centre", torch.from_numpy(whitening.centre.copy()))
            self.register_buffer("matrix", torch.from_numpy(whitening.matrix.copy()))

    def forward(self, readings: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Scores raw readings.

        Args:
            readings: [rows, sensors] float32, raw units.

        Returns:
            score [rows], errors [rows, sensors], expected [rows, sensors] in raw units.
        """
        scaled = (readings - self.offset) / self.scale
        reproduced = self.network(scaled)
        residual = scaled - reproduced
        if self.whitening is not None:
            residual = (residual - self.centre) @ self.matrix
        errors = residual * residual * (1.0 / readings.shape[1])
        return errors.sum(1), errors, reproduced * self.scale + self.offset

    @torch.no_grad()
    def score(self, readings: NDArray[np.float32], block: int = 65536) -> tuple[NDArray[np.float32], ...]:
        """The same for numpy arrays, block by block: score, errors, expected."""
        self.eval()
        parts = [
            self(torch.from_numpy(np.ascontiguousarray(readings[i : i + block])))
            for i in range(0, len(readings), block)
        ]
        if not parts:
            return (np.empty(0, np.float32), np.empty_like(readings), np.empty_like(readings))
        return tuple(torch.cat(columns).numpy() for columns in zip(*parts, strict=True))
