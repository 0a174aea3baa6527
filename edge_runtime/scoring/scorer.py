"""The hot path: a block of readings in, scores and verdicts out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from edge_runtime.errors import SensorMismatchError
from edge_runtime.records import Reason, Results, Scores, Verdict
from edge_runtime.scoring.debounce import Debouncer
from edge_runtime.scoring.hold import HoldCounter
from edge_runtime.scoring.inference import infer, initial_state, seconds_of_day
from edge_runtime.scoring.memory import Memory

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from edge_runtime.bundle.load import Bundle
    from edge_runtime.records import Readings

__all__ = ["Scorer"]

LARGEST = np.finfo(np.float32).max


class Scorer:
    """Scores readings with a bundle.

    It keeps, for each machine, the last rows of the bundle's debounce, the counter of its hold and the state
    of a model with memory, so one feed needs one scorer.

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
        self._debounce = Debouncer(threshold.debounce)
        self._hold = HoldCounter(threshold.hold)
        start = initial_state(bundle.metadata.model)
        self._memory = None if start is None else Memory(bundle.session, start)
        self._asks_for_time = bundle.metadata.model.time_of_day

    def score(
        self,
        readings: Readings,
        *,
        scorable: NDArray[np.bool_] | None = None,
        reasons: NDArray[np.int8] | None = None,
    ) -> Results:
        """Scores a block; rows of several machines may be mixed, each machine's in time order.

        A row that is not scorable, has a reading that is not finite, or has readings so far off that its
        score is not finite, is unknown: NaN score, errors and expected. It moves neither its machine's
        debounce and hold nor its state.

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
        scores = self._run(readings, usable)
        overflown = usable & ~np.isfinite(scores.score)
        if overflown.any():
            why[overflown] = Reason.NOT_FINITE
            usable &= ~overflown
            for output in (scores.score, scores.errors, scores.expected):
                output[overflown] = np.nan
        return self._judge(readings, scores, usable, why)

    def changes(self) -> dict[str, Any]:
        """What `restore` needs and has changed since the last call, JSON-ready, by name.

        Kept under their names, the newest of each, they let a later process go on as if it were this one.
        """
        memory = {} if self._memory is None else self._memory.changes()
        counters = {"debounce": self._debounce.state(), "hold": self._hold.state()}
        return {"bundle": self.bundle.digest, **counters, **memory}

    def restore(self, states: Mapping[str, Any]) -> None:
        """Goes on from what `changes` gave; what another bundle left means nothing to this one."""
        if states.get("bundle") != self.bundle.digest:
            return
        self._debounce.restore(states.get("debounce", {}))
        self._hold.restore(states["hold"])
        if self._memory is not None:
            self._memory.restore(states)

    def _infer(
        self, machines: NDArray[np.str_], values: NDArray[np.float32], times: NDArray[np.int64]
    ) -> Scores:
        seconds = seconds_of_day(times) if self._asks_for_time else None
        if self._memory is None:
            return infer(self._session, values, None, seconds)[0]
        return self._memory.score(machines, values, seconds)

    def _run(self, readings: Readings, usable: NDArray[np.bool_]) -> Scores:
        """The graph's outputs, NaN for the rows that are not usable: one call for all that are."""
        values = readings.values
        if len(values) and usable.all():
            return self._infer(readings.machines, values, readings.times)
        scores = Scores.unknown(*values.shape)
        if usable.any():
            scores.put(usable, self._infer(readings.machines[usable], values[usable], readings.times[usable]))
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
            verdicts = self._verdicts(readings.machines, above)
        else:
            verdicts = np.full(len(readings), Verdict.UNKNOWN, np.int8)
            verdicts[usable] = self._verdicts(readings.machines[usable], above[usable])
        return Results(readings, scores, severity, verdicts, reasons)

    def _verdicts(self, machines: NDArray[np.str_], above: NDArray[np.bool_]) -> NDArray[np.int8]:
        """Of rows with a score: first the debounce, then the hold."""
        return self._hold.apply(machines, self._debounce.apply(machines, above)).astype(np.int8)

    def _thresholds(self, machines: NDArray[np.str_]) -> NDArray[np.float64]:
        """Each row's threshold; of no dimension when they are all the same."""
        if not self._per_machine:
            return np.asarray(self._threshold, np.float64)
        names, of_row = np.unique(machines, return_inverse=True)
        by_name = [self._per_machine.get(str(name), self._threshold) for name in names]
        return np.asarray(by_name, np.float64)[of_row]
