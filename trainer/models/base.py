"""What every model is: a module that exports, with its architecture as data so that it can be rebuilt."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Self

from torch import nn

from edge_runtime.errors import TrainingError

if TYPE_CHECKING:
    import numpy as np
    import torch
    from numpy.typing import NDArray

    from trainer.models.options import ModelOptions

__all__ = ["Architecture", "ClosedForm", "ClosedFormModel", "ModelKind", "Network", "TrainedModel"]

# What a network may be shown beside the scaled row: `trainer.detector.features` makes them.
SHOWN = frozenset({"window", "differences", "rolling", "period"})


@dataclass(frozen=True, slots=True)
class Architecture:
    """The shape of a network.

    Attributes:
        kind: Which model; a name of the registry.
        sensors: Number of outputs.
        widths: Hidden layers' widths, the bottleneck among them.
        inputs: Number of input columns; None for as many as sensors.
        kernels: Rows of each convolution of a convolutional network.
        members: Networks of this kind whose outputs are averaged.
    """

    kind: str
    sensors: int
    widths: tuple[int, ...]
    inputs: int | None = None
    kernels: tuple[int, ...] = ()
    members: int = 1

    def to_dict(self) -> dict[str, Any]:
        """The architecture as JSON-ready values."""
        return asdict(self)

    @staticmethod
    def from_dict(document: dict[str, Any]) -> Architecture:
        """The inverse of `to_dict`.

        Raises:
            TrainingError: A field is missing or unknown.
        """
        try:
            tuples = {name: tuple(document[name]) for name in ("widths", "kernels")}
            return Architecture(**{**document, **tuples})
        except (KeyError, TypeError) as error:
            raise TrainingError(f"not the description of a network ({error})", where="model.json") from None


class Network(nn.Module):
    """Reproduces scaled rows.

    Called with [rows, inputs], or [history + rows, inputs] where it looks back, it gives [rows, sensors].
    Called with windows, [batch, history + 1, inputs], it gives [batch, sensors].

    Attributes:
        architecture: How to build it again.
        history: Rows before the newest that it needs.
        layers: What it computes, layer after layer, as the export writes it; of an ensemble, its first's.
    """

    architecture: Architecture
    history: int = 0
    layers: nn.Sequential

    @property
    def chains(self) -> list[nn.Sequential]:
        """The layers of each member, whose outputs are averaged."""
        return [self.layers]

    def loss(self, shown: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
        """What training minimises, a scalar.

        Args:
            shown: As for a call.
            wanted: [rows or batch, sensors] the scaled rows without noise.
        """
        return nn.functional.mse_loss(self(shown), wanted)

    @property
    def parameter_count(self) -> int:
        """Number of trained weights."""
        return sum(p.numel() for p in self.parameters())


class ModelKind(Network):
    """A kind of model: what the registry lists.

    Attributes:
        kind: Its name, as `--model` takes it.
        options: Those of `Settings` that not every kind has, but this one does.
    """

    kind: ClassVar[str]
    options: ClassVar[frozenset[str]]

    @classmethod
    def of(cls, architecture: Architecture) -> Self:
        """A freshly initialised one of this architecture."""
        raise NotImplementedError


class TrainedModel(ModelKind):
    """A kind that is trained step by step.

    Attributes:
        uncertain: Whether its bottleneck is a distribution.
    """

    uncertain: ClassVar[bool] = False

    @classmethod
    def untrained(cls, options: ModelOptions, sensors: int, inputs: int | None) -> Self:
        """A freshly initialised one.

        Args:
            options: What was chosen.
            sensors: Number of outputs.
            inputs: Number of input columns; None for as many as sensors.

        Raises:
            UsageError: There is no such network.
        """
        raise NotImplementedError

    def deviations(self, shown: torch.Tensor) -> torch.Tensor:
        """How uncertain the bottleneck is of each row: standard deviations, [rows, bottleneck]."""
        raise NotImplementedError


class ClosedForm(NamedTuple):
    """A model that was fitted in closed form.

    Attributes:
        network: The model, in evaluation mode.
        covariance: [sensors, sensors] of its residuals on the rows, where it knows that.
    """

    network: Network
    covariance: NDArray[np.float64] | None


class ClosedFormModel(ModelKind):
    """A kind that is computed from the rows at once."""

    @classmethod
    def fitted(cls, shown: NDArray[np.floating[Any]], sensors: int, options: ModelOptions) -> ClosedForm:
        """The model of normal rows.

        Args:
            shown: [rows, inputs], the scaled sensors first.
            sensors: How many those are.
            options: What was chosen.
        """
        raise NotImplementedError
