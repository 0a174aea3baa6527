"""The autoencoder: a symmetric multilayer perceptron that reproduces one scaled row."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, ClassVar, Self

from torch import nn

from edge_runtime.errors import UsageError
from trainer.models.base import SHOWN, Architecture, TrainedModel
from trainer.models.options import DEFAULT_WIDTHS, fitting_widths

if TYPE_CHECKING:
    from collections.abc import Iterable

    import torch

    from trainer.models.options import ModelOptions

__all__ = ["TRAINING", "SensorAutoencoder", "check_widths", "dense", "run"]

# Options of whatever is trained step by step.
TRAINING = frozenset({"members", "noise", "weight_decay", "clip_norm", "stride", "dropout"})


class SensorAutoencoder(TrainedModel):
    """4-64-32-4-32-64-4 by default, 5,064 parameters: linear layers with ReLU between, none at the output.

    Args:
        sensors: Number of outputs, at least 1.
        widths: Hidden widths; the narrowest is the bottleneck.
        inputs: Number of inputs; None for as many as sensors.
        dropout: Share of the hidden units that are silent in a step of training.

    Raises:
        UsageError: A width is below 1, or there is none.
    """

    kind: ClassVar[str] = "autoencoder"
    options: ClassVar[frozenset[str]] = frozenset({"widths", "clamp"}) | TRAINING | SHOWN

    def __init__(
        self,
        sensors: int = 4,
        widths: tuple[int, ...] = DEFAULT_WIDTHS,
        inputs: int | None = None,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        check_widths(sensors, widths)
        self.dropout = dropout
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

    @classmethod
    def untrained(cls, options: ModelOptions, sensors: int, inputs: int | None) -> Self:
        """A freshly initialised one."""
        widths = options.widths or fitting_widths(sensors, inputs or sensors)
        return cls(sensors, widths, inputs, options.dropout)

    def forward(self, shown: torch.Tensor) -> torch.Tensor:
        """Reproduces scaled rows, [rows, inputs] to [rows, sensors]."""
        return run(self.layers, shown, self.dropout if self.training else 0.0)


def check_widths(sensors: int, widths: tuple[int, ...]) -> None:
    """Refuses what is no network.

    Raises:
        UsageError: A width is below 1, or there is none.
    """
    if sensors < 1 or not widths or min(widths) < 1:
        raise UsageError(f"cannot build an autoencoder of {sensors} sensors and widths {widths}")


def run(layers: Iterable[nn.Module], value: torch.Tensor, dropout: float = 0.0) -> torch.Tensor:
    """What layers make of a value, one after another.

    Args:
        layers: Layers with ReLU between.
        value: The first one's input.
        dropout: Share of the units behind each ReLU that are silent, the others being louder for it
            (Srivastava et al., 2014, "Dropout: a simple way to prevent neural networks from overfitting").
    """
    for layer in layers:
        value = layer(value)
        if dropout and isinstance(layer, nn.ReLU):
            value = nn.functional.dropout(value, dropout)
    return value


def dense(sizes: tuple[int, ...]) -> list[nn.Module]:
    """Linear layers from each size to the next, with ReLU between."""
    layers: list[nn.Module] = []
    for inputs, outputs in pairwise(sizes):
        layers += [nn.Linear(inputs, outputs), nn.ReLU()]
    return layers[:-1]
