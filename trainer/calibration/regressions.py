"""Each sensor as a linear regression on the others, for rows that lack it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edge_runtime.bundle.metadata import Absence

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["regressions"]

MOST_ROWS = 200_000
# Of each sensor's variance: what keeps coefficients small where others are copies of one another. Too little
# to be seen in a fit, and enough that a sensor is not foretold from the rounding of two that move alike.
RIDGE = 1e-4
DIGITS = 9


def regressions(values: NDArray[np.float32]) -> tuple[Absence, ...]:
    """[sensors] the regression of each, by least squares with a small ridge, in raw units.

    What the others do not tell of is filled by its mean. The thresholds are yet to be chosen.

    Args:
        values: [rows, sensors] of normal rows, raw units, at least one; of many rows, every so many-th.
    """
    rows = values[:: -(-len(values) // MOST_ROWS)].astype(np.float64)
    mean, deviation = rows.mean(0), rows.std(0)
    moves = deviation > 0
    scaled = (rows - mean) / np.where(moves, deviation, 1.0)
    covariance = scaled.T @ scaled / len(rows)
    return tuple(_regression(place, mean, deviation, moves, covariance) for place in range(len(mean)))


def _regression(
    place: int,
    mean: NDArray[np.float64],
    deviation: NDArray[np.float64],
    moves: NDArray[np.bool_],
    covariance: NDArray[np.float64],
) -> Absence:
    coefficients = np.zeros(len(mean))
    others = moves.copy()
    others[place] = False
    if moves[place] and others.any():
        within = covariance[np.ix_(others, others)] + RIDGE * np.eye(int(others.sum()))
        slopes = np.linalg.solve(within, covariance[others, place])
        coefficients[others] = slopes * deviation[place] / deviation[others]
    # Rounded first: what stands in the bundle passes through the mean of all sensors.
    rounded = tuple(float(f"{number:.{DIGITS}g}") for number in coefficients.tolist())
    return Absence(float(mean[place] - np.dot(rounded, mean)), rounded, 0.0, None)
