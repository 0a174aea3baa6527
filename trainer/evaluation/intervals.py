"""How sure the figures are: 90 % intervals by resampling blocks of time.

Rows that follow one another are alike, so resampling rows would claim too much. What is drawn is an hour of
a machine, or a fiftieth of the time where that is shorter (the block bootstrap; Künsch, 1989, "The jackknife
and the bootstrap for general stationary observations"). Of each figure the 5th and 95th percentile are kept.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from trainer.evaluation.blocks import HOUR_NS, time_blocks
from trainer.evaluation.ranking import ranked, score_levels

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from trainer.data.stretches import Stretch

__all__ = ["FIGURES", "block_intervals", "f1_difference"]

FIGURES = (
    *("f1", "precision", "recall", "roc_auc", "average_precision"),
    *("false_alarm_rate", "false_alarms_per_day"),
)
DRAWS = 400
INTERVAL = (0.05, 0.95)
MIN_BLOCKS = 50
SECOND_NS = 1_000_000_000
DAY_S = 86_400.0
# Levels by each of all rows and the anomalous ones: fine enough for the areas to be exact to a thousandth.
LEVELS = 500
# Blocks whose scores are counted at once, for memory.
CHUNK = 1000


@dataclass(frozen=True, slots=True)
class _Blocks:
    """Rows by machine and time, and the block of each.

    Attributes:
        order: [rows] indices of the rows.
        of_row: [rows] block.
        seconds: [blocks] of time.
        drawn: [draws, blocks] how often each is drawn.
    """

    order: NDArray[np.intp]
    of_row: NDArray[np.intp]
    seconds: NDArray[np.float64]
    drawn: NDArray[np.float64]

    @staticmethod
    def of(times: NDArray[np.int64], machines: NDArray[np.str_], seed: int) -> _Blocks:
        order = np.lexsort((times, machines))
        of_row, seconds = time_blocks(times[order], machines[order])
        length = int(min(HOUR_NS, seconds.sum() * SECOND_NS / MIN_BLOCKS))
        if 0 < length < HOUR_NS:
            of_row, seconds = time_blocks(times[order], machines[order], length)
        chosen = np.random.default_rng(seed).integers(0, len(seconds), (DRAWS, len(seconds)))
        places = chosen + len(seconds) * np.arange(DRAWS)[:, None]
        drawn = np.bincount(places.ravel(), minlength=places.size).reshape(places.shape)
        return _Blocks(order, of_row, seconds, drawn.astype(np.float64))

    def sums(self, rows: NDArray[np.bool_]) -> NDArray[np.float64]:
        """[draws] how many of these rows are drawn; rows in the callers' order."""
        counts = np.bincount(self.of_row[rows[self.order]], minlength=len(self.seconds))
        return self.drawn @ counts.astype(np.float64)


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
    blocks = _Blocks.of(times, machines, seed)
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
            areas = _areas(blocks, ranked(scores), known & truth, known & ~truth)
            drawn["roc_auc"], drawn["average_precision"] = areas
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
    blocks = _Blocks.of(times, machines, seed)
    anomalous = blocks.sums(truth)
    with np.errstate(invalid="ignore", divide="ignore"):
        first, second = (
            np.where(anomalous > 0, 2 * blocks.sums(flags & truth) / (blocks.sums(flags) + anomalous), np.nan)
            for flags in (one, other)
        )
    drawn = (first - second)[anomalous > 0]
    if 2 * len(drawn) <= DRAWS:
        return float("nan"), float("nan")
    low, high = np.quantile(drawn, INTERVAL)
    return float(low), float(high)


def _alarms(
    blocks: _Blocks, times: NDArray[np.int64], machines: NDArray[np.str_], alarms: Sequence[Stretch]
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


def _areas(
    blocks: _Blocks, scores: NDArray[np.float64], truth: NDArray[np.bool_], normal: NDArray[np.bool_]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """[draws] ROC AUC and [draws] average precision.

    A draw adds up its blocks' histograms, so nothing is sorted again.
    """
    known = truth | normal
    levels = score_levels(scores[known], truth[known], LEVELS)
    bins = np.searchsorted(levels, scores, side="right") - 1
    positive, negative = (_histograms(blocks, bins, kind, len(levels)) for kind in (truth, normal))
    # From the highest score down.
    hits, false = np.cumsum(positive, axis=1), np.cumsum(negative, axis=1)
    all_hits, all_false = hits[:, -1], false[:, -1]
    roc_auc = ((hits - positive / 2) * negative).sum(1) / (all_hits * all_false)
    precision = np.divide(hits, hits + false, out=np.zeros_like(hits), where=hits + false > 0)
    return roc_auc, (positive * precision).sum(1) / all_hits


def _histograms(
    blocks: _Blocks, bins: NDArray[np.intp], kind: NDArray[np.bool_], width: int
) -> NDArray[np.float64]:
    """[draws, bins] rows of a kind in each draw, the highest scores first."""
    rows = blocks.order[kind[blocks.order]]
    of_row = blocks.of_row[kind[blocks.order]]
    found = np.zeros((len(blocks.drawn), width))
    for start in range(0, len(blocks.seconds), CHUNK):
        stop = min(start + CHUNK, len(blocks.seconds))
        part = slice(*np.searchsorted(of_row, [start, stop]))
        places = (of_row[part] - start) * width + (width - 1 - bins[rows[part]])
        counts = np.bincount(places, minlength=(stop - start) * width).reshape(-1, width)
        found += blocks.drawn[:, start:stop] @ counts.astype(np.float64)
    return found
