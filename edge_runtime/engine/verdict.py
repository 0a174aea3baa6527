"""Scores to verdicts: the threshold, then the debounce, then the hold."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edge_runtime.engine.hysteresis import Debouncer, HoldCounter
from edge_runtime.records import COMPLETE, Results, Verdict

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edge_runtime.bundle.metadata import Degraded, Threshold
    from edge_runtime.records import Readings, Scores

__all__ = ["LARGEST", "Judge"]

LARGEST = float(np.finfo(np.float32).max)


class Judge:
    """Compares scores with a bundle's threshold.

    Args:
        threshold: The bundle's.
        degraded: How it judges rows that lack one sensor; None where it does not.

    Attributes:
        value: The threshold of a machine without one of its own.
        per_machine: Machine id to the threshold of its own.
        debounce: The stage that looks at a machine's last rows.
        hold: The stage that holds an anomaly through dips of its score.
    """

    def __init__(self, threshold: Threshold, degraded: Degraded | None = None) -> None:
        self.value = threshold.value
        self.per_machine = threshold.per_machine
        absent = () if degraded is None else degraded.absent
        self._absent = np.asarray([absence.threshold for absence in absent], np.float64)
        self.debounce = Debouncer(threshold.debounce)
        self.hold = HoldCounter(threshold.hold)

    def judge(
        self,
        readings: Readings,
        scores: Scores,
        usable: NDArray[np.bool_] | None,
        reasons: NDArray[np.int8],
        degraded: NDArray[np.int16] | None = None,
    ) -> Results:
        """Verdicts; unknown for a row that is not usable. Overflows are for the caller to ignore.

        Args:
            readings: The rows; each machine's in time order.
            scores: Of these rows.
            usable: [rows] which rows have a finite score; None for all.
            reasons: [rows] codes of `Reason`.
            degraded: [rows] the sensor that was filled, or `COMPLETE`; None where none was.
        """
        # The threshold is a float64, the score a float32: compared as float64, so that no rounding of the
        # threshold moves a row across it.
        exact = scores.score.astype(np.float64)
        threshold = self._thresholds(readings)
        if degraded is not None:
            threshold = self._without(threshold, degraded)
        above = exact > threshold
        exact /= threshold
        severity = np.minimum(exact, LARGEST, out=exact).astype(np.float32)
        if usable is None:
            verdicts = self._verdicts(readings, above)
        else:
            verdicts = np.full(len(readings), Verdict.UNKNOWN, np.int8)
            verdicts[usable] = self._verdicts(readings.take(usable), above[usable])
        return Results(readings, scores, severity, verdicts, reasons, degraded)

    def _verdicts(self, readings: Readings, above: NDArray[np.bool_]) -> NDArray[np.int8]:
        groups = readings.groups
        return self.hold.apply(groups, self.debounce.apply(groups, above)).astype(np.int8)

    def _without(self, threshold: NDArray[np.float64], degraded: NDArray[np.int16]) -> NDArray[np.float64]:
        """Each row's threshold; of one that lacks a sensor that sensor's, in parts of its machine's own."""
        part = threshold / self.value  # 1 of a machine without one of its own
        return np.where(degraded == COMPLETE, threshold, self._absent[degraded] * part)

    def _thresholds(self, readings: Readings) -> NDArray[np.float64]:
        """Each row's threshold; of no dimension when they are all the same."""
        if not self.per_machine:
            return np.asarray(self.value, np.float64)
        names, codes = readings.dictionary
        by_name = np.asarray([self.per_machine.get(name, self.value) for name in names], np.float64)
        return by_name.take(codes)
