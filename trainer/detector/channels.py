"""The channels that judge a row: what the network does not reproduce, how far sensors are from usual."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from edge_runtime.errors import TrainingError
from trainer.detector.whitening import ResidualWhitening

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

__all__ = ["LASTING", "NETWORK", "SENSORS", "SUDDEN", "Channel", "Channels", "Usual", "diagonal"]

WHERE = "channels.json"
# In the order of their columns; the last two only where they were asked for.
NETWORK, SENSORS, LASTING, SUDDEN = "network", "sensors", "lasting", "sudden"
ORDER = (NETWORK, SENSORS, LASTING, SUDDEN)


@dataclass(frozen=True, slots=True)
class Usual:
    """What is usual of one view, with the levels as they were in training, or with those of the baseline.

    Attributes:
        energies: High quantile of each channel's mean squared white residual, on normal rows.
        score: The same of what they make together.
    """

    energies: tuple[float, ...]
    score: float

    def __post_init__(self) -> None:
        if not all(0 < part < np.inf for part in (*self.energies, self.score)):
            raise TrainingError("not what is usual of a score: positive numbers", where=WHERE)


@dataclass(frozen=True, slots=True)
class Channel:
    """One of the channels.

    Attributes:
        name: "network", "sensors", "lasting" or "sudden".
        whitening: Of its residuals.
        weight: How much it counts beside the others.
    """

    name: str
    whitening: ResidualWhitening
    weight: float


@dataclass(frozen=True, slots=True)
class Channels:
    """How a row is judged by several channels and in two views, where it is odd only if it is odd in both.

    The network's channel is its scaled residual; the sensors' channel is each scaled reading's distance from
    its mean. The lasting channel is the mean distance over the last rows, in which a small change stands out
    once it has lasted; the sudden channel is what each sensor's distance differs from the part of its last
    one that usually remains. All are whitened. The score of a view is the weighted geometric mean of the
    channels' mean squares, each in parts of what is usual; a row's score is the lower one of the two views.

    Attributes:
        parts: The channels, in the order of their columns: the network, the sensors, and others.
        rows: Rows of the lasting channel's mean, the newest among them; 1 for no such channel.
        reach: [sensors] float32, the largest distance that these two channels know, so that a spike is over
            at once.
        remains: [sensors] float32, the part of a distance that remains a row later; of no meaning without
            the sudden channel.
        fixed: What is usual with the levels of training.
        adapted: What is usual with those of the slow baseline.
    """

    parts: tuple[Channel, ...]
    rows: int
    reach: NDArray[np.float32]
    remains: NDArray[np.float32]
    fixed: Usual
    adapted: Usual

    @property
    def names(self) -> tuple[str, ...]:
        """Of the channels, in order."""
        return tuple(part.name for part in self.parts)

    @property
    def level(self) -> NDArray[np.float32]:
        """[sensors] the mean of each scaled sensor on normal training rows."""
        return self.parts[1].whitening.centre

    @property
    def history(self) -> int:
        """Rows before the newest whose distances are needed."""
        return max(self.rows - 1, int(SUDDEN in self.names))

    @property
    def matrix(self) -> NDArray[np.float32]:
        """[columns, columns] that whitens all channels at once."""
        return diagonal([part.whitening.matrix for part in self.parts])

    @property
    def weights(self) -> NDArray[np.float32]:
        """[channels, 1] exponents of the geometric mean; they sum to 1."""
        weights = np.array([[part.weight] for part in self.parts], np.float64)
        weights /= weights.sum()
        return weights.astype(np.float32)

    def energies(self, view: Usual) -> NDArray[np.float32]:
        """[columns, channels] that sums the squares of each channel, in parts of what is usual of a view.

        The weighted geometric mean of the sums is that view's score, in parts of what is usual of that.
        """
        count = len(self.level)
        found = np.zeros((len(self.parts) * count, len(self.parts)))
        for i, energy in enumerate(view.energies):
            found[i * count : (i + 1) * count, i] = 1 / (count * energy * view.score)
        return found.astype(np.float32)

    @property
    def shares(self) -> NDArray[np.float32]:
        """[columns, sensors] that adds each sensor's squares in all channels."""
        one = np.eye(len(self.level))
        weighed = zip(self.parts, self.fixed.energies, strict=True)
        found = np.concatenate([part.weight * one / energy for part, energy in weighed])
        return found.astype(np.float32) / np.float32(len(self.level))

    def to_dict(self) -> dict[str, Any]:
        """The channels as JSON-ready values."""
        return {
            "channels": [
                {"name": part.name, "weight": part.weight, "whitening": part.whitening.to_dict()}
                for part in self.parts
            ],
            "rows": self.rows,
            "reach": self.reach.tolist(),
            "remains": self.remains.tolist(),
            **{
                name: {"energies": list(view.energies), "score": view.score}
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
            parts = tuple(
                Channel(each["name"], ResidualWhitening.from_dict(each["whitening"]), float(each["weight"]))
                for each in document["channels"]
            )
            fixed, adapted = (
                Usual(tuple(map(float, document[name]["energies"])), float(document[name]["score"]))
                for name in ("fixed", "adapted")
            )
            reach, remains = (np.asarray(document[name], np.float32) for name in ("reach", "remains"))
            found = Channels(parts, int(document["rows"]), reach, remains, fixed, adapted)
        except (KeyError, TypeError, ValueError) as error:
            raise TrainingError(f"not the description of channels ({error})", where=WHERE) from None
        if not _consistent(found):
            raise TrainingError("not the description of channels", where=WHERE)
        return found


def diagonal(blocks: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
    """The blocks along the diagonal of a matrix of zeros."""
    found = np.zeros(np.sum([block.shape for block in blocks], axis=0), np.float32)
    row = column = 0
    for block in blocks:
        rows, columns = block.shape
        found[row : row + rows, column : column + columns] = block
        row, column = row + rows, column + columns
    return found


def _consistent(channels: Channels) -> bool:
    names = channels.names
    if names[:2] != ORDER[:2] or list(names) != [name for name in ORDER if name in names]:
        return False
    shape = channels.level.shape
    same = all(part.whitening.centre.shape == shape for part in channels.parts)
    others = (*channels.parts[:1], *channels.parts[2:])
    return (
        same
        and not any(part.whitening.centre.any() for part in others)
        and all(0 < part.weight < np.inf for part in channels.parts)
        and (channels.rows > 1) == (LASTING in names)
        and channels.rows >= 1
        and channels.reach.shape == channels.remains.shape == shape
        and all(len(view.energies) == len(names) for view in (channels.fixed, channels.adapted))
    )
