"""The convolutional autoencoder: it reproduces a row from what a few convolutions make of the last ones."""

from __future__ import annotations

from itertools import pairwise
from typing import ClassVar, Self

import torch
from torch import nn

from edge_runtime.errors import UsageError
from trainer.models.autoencoder import DEFAULT_WIDTHS, check_widths, dense
from trainer.models.base import Architecture, Network

__all__ = ["CHANNELS", "DEFAULT_KERNELS", "ConvolutionalAutoencoder"]

CHANNELS = 16
DEFAULT_KERNELS = (5, 5)
WINDOWS = 3  # dimensions of a batch of them


class ConvolutionalAutoencoder(Network):
    """Convolutions over the last rows, of 16 channels each with ReLU after, in front of an autoencoder.

    Args:
        sensors: Number of inputs and outputs, at least 1.
        widths: Hidden widths of the autoencoder; the narrowest is the bottleneck.
        kernels: Rows of each convolution.

    Raises:
        UsageError: A width or kernel is below 1, or there is none.
    """

    kind: ClassVar[str] = "convolutional"

    def __init__(
        self,
        sensors: int = 4,
        widths: tuple[int, ...] = DEFAULT_WIDTHS,
        kernels: tuple[int, ...] = DEFAULT_KERNELS,
    ) -> None:
        super().__init__()
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

    def forward(self, shown: torch.Tensor) -> torch.Tensor:
        """Reproduces scaled rows, [history + rows, sensors] to [rows, sensors], or windows."""
        windows = shown.ndim == WINDOWS
        series = (shown if windows else shown.unsqueeze(0)).transpose(1, 2)
        for index in range(self._convolutions):
            series = self.layers[index](series)
        value: torch.Tensor = series[:, :, 0] if windows else series[0].T
        for index in range(self._convolutions, len(self.layers)):
            value = self.layers[index](value)
        return value
