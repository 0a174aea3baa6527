"""The convolutional autoencoder: it reproduces a row from what a few convolutions make of the last ones."""

from __future__ import annotations

from itertools import islice, pairwise
from typing import TYPE_CHECKING, ClassVar, Self

import torch
from torch import nn

from edge_runtime.errors import UsageError
from trainer.models.autoencoder import TRAINING, check_widths, dense, run
from trainer.models.base import Architecture, TrainedModel
from trainer.models.options import DEFAULT_KERNELS, DEFAULT_WIDTHS, fitting_widths

if TYPE_CHECKING:
    from trainer.models.options import ModelOptions

__all__ = ["CHANNELS", "ConvolutionalAutoencoder"]

CHANNELS = 16
WINDOWS = 3  # dimensions of a batch of them


class ConvolutionalAutoencoder(TrainedModel):
    """Convolutions over the last rows, of 16 channels each with ReLU after, in front of an autoencoder.

    Args:
        sensors: Number of inputs and outputs, at least 1.
        widths: Hidden widths of the autoencoder; the narrowest is the bottleneck.
        kernels: Rows of each convolution.
        dropout: Share of the autoencoder's hidden units that are silent in a step of training.

    Raises:
        UsageError: A width or kernel is below 1, or there is none.
    """

    kind: ClassVar[str] = "convolutional"
    options: ClassVar[frozenset[str]] = frozenset({"widths", "kernels"}) | TRAINING

    def __init__(
        self,
        sensors: int = 4,
        widths: tuple[int, ...] = DEFAULT_WIDTHS,
        kernels: tuple[int, ...] = DEFAULT_KERNELS,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.dropout = dropout
        check_widths(sensors, widths)
        if not kernels or min(kernels) < 1:
            raise UsageError(f"cannot build convolutions over {kernels} rows", where="--kernels")
        self.architecture = Architecture(self.kind, sensors, widths, None, kernels)
        self.history = sum(kernels) - len(kernels)
        sizes = pairwise((sensors, *[CHANNELS] * len(kernels)))
        convolutions = [
            module
            for (inputs, outputs), rows in zip(sizes, kernels, strict=True)
            for module in (nn.Conv1d(inputs, outputs, rows), nn.ReLU())
        ]
        self._convolutions = len(convolutions)
        self.layers = nn.Sequential(*convolutions, *dense((CHANNELS, *widths, sensors)))
        bottleneck = self.layers[self._convolutions + 2 * widths.index(min(widths))]
        nn.init.ones_(bottleneck.bias)  # type: ignore[arg-type] # as in `SensorAutoencoder`

    @classmethod
    def of(cls, architecture: Architecture) -> Self:
        """One of this architecture."""
        return cls(architecture.sensors, architecture.widths, architecture.kernels)

    @classmethod
    def untrained(cls, options: ModelOptions, sensors: int, inputs: int | None) -> Self:
        """A freshly initialised one, which is shown nothing but the rows."""
        del inputs
        widths = options.widths or fitting_widths(sensors, CHANNELS)
        return cls(sensors, widths, options.kernels, options.dropout)

    def forward(self, shown: torch.Tensor) -> torch.Tensor:
        """Reproduces scaled rows, [history + rows, sensors] to [rows, sensors], or windows."""
        windows = shown.ndim == WINDOWS
        series = (shown if windows else shown.unsqueeze(0)).transpose(1, 2)
        series = run(islice(self.layers, self._convolutions), series)
        value = series[:, :, 0] if windows else series[0].T
        behind = islice(self.layers, self._convolutions, None)
        return run(behind, value, self.dropout if self.training else 0.0)
