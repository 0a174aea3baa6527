"""Rows of validation and test with one sensor filled in all of them, and how they are ranked then."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from edge_runtime.errors import TrainingError
from trainer.calibration.calibrate import limits
from trainer.evaluation.injected import LENGTH, inject
from trainer.evaluation.ranking import ranking

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edge_runtime.bundle.metadata import Threshold
    from edge_runtime.scoring.filling import Filling
    from trainer.data.split import Split
    from trainer.detector import Detector

__all__ = ["Faults", "ScoredPiece", "auc_loss", "piece"]

# With fewer anomalous rows in validation, faults are injected to tell what is lost.
FEWEST_LABELLED = 100


@dataclass(frozen=True, slots=True)
class ScoredPiece:
    """Rows of a split with their scores.

    Attributes:
        split: The rows, all finite, by machine and time.
        detector: What scores them.
        limits: [rows] the threshold of each row's machine.
        parts: [rows] scores in parts of these.
    """

    split: Split
    detector: Detector
    limits: NDArray[np.float64]
    parts: NDArray[np.float64]

    @staticmethod
    def of(split: Split, detector: Detector, threshold: Threshold) -> ScoredPiece:
        """Scores them."""
        own = limits(threshold, split.machines)
        return ScoredPiece(split, detector, own, _parts(split, detector, split.values, own))

    def without(self, place: int, filling: Filling) -> ScoredPiece:
        """The same rows, with one sensor filled in all of them."""
        values = filling.fill(self.split.values, np.full(len(self.split), place))
        return replace(self, parts=_parts(self.split, self.detector, values, self.limits))

    def quantile(self, at: float) -> float:
        """Of the normal rows' scores, in parts of their thresholds."""
        return float(np.quantile(self.parts[self.split.normal], at))

    @property
    def auc(self) -> float | None:
        """None unless both classes are there."""
        return self.auc_of(self.split.counted)

    def auc_of(self, rows: NDArray[np.bool_]) -> float | None:
        """Of some of the rows."""
        labels = self.split.labels
        return None if labels is None else ranking(self.parts[rows], labels[rows])[0]


@dataclass(frozen=True, slots=True)
class Faults:
    """Validation with faults that were put into it.

    Attributes:
        scored: Its rows.
        sensors: [rows] in which sensor the fault is; -1 for none.
    """

    scored: ScoredPiece
    sensors: NDArray[np.intp]

    @staticmethod
    def of(
        val: ScoredPiece, normal_values: NDArray[np.float32], detector: Detector, threshold: Threshold
    ) -> Faults | None:
        """None where validation has labels enough to do without, or no room for a fault."""
        split = val.split
        if split.labels is not None and (split.labels & split.counted).sum() >= FEWEST_LABELLED:
            return None
        try:
            injected = inject(split, normal_values, None)
        except TrainingError:  # no minute of normal rows in a row
            return None
        sensors = np.full(len(split), -1, np.intp)
        for start, sensor in zip(injected.starts.tolist(), injected.sensors.tolist(), strict=True):
            sensors[start : start + LENGTH] = sensor
        return Faults(ScoredPiece.of(injected.split, detector, threshold), sensors)

    def loss(self, place: int, filling: Filling) -> float | None:
        """Of AUC without a sensor, on the faults of the others."""
        rows = self.scored.split.counted & (self.sensors != place)
        return auc_loss(self.scored.auc_of(rows), self.scored.without(place, filling).auc_of(rows))


def _parts(
    split: Split, detector: Detector, values: NDArray[np.float32], own: NDArray[np.float64]
) -> NDArray[np.float64]:
    scores = detector.score_table(values, split.times, split.machines)
    return np.nan_to_num(scores.astype(np.float64)) / own


def piece(split: Split, most: int) -> Split:
    """At most so many finite rows: of each machine its part of them, in one piece, by machine and time.

    They are the last ones, for what comes is most like them. If none of these is labelled anomalous, they are
    those with the most anomalous ones instead.
    """
    order = np.lexsort((split.times, split.machines))
    order = order[split.finite[order]]
    if len(order) <= most:
        return split.take(order)
    starts = np.flatnonzero(split.machines[order][1:] != split.machines[order][:-1]) + 1
    by_machine = [(rows, max(1, len(rows) * most // len(order))) for rows in np.split(order, starts)]
    last = np.concatenate([rows[len(rows) - length :] for rows, length in by_machine])
    if split.labels is None or split.labels[last].any():
        return split.take(last)
    pieces = []
    for rows, length in by_machine:
        before = np.append(0, np.cumsum(split.labels[rows]))
        start = int(np.argmax(before[length:] - before[:-length]))
        pieces.append(rows[start : start + length])
    return split.take(np.concatenate(pieces))


def auc_loss(whole: float | None, own: float | None) -> float | None:
    """None where either is not known."""
    return None if whole is None or own is None else whole - own
