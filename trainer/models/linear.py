"""The linear model: each sensor as the others, and the rows before, predict it; in closed form."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
import torch
from torch import nn

from trainer.models.base import Architecture, ClosedForm, ClosedFormModel

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from trainer.models.options import ModelOptions

__all__ = ["LinearModel"]

# Of the largest variance: a direction that hardly moves would otherwise make the prediction explode.
MIN_VARIANCE = 1e-6


class LinearModel(ClosedFormModel):
    """Predicts each scaled sensor from all other columns by linear regression on normal rows.

    Of the sensors alone, its whitened residual is the Mahalanobis distance of the row, and unlike that
    distance it says what each sensor should have read. With the rows before it is a vector autoregression.

    Args:
        sensors: Number of outputs, at least 1.
        inputs: Number of inputs, the sensors first; None for as many as sensors.
    """

    kind: ClassVar[str] = "linear"
    # By its own change or mean, it would read each sensor off.
    options: ClassVar[frozenset[str]] = frozenset({"window", "period", "clamp"})

    def __init__(self, sensors: int, inputs: int | None = None) -> None:
        super().__init__()
        self.architecture = Architecture(self.kind, sensors, (), inputs)
        self.layers = nn.Sequential(nn.Linear(inputs or sensors, sensors))

    @classmethod
    def of(cls, architecture: Architecture) -> Self:
        """One of this architecture."""
        return cls(architecture.sensors, architecture.inputs)

    @classmethod
    def fitted(cls, shown: NDArray[np.floating[Any]], sensors: int, options: ModelOptions) -> ClosedForm:
        """The regression of normal rows, [rows, inputs], whose first columns are the scaled sensors.

        All regressions at once: a row of the inverse covariance, divided by its diagonal entry, holds the
        negative weights of one (Lauritzen, 1996, "Graphical Models", section 5.1).
        """
        del options
        rows, count = np.asarray(shown, np.float64), sensors
        mean = rows.mean(0)
        variances, axes = np.linalg.eigh(np.atleast_2d(np.cov(rows.T)))
        precision = (axes / np.maximum(variances, MIN_VARIANCE * max(variances[-1], 1e-12))) @ axes.T
        weights = -(precision / np.diag(precision)[:, None])[:count]
        np.fill_diagonal(weights, 0.0)
        model = cls(count, None if count == rows.shape[1] else rows.shape[1])
        state = {"layers.0.weight": weights, "layers.0.bias": mean[:count] - weights @ mean}
        model.load_state_dict({name: torch.from_numpy(value).float() for name, value in state.items()})
        return ClosedForm(model.eval(), None)

    def forward(self, shown: torch.Tensor) -> torch.Tensor:
        """Predicts scaled rows, [rows, inputs] to [rows, sensors]."""
        predicted: torch.Tensor = self.layers(shown)
        return predicted
