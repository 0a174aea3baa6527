"""What the engine gives back: a row out for each row in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from edge_runtime.records import COMPLETE, Reason, Results, Verdict
from edge_runtime.timeparse import format_time

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from edge_runtime.engine.alarms import Change

__all__ = ["Judged"]

VERDICTS = [verdict.label for verdict in Verdict]
ANOMALY = Verdict.ANOMALY.label
REASONS = [reason.label for reason in Reason]


class Judged:
    """Rows with everything that was found about them, in the order in which they were fed.

    Args:
        results: The rows, as columns.
        sensors: The bundle's sensors, in order.
        old: [rows] which rows were not new: repeated, conflicting or too late; None where all were new.
        alarms: What changed in alarms.

    Attributes:
        results: The rows, as columns.
        alarms: What changed in alarms, in the order of the rows that led to it; always empty for an engine
            without alarms.
    """

    __slots__ = ("_old", "_sensors", "alarms", "results")

    def __init__(
        self,
        results: Results,
        sensors: tuple[str, ...],
        old: NDArray[np.bool_] | None,
        alarms: Sequence[Change] = (),
    ) -> None:
        self.results = results
        self.alarms = alarms
        self._sensors = sensors
        self._old = old

    def __len__(self) -> int:
        return len(self.results)

    def __repr__(self) -> str:
        counts = {label: self.verdicts.count(label) for label in VERDICTS}
        found = ", ".join(f"{count} {label}" for label, count in counts.items() if count)
        return f"<Judged: {found or 'no rows'}>"

    @property
    def verdicts(self) -> list[str]:
        """[rows] "normal", "anomaly" or "unknown"."""
        return [VERDICTS[code] for code in self.results.verdicts.tolist()]

    @property
    def reasons(self) -> list[str]:
        """[rows] why the verdict is unknown, such as "out of range"; empty where it is known."""
        return [REASONS[code] for code in self.results.reasons.tolist()]

    @property
    def degraded(self) -> list[str]:
        """[rows] the one sensor without which the row was judged; empty where it was judged with all."""
        places = self.results.degraded
        if places is None:
            return [""] * len(self)
        return ["" if place == COMPLETE else self._sensors[place] for place in places.tolist()]

    @property
    def sensor_status(self) -> list[dict[str, str]]:
        """[rows] sensor to its status by NE 107, such as "failure: flat", of those that are not good."""
        faults = self.results.faults
        if faults is None:
            return [{} for _ in range(len(self))]
        from edge_runtime.engine.status import by_sensor  # noqa: PLC0415 - for few rows

        return [by_sensor(row, self._sensors) for row in faults]

    @property
    def score(self) -> NDArray[np.float32]:
        """[rows] anomaly score; NaN where the verdict is unknown."""
        return self.results.scores.score

    @property
    def severity(self) -> NDArray[np.float32]:
        """[rows] score divided by the threshold; NaN where the verdict is unknown."""
        return self.results.severity

    @property
    def expected(self) -> dict[str, NDArray[np.float32]]:
        """Sensor to [rows] what the model expected, in the sensor's own unit."""
        return dict(zip(self._sensors, self.results.scores.expected.T, strict=True))

    @property
    def errors(self) -> dict[str, NDArray[np.float32]]:
        """Sensor to [rows] its share of the score; 0 of a sensor without which the row was judged."""
        return dict(zip(self._sensors, self.results.scores.errors.T, strict=True))

    def rows(self) -> list[dict[str, Any]]:
        """Each row by itself, with the keys of the JSON lines that `edge-detect run` writes.

        Numbers that are not finite are None, so that the rows can go into JSON as they are.
        """
        results, readings = self.results, self.results.readings
        numbers = [
            {"score": score, "severity": severity, "readings": values, "expected": expected, "errors": errors}
            for score, severity, values, expected, errors in zip(
                _finite(results.scores.score),
                _finite(results.severity),
                self._by_sensor(readings.values),
                self._by_sensor(results.scores.expected),
                self._by_sensor(results.scores.errors),
                strict=True,
            )
        ]
        return [
            {
                "time": format_time(time),
                "machine_id": machine,
                "verdict": verdict,
                **({"reason": reason} if reason else {}),
                **({"degraded": degraded} if degraded else {}),
                **({"sensor_status": status} if status else {}),
                **({"top_sensor": self._sensors[top]} if verdict == ANOMALY else {}),
                **rest,
            }
            for time, machine, verdict, reason, degraded, status, top, rest in zip(
                readings.times.tolist(),
                readings.machines.tolist(),
                self.verdicts,
                self.reasons,
                self.degraded,
                self.sensor_status,
                results.scores.errors.argmax(axis=1).tolist(),
                numbers,
                strict=True,
            )
        ]

    def split(self) -> tuple[Results, dict[str, int]]:
        """The rows that were new; and of those that were not, how many for each reason."""
        if self._old is None:
            return self.results, {}
        counts = np.bincount(self.results.reasons[self._old]).tolist()
        skipped = {REASONS[code]: count for code, count in enumerate(counts) if count}
        return self.results.take(np.flatnonzero(~self._old)), skipped

    def _by_sensor(self, values: NDArray[np.float32]) -> list[dict[str, float | None]]:
        return [dict(zip(self._sensors, row, strict=True)) for row in _finite(values)]


def _finite(values: NDArray[np.float32]) -> list[Any]:
    """Numbers with the shortest decimals that give the float32 back; None for those that are not finite."""
    shortest = values.astype(np.str_).astype(np.float64).astype(object)
    shortest[~np.isfinite(values)] = None
    found: list[Any] = shortest.tolist()
    return found
