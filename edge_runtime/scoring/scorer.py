"""The hot path: a block of readings in, scores and verdicts out."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edge_runtime.errors import SensorMismatchError
from edge_runtime.records import Reason, Results, Scores, Verdict
from edge_runtime.scoring.hold import HoldCounter

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edge_runtime.bundle.load import Bundle
    from edge_runtime.records import Readings

__all__ = ["Scorer"]

OUTPUTS = ["score", "errors", "expected"]
LARGEST = np.finfo(np.float32).max


class Scorer:
    """Scores readings with a bundle. Holds the counters of the bundle's hold, so one feed needs one scorer.

    Args:
        bundle: As `load_bundle` returned it.
    """

    def __init__(self, bundle: Bundle) -> None:
        self.bundle = bundle
        threshold = bundle.metadata.threshold
        self._session = bundle.session
        self._sensors = len(bundle.metadata.sensors)
        self._threshold = threshold.value
        self._per_machine = threshold.per_machine
        self._hold = HoldCounter(threshold.hold)

    def score(
        self,
        readings: Readings,
        *,
        scorable: NDArray[np.bool_] | None = None,
        reasons: NDArray[np.int8] | None = None,
    ) -> Results:
        """Scores a block; rows of several machines may be mixed, each machine's in time order.

        A row that is not scorable, has a reading that is not finite, or has readings so far off that its
        score is not finite, is unknown: NaN score, errors and expected. It does not move its machine's hold.

        Args:
            readings: [rows, sensors] in the bundle's order of sensors, raw units.
            scorable: [rows] False where a row is already known to be unusable; None when all may be scored.
            reasons: [rows] codes of `Reason` for the rows that are not scorable.

        Raises:
            SensorMismatchError: The readings do not have the bundle's number of sensors.
        """
        values = readings.values
        if values.shape[1] != self._sensors:
            raise SensorMismatchError(
                f"{values.shape[1]} sensors, but the bundle takes {self._sensors}",
                where=self.bundle.name,
                mend=f"give {', '.join(self.bundle.metadata.sensor_names)}, in this order",
            )
        rows = len(readings)
        why = np.zeros(rows, np.int8)
        usable: NDArray[np.bool_] = np.logical_and.reduce(np.isfinite(values), axis=1)
        if not usable.all():
            why[~usable] = np.where(np.isnan(values[~usable]).any(1), Reason.MISSING, Reason.NOT_FINITE)
        if scorable is not None:
            if reasons is not None:
                why = np.where(scorable | (reasons == Reason.NONE), why, reasons)
            usable &= scorable
        scores = self._run(values, usable)
        overflown = usable & ~np.isfinite(scores.score)
        if overflown.any():
            why[overflown] = Reason.NOT_FINITE
            usable &= ~overflown
            for output in (scores.score, scores.errors, scores.expected):
                output[overflown] = np.nan
        return self._judge(readings, scores, usable, why)

    def state(self) -> dict[str, float]:
        """The hold's counters, JSON-ready: with `restore` a later process goes on as if it were this one."""
        return self._hold.state()

    def restore(self, state: dict[str, float]) -> None:
        """Goes on from what `state` gave."""
        self._hold.restore(state)

    def _run(self, values: NDArray[np.float32], usable: NDArray[np.bool_]) -> Scores:
        """The graph's outputs, NaN for the rows that are not usable: one call for all that are."""
        if len(values) and usable.all():
            return Scores(*self._session.run(OUTPUTS, {"readings": values}))
        shape = values.shape
        scores = Scores(
            np.full(shape[0], np.nan, np.float32),
            np.full(shape, np.nan, np.float32),
            np.full(shape, np.nan, np.float32),
        )
        if usable.any():
            found = self._session.run(OUTPUTS, {"readings": values[usable]})
            for output, part in zip((scores.score, scores.errors, scores.expected), found, strict=True):
                output[usable] = part
        return scores

    def _judge(
        self, readings: Readings, scores: Scores, usable: NDArray[np.bool_], reasons: NDArray[np.int8]
    ) -> Results:
        # The threshold is a float64, the score a float32: compared as float64, so that no rounding of the
        # threshold moves a row across it.
        exact = scores.score.astype(np.float64)
        threshold = self._thresholds(readings.machines)
        with np.errstate(over="ignore"):
            severity = np.minimum(exact / threshold, LARGEST).astype(np.float32)
        above = exact > threshold
        if usable.all():
            verdicts = self._hold.apply(readings.machines, above).astype(np.int8)
        else:
            verdicts = np.full(len(readings), Verdict.UNKNOWN, np.int8)
            verdicts[usable] = self._hold.apply(readings.machines[usable], above[usable])
        return Results(readings, scores, severity, verdicts, reasons)

    def _thresholds(self, machines: NDArray[np.str_]) -> NDArray[np.float64]:
        """Each row's threshold; of no dimension when they are all the same."""
        if not self._per_machine:
            return np.asarray(self._threshold, np.float64)
        names, of_row = np.unique(machines, return_inverse=True)
        by_name = [self._per_machine.get(str(name), self._threshold) for name in names]
        return np.asarray(by_name, np.float64)[of_row]
