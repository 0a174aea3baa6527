"""The autoencoder: a symmetric multilayer perceptron that reproduces one scaled row."""

from __future__ import annotations

from itertools import pairwise
from typing import ClassVar

import torch
from torch import nn

from edge_runtime.errors import UsageError
from trainer.models.base import Architecture

__all__ = ["DEFAULT_WIDTHS", "SensorAutoencoder"]

DEFAULT_WIDTHS = (64, 32, 4, 32, 64)


class SensorAutoencoder(nn.Module):
    """4-64-32-4-32-64-4 by default, 5,064 parameters: linear layers with ReLU between, none at the output.

    Args:
        sensors: Number of inputs and outputs, at least 1.
        widths: Hidden widths; the narrowest is the bottleneck.

    Raises:
        UsageError: A width is below 1, or there is none.
    """

    kind: ClassVar[str] = "autoencoder"

    def __init__(self, sensors: int = 4, widths: tuple[int, ...] = DEFAULT_WIDTHS) -> None:
        super().__init__()
        if sensors < 1 or not widths or min(widths) < 1:
            raise UsageError(f"cannot build an autoencoder of {sensors} sensors and widths {widths}")
        self.architecture = Architecture(self.kind, sensors, widths)
        linear = [nn.Linear(inputs, outputs) for inputs, outputs in pairwise((sensors, *widths, sensors))]
        self.layers = nn.Sequential(*[module for layer in linear for module in (layer, nn.ReLU())][:-1])
        # Of a handful of units that start near zero, ReLU may keep some, or all, silent for good: the network
        # then reproduces the mean whatever it is shown. Started well above zero, they all learn.
        nn.init.ones_(linear[widths.index(min(widths))].bias)

    def forward(self, scaled: torch.Tensor) -> torch.Tensor:
        """Reproduces scaled rows, [rows, sensors] to [rows, sensors]."""
        reproduced: torch.Tensor = self.layers(scaled)
        return reproduced

    @property
    def parameter_count(self) -> int:
        """Number of trained weights."""
        return sum(p.numel() for p in self.parameters())
