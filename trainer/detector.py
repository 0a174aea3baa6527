"""The detector: scaler, network and score in one module. What this computes is what gets exported."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from trainer.averaging import ResidualAverage
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
        whitening: Fitted on their residuals, averaged if they are; None for none.
        smoothing: Of the score over the last rows; None for none.
        average: Of the residuals over the last rows, before they are whitened; None for none.
    """

    offset: torch.Tensor
    scale: torch.Tensor
    centre: torch.Tensor
    matrix: torch.Tensor
    kernel: torch.Tensor

    def __init__(
        self,
        network: nn.Module,
        scaler: SensorScaler,
        whitening: ResidualWhitening | None = None,
        smoothing: ScoreSmoothing | None = None,
        average: ResidualAverage | None = None,
    ) -> None:
        super().__init__()
        self.network = network
        self.scaler = scaler
        self.whitening = whitening
        self.smoothing = smoothing
        self.average = average
        self.register_buffer("offset", torch.from_numpy(scaler.offset.copy()))
        self.register_buffer("scale", torch.from_numpy(scaler.scale.copy()))
        if whitening is not None:
            self.register_buffer("centre", torch.from_numpy(whitening.centre.copy()))
            self.register_buffer("matrix", torch.from_numpy(whitening.matrix.copy()))
        if average is not None:
            self.register_buffer("kernel", torch.from_numpy(average.weights).reshape(1, 1, -1, 1))

    @property
    def state_shape(self) -> tuple[int, ...] | None:
        """Of what one call leaves to the next of the same machine; None without memory."""
        rows = sum(self.state_rows)
        return (rows, len(self.scaler.offset)) if rows else None

    @property
    def state_rows(self) -> tuple[int, int]:
        """Rows of the state: first residuals to average, then errors to smooth."""
        averaged = 0 if self.average is None else self.average.rows - 1
        return averaged, 0 if self.smoothing is None else self.smoothing.rows - 1

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
        if self.state_shape is not None and state is None:
            state = residual.new_zeros(self.state_shape)
        parts: list[torch.Tensor] = []
        if self.average is not None and state is not None:
            series = torch.cat([state[: self.state_rows[0]], residual])
            parts.append(series[-self.state_rows[0] :])
            residual = nn.functional.conv2d(series[None, None], self.kernel)[0, 0]
        if self.whitening is not None:
            residual = (residual - self.centre) @ self.matrix
        errors = residual * residual * (1.0 / readings.shape[1])
        if self.smoothing is not None and state is not None:
            errors, part = _smooth(self.smoothing, errors, state[self.state_rows[0] :])
            parts.append(part)
        state = torch.cat(parts) if parts else None
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
    smoothing: ScoreSmoothing, errors: torch.Tensor, state: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """The errors, raised where the last rows' capped mean is above their sum; and the state."""
    own = errors.sum(1, keepdim=True)
    capped = errors * torch.clamp(smoothing.cap / (own + TINY), max=1.0)
    series = torch.cat([state, capped])
    mean = nn.functional.avg_pool2d(series[None, None], (smoothing.rows, 1), stride=1)[0, 0]
    held = mean.sum(1, keepdim=True)
    raised = torch.relu(held - own) / (held + TINY)
    return errors + mean * raised, series[1 - smoothing.rows :]
