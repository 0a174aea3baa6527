"""Principal components: T² and Q as one score, in closed form."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
import torch
from torch import nn

from trainer.models.base import Architecture, ClosedForm, ClosedFormModel

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from trainer.models.options import ModelOptions

__all__ = ["PcaModel"]

# Of the variance, what the components have to hold when nobody says how many there are.
KEPT = 0.9
MIN_VARIANCE = 1e-6


class PcaModel(ClosedFormModel):
    """Predicts each scaled sensor from the others by the covariance that its principal components leave.

    The covariance keeps the components' variances and gives all other directions one (Tipping and Bishop,
    1999, "Probabilistic principal component analysis"). The whitened residual is then T² plus Q over that
    one variance, the combined index of Yue and Qin (2001), and each sensor still has its share of it.

    Args:
        sensors: Number of inputs and outputs, at least 1.
        components: How many are kept.
    """

    kind: ClassVar[str] = "pca"
    options: ClassVar[frozenset[str]] = frozenset({"components", "clamp"})

    def __init__(self, sensors: int, components: int) -> None:
        super().__init__()
        self.architecture = Architecture(self.kind, sensors, (components,))
        self.layers = nn.Sequential(nn.Linear(sensors, sensors))

    @classmethod
    def of(cls, architecture: Architecture) -> Self:
        """One of this architecture."""
        return cls(architecture.sensors, architecture.widths[0])

    @classmethod
    def fitted(cls, shown: NDArray[np.floating[Any]], sensors: int, options: ModelOptions) -> ClosedForm:
        """The model of scaled normal rows, [rows, sensors], and its residuals' covariance."""
        del sensors
        rows, components = np.asarray(shown, np.float64), options.components
        mean = rows.mean(0)
        variances, axes = np.linalg.eigh(np.atleast_2d(np.cov(rows.T)))
        variances, axes = variances[::-1], axes[:, ::-1]
        if components is None:
            components = 1 + int(np.searchsorted(np.cumsum(variances) / variances.sum(), KEPT))
        components = min(components, len(mean))
        kept = variances.copy()
        if components < len(mean):
            kept[components:] = variances[components:].mean()
        kept = np.maximum(kept, MIN_VARIANCE * max(variances[0], 1e-12))
        precision = (axes / kept) @ axes.T
        diagonal = np.diag(precision)
        weights = -precision / diagonal[:, None]
        np.fill_diagonal(weights, 0.0)
        model = cls(len(mean), components)
        state = {"layers.0.weight": weights, "layers.0.bias": mean - weights @ mean}
        model.load_state_dict({name: torch.from_numpy(value).float() for name, value in state.items()})
        # A residual is the precision times the centred row, over the diagonal.
        return ClosedForm(model.eval(), precision / diagonal[:, None] / diagonal[None, :])

    def forward(self, shown: torch.Tensor) -> torch.Tensor:
        """Predicts scaled rows, [rows, sensors] to [rows, sensors]."""
        predicted: torch.Tensor = self.layers(shown)
        return predicted
