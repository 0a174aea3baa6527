"""The hot path: a block of readings in, scores and verdicts out."""

from __future__ import annotations

from math import isfinite
from typing import TYPE_CHECKING, Any

import numpy as np

from edge_runtime.errors import SensorMismatchError
from edge_runtime.records import Reason, Results, Scores, Verdict
from edge_runtime.scoring.binding import OneRow
from edge_runtime.scoring.debounce import Debouncer
from edge_runtime.scoring.hold import HoldCounter
from edge_runtime.scoring.inference import calls, infer, initial_state, seconds_of_day
from edge_runtime.scoring.memory import Memory

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    from edge_runtime.bundle.load import Bundle
    from edge_runtime.records import Readings

__all__ = ["Scorer"]

LARGEST = float(np.finfo(np.float32).max)
NONE = int(Reason.NONE)
# What one row's results are made of; read-only, for all such rows share them.
NOTHING = np.zeros(1, np.float32)
NO_REASON = np.full(1, Reason.NONE, np.int8)
VERDICTS = {False: np.full(1, Verdict.NORMAL, np.int8), True: np.full(1, Verdict.ANOMALY, np.int8)}
for shared in (NO_REASON, *VERDICTS.values()):
    shared.flags.writeable = False


class Scorer:
    """Scores readings with a bundle.

    It keeps, for each machine, the last rows of the bundle's debounce, the counter of its hold and the state
    of a model with memory, so one feed needs one scorer.

    Args:
        bundle: As `load_bundle` returned it.
    """

    def __init__(self, bundle: Bundle) -> None:
        self.bundle = bundle
        threshold, model = bundle.metadata.threshold, bundle.metadata.model
        self._session = bundle.session
        self._sensors = len(bundle.metadata.sensors)
        self._threshold = threshold.value
        self._per_machine = threshold.per_machine
        self._debounce = Debouncer(threshold.debounce)
        self._hold = HoldCounter(threshold.hold)
        start = initial_state(model)
        self._asks_for_time = model.time_of_day
        self._one_row = OneRow(bundle.session, self._sensors, start, asks_for_time=model.time_of_day)
        self._row_shape = (1, self._sensors)
        self._memory = None if start is None else Memory(bundle.session, start, self._one_row)
        self._everyday = self._everyday_row()

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
            scorable: [rows] False where a row is known to be unusable; None for where it has a reason.
            reasons: [rows] codes of `Reason`, as `QualityCheck.check` gives them; None for none.

        Raises:
            SensorMismatchError: The readings do not have the bundle's number of sensors.
        """
        values = readings.values
        if values.shape == self._row_shape and (
            (scorable is None or scorable[0]) and (reasons is None or reasons[0] == NONE)
        ):
            found = self._everyday(readings, values)
            if found is not None:
                return found
        if values.shape[1] != self._sensors:
            raise SensorMismatchError(
                f"{values.shape[1]} sensors, but the bundle takes {self._sensors}",
                where=self.bundle.name,
                mend=f"give {', '.join(self.bundle.metadata.sensor_names)}, in this order",
            )
        why = np.zeros(len(readings), np.int8)
        usable: NDArray[np.bool_] | None = None  # None for all of them
        finite = np.isfinite(values)
        if not finite.all():
            usable = np.logical_and.reduce(finite, axis=1)
            why[~usable] = np.where(np.isnan(values[~usable]).any(1), Reason.MISSING, Reason.NOT_FINITE)
        if scorable is None and reasons is not None:
            scorable = reasons == NONE
        if scorable is not None and not scorable.all():
            if reasons is not None:
                why = np.where(scorable | (reasons == NONE), why, reasons)
            usable = scorable if usable is None else usable & scorable
        scores = self._run(readings, usable)
        scored = np.isfinite(scores.score)
        if not scored.all():
            overflown = ~scored if usable is None else usable & ~scored
            why[overflown] = Reason.NOT_FINITE
            scores.forget(overflown)
            usable = scored
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

    def _everyday_row(self) -> Callable[[Readings, NDArray[np.float32]], Results | None]:
        """What scores one row without an array that is not in its results; None for a row that is not finite.

        A function for the model at hand, whose names are bound once: on a small model, finding them again for
        each row would take a twentieth of the row.
        """
        one_row, limit, names = self._one_row, self._threshold, self._per_machine
        memory, debounce, hold = self._memory, self._debounce, self._hold
        row, call, score_of = one_row.readings, one_row.calls[0], one_row.score
        score_copy, errors_copy, expected_copy = one_row.copies
        new = NOTHING.copy

        def forgetting(readings: Readings, values: NDArray[np.float32]) -> Results | None:
            if not isfinite(sum(values.tolist()[0])):
                return None
            row[...] = values
            call()
            score = score_of()
            relative = score / limit
            if not relative < LARGEST:
                return None
            severity = new()
            severity[0] = relative
            scores = Scores(score_copy(), errors_copy(), expected_copy())
            return Results(readings, scores, severity, VERDICTS[score > limit], NO_REASON)

        def remembering(readings: Readings, values: NDArray[np.float32]) -> Results | None:
            if not isfinite(sum(values.tolist()[0])):
                return None
            machine = readings.machine
            seconds = seconds_of_day(readings.times) if self._asks_for_time else None
            score = (
                one_row.run(values, seconds) if memory is None else memory.run_row(machine, values, seconds)
            )
            if not isfinite(score):
                return None
            threshold = names.get(machine, limit)
            anomalous = hold.one_row(machine, debounce.one_row(machine, score > threshold))
            severity = new()
            severity[0] = min(score / threshold, LARGEST)
            return Results(readings, one_row.copy(), severity, VERDICTS[anomalous], NO_REASON)

        remembers = memory or names or debounce.counts or hold.holds or self._asks_for_time
        return remembering if remembers else forgetting

    def _infer(self, readings: Readings) -> Scores:
        """The graph's outputs for rows that are all usable."""
        values = readings.values
        seconds = seconds_of_day(readings.times) if self._asks_for_time else None
        if self._memory is not None:
            return self._memory.score(readings.groups, values, seconds)
        return Scores.joined(
            [
                infer(self._session, values[part], None, None if seconds is None else seconds[part])[0]
                for part in calls(slice(0, len(values)))
            ]
        )

    def _run(self, readings: Readings, usable: NDArray[np.bool_] | None) -> Scores:
        """The graph's outputs, NaN for the rows that are not usable."""
        if usable is None and len(readings):
            return self._infer(readings)
        scores = Scores.unknown(*readings.values.shape)
        if usable is not None and usable.any():
            scores.put(usable, self._infer(readings.take(usable)))
        return scores

    def _judge(
        self,
        readings: Readings,
        scores: Scores,
        usable: NDArray[np.bool_] | None,
        reasons: NDArray[np.int8],
    ) -> Results:
        # The threshold is a float64, the score a float32: compared as float64, so that no rounding of the
        # threshold moves a row across it.
        exact = scores.score.astype(np.float64)
        threshold = self._thresholds(readings)
        above = exact > threshold
        with np.errstate(over="ignore"):
            exact /= threshold
        severity = np.minimum(exact, LARGEST, out=exact).astype(np.float32)
        if usable is None:
            verdicts = self._verdicts(readings, above)
        else:
            verdicts = np.full(len(readings), Verdict.UNKNOWN, np.int8)
            verdicts[usable] = self._verdicts(readings.take(usable), above[usable])
        return Results(readings, scores, severity, verdicts, reasons)

    def _verdicts(self, readings: Readings, above: NDArray[np.bool_]) -> NDArray[np.int8]:
        """Of rows with a score: first the debounce, then the hold."""
        groups = readings.groups
        return self._hold.apply(groups, self._debounce.apply(groups, above)).astype(np.int8)

    def _thresholds(self, readings: Readings) -> NDArray[np.float64]:
        """Each row's threshold; of no dimension when they are all the same."""
        if not self._per_machine:
            return np.asarray(self._threshold, np.float64)
        names, codes = readings.dictionary
        by_name = np.asarray([self._per_machine.get(name, self._threshold) for name in names], np.float64)
        return by_name.take(codes)
