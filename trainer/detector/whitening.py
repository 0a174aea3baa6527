"""Whitening of residuals: what moves together in normal rows counts once, what hardly moves counts fully."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from edge_runtime.errors import TrainingError

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["ResidualWhitening"]

# Of the largest variance: below it a direction is rounding, not movement.
MIN_VARIANCE = 1e-6
# Of the sensors' own variance, in which every sensor counts the same: below it a direction is redundant.
REDUNDANT = 1e-6
# And if there is one, no direction counts as having less.
LEAST = 1e-4


@dataclass(frozen=True, slots=True)
class ResidualWhitening:
    """`white = (residual - centre) @ matrix`: mean 0 and covariance 1 on the normal rows it was fitted on.

    The matrix is the symmetric square root of the inverse covariance (ZCA, Kessy, Lewin and Strimmer, 2018,
    "Optimal whitening and decorrelation"): of all that whiten, the one whose columns stay closest to the
    sensors, so that a squared white residual is still its sensor's share. The shares sum to the squared
    Mahalanobis distance of the residual.

    Attributes:
        centre: [sensors] float32, scaled.
        matrix: [sensors, sensors] float32; symmetric where each sensor counts in the same unit.
    """

    centre: NDArray[np.float32]
    matrix: NDArray[np.float32]

    @staticmethod
    def fit(
        residuals: NDArray[np.floating[Any]], variance: NDArray[np.float64] | None = None
    ) -> ResidualWhitening:
        """Fits on the scaled residuals of normal rows.

        Args:
            residuals: [rows, sensors].
            variance: [sensors] of the scaled sensors themselves: where one of them does not move, or repeats
                what others say, it is what the residuals are measured by. None for not known.

        Raises:
            TrainingError: Nothing moves, so nothing can be weighed.
        """
        rows = np.asarray(residuals, np.float64)
        centre, covariance = rows.mean(0), np.atleast_2d(np.cov(rows.T))
        if variance is not None and _is_singular(covariance, variance):
            return ResidualWhitening.floored(centre, covariance, variance, LEAST)
        return ResidualWhitening.of(centre, covariance)

    @staticmethod
    def floored(
        centre: NDArray[np.float64],
        covariance: NDArray[np.float64],
        variance: NDArray[np.float64],
        floor: float,
    ) -> ResidualWhitening:
        """A whitening that does not trust directions in which there is hardly any movement.

        Nearly redundant sensors leave directions with next to no variance, in which a whitening would weigh a
        thousandfold what is rounding, or a level that has moved. With each sensor in units of its own
        deviation, no direction counts as having less than `floor` of a sensor's variance.

        Args:
            centre: [sensors] mean of the residuals.
            covariance: [sensors, sensors] of the residuals.
            variance: [sensors] each sensor's own, in the residuals' units; one without any is left out.
            floor: Part of a sensor's own variance.

        Raises:
            TrainingError: Nothing moves, so nothing can be weighed.
        """
        moves = variance > 0
        if not moves.any():
            raise _still()
        scale = np.where(moves, 1 / np.sqrt(np.where(moves, variance, 1.0)), 0.0)
        variances, directions = np.linalg.eigh(scale[:, None] * covariance * scale)
        weighed = (directions / np.sqrt(np.maximum(variances, floor))) @ directions.T
        # A sensor without movement has no share of the others' either, not even what rounding leaves.
        matrix = scale[:, None] * ((weighed + weighed.T) / 2) * moves
        return ResidualWhitening(centre.astype(np.float32), matrix.astype(np.float32))

    @staticmethod
    def of(centre: NDArray[np.float64], covariance: NDArray[np.float64]) -> ResidualWhitening:
        """Of residuals with this mean, [sensors], and covariance, [sensors, sensors].

        Raises:
            TrainingError: Nothing moves, so nothing can be weighed.
        """
        variances, directions = np.linalg.eigh(covariance)
        if not variances[-1] > 0:
            raise _still()
        deviations = np.sqrt(np.maximum(variances, MIN_VARIANCE * variances[-1]))
        matrix = (directions / deviations) @ directions.T
        return ResidualWhitening(centre.astype(np.float32), ((matrix + matrix.T) / 2).astype(np.float32))

    def to_dict(self) -> dict[str, Any]:
        """The whitening as JSON-ready values."""
        return {"centre": self.centre.tolist(), "matrix": self.matrix.tolist()}

    @staticmethod
    def from_dict(document: dict[str, Any]) -> ResidualWhitening:
        """The inverse of `to_dict`.

        Raises:
            TrainingError: A field is missing or wrong.
        """
        try:
            centre = np.asarray(document["centre"], np.float32)
            matrix = np.asarray(document["matrix"], np.float32)
        except (KeyError, TypeError, ValueError) as error:
            raise TrainingError(
                f"not the description of a whitening ({error})", where="whitening.json"
            ) from None
        if centre.ndim != 1 or matrix.shape != (len(centre), len(centre)):
            raise TrainingError("not the description of a whitening", where="whitening.json")
        return ResidualWhitening(centre, matrix)


def _is_singular(covariance: NDArray[np.float64], variance: NDArray[np.float64]) -> bool:
    """Whether a sensor does not move, or some direction hardly does."""
    if not (variance > 0).all():
        return True
    scale = 1 / np.sqrt(variance)
    return bool(np.linalg.eigvalsh(scale[:, None] * covariance * scale)[0] < REDUNDANT)


def _still() -> TrainingError:
    return TrainingError(
        "the network reproduces every training row exactly, so nothing moves in it",
        hint="check that the sensors' columns change",
    )
