"""The variational autoencoder: its bottleneck is a distribution, of which inference takes the mean."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, ClassVar, Self

import torch
from torch import nn

from trainer.models.autoencoder import TRAINING, check_widths, dense, run
from trainer.models.base import SHOWN, Architecture, TrainedModel
from trainer.models.options import DEFAULT_BETA, DEFAULT_WIDTHS, fitting_widths

if TYPE_CHECKING:
    from trainer.models.options import ModelOptions

__all__ = ["VariationalAutoencoder"]

LOG_VARIANCES = (-12.0, 6.0)


class VariationalAutoencoder(TrainedModel):
    """4-64-32-(4, 4)-32-64-4 by default, 5,196 parameters.

    Kingma and Welling (2014), "Auto-encoding variational Bayes"; β as in Higgins et al. (2017), "β-VAE".
    Training draws the bottleneck's values; a call takes their means, so that equal rows give equal scores,
    and the layers that give the variances stay out of the bundle.

    Args:
        sensors: Number of outputs, at least 1.
        widths: Hidden widths; the narrowest is the bottleneck.
        inputs: Number of inputs; None for as many as sensors.
        beta: Weight of the divergence from the standard normal distribution, beside the mean squared error.
        dropout: Share of the hidden units that are silent in a step of training.

    Raises:
        UsageError: A width is below 1, or there is none.
    """

    kind: ClassVar[str] = "variational"
    uncertain: ClassVar[bool] = True
    options: ClassVar[frozenset[str]] = frozenset({"widths", "beta", "clamp"}) | TRAINING | SHOWN

    def __init__(
        self,
        sensors: int = 4,
        widths: tuple[int, ...] = DEFAULT_WIDTHS,
        inputs: int | None = None,
        beta: float = DEFAULT_BETA,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        check_widths(sensors, widths)
        self.architecture = Architecture(self.kind, sensors, widths, inputs)
        self.beta, self.dropout = beta, dropout
        cut = widths.index(min(widths))
        encoder = dense((inputs or sensors, *widths[: cut + 1]))
        self._mean = len(encoder) - 1
        self.layers = nn.Sequential(*encoder, *dense((*widths[cut:], sensors)))
        before = (inputs or sensors, *widths)[cut]
        self.log_variance = nn.Linear(before, widths[cut])

    @classmethod
    def of(cls, architecture: Architecture) -> Self:
        """One of this architecture."""
        return cls(architecture.sensors, architecture.widths, architecture.inputs)

    @classmethod
    def untrained(cls, options: ModelOptions, sensors: int, inputs: int | None) -> Self:
        """A freshly initialised one."""
        widths = options.widths or fitting_widths(sensors, inputs or sensors)
        return cls(sensors, widths, inputs, options.beta, options.dropout)

    def forward(self, shown: torch.Tensor) -> torch.Tensor:
        """Reproduces scaled rows, [rows, inputs] to [rows, sensors], by the means."""
        return run(self.layers, shown)

    def deviations(self, shown: torch.Tensor) -> torch.Tensor:
        """How uncertain the bottleneck is of each row: standard deviations, [rows, bottleneck]."""
        return torch.exp(self._log_variances(self._through(shown, 0, self._mean)) / 2)

    def loss(self, shown: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
        """Mean squared error of a draw, plus β times the divergence a sensor."""
        hidden = self._through(shown, 0, self._mean)
        mean, log_variance = self.layers[self._mean](hidden), self._log_variances(hidden)
        drawn = mean + torch.exp(log_variance / 2) * torch.randn_like(mean)
        decoded = self._through(drawn, self._mean + 1, len(self.layers))
        error = nn.functional.mse_loss(decoded, wanted)
        divergence = (mean * mean + torch.exp(log_variance) - 1 - log_variance).sum(1).mean() / 2
        total: torch.Tensor = error + self.beta * divergence / wanted.shape[1]
        return total

    def _log_variances(self, hidden: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = self.log_variance(hidden)
        return found.clamp(*LOG_VARIANCES)

    def _through(self, value: torch.Tensor, start: int, stop: int) -> torch.Tensor:
        return run(islice(self.layers, start, stop), value, self.dropout if self.training else 0.0)
