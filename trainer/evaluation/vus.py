"""The volume under the surface (VUS): how well scores find events, whatever the threshold and tolerance.

By Paparrizos et al., 2022, "Volume Under the Surface: A New Accuracy Evaluation Measure for Time-Series
Anomaly Detection", PVLDB 15(11). Rows near an event count in part: with a buffer of l rows, a row that lies d
rows from the nearest event, d at most l / 2, has the label sqrt(1 - d / l). With these labels and this l:

    precision = true positives / flagged rows
    recall    = min(1, true positives / P) · part of the events with a flagged row in them or their buffers
    FPR       = (flagged rows - true positives) / (rows - P)

where P is the mean of the sums of labels with and without buffers. The area below precision over recall, as
average precision takes it, and that below recall over FPR are taken for every l from 0 to L, and averaged.
Distances are the same on both sides, and an event counts by itself where its buffer meets another's.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from trainer.data.stretches import series_starts
from trainer.evaluation.ranking import ranked, score_levels

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Volume", "range_auc", "volume_under_surface"]

LEVELS = 250
MAX_BUFFERED = 1000


@dataclass(frozen=True, slots=True)
class Volume:
    """The measure in both of its forms.

    Attributes:
        pr: VUS-PR.
        roc: VUS-ROC.
        buffer_rows: The longest buffer L, rows, of which half lies on either side of an event.
    """

    pr: float
    roc: float
    buffer_rows: int


def volume_under_surface(
    scores: NDArray[np.floating[Any]],
    truth: NDArray[np.bool_],
    times: NDArray[np.int64],
    machines: NDArray[np.str_],
    *,
    longest: int | None = None,
) -> Volume | None:
    """VUS-PR and VUS-ROC of all machines together; None unless both classes are there.

    Args:
        scores: [rows], higher is worse, none NaN; rows in any order.
        truth: [rows] whether the row is anomalous.
        times: [rows] ns.
        machines: [rows] machine ids; a buffer ends where a machine's rows do, and at a hole in them.
        longest: L, rows; None for the median length of the events, at most 1,000.
    """
    if not truth.any() or truth.all():
        return None
    rows = _Rows.ordered(scores, truth, times, machines)
    if longest is None:
        longest = min(MAX_BUFFERED, int(np.median(rows.lasts - rows.firsts + 1)))
    pr, roc = _areas(rows, np.arange(longest + 1))
    return Volume(float(pr.mean()), float(roc.mean()), longest)


def range_auc(
    scores: NDArray[np.floating[Any]],
    truth: NDArray[np.bool_],
    times: NDArray[np.int64],
    machines: NDArray[np.str_],
    buffer: int,
) -> tuple[float, float]:
    """Range-AUC-PR and range-AUC-ROC with one buffer, rows; the rest as for `volume_under_surface`."""
    pr, roc = _areas(_Rows.ordered(scores, truth, times, machines), np.array([buffer]))
    return float(pr[0]), float(roc[0])


@dataclass(frozen=True, slots=True)
class _Rows:
    """Rows by machine and time, and their events.

    Attributes:
        levels: Number of thresholds.
        passed: [rows] how many of the thresholds the score reaches.
        begins: [rows] first row of the row's series.
        ends: [rows] last row of it.
        firsts: [events] first row.
        lasts: [events] last row.
    """

    levels: int
    passed: NDArray[np.intp]
    begins: NDArray[np.intp]
    ends: NDArray[np.intp]
    firsts: NDArray[np.intp]
    lasts: NDArray[np.intp]

    @staticmethod
    def ordered(
        scores: NDArray[np.floating[Any]],
        truth: NDArray[np.bool_],
        times: NDArray[np.int64],
        machines: NDArray[np.str_],
    ) -> _Rows:
        order, new = series_starts(times, machines)
        values, labels = ranked(scores[order]), truth[order]
        levels = score_levels(values, labels, LEVELS)
        starts = np.flatnonzero(new)
        lengths = np.diff(np.append(starts, len(order)))
        before = np.append(False, labels[:-1]) & ~new
        after = np.append(labels[1:] & ~new[1:], False)
        return _Rows(
            len(levels),
            np.searchsorted(levels, values, side="right"),
            np.repeat(starts, lengths),
            np.repeat(starts + lengths - 1, lengths),
            np.flatnonzero(labels & ~before),
            np.flatnonzero(labels & ~after),
        )

    def near(self, reach: int) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.intp]]:
        """Every pair of an event and a row no further than `reach` from it: event, row, distance."""
        low = np.maximum(self.firsts - reach, self.begins[self.firsts])
        lengths = np.minimum(self.lasts + reach, self.ends[self.lasts]) + 1 - low
        event = np.repeat(np.arange(len(low)), lengths)
        row = np.arange(len(event)) - np.repeat(np.cumsum(lengths) - lengths - low, lengths)
        away = np.maximum(self.firsts[event] - row, row - self.lasts[event])
        return event, row, np.maximum(away, 0)


def _areas(rows: _Rows, buffers: NDArray[np.integer[Any]]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """[buffers] range-AUC-PR and [buffers] range-AUC-ROC.

    What a threshold flags is counted once for every distance from an event; a buffer length weighs distances.
    """
    reach = int(buffers.max()) // 2
    count, events, width = len(rows.passed), len(rows.firsts), reach + 1
    event, row, away = rows.near(reach)
    nearest = np.full(count, width)
    np.minimum.at(nearest, row, away)
    best = np.zeros((events, width), np.intp)
    np.maximum.at(best, (event, away), rows.passed[row])
    np.maximum.accumulate(best, axis=1, out=best)

    close = nearest < width
    at_distance = _reached(rows.passed[close], nearest[close], rows.levels, width)
    existing = _reached(best.ravel(), np.tile(np.arange(width), events), rows.levels, width)
    flagged = _reached(rows.passed, np.zeros(count, np.intp), rows.levels, 1)

    distance = np.arange(width)[:, None]
    labels = np.sqrt(np.clip(1 - distance / np.maximum(buffers, 1), 0, 1)) * (2 * distance <= buffers)
    hits = at_distance @ labels
    # The lowest threshold flags every row: its hits are the sum of the labels.
    positives = (at_distance[-1, 0] + hits[-1]) / 2
    recall = np.minimum(hits / positives, 1) * existing[:, buffers // 2] / events
    false = (flagged - hits) / (count - positives)

    none, every = np.zeros((1, len(buffers))), np.ones((1, len(buffers)))
    pr = (np.diff(recall, axis=0, prepend=none) * hits / flagged).sum(0)
    x, y = np.concatenate([none, false, every]), np.concatenate([none, recall, every])
    return pr, (np.diff(x, axis=0) * (y[1:] + y[:-1]) / 2).sum(0)


def _reached(
    passed: NDArray[np.intp], column: NDArray[np.intp], levels: int, columns: int
) -> NDArray[np.float64]:
    """[levels, columns] how many reach each threshold, the highest threshold first."""
    found = np.bincount(passed * columns + column, minlength=(levels + 1) * columns)
    counts: NDArray[np.float64] = np.cumsum(found.reshape(levels + 1, columns)[:0:-1], axis=0).astype(
        np.float64
    )
    return counts
