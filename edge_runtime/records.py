"""The columnar records that flow through the runtime: blocks of rows, never one object a row."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Readings", "Reason", "Results", "Scores", "Verdict"]


class Verdict(IntEnum):
    """What a row was found to be; the label is what every sink writes."""

    NORMAL = 0
    ANOMALY = 1
    UNKNOWN = 2

    @property
    def label(self) -> str:
        """The lower-case name that sinks write."""
        return self.name.lower()


class Reason(IntEnum):
    """Why a row's verdict is unknown; NONE for every other row."""

    NONE = 0
    WARMING_UP = 1
    MISSING = 2
    NOT_FINITE = 3
    OUT_OF_RANGE = 4
    TIME_BACKWARDS = 5

    @property
    def label(self) -> str:
        """The words that sinks write; empty for NONE."""
        return "" if self is Reason.NONE else self.name.lower().replace("_", " ")


@dataclass(frozen=True, slots=True)
class Readings:
    """A block of raw readings, in the order in which they are to be scored.

    Attributes:
        machines: [rows] machine ids, a numpy unicode array.
        times: [rows] int64 nanoseconds since the epoch, UTC.
        values: [rows, sensors] float32 in raw units; NaN where a reading is missing.
    """

    machines: NDArray[np.str_]
    times: NDArray[np.int64]
    values: NDArray[np.float32]

    def __post_init__(self) -> None:
        rows = len(self.times)
        if self.machines.shape != (rows,) or self.values.ndim != 2 or self.values.shape[0] != rows:  # noqa: PLR2004
            raise ValueError(
                f"shapes do not fit: machines {self.machines.shape}, times {self.times.shape}, "
                f"values {self.values.shape}"
            )

    def __len__(self) -> int:
        return len(self.times)

    def take(self, index: NDArray[np.intp] | NDArray[np.bool_] | slice) -> Readings:
        """The rows that a numpy index, mask or slice selects."""
        return Readings(self.machines[index], self.times[index], self.values[index])

    @staticmethod
    def empty(sensors: int) -> Readings:
        """A block without rows."""
        return Readings(np.empty(0, np.str_), np.empty(0, np.int64), np.empty((0, sensors), np.float32))


@dataclass(frozen=True, slots=True)
class Scores:
    """What the model made of a block of rows.

    Attributes:
        score: [rows] float32 anomaly score, unclamped, higher is worse; NaN where a row was not scored.
        errors: [rows, sensors] float32 reconstruction error, each sensor's share; sums to the score.
        expected: [rows, sensors] float32, what the model expected, raw units.
    """

    score: NDArray[np.float32]
    errors: NDArray[np.float32]
    expected: NDArray[np.float32]

    @staticmethod
    def unknown(rows: int, sensors: int) -> Scores:
        """A block of which nothing is known: NaN all over."""
        return Scores(
            np.full(rows, np.nan, np.float32),
            np.full((rows, sensors), np.nan, np.float32),
            np.full((rows, sensors), np.nan, np.float32),
        )

    def put(self, rows: NDArray[np.bool_] | slice, part: Scores) -> None:
        """Writes a part into these rows, in place."""
        self.score[rows], self.errors[rows], self.expected[rows] = part.score, part.errors, part.expected

    def __len__(self) -> int:
        return len(self.score)


@dataclass(frozen=True, slots=True)
class Results:
    """A block of readings with everything that was found about them: what sinks receive.

    Attributes:
        readings: The block, as it was read.
        scores: The model's output, row by row.
        severity: [rows] float32, score divided by the threshold: above 1 is over the threshold.
        verdicts: [rows] int8 codes of `Verdict`.
        reasons: [rows] int8 codes of `Reason`.
    """

    readings: Readings
    scores: Scores
    severity: NDArray[np.float32]
    verdicts: NDArray[np.int8]
    reasons: NDArray[np.int8]

    def __len__(self) -> int:
        return len(self.readings)
