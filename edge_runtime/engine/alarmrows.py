"""A block of judged rows as alarms see it: which rows tell something, and what of each."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edge_runtime.records import Reason, Verdict

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edge_runtime.records import Results

__all__ = ["NOT_JUDGED", "AlarmRows"]

# A sensor with this share of an anomalous row's score has come to the fore, beside the one with the most.
SHARE = 0.25
NOT_JUDGED = np.zeros(len(Reason), np.bool_)
NOT_JUDGED[
    [
        Reason.REPEATED,
        Reason.CONFLICTING,
        Reason.TOO_LATE,
        Reason.TIME_IN_THE_FUTURE,
        Reason.TOO_MANY_MACHINES,
    ]
] = True


class AlarmRows:
    """Columns as lists, for code that goes through them row by row.

    Args:
        results: The rows.

    Attributes:
        results: The rows.
        telling: [rows] which rows are anomalous or have a faulty sensor.
        times: [rows] nanoseconds since the epoch.
        verdicts: [rows] codes of `Verdict`.
        severity: [rows] score divided by the threshold.
        skipped: [rows] which rows were not judged, and have no part in anything.
        to_the_fore: Row to the places of the sensors that come to the fore in it; of anomalous rows.
        faulty: Row to the places of the sensors whose readings cannot be used; of rows that have any.
    """

    __slots__ = ("faulty", "results", "severity", "skipped", "telling", "times", "to_the_fore", "verdicts")

    def __init__(self, results: Results) -> None:
        self.results = results
        anomalous = results.verdicts == Verdict.ANOMALY
        skipped = NOT_JUDGED[results.reasons]
        self.times: list[int] = results.readings.times.tolist()
        self.verdicts: list[int] = results.verdicts.tolist()
        self.severity: list[float] = results.severity.tolist()
        self.skipped: list[bool] = skipped.tolist()
        self.to_the_fore = _by_row(*_to_the_fore(results.scores.errors, np.flatnonzero(anomalous)))
        self.faulty: dict[int, list[int]] = {}
        self.telling: NDArray[np.bool_] = anomalous
        if results.faults is not None:
            self.faulty = _by_row(*np.nonzero(results.faults))
            self.telling = anomalous | (results.faults.any(1) & ~skipped)


def _to_the_fore(
    errors: NDArray[np.float32], rows: NDArray[np.intp]
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Of these rows, the sensors with a large share of the score: the numbers of row and sensor."""
    chosen = errors[rows].astype(np.float64)
    large = chosen >= SHARE * chosen.sum(1, keepdims=True)
    large[np.arange(len(rows)), chosen.argmax(1)] = True
    row, place = np.nonzero(large)
    return rows[row], place


def _by_row(rows: NDArray[np.intp], places: NDArray[np.intp]) -> dict[int, list[int]]:
    found: dict[int, list[int]] = {}
    for row, place in zip(rows.tolist(), places.tolist(), strict=True):
        found.setdefault(row, []).append(place)
    return found
