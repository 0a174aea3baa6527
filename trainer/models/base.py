"""What every network is: its architecture as data, so that a checkpoint can rebuild it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from edge_runtime.errors import TrainingError

__all__ = ["Architecture", "build"]


@dataclass(frozen=True, slots=True)
class Architecture:
    """The shape of a network.

    Attributes:
        kind: Which network; a name that `build` knows.
        sensors: Number of inputs and outputs.
        widths: Hidden layers' widths, the bottleneck among them.
    """

    kind: str
    sensors: int
    widths: tuple[int, ...]

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
            return Architecture(**{**document, "widths": tuple(document["widths"])})
        except (KeyError, TypeError) as error:
            raise TrainingError(f"not the description of a network ({error})", where="model.json") from None


def build(architecture: Architecture) -> Any:
    """A freshly initialised network of this architecture.

    Raises:
        TrainingError: Its kind is not known.
    """
    from trainer.models.autoencoder import SensorAutoencoder  # noqa: PLC0415
    from trainer.models.linear import LinearModel  # noqa: PLC0415

    kinds: dict[str, Any] = {kind.kind: kind for kind in (SensorAutoencoder, LinearModel)}
    if architecture.kind not in kinds:
        raise TrainingError(
            f"no model of kind '{architecture.kind}'", mend=f"choose one of {', '.join(sorted(kinds))}"
        )
    return kinds[architecture.kind](architecture.sensors, architecture.widths)
