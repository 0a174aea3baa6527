"""Averaging of residuals over the last rows: what is small but lasts adds up, noise cancels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from edge_runtime.errors import TrainingError, UsageError

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["ResidualAverage"]

# The weights that are left out sum to this part.
LEFT_OUT = 0.01


@dataclass(frozen=True, slots=True)
class ResidualAverage:
    """An exponentially weighted mean of the residuals of a machine's last rows, cut off where little is left.

    With whitening this is a MEWMA chart of the residuals (Lowry, Woodall, Champ and Rigdon, 1992, "A
    multivariate exponentially weighted moving average control chart"). Before a machine's first row,
    residuals count as 0.

    Attributes:
        weight: Of the newest row, above 0 and below 1.
    """

    weight: float

    def __post_init__(self) -> None:
        if not 0 < self.weight < 1 or self.rows < 2:  # noqa: PLR2004
            raise UsageError(f"{self.weight:g} is not a weight between 0 and 0.99", where="--average")

    @property
    def rows(self) -> int:
        """Rows that count, the newest among them."""
        return int(np.ceil(np.log(LEFT_OUT) / np.log(1 - self.weight)))

    @property
    def weights(self) -> NDArray[np.float32]:
        """[rows], oldest first; they sum to 1."""
        weights = (1 - self.weight) ** np.arange(self.rows)[::-1]
        found: NDArray[np.float32] = (weights / weights.sum()).astype(np.float32)
        return found

    def to_dict(self) -> dict[str, Any]:
        """The average as JSON-ready values."""
        return {"weight": self.weight}

    @staticmethod
    def from_dict(document: dict[str, Any]) -> ResidualAverage:
        """The inverse of `to_dict`.

        Raises:
            TrainingError: A field is missing or wrong.
        """
        weight = document.get("weight")
        if not isinstance(weight, float):
            raise TrainingError("not the description of an average", where="average.json")
        return ResidualAverage(weight)
