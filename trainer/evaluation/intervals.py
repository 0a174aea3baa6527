"""How sure the figures are: 90 % intervals by resampling blocks of time.

Of each figure's draws the 5th and 95th percentile are kept.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from trainer.evaluation.ranking import ranked
from trainer.evaluation.resampling import DRAWS, INTERVAL, Blocks, areas, f1_draws

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from trainer.data.stretches import Stretch

__all__ = ["FIGURES", "block_intervals", "f1_difference"]

FIGURES = (
    *("f1", "precision", "recall", "roc_auc", "average_precision"),
    *("false_alarm_rate", "false_alarms_per_day"),
)
DAY_S = 86_400.0


def block_intervals(
    scores: NDArray[np.floating[Any]],
    flags: NDArray[np.bool_],
    truth: NDArray[np.bool_],
    times: NDArray[np.int64],
    machines: NDArray[np.str_],
    alarms: Sequence[Stretch],
    *,
    seed: int = 0,
) -> dict[str, tuple[float, float]]:
    """Figure to the ends of its interval; a figure that most draws leave undefined is left out.

    Args:
        scores: [rows], NaN for a row that counts as time alone; rows in any order.
        flags: [rows] whether the row was called anomalous.
        truth: [rows] whether it is.
        times: [rows] ns.
        machines: [rows] machine ids.
        alarms: The false ones; each belongs to the block in which it began.
        seed: Of the resampling.
    """
    if not len(scores):
        return {}
    blocks = Blocks.of(times, machines, seed)
    known = ~np.isnan(scores)
    tp, fp, fn, tn = (
        blocks.sums(known & rows) for rows in (flags & truth, flags & ~truth, ~flags & truth, ~flags & ~truth)
    )
    begun = blocks.drawn @ _alarms(blocks, times, machines, alarms)
    with np.errstate(invalid="ignore", divide="ignore"):
        some = np.where(tp + fn > 0, 1.0, np.nan)
        drawn = {
            "f1": some * 2 * tp / (2 * tp + fp + fn),
            "precision": np.where((tp + fp == 0) & (fn > 0), 0.0, tp / (tp + fp)),
            "recall": some * tp / (tp + fn),
        }
        if not (known & truth).any():
            drawn = {}
        # Resampling none gives none, which would claim that there never is any.
        if (known & flags & ~truth).any():
            drawn["false_alarm_rate"] = fp / (fp + tn)
        if alarms:
            drawn["false_alarms_per_day"] = begun / (blocks.drawn @ blocks.seconds) * DAY_S
        if (known & truth).any() and (known & ~truth).any():
            roc_auc, precision = areas(blocks, ranked(scores), known & truth, known & ~truth)
            drawn["roc_auc"], drawn["average_precision"] = roc_auc, precision
    found = {}
    for name in FIGURES:
        values = drawn.get(name, np.empty(0))
        values = values[np.isfinite(values)]
        if 2 * len(values) > DRAWS:
            low, high = np.quantile(values, INTERVAL)
            found[name] = (float(low), float(high))
    return found


def f1_difference(
    one: NDArray[np.bool_],
    other: NDArray[np.bool_],
    truth: NDArray[np.bool_],
    times: NDArray[np.int64],
    machines: NDArray[np.str_],
    *,
    seed: int = 0,
) -> tuple[float, float]:
    """By how much the F1 of one detector's flags is above another's, on the same rows: the interval's ends.

    Both are drawn together, so that what is hard for both does not count as uncertainty. NaN where most draws
    have nothing that is anomalous.

    Args:
        one: [rows] whether it called the row anomalous.
        other: [rows] the same of the other.
        truth: [rows] whether the row is.
        times: [rows] ns.
        machines: [rows] machine ids.
        seed: Of the resampling.
    """
    blocks = Blocks.of(times, machines, seed)
    drawn = f1_draws(blocks, one, truth) - f1_draws(blocks, other, truth)
    drawn = drawn[np.isfinite(drawn)]
    if 2 * len(drawn) <= DRAWS:
        return float("nan"), float("nan")
    low, high = np.quantile(drawn, INTERVAL)
    return float(low), float(high)


def _alarms(
    blocks: Blocks, times: NDArray[np.int64], machines: NDArray[np.str_], alarms: Sequence[Stretch]
) -> NDArray[np.float64]:
    """[blocks] alarms that began in each."""
    counts = np.zeros(len(blocks.seconds))
    of_machine: dict[str, list[int]] = {}
    for alarm in alarms:
        of_machine.setdefault(alarm.machine, []).append(alarm.start)
    for machine, starts in of_machine.items():
        own = np.flatnonzero(machines[blocks.order] == machine)
        rows = own[np.searchsorted(times[blocks.order][own], starts)]
        np.add.at(counts, blocks.of_row[rows], 1)
    return counts
