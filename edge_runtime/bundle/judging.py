"""How a bundle judges: slow baseline, threshold, debounce, hold, missing sensors, sensor status, alarms."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from edge_runtime.bundle.document import MAY_BE_ABSENT
from edge_runtime.errors import BundleFormatError

__all__ = [
    "LONGEST_ALARM_DELAY_S",
    "LONGEST_DEBOUNCE",
    "LONGEST_HOLD",
    "Absence",
    "Alarms",
    "Baseline",
    "BaselineState",
    "Debounce",
    "Degraded",
    "Hold",
    "SensorLimit",
    "SensorStatus",
    "Threshold",
]

LONGEST_DEBOUNCE = 1024
# Rows for which a hold may go on after the last one above, and that it may take to begin: a day of seconds.
LONGEST_HOLD = 100_000
LONGEST_ALARM_DELAY_S = 86_400.0


@dataclass(frozen=True, slots=True)
class Hold:
    """The adaptive hold of the verdict, a counter for each machine.

    The counter rises by `rise` on a row above the threshold, falls by `fall` on one that is not, and stays
    within 0 and `cap`. A row is anomalous when its score is above the threshold, or while the counter is
    above `level`: an oscillation is held through its zero crossings, and a short spike is let go at once. The
    defaults hold nothing.
    """

    rise: float = 1.0
    fall: float = 1.0
    cap: float = 1.0
    level: float = 0.0

    def __post_init__(self) -> None:
        if not (self.rise > 0 and self.fall > 0 and math.inf > self.cap > self.level >= 0):
            raise BundleFormatError(
                "a hold needs rise > 0, fall > 0 and a finite cap > level >= 0",
                where="metadata: threshold.hold",
            )
        if (self.cap - self.level) / self.fall > LONGEST_HOLD or self.level / self.rise > LONGEST_HOLD:
            raise BundleFormatError(
                f"such a hold would begin or end only after more than {LONGEST_HOLD:,} rows",
                where="metadata: threshold.hold",
            )


@dataclass(frozen=True, slots=True)
class Debounce:
    """How many of a machine's last rows must be above the threshold for its newest row to count as above.

    At least `k` of its last `n` scored rows, the newest among them; rows before its first are not above.
    """

    k: int
    n: int

    def __post_init__(self) -> None:
        if not 1 <= self.k <= self.n <= LONGEST_DEBOUNCE:
            raise BundleFormatError(
                f"a debounce needs 1 <= k <= n <= {LONGEST_DEBOUNCE}, not {self.k} of {self.n}",
                where="metadata: threshold.debounce",
            )

    def __str__(self) -> str:
        return f"{self.k} of {self.n}"


@dataclass(frozen=True, slots=True)
class Threshold:
    """Above which score a row counts as anomalous.

    Attributes:
        value: The score; finite and positive.
        method: How it was chosen: "percentile", "best_f1" or "false_alarms".
        quantile: For "percentile", which one, 0 to 1.
        metric: For "best_f1", "f1"; for "false_alarms", the budget of a machine, such as "1/week".
        rows: Number of rows that it was chosen on.
        hold: The verdict's adaptive hold.
        per_machine: Machine id to the score that replaces `value` for that machine.
        debounce: How many rows must be above it, before the hold; None for 1 of 1.
    """

    value: float
    method: str
    quantile: float | None
    metric: str | None
    rows: int
    hold: Hold = field(default_factory=Hold)
    per_machine: dict[str, float] = field(default_factory=dict)
    debounce: Debounce | None = field(default=None, metadata={MAY_BE_ABSENT: True})

    def __post_init__(self) -> None:
        for where, value in [
            ("value", self.value),
            *((f"per_machine.{m}", v) for m, v in self.per_machine.items()),
        ]:
            if not (math.isfinite(value) and value > 0):
                raise BundleFormatError(
                    f"a threshold must be finite and positive, not {value}",
                    where=f"metadata: threshold.{where}",
                )


@dataclass(frozen=True, slots=True)
class BaselineState:
    """Where the baseline of one machine stands; each list has [columns] numbers.

    Attributes:
        values: The baseline itself, in the units of the graph's residuals.
        persistence: -1 to 1: how much of the last rows lay far above the baseline, or below it.
        near: Sum of the residuals less the baseline since its last advance, each bounded by `Baseline.near`.
        far: The same sum, each bounded by `Baseline.far`.
        beyond: How many of these rows lay above the nearer bound, less how many lay below it.
        rows: Scored rows since the last advance, fewer than `Baseline.rows`.
    """

    values: tuple[float, ...]
    persistence: tuple[float, ...]
    near: tuple[float, ...]
    far: tuple[float, ...]
    beyond: tuple[float, ...]
    rows: int


@dataclass(frozen=True, slots=True)
class Baseline:
    """The slow baseline, which follows each machine's levels outside the graph.

    The graph takes the baseline as its input `baseline` and gives `residuals`. After every `rows` scored rows
    of a machine, its baseline advances by what those residuals have in common: slowly, or faster in a column
    most of whose last rows lie far off on the same side. A column that has been far off for a while counts
    no more than so much, by the graph's input `bound`: what is new in the others is not drowned by it.

    Attributes:
        rows: Scored rows of a machine after which its baseline advances.
        horizon: Rows over which a baseline follows a level.
        spread: [columns] What is usual for a residual, in its own units; above zero.
        near: Bound of a residual that moves the baseline slowly, in parts of the spread.
        far: Bound of a residual that moves it fast, in the same unit.
        gain: How many times faster the baseline moves in a column that stays far off.
        persistent: Above which persistence it does so.
        doubtful: Above which persistence a column counts as far off for a while.
        bound: How much its residual less the baseline counts at most, in parts of the spread.
        golden: Where the baseline stands before the first golden row.
    """

    rows: int
    horizon: float
    spread: tuple[float, ...]
    near: float
    far: float
    gain: float
    persistent: float
    doubtful: float
    bound: float
    golden: BaselineState


@dataclass(frozen=True, slots=True)
class Absence:
    """How a row is judged that lacks one sensor and has all the others.

    Attributes:
        intercept: Of the linear regression whose value stands in for the reading, in the sensor's own unit.
        coefficients: [sensors] What each sensor's reading, in raw units, is multiplied with; its own is 0.
        threshold: Replaces the value of the threshold for such a row.
        auc_loss: By how much the ROC AUC is lower when all rows lack this sensor; None where it was not
            measured.
    """

    intercept: float
    coefficients: tuple[float, ...]
    threshold: float
    auc_loss: float | None


@dataclass(frozen=True, slots=True)
class Degraded:
    """How rows are judged that lack one sensor: its reading is filled by a regression on the others.

    Attributes:
        absent: [sensors] For each sensor, in order, what holds when it alone is missing.
        rows: Number of normal validation rows that the thresholds were chosen on.
        auc: ROC AUC of complete rows; None where it was not measured.
        measured_on: What that comes from: "labels" of validation, or "injected" faults, where a loss is of
            faults of the other sensors; None where it was not measured.
        golden: Scores of golden row i modulo their number, without sensor i modulo the number of sensors, for
            i from 0 up to the greater of both numbers less one; one run of rows of one machine.
        absolute_tolerance: Difference of these scores that is always allowed, beside the golden rows'
            relative one.
    """

    absent: tuple[Absence, ...]
    rows: int
    auc: float | None
    measured_on: str | None
    golden: tuple[float, ...]
    absolute_tolerance: float


@dataclass(frozen=True, slots=True)
class SensorLimit:
    """When a sensor stands still or jumps, so that its reading cannot be used.

    Attributes:
        flat_rows: A sensor is flat from the row on at which so many of its readings in succession lie within
            `within` of the first of them; None for a sensor that may stand still.
        within: The distance, in raw units.
        max_rate: The fastest that the sensor can change, in raw units a second; None where that is unknown. A
            reading is too steep if it is farther from the sensor's last usable one than the time since then,
            or the cadence if that is longer, allows.
    """

    flat_rows: int | None
    within: float
    max_rate: float | None


@dataclass(frozen=True, slots=True)
class SensorStatus:
    """How sensors that stand still or jump are found.

    Attributes:
        limits: [sensors] For each sensor, in order.
        rows: Number of normal rows in which the longest runs were measured.
    """

    limits: tuple[SensorLimit, ...]
    rows: int


@dataclass(frozen=True, slots=True)
class Alarms:
    """When the verdicts of a machine's rows raise an alarm, and when the alarm returns to normal.

    Attributes:
        on_delay_s: An alarm is raised at the first anomalous row that is at least so many seconds of data
            time after the first one of an unbroken run of anomalous rows.
        off_delay_s: It returns at the first normal row that is at least so many seconds of data time after
            the first one of an unbroken run of normal rows.
        high_severity: From which severity on the alarm's priority is high; None where it never is.
        rows: Number of validation rows that this was chosen on.
    """

    on_delay_s: float
    off_delay_s: float
    high_severity: float | None
    rows: int
