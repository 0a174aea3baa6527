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
MAX_COLUMNS = 128
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
    names = [name for name, sample in samples.items() if _is_usable(sample)][:MAX_COLUMNS]
    if len(names) < 3:  # noqa: PLR2004 - a sum and its two parts
        return {}
    rows = np.column_stack([samples[name] for name in names])
    rows = rows[np.isfinite(rows).all(1)]
    scales = rows.std(0) if len(rows) else np.zeros(len(names))
    if len(rows) < max(MIN_ROWS, 2 * len(names)) or not scales.all():
        return {}
    centred = (rows - rows.mean(0)) / scales
    alike = centred.T @ centred / len(rows)
    step = np.array([_step(column) for column in rows.T])
    found: dict[str, tuple[str, ...]] = {}
    for place in np.argsort(-scales, kind="stable").tolist():
        others = np.array([i for i, name in enumerate(names) if i != place and name not in found])
        weights = np.linalg.lstsq(alike[np.ix_(others, others)], alike[others, place], rcond=1e-10)[0]
        parts = others[np.abs(weights) > SHARE]
        # One alone would be a copy, moved or stretched.
        if len(parts) > 1 and _is_sum(rows, place, parts, step):
            found[names[place]] = tuple(names[i] for i in parts)
    return found


def _is_usable(sample: NDArray[np.float64]) -> bool:
    """Whether a column moves, and has a number in most rows."""
    there = sample[np.isfinite(sample)]
    return len(there) >= max(MIN_ROWS, len(sample[: _rows(sample)]) / 2) and bool(np.ptp(there))


def _rows(sample: NDArray[np.float64]) -> int:
    """How many of the sampled rows there are at least."""
    there = np.flatnonzero(np.isfinite(sample))
    return int(there[-1]) + 1 if len(there) else 0


def _is_sum(
    rows: NDArray[np.float64], place: int, parts: NDArray[np.intp], step: NDArray[np.float64]
) -> bool:
    target = rows[:, place]
    if np.ptp(target) < MIN_STEPS * step[place]:
        return False
    # Each number is rounded to its step.
    slack = (step[place] + step[parts].sum()) / 2 + FLOAT32 * np.abs(rows[:, [place, *parts]]).max()
    return bool(np.abs(rows[:, parts].sum(1) - target).max() <= slack)


def _step(column: NDArray[np.float64]) -> float:
    """The place of the last decimal with which the numbers are written; 0 for full precision."""
    for decimals in range(MAX_DECIMALS):
        if np.abs(column - np.round(column, decimals)).max() <= 1e-12 * np.abs(column).max():
            return float(10.0**-decimals)
    return 0.0
