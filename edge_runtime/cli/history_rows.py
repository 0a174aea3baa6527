"""Rows of a history as CSV, with or without what the bundle expected."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING, Any

import numpy as np

from edge_runtime.engine.status import status_of
from edge_runtime.records import COMPLETE, Reason, Verdict
from edge_runtime.timeparse import format_time

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from edge_runtime.history.reading import HistoryReader
    from edge_runtime.loading.load import Bundle

__all__ = ["judged_lines", "stored_lines"]

# Of a severity as it is stored, and of what is computed anew.
STORED_DIGITS, DIGITS = 3, 7
VERDICT_COLUMNS = ("severity", "verdict", "reason", "degraded", "sensor_status")


def stored_lines(reader: HistoryReader, machine: str, start: int, stop: int) -> Iterator[str]:
    """Rows as they are stored, a header first, and again wherever the sensors change.

    Raises:
        LedgerError: The history cannot be read.
    """
    header: tuple[str, ...] | None = None
    for part in reader.rows(machine, start, stop):
        names = tuple(sensor.name for sensor in part.sensors)
        if names != header:
            header = names
            yield _line(["time", "machine_id", *names, *VERDICT_COLUMNS])
        rows = part.rows
        of = (rows.severity, rows.verdicts, rows.reasons, rows.degraded, rows.faults)
        yield from _lines(machine, rows.times, rows.values, _verdicts(names, *of, digits=STORED_DIGITS))


def judged_lines(reader: HistoryReader, bundle: Bundle, machine: str, start: int, stop: int) -> Iterator[str]:
    """The same, judged again: the score instead of the severity's stored digits, expected values and errors.

    Raises:
        UsageError: Another bundle judged some of the rows.
        LedgerError: The history cannot be read.
    """
    from edge_runtime.history.replay import replayed

    names = bundle.metadata.sensor_names
    more = [f"{what}_{name}" for what in ("expected", "error") for name in names]
    header = ["time", "machine_id", *names, *VERDICT_COLUMNS, "score", *more]
    for judged in replayed(reader, bundle, machine, start, stop):
        results = judged.results
        if header:
            yield _line(header)
            header = []
        count, scores = len(results), results.scores
        degraded = np.full(count, COMPLETE) if results.degraded is None else results.degraded
        faults = np.zeros((count, len(names)), np.int8) if results.faults is None else results.faults
        of = (results.severity, results.verdicts, results.reasons, degraded, faults)
        beside = _texts(np.column_stack([scores.score, scores.expected, scores.errors]), DIGITS)
        readings, found = results.readings, _verdicts(names, *of, digits=DIGITS)
        yield from _lines(machine, readings.times, readings.values, found, beside)


def _verdicts(
    names: Sequence[str],
    severity: NDArray[np.float32],
    verdicts: NDArray[np.int8],
    reasons: NDArray[np.int8],
    degraded: NDArray[Any],
    faults: NDArray[np.int8],
    *,
    digits: int,
) -> list[list[str]]:
    numbers = _texts(severity[:, None], digits)
    rows = zip(numbers, verdicts.tolist(), reasons.tolist(), degraded.tolist(), strict=True)
    found = [
        [*number, Verdict(verdict).label, Reason(reason).label, names[place] if place >= 0 else "", ""]
        for number, verdict, reason, place in rows
    ]
    for row in np.flatnonzero(faults.any(1)).tolist():
        odd = np.flatnonzero(faults[row]).tolist()
        found[row][-1] = "; ".join(f"{names[place]} {status_of(faults.item(row, place))}" for place in odd)
    return found


def _lines(
    machine: str,
    times: NDArray[np.int64],
    values: NDArray[np.float32],
    verdicts: list[list[str]],
    beside: list[list[str]] | None = None,
) -> Iterator[str]:
    rest: list[list[str]] = [[]] * len(times) if beside is None else beside
    for time, readings, found, more in zip(times.tolist(), _texts(values), verdicts, rest, strict=True):
        yield _line([format_time(time), machine, *readings, *found, *more])


def _texts(numbers: NDArray[np.float32], digits: int | None = None) -> list[list[str]]:
    """Each number with as many digits as it takes to read the same back, or with so many; empty for none."""
    if digits is not None:
        return [["" if one != one else f"{one:.{digits}g}" for one in row] for row in numbers.tolist()]  # noqa: PLR0124 - NaN
    return [["" if one == "nan" else one for one in row] for row in numbers.astype(str).tolist()]


def _line(cells: Sequence[str]) -> str:
    line = io.StringIO()
    csv.writer(line, lineterminator="\n").writerow(cells)
    return line.getvalue()
