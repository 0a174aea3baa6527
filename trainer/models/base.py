"""What every network is: a module that exports, with its architecture as data so that it can be rebuilt."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from torch import nn

from edge_runtime.errors import TrainingError

if TYPE_CHECKING:
    import torch

__all__ = ["Architecture", "Network"]


@dataclass(frozen=True, slots=True)
class Architecture:
    """The shape of a network.

    Attributes:
        kind: Which network; a name that `build` knows.
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

    kind: ClassVar[str]
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
