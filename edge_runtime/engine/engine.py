"""Rows in, verdicts out: the same for a live feed, a file, a benchmark and a program of one's own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from edge_runtime.engine.judged import Judged
from edge_runtime.engine.quality import Quality, row_reasons
from edge_runtime.engine.row import NORMAL_ROW, row_path
from edge_runtime.engine.stage import ANY_BUNDLE, STATE_MB, Asleep, StageState, bounded, more_than_mb
from edge_runtime.engine.times import Times
from edge_runtime.engine.verdict import Judge
from edge_runtime.errors import SensorMismatchError
from edge_runtime.records import COMPLETE, NO_TIME, Readings, Reason, Verdict
from edge_runtime.scoring.graph import Graph

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from numpy.typing import NDArray

    from edge_runtime.engine.alarms import Change, Word
    from edge_runtime.engine.alarmwatch import AlarmWatch
    from edge_runtime.engine.rulebook import Rulebook
    from edge_runtime.engine.rules import Rule
    from edge_runtime.engine.sensors import SensorWatch
    from edge_runtime.engine.stage import Stage
    from edge_runtime.loading.load import Bundle
    from edge_runtime.records import Results
    from edge_runtime.scoring.filling import StandIn

__all__ = ["FUTURE_S", "Engine"]

FUTURE_S = 60.0
ANOMALY = int(Verdict.ANOMALY)
NONE = int(Reason.NONE)
FIRST_OLD, LAST_OLD = int(Reason.REPEATED), int(Reason.TOO_LATE)


class Engine:
    """Judges readings with a bundle, and remembers of each machine what its next row needs.

    A row passes the stages in turn: its time must be newer than every earlier one of its machine, its
    readings must be there and within what the sensors can give; with a bundle that says how, no sensor may
    stand still or jump. Then it is scored, and the score becomes a verdict. A row that a stage stops is
    unknown, with a reason, and moves nothing that comes after. With a bundle that says how, a row that lacks
    one sensor alone goes on with that reading filled.

    One feed needs one engine. It has no clock, reads and writes no file and starts no thread.

    Args:
        bundle: As `load_bundle` returned it.
        future_s: Seconds by which a row may be ahead of the clock that `feed` is given.
        max_machines: A row of a further machine is unknown; None for as many machines as there is memory for.
        state_mb: Memory for the machines' states, in MB of 10^6 bytes.
        engines: How many engines share that memory.
        alarms: Whether to follow alarms; `Judged.alarms` has what changed in them.
        rules: On-site rules, which narrow what alarms.
        repeat_s: Seconds after which `advance` tells a high alarm again that nobody has acknowledged; None
            for never.

    Raises:
        BundleError: The states of so many machines, or of a single one, may take more.
    """

    def __init__(
        self,
        bundle: Bundle,
        *,
        future_s: float = FUTURE_S,
        max_machines: int | None = None,
        state_mb: float = STATE_MB,
        engines: int = 1,
        alarms: bool = False,
        rules: Sequence[Rule] = (),
        repeat_s: float | None = None,
    ) -> None:
        metadata = bundle.metadata
        self.bundle = bundle
        self._sensors = metadata.sensor_names
        self._times = Times(len(self._sensors), round(future_s * 1e9))
        self._quality = Quality(metadata)
        self._graph = Graph(bundle.session, bundle.metadata)
        self._judge = Judge(metadata.threshold, metadata.degraded)
        self._stand_in: StandIn | None = None
        if metadata.degraded is not None:
            from edge_runtime.scoring.filling import StandIn  # noqa: PLC0415 - for the bundles that have it

            self._stand_in = StandIn(metadata.degraded, metadata.sensors)
        self._watch: SensorWatch | None = None
        if metadata.sensor_status is not None:
            from edge_runtime.engine.sensors import SensorWatch  # noqa: PLC0415 - for the bundles that have it

            self._watch = SensorWatch(metadata.sensor_status, metadata.cadence_seconds)
        self._rules = tuple(rules)
        self._repeat = None if repeat_s is None else round(repeat_s * 1e9)
        self._alarms: Asleep[AlarmWatch] | None = None
        if alarms:
            self._alarms = Asleep("alarms", 1, self._alarm_watch)
        self._stages: tuple[Stage, ...] = (
            self._times,
            *([] if self._watch is None else [self._watch]),
            *self._graph.stages,
            self._judge.debounce,
            self._judge.hold,
            *([] if self._alarms is None else [self._alarms]),
        )
        self._times.max_machines = bounded(self._stages, max_machines, state_mb, engines, where=bundle.name)
        self._row = row_path(self._times, self._quality, self._watch, self._graph, self._judge)
        self._row_shape = (1, len(self._sensors))

    @property
    def machines(self) -> int:
        """Number of machines of which rows were judged."""
        return len(self._times.machines)

    @property
    def machine_names(self) -> list[str]:
        """The machines of which rows were judged."""
        return list(self._times.machines)

    def newest(self, machine: str) -> int:
        """Time of a machine's newest judged row, nanoseconds since the epoch; `NO_TIME` for none."""
        return self._times.newest(machine)

    @property
    def max_machines(self) -> int:
        """Of how many machines rows are judged; rows of further ones are unknown."""
        return self._times.max_machines

    def more_than_mb(self, state_mb: float) -> float:
        """What `state_mb` has to exceed for rows of more machines to be judged."""
        return more_than_mb(self._stages, state_mb)

    @property
    def machine_bytes(self) -> int:
        """Memory that a machine takes, at most."""
        return sum(stage.machine_bytes for stage in self._stages)

    def feed(
        self,
        readings: Any,
        *,
        machine_id: Any = None,
        time: Any = None,
        now: int | None = None,
        arrival: Callable[[], int] | None = None,
    ) -> Judged:
        """Judges rows; those of several machines may be mixed.

        Args:
            readings: `Readings`; or [rows, sensors] numbers, as an array or as lists, in the bundle's order
                of sensors and in raw units, where a single row may stand alone; or a table with a column for
                each sensor: a structured NumPy array, a mapping, a data frame or an Arrow table. NaN or None
                where a reading is missing.
            machine_id: Of numbers: the machine's name, or one for each row. A table has a column for it.
            time: Of numbers: one time, or one for each row: nanoseconds since the epoch, `datetime64`,
                `datetime`, or text as in ISO 8601, UTC where no zone is given. A table has a column for it.
                Without times, rows follow one another at the bundle's cadence.
            now: The gateway's clock, nanoseconds since the epoch, for a live feed: a row too far ahead of it
                is unknown. None, and nothing is in the future.
            arrival: Gives the time of arrival, nanoseconds since the epoch, for `Readings` with rows whose
                time is `NO_TIME`; called when there are any.

        Raises:
            SensorMismatchError: The readings do not have the bundle's sensors.
            InputError: A value is no number or no time, or columns are of different lengths.
        """
        if type(readings) is not Readings:
            readings = self._taken_in(readings, machine_id, time)
        elif machine_id is not None or time is not None:
            raise TypeError("Readings have machines and times of their own")
        values = readings.values
        if values.shape == self._row_shape:
            found = self._row(readings, values, now)
            if found is not None:
                return Judged(found, self._sensors, None, self._alarmed(found) if self._alarms else ())
        return self._block(readings, now, arrival)

    def narrow(self, rules: Sequence[Rule]) -> None:
        """Puts on-site rules in the place of those before, from the next row on.

        Args:
            rules: All that are to hold.
        """
        self._rules = tuple(rules)
        if self._alarms is not None and self._alarms.stage is not None:
            self._alarms.stage.rulebook = self._rulebook()

    def tell(self, words: Iterable[Word]) -> tuple[list[Change], list[str]]:
        """Takes up what people said about alarms, in this order.

        Args:
            words: Each is taken up once; `edge_runtime/engine/alarms.py` says what there is to say.

        Returns:
            What changed in alarms; and a sentence on each word that changed nothing.
        """
        return ([], []) if self._alarms is None else self._alarms.awake().tell(words)

    def advance(self, now: int, *, repeats: bool = True) -> list[Change]:
        """Lets time pass without a row: a shelving may be over, or an alarm due to be told again.

        Args:
            now: Nanoseconds since the epoch, by the clock of those who say when a shelving ends.
            repeats: Whether that clock is believed, so that alarms are told again by it.

        Returns:
            What changed in alarms.
        """
        watch = None if self._alarms is None else self._alarms.stage
        return [] if watch is None else watch.advance(now, repeats=repeats)

    def open_alarms(self, machine: str | None = None) -> list[dict[str, Any]]:
        """The fields of the alarms that are not over, as in `Change.fields`.

        Args:
            machine: Of this machine alone; None for all.
        """
        watch = None if self._alarms is None else self._alarms.stage
        if watch is None:
            return []
        machines = sorted(watch.machines) if machine is None else [machine]
        return [fields for name in machines for fields in watch.open_alarms(name)]

    def changes(self, *, everything: bool = False) -> list[StageState]:
        """What `restore` needs and has changed since the last call.

        Kept by owner, stage and machine, the newest of each, it lets a later process go on as if it were
        this one.

        Args:
            everything: Also what has not changed, for whoever lost what was kept.
        """
        known = set(self._times.machines) if everything else set[str]()
        if everything and self._alarms is not None and self._alarms.stage is not None:
            known.update(self._alarms.stage.machines)
        return [
            StageState(self._owner(stage), stage.name, machine, stage.version, stage.state(machine))
            for stage in self._stages
            for machine in sorted(known.union(stage.changed()))
        ]

    def state(self, machine: str) -> list[StageState]:
        """Everything that `restore` needs of one machine, whether or not it has changed."""
        states = [
            StageState(self._owner(stage), stage.name, machine, stage.version, stage.state(machine))
            for stage in self._stages
        ]
        return [state for state in states if state.value is not None]

    def restore(self, states: Iterable[StageState], *, now: int | None = None) -> list[str]:
        """Goes on from what `changes` gave; what another bundle left means nothing to this one.

        Args:
            states: In any order.
            now: The gateway's clock: a newest time too far ahead of it is forgotten, for it would keep its
                machine's rows from being judged.

        Returns:
            What could not be used, a sentence each.
        """
        stages = {(self._owner(stage), stage.name): stage for stage in self._stages}
        dropped = []
        for owner, name, machine, version, value in states:
            stage = stages.get((owner, name))
            if stage is None or value is None:
                continue
            try:
                _restore(stage, machine, value, version)
            except (ValueError, TypeError, OverflowError) as error:
                dropped.append(
                    f"{machine}: the stored state of '{name}' is unreadable ({error}) and has been discarded"
                )
        return dropped if now is None else [*dropped, *self.forget_the_future(now)]

    def forget_the_future(self, now: int) -> list[str]:
        """Forgets newest times that cannot be, for they would keep their machines' rows from being judged.

        Args:
            now: The gateway's clock, nanoseconds since the epoch.

        Returns:
            What was forgotten, a sentence each.
        """
        machines = self._times.forget_the_future(now)
        if self._alarms is not None and self._alarms.stage is not None:
            self._alarms.stage.forget_the_future(now + self._times.future_ns)
        return [
            f"{machine}: the newest time on record was in the future, and has been discarded"
            for machine in machines
        ]

    def _owner(self, stage: Stage) -> str:
        return self.bundle.digest if stage.belongs == "bundle" else ANY_BUNDLE

    def _taken_in(self, readings: Any, machine_id: Any, time: Any) -> Readings:
        from edge_runtime.engine.intake import take_in  # noqa: PLC0415 - for programs of one's own

        newest = self._times.newest
        return take_in(readings, machine_id, time, self.bundle.metadata, newest, where=self.bundle.name)

    def _block(self, readings: Readings, now: int | None, arrival: Callable[[], int] | None) -> Judged:
        """Any rows."""
        if arrival is not None and (readings.times == NO_TIME).any():
            from edge_runtime.engine.arrival import dated  # noqa: PLC0415 - most rows have a time

            latest = None if now is None else now + self._times.future_ns
            return self.feed(dated(readings, arrival(), self._times.newest, latest), now=now)
        values = readings.values
        if values.shape[1] != len(self._sensors):
            raise SensorMismatchError(
                f"{values.shape[1]} sensors, but the bundle takes {len(self._sensors)}",
                where=self.bundle.name,
                hint=f"give {', '.join(self._sensors)}, in this order",
            )
        # Readings may be infinite, and their differences and severities beyond what float32 holds.
        with np.errstate(over="ignore", invalid="ignore"):
            return self._stage_by_stage(readings, now)

    def _stage_by_stage(self, readings: Readings, now: int | None) -> Judged:
        (reasons, fresh), old = self._times.check(readings, now), None
        if reasons is not None:
            old = (reasons >= FIRST_OLD) & (reasons <= LAST_OLD)
        faults, moved = self._quality.check(readings.values), None
        if self._watch is not None:
            faults, moved = self._watch.check(readings, faults, None if reasons is None else reasons == NONE)
        shown, degraded, reasons = self._without_faults(readings, faults, reasons)
        usable = None if reasons is None else reasons == NONE
        scores = self._graph.score(shown, usable)
        if reasons is None:
            reasons = np.zeros(len(readings), np.int8)
        scored = np.isfinite(scores.score)
        if not scored.all():
            overflown = ~scored if usable is None else usable & ~scored
            reasons[overflown] = Reason.NOT_FINITE
            scores.forget(overflown)
            usable = scored
        if degraded is not None and self._stand_in is not None:
            degraded = self._stand_in.settle(scores, reasons, degraded)
        results = self._judge.judge(readings, scores, usable, reasons, degraded)
        results.faults = faults
        # Last of all: what fails before may be fed again.
        if self._watch is not None and moved is not None:
            self._watch.take(moved)
        self._times.take(fresh)
        alarms = self._alarmed(results) if self._alarms else ()
        return Judged(results, self._sensors, old if old is not None and old.any() else None, alarms)

    def _alarmed(self, results: Results) -> Sequence[Change]:
        """What changed in alarms. Of most rows nothing, which must cost nothing."""
        alarms, verdicts = self._alarms, results.verdicts
        if alarms is None:
            return ()
        watch = alarms.stage
        if verdicts is NORMAL_ROW:
            if watch is None or not watch.waits_for(results.readings.machine):
                return ()
        elif (
            (watch is None or watch.is_idle)
            and results.faults is None
            and not (verdicts.any() and (verdicts == ANOMALY).any())
        ):
            return ()
        return alarms.awake().watch(results)

    def _alarm_watch(self) -> AlarmWatch:
        from edge_runtime.engine.alarmwatch import AlarmWatch  # noqa: PLC0415 - when there is an alarm

        watch = AlarmWatch(self.bundle.metadata, self.bundle.digest, self._repeat)
        watch.rulebook = self._rulebook()
        return watch

    def _rulebook(self) -> Rulebook | None:
        if not self._rules:
            return None
        from edge_runtime.engine.rulebook import Rulebook  # noqa: PLC0415 - where there are rules

        return Rulebook(self._rules, self._sensors)

    def _without_faults(
        self, readings: Readings, faults: NDArray[np.int8] | None, reasons: NDArray[np.int8] | None
    ) -> tuple[Readings, NDArray[np.int16] | None, NDArray[np.int8] | None]:
        """The readings as they are to be scored.

        Args:
            readings: The rows.
            faults: [rows, sensors] codes of `Reason`; None for none.
            reasons: [rows] what else there is against a row, and comes first; None for nothing.

        Returns:
            The rows, with readings filled; [rows] which sensor's that was, or `COMPLETE`, None where none
            was; and [rows] all reasons, None where all rows are to be scored.
        """
        if faults is None:
            return readings, None, reasons
        found, degraded = row_reasons(faults), None
        if self._stand_in is not None:
            readings, degraded = self._stand_in.fill(readings, faults)
            if degraded is not None:
                found[degraded != COMPLETE] = NONE
        if reasons is not None:
            found = np.where(reasons == NONE, found, reasons)
        return readings, degraded, found if found.any() else None


def _restore(stage: Stage, machine: str, value: Any, version: int) -> None:
    if version > stage.version:
        raise ValueError(f"version {version}, and this edge-detect knows {stage.version}")
    stage.restore(machine, value, version)
