"""A split with everything the detector said of it, in order of machine and time."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from edge_runtime.errors import TrainingError
from trainer.calibration.calibrate import limits, verdicts
from trainer.data.stretches import SLACK_NS, Stretch, stretches

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edge_runtime.bundle.metadata import Threshold
    from trainer.data.split import Split
    from trainer.detector import Detector

__all__ = ["Scored", "score_split"]

# A score that overflowed is so many thresholds high.
MOST = 1e12


@dataclass(frozen=True, slots=True)
class Scored:
    """The rows of a split that have all of their readings, each machine's together and in time order.

    Attributes:
        times: [rows] ns.
        machines: [rows] machine ids.
        values: [rows, sensors] raw units.
        scores: [rows].
        errors: [rows, sensors]; a row's sum to its score.
        expected: [rows, sensors] raw units.
        severity: [rows] score over its machine's threshold; 0 for a score that is no number.
        flagged: [rows] the verdict, with its hold; never of an ignored row.
        labels: [rows] whether the row is anomalous; None where nobody knows.
        events: The labelled ones, in order of machine and time; none where nobody knows. Those
            without a row here are not among them.
        counted: [rows] False where a row is ignored: it is shown, and counts in no figure.
        unseen: Number of further events, of which every row lacks a reading.
    """

    times: NDArray[np.int64]
    machines: NDArray[np.str_]
    values: NDArray[np.float32]
    scores: NDArray[np.float32]
    errors: NDArray[np.float32]
    expected: NDArray[np.float32]
    severity: NDArray[np.float64]
    flagged: NDArray[np.bool_]
    labels: NDArray[np.bool_] | None
    events: tuple[Stretch, ...]
    counted: NDArray[np.bool_]
    unseen: int = 0

    def __len__(self) -> int:
        return len(self.times)

    @property
    def undisturbed(self) -> NDArray[np.bool_]:
        """[rows] whether the row is normal, and further from every event than an alarm about it may lie."""
        clear = self.counted.copy() if self.labels is None else self.counted & ~self.labels
        for event in self.events:
            near = self.within(Stretch(event.machine, event.start - SLACK_NS, event.stop + SLACK_NS))
            clear[near] = False
        return clear

    def of(self, machine: str) -> slice:
        """Where the rows of a machine are."""
        first, last = (np.searchsorted(self.machines, machine, side) for side in ("left", "right"))
        return slice(int(first), int(last))

    def within(self, stretch: Stretch) -> slice:
        """Where the rows of a stretch are, its ends included."""
        rows = self.of(stretch.machine)
        times = self.times[rows]
        return slice(
            rows.start + int(np.searchsorted(times, stretch.start, "left")),
            rows.start + int(np.searchsorted(times, stretch.stop, "right")),
        )

    def step_ns(self, machine: str) -> float:
        """The usual time between two rows of a machine, ns; 0 where it has but one."""
        steps = np.diff(self.times[self.of(machine)])
        steps = steps[steps > 0]
        return float(np.median(steps)) if len(steps) else 0.0


def score_split(split: Split, detector: Detector, threshold: Threshold) -> Scored:
    """Scores a split as a gateway would.

    Raises:
        TrainingError: No row has all of its readings.
    """
    order = np.lexsort((split.times, split.machines))
    order = order[split.finite[order]]
    if not len(order):
        raise TrainingError(
            "every row lacks at least one reading",
            where=str(split.path),
            hint="check the sensors' columns",
        )
    times, machines, values = split.times[order], split.machines[order], split.values[order]
    scores, errors, expected = detector.score_rows(values, times, machines)
    labels = None if split.labels is None else split.labels[order]
    events = _events(split)
    scored = Scored(
        times,
        machines,
        values,
        scores,
        errors,
        expected,
        np.nan_to_num(scores / limits(threshold, machines), nan=0.0, posinf=MOST),
        verdicts(scores, threshold, times, machines) & split.counted[order],
        labels,
        events,
        split.counted[order],
    )
    rows = [scored.within(event) for event in events]
    seen = tuple(event for event, own in zip(events, rows, strict=True) if own.stop > own.start)
    return replace(scored, events=seen, unseen=len(events) - len(seen))


def _events(split: Split) -> tuple[Stretch, ...]:
    if split.labels is None:
        return ()
    rows = split.counted
    kinds = None if split.kinds is None else split.kinds[rows]
    return tuple(stretches(split.times[rows], split.machines[rows], split.labels[rows], kinds))
