"""Two channels: what the network cannot reproduce, and how far each sensor is from where it usually is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from edge_runtime.errors import TrainingError
from trainer.detector.whitening import ResidualWhitening

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Channels", "Usual"]

WHERE = "channels.json"


@dataclass(frozen=True, slots=True)
class Usual:
    """What is usual of one view, with the levels as they were in training, or with those of the baseline.

    Attributes:
        network: High quantile of the network channel's mean squared white residual, on normal rows.
        sensors: The same of the sensors' channel.
        score: The same of what the two make together.
    """

    network: float
    sensors: float
    score: float

    def __post_init__(self) -> None:
        if not all(0 < part < np.inf for part in (self.network, self.sensors, self.score)):
            raise TrainingError("not what is usual of a score: positive numbers", where=WHERE)


@dataclass(frozen=True, slots=True)
class Channels:
    """How a row is judged by two channels and in two views, where it is odd only if it is odd in both views.

    The network's channel is its scaled residual; the sensors' channel is each scaled reading's distance from
    its mean. Both are whitened. The score of a view is the geometric mean of the channels' mean squares, each
    in parts of what is usual; a row's score is the lower one of the two views.

    Attributes:
        network: Of the network's residuals, whose mean is zero on normal training rows.
        sensors: Of the scaled readings.
        fixed: What is usual with the levels of training.
        adapted: What is usual with those of the slow baseline.
    """

    network: ResidualWhitening
    sensors: ResidualWhitening
    fixed: Usual
    adapted: Usual

    @property
    def matrix(self) -> NDArray[np.float32]:
        """[2 * sensors, 2 * sensors] that whitens both at once."""
        count = len(self.sensors.centre)
        matrix = np.zeros((2 * count, 2 * count), np.float32)
        matrix[:count, :count], matrix[count:, count:] = self.network.matrix, self.sensors.matrix
        return matrix

    def weights(self, view: Usual) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """[2 * sensors, 1] that sums the squares of each channel, in parts of what is usual of a view.

        The root of the two sums' product is that view's score, in parts of what is usual of that.
        """
        count = len(self.sensors.centre)
        network, sensors = np.zeros((2, 2 * count, 1))
        network[:count] = 1 / (count * view.network * view.score)
        sensors[count:] = 1 / (count * view.sensors * view.score)
        return network.astype(np.float32), sensors.astype(np.float32)

    @property
    def shares(self) -> NDArray[np.float32]:
        """[2 * sensors, sensors] that adds each sensor's squares in both channels."""
        one = np.eye(len(self.sensors.centre))
        found = np.concatenate([one / self.fixed.network, one / self.fixed.sensors])
        return found.astype(np.float32) / np.float32(len(self.sensors.centre))

    def to_dict(self) -> dict[str, Any]:
        """The channels as JSON-ready values."""
        return {
            "network": self.network.to_dict(),
            "sensors": self.sensors.to_dict(),
            **{
                name: {"network": view.network, "sensors": view.sensors, "score": view.score}
                for name, view in (("fixed", self.fixed), ("adapted", self.adapted))
            },
        }

    @staticmethod
    def from_dict(document: dict[str, Any]) -> Channels:
        """The inverse of `to_dict`.

        Raises:
            TrainingError: A field is missing or wrong.
        """
        try:
            found = Channels(
                ResidualWhitening.from_dict(document["network"]),
                ResidualWhitening.from_dict(document["sensors"]),
                Usual(**document["fixed"]),
                Usual(**document["adapted"]),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise TrainingError(f"not the description of channels ({error})", where=WHERE) from None
        if found.network.centre.shape != found.sensors.centre.shape or found.network.centre.any():
            raise TrainingError("not the description of channels", where=WHERE)
        return found
