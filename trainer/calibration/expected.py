"""What part of later normal rows a verdict flags: a range, from blocks of time and replays of the history.

A threshold leaves a known part of validation's rows above it, which says how the threshold was chosen and not
what comes: later days are not like those of validation. Two experiments on the history show how much less.

*Blocks.* Validation is divided into blocks of contiguous time. The threshold is chosen in the same way on all
but one, and the whole verdict, with debounce and hold, is measured on that one.

*Replays.* Training and validation together are divided into windows, validation being the last. A threshold
is chosen on one window and the verdict is measured on each that comes later, as it will be after a real
validation. Training's rows were fitted on and score lower than others, so where a network is fitted too
closely, the step from training to validation overstates the drift. It is taken as it is: a range that is too
wide is better than one that does not hold, and between windows of training nothing is overstated.

The logarithms of the parts that were flagged have a mean and a spread, and what comes is one more of them: a
prediction interval by Student's t, with the windows' number, not that of their pairs, for its degrees of
freedom. The range spans both experiments' intervals and all that was measured. It knows of no state that no
part of the history has shown.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from edge_runtime.errors import counted
from trainer.calibration.calibrate import limits, verdicts
from trainer.calibration.peaks import DAY_S, NONE_SEEN, PARTS, parts_of_time, student
from trainer.data.stretches import by_machine, observed_seconds

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edge_runtime.bundle.metadata import Threshold
    from trainer.calibration.debounce import ScoredRows

__all__ = ["ExpectedShare", "expected_share"]

# Normal rows of a block, at the least; and windows that training is divided into.
MIN_BLOCK_ROWS = 25
MIN_WINDOWS = 3
# A part that is written as 0 %.
SMALLEST = 5e-5


@dataclass(frozen=True, slots=True)
class ExpectedShare:
    """What part of later normal rows will be flagged, 9 times out of 10.

    Attributes:
        low: The lower end, 0 to 1.
        high: The upper end, 0 to 1.
        validation: What part of validation's normal rows is.
        blocks: Blocks of validation that were left out in turn.
        windows: Windows of training that a threshold was chosen on, to see it fare later; 0 for none.
        rows: Normal rows of validation.
        machine_days: Their time, summed over the machines.
    """

    low: float
    high: float
    validation: float
    blocks: int
    windows: int
    rows: int
    machine_days: float

    @property
    def rarest_per_day(self) -> float:
        """False alarms a machine and day: of histories as long, one in ten shows none at this rate."""
        return NONE_SEEN / self.machine_days if self.machine_days else float("inf")

    def __str__(self) -> str:
        return f"{percent(self.low)} to {percent(self.high)} of normal rows"

    @property
    def parts(self) -> str:
        """What the range comes from."""
        found = f"from {self.blocks} parts of validation"
        return f"{found} and {self.windows} of training" if self.windows else found

    @property
    def fewest(self) -> str:
        """What so short a time cannot know."""
        rows = counted(self.rows, "normal validation row promises", "normal validation rows promise")
        return f"{rows} no fewer false alarms than {self.rarest}"

    @property
    def rarest(self) -> str:
        """The fewest false alarms that these rows can promise, such as "2.3 a day"."""
        rate = self.rarest_per_day
        if rate < 1:
            return f"one in {1 / rate:.2g} days"
        return f"{rate:.2g} a day" if rate < 10 else f"{rate:,.0f} a day"  # noqa: PLR2004


def percent(part: float) -> str:
    """With two digits."""
    if part < SMALLEST:
        return "0%"
    return "100%" if part > 1 - 5e-3 else f"{100 * part:.2g}%"


def expected_share(
    validation: ScoredRows, training: ScoredRows | None, threshold: Threshold
) -> ExpectedShare | None:
    """The range, for a threshold that was chosen on validation; None where validation is too short for any.

    Labelled anomalies and ignored rows are passed by debounce and hold, and count as nothing.

    Args:
        validation: Its rows.
        training: Those of training; None to do without replays.
        threshold: By whatever method; it is chosen again as the same quantile of the normal rows' scores.
    """
    held_out = _Rows.of(validation, threshold)
    held_out = replace(held_out, alarm=held_out.alarm_rows())
    normal = int(held_out.normal.sum())
    blocks = min(PARTS, normal // MIN_BLOCK_ROWS)
    if blocks < 2:  # noqa: PLR2004
        return None
    level = _Level.of(held_out.scores[held_out.normal])
    block = held_out.parts(blocks)
    if len(np.unique(block[held_out.normal])) < 2:  # noqa: PLR2004 - a row or so of many machines
        return None
    left_out = []
    for one in range(blocks):
        value = level.value(held_out.scores[held_out.normal & (block != one)])
        left_out += held_out.flagged(value, block == one)
    own = held_out.share(1.0)
    ranges = [_range(left_out, blocks), (own, own)]
    windows = 0
    if training is not None:
        before = _Rows.of(training, threshold, held_out.alarm)
        trained = int(before.normal.sum())
        windows = int(np.clip(round(trained / normal), MIN_WINDOWS, PARTS))
        if trained < windows * MIN_BLOCK_ROWS:
            windows = 0
        else:
            ranges.append(_range(_replays(before, held_out, level, windows), windows + 1))
    low, high = min(found[0] for found in ranges), max(found[1] for found in ranges)
    seconds = sum(
        observed_seconds(held_out.times[index]) for _, index in by_machine(held_out.times, held_out.machines)
    )
    days = seconds / DAY_S * normal / len(held_out.scores)
    return ExpectedShare(float(low), float(min(1.0, high)), own, blocks, windows, normal, days)


@dataclass(frozen=True, slots=True)
class _Level:
    """How a threshold was chosen: a quantile of normal rows' scores; above all of them, times a factor."""

    quantile: float
    factor: float

    @staticmethod
    def of(scores: NDArray[np.float64]) -> _Level:
        """Of the threshold 1."""
        below = float((scores <= 1.0).mean())
        return _Level(below, 1.0 if below < 1 else 1.0 / max(float(scores.max()), 1e-30))

    def value(self, scores: NDArray[np.float64]) -> float:
        """The threshold of these rows."""
        return self.factor * float(np.quantile(scores, self.quantile))


