"""What a running feed tells a person: once a minute at most one line, and only when something changed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edge_runtime.engine.accounts import sensors_of
from edge_runtime.errors import counted
from edge_runtime.records import Verdict

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from edge_runtime.records import Results

__all__ = ["Journal"]

MAX_NAMES = 5
MAX_KEPT = 1000


class Journal:
    """Compares each minute with the last one that was told.

    What counts as a change: rows come or stop, another number of machines, other machines with anomalies,
    other reasons of unknown or skipped rows, other sensors without which rows are judged or whose readings
    cannot be used, results that have waited for a minute or no longer do.

    Args:
        report: Called with one line for a person.
    """

    def __init__(self, report: Callable[[str], None]) -> None:
        self._report = report
        self._anomalous: dict[str, None] = {}
        self._before: dict[str, int] = {}
        self._waited: dict[str, int] = {}
        self._told: tuple[object, ...] | None = None

    def anomalous(self, results: Results) -> None:
        """Takes a block with anomalies in it."""
        if len(self._anomalous) < MAX_KEPT:
            found = results.readings.machines[results.verdicts == Verdict.ANOMALY]
            self._anomalous.update(dict.fromkeys(np.unique(found).tolist()))

    def minute(
        self,
        counters: Mapping[str, int],
        machines: int,
        waiting: Mapping[str, int],
        waits: Callable[[str, int], str] | None = None,
    ) -> None:
        """A minute has passed.

        Args:
            counters: The accounts, since the start.
            machines: Number of machines so far.
            waiting: Sink to the number of rows or changes of alarms that wait for it.
            waits: Says that so much waits for a sink; needed where anything does.
        """
        passed = {name: value - self._before.get(name, 0) for name, value in counters.items()}
        self._before = dict(counters)
        anomalous, self._anomalous = sorted(self._anomalous), {}
        unknown, skipped, without = (_by_reason(passed, kind) for kind in ("unknown", "skipped", "degraded"))
        # What is on its way at this very moment is not late.
        late = {sink: number for sink, number in waiting.items() if number and self._waited.get(sink)}
        self._waited = dict(waiting)
        rows = passed.get("read", 0)
        faulty = [f"{sensor} ({reason})" for sensor, reason in sensors_of(passed)]
        reasons = sorted(unknown), sorted(skipped), sorted(without), faulty
        now = (rows > 0, machines, anomalous, reasons, sorted(late))
        if now == self._told:
            return
        self._told = now
        parts = [
            f"{counted(rows, 'row')} came in the last minute" if rows else "no row came in the last minute"
        ]
        parts.append(f"{counted(machines, 'machine')} so far")
        if anomalous:
            parts.append(f"{passed.get('anomaly', 0):,} anomalous ({_names(anomalous)})")
        parts += [f"{number:,} unknown ({reason})" for reason, number in unknown.items()]
        parts += [f"{number:,} skipped ({reason})" for reason, number in skipped.items()]
        parts += [f"{number:,} judged without {sensor}" for sensor, number in without.items()]
        if faulty:
            parts.append(f"readings that cannot be used: {_names(faulty)}")
        if waits is not None:
            parts += [f"{waits(sink, number)} for {sink}" for sink, number in late.items()]
        self._report(", ".join(parts))


def _by_reason(passed: Mapping[str, int], kind: str) -> dict[str, int]:
    found = ((name.partition("."), number) for name, number in sorted(passed.items()))
    return {reason: number for (what, _, reason), number in found if what == kind and number}


def _names(names: list[str]) -> str:
    more = len(names) - MAX_NAMES
    return ", ".join(names[:MAX_NAMES]) + (f" and {more:,} more" if more > 0 else "")
