"""Every row that was read is accounted for: scored, unknown with a reason, or skipped with a reason."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import numpy as np

from edge_runtime.errors import counted
from edge_runtime.records import COMPLETE, Reason, Verdict

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from edge_runtime.records import Results

__all__ = ["DEGRADED", "LEFT_OUT", "SENSOR", "Accounts", "sensors_of"]

UNKNOWN = int(Verdict.UNKNOWN)
# Of readings, not of rows, and of rows that are counted already: they are no part of the balance.
UNREADABLE_READINGS = "unreadable readings"
DEGRADED, SENSOR = "degraded.", "sensor."
# Rows that a sink was told not to take.
LEFT_OUT = "left out."
LABELS = {int(verdict): verdict.label for verdict in (Verdict.NORMAL, Verdict.ANOMALY)}


class Accounts:
    """Counts rows by what became of them.

    Args:
        sensors: The bundle's, for the names of those without which rows were judged.
    """

    def __init__(self, sensors: tuple[str, ...] = ()) -> None:
        self._sensors = sensors
        self.counters: Counter[str] = Counter()

    def add(self, results: Results, skipped: Mapping[str, int], unreadable: int = 0) -> dict[str, int]:
        """Counts a block, and the readings in it that were no numbers; returns what was added, by name."""
        rows = len(results)
        added = _row(results) if rows == 1 and not skipped else _block(results, rows, skipped)
        if results.degraded is not None:
            added |= self._without(results.degraded)
        if results.faults is not None:
            added |= self._faulty(results.faults)
        if unreadable:
            added[UNREADABLE_READINGS] = unreadable
        for name, number in added.items():
            self.counters[name] += number
        return added

    def leave_out(self, sink: str, rows: int) -> None:
        """Counts rows that a sink was told not to take."""
        self.counters[f"{LEFT_OUT}{sink}"] += rows

    def _without(self, degraded: NDArray[np.int16]) -> dict[str, int]:
        """How many rows were judged without each sensor, but for those without which none was."""
        counts = np.bincount(degraded[degraded != COMPLETE], minlength=len(self._sensors)).tolist()
        return {f"{DEGRADED}{self._sensors[i]}": count for i, count in enumerate(counts) if count}

    def _faulty(self, faults: NDArray[np.int8]) -> dict[str, int]:
        """How many readings of each sensor could not be used, for each reason."""
        rows, places = np.nonzero(faults)
        found = Counter(zip(places.tolist(), faults[rows, places].tolist(), strict=True))
        return {f"{SENSOR}{self._sensors[i]}.{Reason(code).label}": n for (i, code), n in found.items()}

    @property
    def balanced(self) -> bool:
        """Whether the parts sum to what was read."""
        parts = sum(
            number
            for name, number in self.counters.items()
            if name not in ("read", UNREADABLE_READINGS) and not name.startswith((DEGRADED, SENSOR, LEFT_OUT))
        )
        return parts == self.counters["read"]

    def lines(self) -> list[str]:
        """The accounts for people, a line a number."""
        counters = self.counters
        unknown = {n.partition(".")[2]: v for n, v in sorted(counters.items()) if n.startswith("unknown.")}
        skipped = {n.partition(".")[2]: v for n, v in sorted(counters.items()) if n.startswith("skipped.")}
        judged = f"{counters['normal']:,} normal, {counters['anomaly']:,} anomalous"
        rest = f"{sum(unknown.values()):,} unknown, {sum(skipped.values()):,} skipped"
        lines = [f"{counted(counters['read'], 'row')} read: {judged}, {rest}"]
        lines += [f"  unknown, {reason}: {number:,}" for reason, number in unknown.items()]
        lines += [f"  skipped, {reason}: {number:,}" for reason, number in skipped.items()]
        lines += [
            f"  judged without {name.removeprefix(DEGRADED)}: {number:,}"
            for name, number in sorted(counters.items())
            if name.startswith(DEGRADED)
        ]
        lines += [
            f"  {sensor}, {reason}: {number:,}" for (sensor, reason), number in sensors_of(counters).items()
        ]
        if counters[UNREADABLE_READINGS]:
            lines.append(
                f"  readings that were not numbers, treated as missing: {counters[UNREADABLE_READINGS]:,}"
            )
        lines += [
            f"  not printed, as {name.removeprefix(LEFT_OUT)} does not take all rows: {number:,}"
            for name, number in sorted(counters.items())
            if name.startswith(LEFT_OUT) and number
        ]
        if not self.balanced:
            lines.append("  these numbers do not balance: please report it")
        return lines


def sensors_of(counters: Mapping[str, int]) -> dict[tuple[str, str], int]:
    """Sensor and reason to the number of its readings that could not be used for it."""
    found = {}
    for name, number in sorted(counters.items()):
        if name.startswith(SENSOR) and number:
            sensor, _, reason = name.removeprefix(SENSOR).rpartition(".")
            found[sensor, reason] = number
    return found


def _row(results: Results) -> dict[str, int]:
    """A row alone, without the machinery for columns."""
    verdict = results.verdicts.item()
    if verdict == UNKNOWN:
        return {"read": 1, f"unknown.{Reason(results.reasons.item()).label}": 1}
    return {"read": 1, LABELS[verdict]: 1}


def _block(results: Results, rows: int, skipped: Mapping[str, int]) -> dict[str, int]:
    added = {f"skipped.{reason}": number for reason, number in skipped.items()}
    added["read"] = rows + sum(skipped.values())
    by_verdict = np.bincount(results.verdicts, minlength=len(Verdict)).tolist()
    added |= {label: by_verdict[code] for code, label in LABELS.items()}
    if by_verdict[UNKNOWN]:
        by_reason = np.bincount(results.reasons[results.verdicts == UNKNOWN]).tolist()
        added |= {f"unknown.{Reason(code).label}": number for code, number in enumerate(by_reason)}
    return {name: number for name, number in added.items() if number}
