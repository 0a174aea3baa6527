"""The autoencoder: a symmetric multilayer perceptron that reproduces one scaled row."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, ClassVar, Self

from torch import nn

from edge_runtime.errors import UsageError
from trainer.models.base import Architecture, Network

if TYPE_CHECKING:
    import torch

__all__ = ["DEFAULT_WIDTHS", "SensorAutoencoder", "check_widths", "dense"]

DEFAULT_WIDTHS = (64, 32, 4, 32, 64)


class SensorAutoencoder(Network):
    """4-64-32-4-32-64-4 by default, 5,064 parameters: linear layers with ReLU between, none at the output.

    Args:
        sensors: Number of outputs, at least 1.
        widths: Hidden widths; the narrowest is the bottleneck.
        inputs: Number of inputs; None for as many as sensors.

    Raises:
        UsageError: A width is below 1, or there is none.
    """

    kind: ClassVar[str] = "autoencoder"

    def __init__(
        self, sensors: int = 4, widths: tuple[int, ...] = DEFAULT_WIDTHS, inputs: int | None = None
    ) -> None:
        super().__init__()
        check_widths(sensors, widths)
        self.architecture = Architecture(self.kind, sensors, widths, inputs)
        self.layers = nn.Sequential(*dense((inputs or sensors, *widths, sensors)))
        # Of a handful of units that start near zero, ReLU may keep some, or all, silent for good: the network
        # then reproduces the mean whatever it is shown. Started well above zero, they all learn.
        bottleneck = self.layers[2 * widths.index(min(widths))]
        nn.init.ones_(bottleneck.bias)  # type: ignore[arg-type]

    @classmethod
    def of(cls, architecture: Architecture) -> Self:
        """One of this architecture."""
        return cls(architecture.sensors, architecture.widths, architecture.inputs)

    def forward(self, shown: torch.Tensor) -> torch.Tensor:
        """Reproduces scaled rows, [rows, inputs] to [rows, sensors]."""
        reproduced: torch.Tensor = self.layers(shown)
        return reproduced


def check_widths(sensors: int, widths: tuple[int, ...]) -> None:
    """Refuses what is no network.

    Raises:
        UsageError: A width is below 1, or there is none.
    """
    if sensors < 1 or not widths or min(widths) < 1:
        raise UsageError(f"cannot build an autoencoder of {sensors} sensors and widths {widths}")


def dense(sizes: tuple[int, ...]) -> list[nn.Module]:
    """Linear layers from each size to the next, with ReLU between."""
    layers: list[nn.Module] = []
    for inputs, outputs in pairwise(sizes):
        layers += [nn.Linear(inputs, outputs), nn.ReLU()]
    return layers[:-1]
