"""Columns that are the sum of others, such as a total that a controller computes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["sums"]

# Fewer rows, or a range of fewer steps in which numbers are written, agree by chance.
MIN_ROWS, MIN_STEPS = 64, 64
# Columns beyond so many are not looked at: each is compared with all others.
MAX_COLUMNS = 256
MAX_DECIMALS = 9
# What is lost where a sum was computed in float32, as a part of the largest number in it.
FLOAT32 = 2.0**-22
# A share of a column that is less, in standard deviations of the sum, is none.
SHARE = 1e-3


def sums(samples: dict[str, NDArray[np.float64]]) -> dict[str, tuple[str, ...]]:
    """Which columns are the sum of at least two others, and of which.

    Args:
        samples: Of each column, [rows] numbers of the same rows, NaN where there is none.

    Returns:
        The sum's column to those that it sums, in their order. A column that sums is in no other's sum.
    """
    names = list(samples)[:MAX_COLUMNS]
    if len(names) < 3:  # noqa: PLR2004 - a sum and its two parts
        return {}
    rows = np.column_stack([samples[name] for name in names])
    rows = rows[np.isfinite(rows).all(1)]
    if len(rows) < max(MIN_ROWS, 2 * len(names)):
        return {}
    found: dict[str, tuple[str, ...]] = {}
    step = np.array([_step(column) for column in rows.T])
    for place in np.argsort(-rows.std(0), kind="stable"):
        others = [i for i, name in enumerate(names) if i != place and name not in found]
        parts = _parts(rows, int(place), others, step)
        if parts:
            found[names[place]] = tuple(names[i] for i in parts)
    return found


def _parts(rows: NDArray[np.float64], place: int, others: list[int], step: NDArray[np.float64]) -> list[int]:
    """Which of the others a column is the sum of; empty for none."""
    target = rows[:, place]
    spread, scales = target.std(), rows[:, others].std(0)
    if not spread or np.ptp(target) < MIN_STEPS * step[place] or not scales.all():
        return []
    centred = (rows[:, others] - rows[:, others].mean(0)) / scales
    weights = np.linalg.lstsq(centred, target - target.mean(), rcond=None)[0] / scales
    shares = np.abs(weights) * scales / spread
    parts = [other for other, share in zip(others, shares, strict=True) if share > SHARE]
    if len(parts) < 2:  # noqa: PLR2004 - one alone would be a copy, moved or stretched
        return []
    summed = rows[:, parts].sum(1)
    # Each number is rounded to its step.
    slack = (step[place] + step[parts].sum()) / 2 + FLOAT32 * np.abs(rows[:, [place, *parts]]).max()
    return parts if np.abs(summed - target).max() <= slack else []


def _step(column: NDArray[np.float64]) -> float:
    """The place of the last decimal with which the numbers are written; 0 for full precision."""
    for decimals in range(MAX_DECIMALS):
        if np.abs(column - np.round(column, decimals)).max() <= 1e-12 * np.abs(column).max():
            return float(10.0**-decimals)
    return 0.0
