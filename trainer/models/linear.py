"""The linear model: each sensor as the others predict it, in closed form."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
import torch
from torch import nn

from trainer.models.base import Architecture

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["LinearModel"]

# Of the largest variance: a direction that hardly moves would otherwise make the prediction explode.
LEAST_VARIANCE = 1e-6


class LinearModel(nn.Module):
    """Predicts each scaled sensor from all of the others by linear regression on normal rows.

    Its whitened residual is the Mahalanobis distance of the row, and unlike that distance it says what each
    sensor should have read.

    Args:
        sensors: Number of inputs and outputs, at least 1.
    """

    kind: ClassVar[str] = "linear"

    def __init__(self, sensors: int, widths: tuple[int, ...] = ()) -> None:
        super().__init__()
        self.architecture = Architecture(self.kind, sensors, widths)
        self.layers = nn.Sequential(nn.Linear(sensors, sensors))

    @classmethod
    def fitted(cls, scaled: NDArray[np.floating[Any]]) -> Self:
        """The regression of scaled normal rows, [rows, sensors].

        All regressions at once: a row of the inverse covariance, divided by its diagonal entry, holds the
        negative weights of one (Lauritzen, 1996, "Graphical Models", section 5.1).
        """
        rows = np.asarray(scaled, np.float64)
        mean = rows.mean(0)
        variances, axes = np.linalg.eigh(np.atleast_2d(np.cov(rows.T)))
        precision = (axes / np.maximum(variances, LEAST_VARIANCE * max(variances[-1], 1e-12))) @ axes.T
        weights = -precision / np.diag(precision)[:, None]
        np.fill_diagonal(weights, 0.0)
        model = cls(rows.shape[1])
        state = {"layers.0.weight": weights, "layers.0.bias": mean - weights @ mean}
        model.load_state_dict({name: torch.from_numpy(value).float() for name, value in state.items()})
        return model.eval()

    def forward(self, scaled: torch.Tensor) -> torch.Tensor:
        """Predicts scaled rows, [rows, sensors] to [rows, sensors]."""
        predicted: torch.Tensor = self.layers(scaled)
        return predicted

    @property
    def parameter_count(self) -> int:
        """Number of fitted weights, the zeros among them."""
        return sum(p.numel() for p in self.parameters())