@dataclass(frozen=True, slots=True)
class _Rows:
    """Rows by machine and time; scores are in parts of their machine's threshold."""

    scores: NDArray[np.float64]
    times: NDArray[np.int64]
    machines: NDArray[np.str_]
    normal: NDArray[np.bool_]
    threshold: Threshold
    alarm: float

    @staticmethod
    def of(scored: ScoredRows, threshold: Threshold, alarm: float = 1.0) -> _Rows:
        order = np.lexsort((scored.times, scored.machines))
        machines = scored.machines[order]
        scores = scored.scores[order].astype(np.float64) / limits(threshold, machines)
        plain = replace(threshold, per_machine={})
        return _Rows(scores, scored.times[order], machines, scored.normal[order], plain, alarm)

    def alarm_rows(self) -> float:
        """Normal rows of an alarm, on average; 1 where there is none."""
        flags = self.verdicts(1.0) & self.normal
        begins = flags & ~np.append(False, flags[:-1])
        begins[1:] |= flags[1:] & (self.machines[1:] != self.machines[:-1])
        return float(flags.sum() / max(1, begins.sum())) if flags.any() else 1.0

    def parts(self, count: int) -> NDArray[np.intp]:
        """[rows] which part of its machine's normal rows a row belongs to; -1 where it is not normal."""
        found = np.full(len(self.scores), -1)
        found[self.normal] = parts_of_time(self.machines[self.normal], count)
        return found

    def verdicts(self, value: float) -> NDArray[np.bool_]:
        """[rows] what a threshold flags."""
        return verdicts(self.scores, replace(self.threshold, value=value), self.times, self.machines)

    def share(self, value: float) -> float:
        """Of all normal rows."""
        return float(self.verdicts(value)[self.normal].mean())

    def flagged(self, value: float, *parts: NDArray[np.bool_]) -> list[float]:
        """Logarithm of the share that is flagged of each part, of normal rows alone; of parts that have rows.

        Half an alarm is added to what is flagged, so that none is not never: rows are not flagged one by one.
        """
        flags, alarm = self.verdicts(value), self.alarm
        return [
            float(np.log((flags[rows].sum() + alarm / 2) / (rows.sum() + alarm)))
            for rows in parts
            if rows.any()
        ]


def _replays(before: _Rows, held_out: _Rows, level: _Level, windows: int) -> list[float]:
    """Logarithms of what is flagged later than the window that the threshold comes from."""
    window = before.parts(windows)
    found = []
    for one in range(windows):
        chosen = before.scores[window == one]
        if len(chosen):
            value = level.value(chosen)
            found += before.flagged(value, *(window == later for later in range(one + 1, windows)))
            found += held_out.flagged(value, held_out.normal)
    return found


def _range(logs: list[float], independent: int) -> tuple[float, float]:
    """Prediction interval for one more, of so many that are independent, and at least what was found."""
    middle, spread = float(np.mean(logs)), float(np.std(logs, ddof=1)) if len(logs) > 1 else 0.0
    around = student(independent - 1) * spread * (1 + 1 / independent) ** 0.5
    ends = min(middle - around, *logs), max(middle + around, *logs)
    return float(np.exp(ends[0])), float(np.exp(min(ends[1], 0.0)))
