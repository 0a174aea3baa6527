"""Figures of resampled time: what they might have been, had other hours been seen.

Rows that follow one another are alike, so resampling rows would claim too much. What is drawn is an hour of
a machine, or a fiftieth of the time where that is shorter (the block bootstrap; Künsch, 1989, "The jackknife
and the bootstrap for general stationary observations"). The same times and seed give the same draws, so the
figures of two detectors on the same rows can be compared draw by draw.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from trainer.evaluation.blocks import HOUR_NS, time_blocks
from trainer.evaluation.ranking import score_levels

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["DRAWS", "INTERVAL", "Blocks", "areas", "f1_draws"]

DRAWS = 400
INTERVAL = (0.05, 0.95)
MIN_BLOCKS = 50
SECOND_NS = 1_000_000_000
# Levels by each of all rows and the anomalous ones: fine enough for the areas to be exact to a thousandth.
LEVELS = 500
# Blocks whose scores are counted at once, for memory.
CHUNK = 1000


@dataclass(frozen=True, slots=True)
class Blocks:
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
    def of(times: NDArray[np.int64], machines: NDArray[np.str_], seed: int, *, least_ns: int = 0) -> Blocks:
        """Blocks of time, and draws of them.

        Args:
            times: [rows] ns; rows in any order.
            machines: [rows] machine ids.
            seed: Of the draws.
            least_ns: Shortest length of a block; 0 for as short as above.
        """
        order = np.lexsort((times, machines))
        of_row, seconds = time_blocks(times[order], machines[order])
        length = max(least_ns, int(min(HOUR_NS, seconds.sum() * SECOND_NS / MIN_BLOCKS)))
        if length not in {0, HOUR_NS}:
            of_row, seconds = time_blocks(times[order], machines[order], length)
        chosen = np.random.default_rng(seed).integers(0, len(seconds), (DRAWS, len(seconds)))
        places = chosen + len(seconds) * np.arange(DRAWS)[:, None]
        drawn = np.bincount(places.ravel(), minlength=places.size).reshape(places.shape)
        return Blocks(order, of_row, seconds, drawn.astype(np.float64))

    def sums(self, rows: NDArray[np.bool_]) -> NDArray[np.float64]:
        """[draws] how many of these rows are drawn; rows in the callers' order."""
        counts = np.bincount(self.of_row[rows[self.order]], minlength=len(self.seconds))
        return self.drawn @ counts.astype(np.float64)


def f1_draws(blocks: Blocks, flags: NDArray[np.bool_], truth: NDArray[np.bool_]) -> NDArray[np.float64]:
    """[draws] F1; NaN for a draw without an anomalous row.

    Args:
        blocks: Of the rows.
        flags: [rows] whether the row was called anomalous.
        truth: [rows] whether it is.
    """
    hits, flagged, anomalous = (blocks.sums(rows) for rows in (flags & truth, flags, truth))
    with np.errstate(invalid="ignore"):
        found: NDArray[np.float64] = np.where(anomalous > 0, 2 * hits / (flagged + anomalous), np.nan)
    return found


def areas(
    blocks: Blocks, scores: NDArray[np.float64], truth: NDArray[np.bool_], normal: NDArray[np.bool_]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """[draws] ROC AUC and [draws] average precision; NaN for a draw without one of the two kinds of rows.

    A draw adds up its blocks' histograms, so nothing is sorted again.

    Args:
        blocks: Of the rows.
        scores: [rows] finite where the row is of one of the two kinds.
        truth: [rows] whether the row is anomalous, and counts.
        normal: [rows] whether it is normal, and counts.
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
    blocks: Blocks, bins: NDArray[np.intp], kind: NDArray[np.bool_], width: int
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
