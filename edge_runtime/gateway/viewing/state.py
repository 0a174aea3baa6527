"""What the live view knows of each machine: its newest row, when that came, and its anomaly."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING

import numpy as np

from edge_runtime.gateway.viewing.anomalies import Anomalies, Anomaly
from edge_runtime.gateway.viewing.times import Arrivals, Rate
from edge_runtime.records import COMPLETE, Reason, Verdict

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edge_runtime.bundle.metadata import Metadata
    from edge_runtime.records import Results

__all__ = ["Seen", "Snapshot", "State", "ViewState"]

MAX_MACHINES = 2000
LEAVE_AT_ONCE = 100  # so that a feed of ever new ids does not sort the machines at every row
FORGET_S = 86_400.0
STALLED_S = 10.0


class State(IntEnum):
    """What a machine's line says, in the order of the lines."""

    ANOMALY = 0
    UNKNOWN = 1
    SILENT = 2
    NORMAL = 3

    @property
    def label(self) -> str:
        """The word on the screen."""
        return self.name.lower()


OF_VERDICT = {Verdict.ANOMALY: State.ANOMALY, Verdict.UNKNOWN: State.UNKNOWN, Verdict.NORMAL: State.NORMAL}


@dataclass(frozen=True, slots=True)
class Seen:
    """One machine at one moment.

    Attributes:
        name: Its id, as it came.
        state: What it is in now.
        last: Its newest row's verdict, with the reason where it is unknown.
        missing: The place of the sensor without which that row was judged; `COMPLETE` where it had all.
        faults: Place of a sensor whose reading in that row cannot be used, to the reason; empty where the row
            is unknown for a reason of its own.
        age: How long ago that row came, seconds.
        severity: That row's; above 1 is over the threshold.
        values: [sensors] its readings, raw units.
        expected: [sensors] what was expected, raw units.
        sensor: The place of the sensor that stands out.
        time: Data time of that row, nanoseconds since the epoch.
        anomaly: The anomaly of which no end was seen; None without one.
    """

    name: str
    state: State
    last: str
    missing: int
    faults: dict[int, Reason]
    age: float
    severity: float
    values: NDArray[np.float32]
    expected: NDArray[np.float32]
    sensor: int
    time: int
    anomaly: Anomaly | None


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Everything that one drawing shows.

    Attributes:
        rows: Rows so far.
        rate: Rows a second over the last 10 seconds.
        quiet: How long ago the last row of all came, seconds.
        stalled: Whether nothing comes: every machine is silent, or none ever came.
        states: Every machine's state, in the order of the lines.
        machines: The first of these machines.
        anomalies: The last ones, newest first.
        going_on: Those among them whose machine is in anomaly now.
    """

    rows: int
    rate: float
    quiet: float
    stalled: bool
    states: list[State]
    machines: list[Seen]
    anomalies: list[Anomaly]
    going_on: frozenset[Anomaly]


class ViewState:
    """The machines that rows came of; not for several threads at once.

    At most 2,000 are kept. For one more, the machine whose last row came longest ago makes room; one in
    anomaly stays. A machine of which no row came for a day is forgotten.

    Args:
        metadata: The bundle's.
        now: Where to begin, seconds of the monotonic clock.
    """

    def __init__(self, metadata: Metadata, now: float) -> None:
        sensors = (len(metadata.sensors),)
        fields = [("verdict", "i1"), ("reason", "i1"), ("severity", "f4"), ("time", "i8"), ("sensor", "i8")]
        fields += [("missing", "i2")]
        columns = [("faults", "i1", sensors), ("values", "f4", sensors), ("expected", "f4", sensors)]
        self._latest = np.zeros(MAX_MACHINES, [*fields, *columns])
        self._arrivals = Arrivals(MAX_MACHINES, metadata.cadence_seconds)
        self._places: dict[str, int] = {}
        self._free = list(range(MAX_MACHINES))[::-1]
        self._anomalies = Anomalies()
        self._rows = 0
        self._rate = Rate(now)
        self._last_row = now

    def __len__(self) -> int:
        return len(self._places)

    def take(self, results: Results, now: float) -> None:
        """Takes a block that came now; a step of Python for each machine, none for a row.

        Args:
            results: At least one row.
            now: Seconds.
        """
        self._rows += len(results)
        self._rate.add(len(results), now)
        self._last_row = now
        groups = results.readings.groups
        rows = np.array(groups.bounds[1:], np.intp) - 1
        if groups.order is not None:
            rows = groups.order[rows]
        places = np.array([self._places.get(name, -1) for name in groups.names], np.intp)
        new = np.flatnonzero(places < 0)
        if len(new):
            known = places >= 0
            self._arrivals.add(places[known], now)
            self._keep(results, rows[known], places[known])
            anomalous = results.verdicts[rows[new]] == Verdict.ANOMALY
            new = new[np.argsort(~anomalous, kind="stable")]
            admitted = self._admit([groups.names[i] for i in new.tolist()], int(anomalous.sum()), now)
            rows, places = rows[new[: len(admitted)]], np.array(admitted, np.intp)
            self._arrivals.begin(places, now)
        else:
            self._arrivals.add(places, now)
        self._keep(results, rows, places)
        self._anomalies.follow(results, self._places)

    def snapshot(self, now: float, most: int) -> Snapshot:
        """What there is to draw.

        Args:
            now: Seconds.
            most: So many machines at most, the first ones.
        """
        ages = (now - self._arrivals.seen).tolist()
        for name in [name for name, place in self._places.items() if ages[place] > FORGET_S]:
            self._forget(name)
        silent, verdicts = self._arrivals.silent(now).tolist(), self._latest["verdict"].tolist()
        lines: list[tuple[State, int, str]] = []
        for name, place in self._places.items():
            state = State.SILENT if silent[place] else OF_VERDICT[verdicts[place]]
            since = self._anomalies.open[name].since if state is State.ANOMALY else 0
            lines.append((state, since, name))
        lines.sort()
        quiet = now - self._last_row
        return Snapshot(
            rows=self._rows,
            rate=self._rate.over(now),
            quiet=quiet,
            stalled=all(state is State.SILENT for state, _, _ in lines) and quiet >= STALLED_S,
            states=[state for state, _, _ in lines],
            machines=[self._seen(name, state, ages) for state, _, name in lines[:most]],
            anomalies=list(self._anomalies.last),
            going_on=frozenset(
                self._anomalies.open[name] for state, _, name in lines if state is State.ANOMALY
            ),
        )

    def _seen(self, name: str, state: State, ages: list[float]) -> Seen:
        place = self._places[name]
        latest = self._latest[place]
        verdict, reason = Verdict(int(latest["verdict"])), Reason(int(latest["reason"]))
        faults = {i: Reason(code) for i, code in enumerate(latest["faults"].tolist()) if code}
        return Seen(
            name=name,
            state=state,
            last=f"{verdict.label}: {reason.label}" if reason else verdict.label,
            missing=int(latest["missing"]),
            faults=faults if not reason or reason in faults.values() else {},
            age=ages[place],
            severity=float(latest["severity"]),
            values=latest["values"].copy(),
            expected=latest["expected"].copy(),
            sensor=int(latest["sensor"]),
            time=int(latest["time"]),
            anomaly=self._anomalies.open.get(name),
        )

    def _keep(self, results: Results, rows: NDArray[np.intp], places: NDArray[np.intp]) -> None:
        """Copies these rows; to keep the block would cost its whole memory."""
        latest, scores = self._latest, results.scores
        latest["verdict"][places] = results.verdicts[rows]
        latest["reason"][places] = results.reasons[rows]
        latest["missing"][places] = COMPLETE if results.degraded is None else results.degraded[rows]
        latest["faults"][places] = 0 if results.faults is None else results.faults[rows]
        latest["severity"][places] = results.severity[rows]
        latest["time"][places] = results.readings.times[rows]
        latest["sensor"][places] = scores.errors[rows].argmax(axis=1)
        latest["values"][places] = results.readings.values[rows]
        latest["expected"][places] = scores.expected[rows]

    def _admit(self, names: list[str], anomalous: int, now: float) -> list[int]:
        """Places for the first of these new machines; the first ones, so many, are in anomaly."""
        if (missing := len(names) - len(self._free)) > 0:
            calm = (self._latest["verdict"] != Verdict.ANOMALY).tolist()
            seen = self._arrivals.seen.tolist()
            leaving = sorted(
                (seen[place], name)
                for name, place in self._places.items()
                if calm[place] and name not in self._anomalies.open
            )
            for came, name in leaving[: max(missing, LEAVE_AT_ONCE)]:
                # Nothing leaves for a machine without an anomaly that came in this very block.
                if came < now or len(self._free) < anomalous:
                    self._forget(name)
        admitted = names[: len(self._free)]
        places = [self._free.pop() for _ in admitted]
        self._places.update(zip(admitted, places, strict=True))
        return places

    def _forget(self, name: str) -> None:
        self._free.append(self._places.pop(name))
        self._anomalies.open.pop(name, None)
