"""The detector: scaler, network and score in one module. What this computes is what gets exported."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from trainer.scaler import SensorScaler
    from trainer.smoothing import ScoreSmoothing
    from trainer.whitening import ResidualWhitening

__all__ = ["TINY", "Detector"]

TINY = 1e-30  # keeps 0 / 0 from being NaN, and is lost beside any score


class Detector(nn.Module):
    """Raw readings in; score, errors and expected readings out.

    The reconstruction error of a sensor is its squared residual, scaled and whitened, divided by the number
    of sensors, so that the errors of a row sum to its score, the mean squared error. With a smoothing, score
    and errors may be held up by those of the rows before; then the detector has a memory.

    Args:
        network: Reproduces scaled rows, such as `SensorAutoencoder`.
        scaler: Fitted on normal training rows.
        whitening: Fitted on their residuals; None for none.
        smoothing: Over the last rows; None for none.
    """

    offset: torch.Tensor
    scale: torch.Tensor
    centre: torch.Tensor
    matrix: torch.Tensor

    def __init__(
        self,
        network: nn.Module,
        scaler: SensorScaler,
        whitening: ResidualWhitening | None = None,
        smoothing: ScoreSmoothing | None = None,
    ) -> None:
        super().__init__()
        self.network = network
        self.scaler = scaler
        self.whitening = whitening
        self.smoothing = smoothing
        self.register_buffer("offset", torch.from_numpy(scaler.offset.copy()))
        self.register_buffer("scale", torch.from_numpy(scaler.scale.copy()))
        if whitening is not None:
            self.register_buffer("centre", torch.from_numpy(whitening.centre.copy()))
            self.register_buffer("matrix", torch.from_numpy(whitening.matrix.copy()))

    @property
    def state_shape(self) -> tuple[int, ...] | None:
        """Of what one call leaves to the next of the same machine; None without memory."""
        return None if self.smoothing is None else (self.smoothing.rows - 1, len(self.scaler.offset))

    def forward(
        self, readings: torch.Tensor, state: torch.Tensor | None = None
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor | None]:
        """Scores raw readings.

        Args:
            readings: [rows, sensors] float32, raw units; with a memory those of one machine, oldest first.
            state: What the machine's last call returned; None for a machine's first rows.

        Returns:
            score [rows], errors [rows, sensors], expected [rows, sensors] in raw units, and the state.
        """
        scaled = (readings - self.offset) / self.scale
        reproduced = self.network(scaled)
        residual = scaled - reproduced
        if self.whitening is not None:
            residual = (residual - self.centre) @ self.matrix
        errors = residual * residual * (1.0 / readings.shape[1])
        if self.smoothing is not None:
            errors, state = _smooth(self.smoothing, errors, state)
        return errors.sum(1), errors, reproduced * self.scale + self.offset, state

    @torch.no_grad()
    def score(self, readings: NDArray[np.float32], block: int = 65536) -> tuple[NDArray[np.float32], ...]:
        """The same for numpy arrays, block by block, from a machine's first row: score, errors, expected."""
        self.eval()
        parts, state = [], None
        for i in range(0, len(readings), block):
            *outputs, state = self(torch.from_numpy(np.ascontiguousarray(readings[i : i + block])), state)
            parts.append(outputs)
        if not parts:
            return (np.empty(0, np.float32), np.empty_like(readings), np.empty_like(readings))
        return tuple(torch.cat(columns).numpy() for columns in zip(*parts, strict=True))

    def score_table(
        self, readings: NDArray[np.float32], times: NDArray[np.int64], machines: NDArray[np.str_]
    ) -> NDArray[np.float32]:
        """[rows] scores of rows in any order, of any machines, as a gateway would give them in time order."""
        if self.state_shape is None:
            return self.score(readings)[0]
        order = np.lexsort((times, machines))
        scores = np.empty(len(readings), np.float32)
        for rows in np.split(order, np.flatnonzero(machines[order][1:] != machines[order][:-1]) + 1):
            scores[rows] = self.score(readings[rows])[0]
        return scores


def _smooth(
    smoothing: ScoreSmoothing, errors: torch.Tensor, state: torch.Tensor | None
) -> tuple[torch.Tensor, torch.Tensor]:
    """The errors, raised where the last rows' capped mean is above their sum; and the state."""
    if state is None:
        state = errors.new_zeros(smoothing.rows - 1, errors.shape[1])
    own = errors.sum(1, keepdim=True)
    capped = errors * torch.clamp(smoothing.cap / (own + TINY), max=1.0)
    series = torch.cat([state, capped])
    mean = nn.functional.avg_pool2d(series[None, None], (smoothing.rows, 1), stride=1)[0, 0]
    held = mean.sum(1, keepdim=True)
    raised = torch.relu(held - own) / (held + TINY)
    return errors + mean * raised, series[1 - smoothing.rows :]
