"""What alarms with some delays do on a split: false alarms of normal time, and faults that they tell of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from trainer.calibration.alarm_spans import VerdictRuns, raises_in, touched
from trainer.calibration.calibrate import limits, verdicts
from trainer.data.stretches import SECOND_NS, by_machine, row_seconds, stretches

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from edge_runtime.bundle.metadata import Threshold
    from trainer.data.split import Split
    from trainer.data.stretches import Stretch
    from trainer.detector import Detector

__all__ = ["AlarmFigures", "JudgedMachine", "figures_of", "judged_machines", "labelled_faults"]

DAY_S = 86_400.0


@dataclass(frozen=True, slots=True, eq=False)
class JudgedMachine:
    """The rows of one machine that have a verdict.

    Attributes:
        name: Machine id.
        runs: Times and verdicts, as a gateway gives them: after threshold, debounce and hold.
        severity: [rows] score in parts of the machine's threshold.
        normal: [rows] neither labelled nor ignored.
        days: Time that the normal rows stand for.
        faults: Of this machine, in order of time.
    """

    name: str
    runs: VerdictRuns
    severity: NDArray[np.float64]
    normal: NDArray[np.bool_]
    days: float
    faults: tuple[Stretch, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class AlarmFigures:
    """What the alarms do.

    Attributes:
        false_alarms: Those raised at a normal row that is no less than 30 s away from every fault.
        days: Machine days of normal time.
        delays_s: [faults] from the fault's start to the first alarm raised in it, or up to 30 s before (0);
            NaN for a fault in which none is raised.
        up_s: [faults] for how long an alarm had been up at the fault's start, where none is raised in it; NaN
            where none was up.
        alarms: [faults] how many are raised in it, or up to 30 s before.
        peaks: The highest severity of each alarm that is raised in a fault.
    """

    false_alarms: int
    days: float
    delays_s: NDArray[np.float64]
    up_s: NDArray[np.float64]
    alarms: NDArray[np.intp]
    peaks: NDArray[np.float64]

    @property
    def found(self) -> NDArray[np.bool_]:
        """[faults] in which an alarm is raised."""
        return self.alarms > 0

    @property
    def since_before(self) -> NDArray[np.bool_]:
        """[faults] in which no alarm is raised, and at whose start one was up."""
        return ~np.isnan(self.up_s)

    @property
    def a_day(self) -> float:
        """False alarms a machine day."""
        return self.false_alarms / self.days if self.days else 0.0

    @property
    def single(self) -> float:
        """Part of the faults found that raise one alarm, and no further one; 1 where none is found."""
        return float((self.alarms[self.found] == 1).mean()) if self.found.any() else 1.0

    @property
    def delay_s(self) -> float | None:
        """The median of the faults found."""
        return float(np.median(self.delays_s[self.found])) if self.found.any() else None


def judged_machines(split: Split, detector: Detector, threshold: Threshold) -> list[JudgedMachine]:
    """Scores and judges the rows of a split that have all of their readings, machine by machine."""
    known = split.take(split.finite)
    scores = detector.score_table(known.values, known.times, known.machines)
    flagged = verdicts(scores, threshold, known.times, known.machines)
    severity = scores / limits(threshold, known.machines)
    faults = labelled_faults(known)
    found = []
    for name, rows in by_machine(known.times, known.machines):
        times, normal = known.times[rows], known.normal[rows]
        found.append(
            JudgedMachine(
                name,
                VerdictRuns(times, flagged[rows]),
                severity[rows],
                normal,
                float(row_seconds(times)[normal].sum()) / DAY_S,
                tuple(fault for fault in faults if fault.machine == name),
            )
        )
    return found


def labelled_faults(split: Split) -> list[Stretch]:
    """The labelled events that count, in order of machine and time."""
    if split.labels is None:
        return []
    return stretches(split.times, split.machines, split.labels & split.counted, split.kinds)


def figures_of(machines: Sequence[JudgedMachine], on_delay_s: float, off_delay_s: float) -> AlarmFigures:
    """The figures of all machines together, faults in the order of machines and time."""
    false = 0
    delays, waits, counts, peaks = [np.empty(0)], [np.empty(0)], [np.empty(0, np.intp)], [np.empty(0)]
    for machine in machines:
        found, times = machine.runs.alarms(on_delay_s, off_delay_s), machine.runs.times
        raised = times[found.raised]
        false += int((machine.normal[found.raised] & ~touched(raised, machine.faults)).sum())
        if not machine.faults:
            continue
        starts = np.array([fault.start for fault in machine.faults], np.int64)
        low, high = raises_in(raised, machine.faults)
        counts.append(high - low)
        told = high > low
        first = np.append(raised, 0)[low]
        delays.append(np.where(told, np.maximum(first - starts, 0) / SECOND_NS, np.nan))
        ends = np.append(times, np.iinfo(np.int64).max)[found.stop]
        last = np.searchsorted(raised, starts, "right") - 1
        up = (last >= 0) & (np.append(ends, 0)[last] > starts)
        ages = (starts - np.append(raised, 0)[last]) / SECOND_NS
        waits.append(np.where(~told & up, ages, np.nan))
        in_fault = np.zeros(len(found) + 1, np.intp)
        np.add.at(in_fault, low, 1)
        np.add.at(in_fault, high, -1)
        peaks.append(
            found.peaks(machine.severity, machine.runs.anomalous)[np.cumsum(in_fault)[: len(found)] > 0]
        )
    return AlarmFigures(
        false,
        sum(machine.days for machine in machines),
        np.concatenate(delays),
        np.concatenate(waits),
        np.concatenate(counts),
        np.concatenate(peaks),
    )
