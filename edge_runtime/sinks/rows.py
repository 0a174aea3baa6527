"""Results as JSON lines: one object a row, valid JSON always, the same in every sink that writes text."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np

from edge_runtime.records import Reason, Results, Verdict
from edge_runtime.timeparse import format_time

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["json_lines"]


def json_lines(results: Results, sensors: tuple[str, ...]) -> bytes:
    """The rows as JSON lines.

    Keys: time (RFC 3339), machine_id, verdict, reason (when unknown), score, severity, top_sensor (of an
    anomaly: the one with the largest error), readings, expected and errors by sensor. What is not a number
    is null.
    """
    return "".join(json.dumps(row, separators=(",", ":")) + "\n" for row in _rows(results, sensors)).encode()


def _rows(results: Results, sensors: tuple[str, ...]) -> Iterator[dict[str, Any]]:
    readings, scores = results.readings, results.scores
    values, expected, errors = (_numbers(a) for a in (readings.values, scores.expected, scores.errors))
    parts = {"readings": values, "expected": expected, "errors": errors}
    score, severity = _numbers(scores.score), _numbers(results.severity)
    for i, moment in enumerate(readings.times.tolist()):
        verdict = Verdict(int(results.verdicts[i]))
        row: dict[str, Any] = {
            "time": format_time(moment),
            "machine_id": str(readings.machines[i]),
            "verdict": verdict.label,
        }
        if verdict is Verdict.UNKNOWN:
            row["reason"] = Reason(int(results.reasons[i])).label
        row["score"], row["severity"] = score[i], severity[i]
        if verdict is Verdict.ANOMALY:
            row["top_sensor"] = sensors[int(np.argmax(scores.errors[i]))]
        for name, columns in parts.items():
            row[name] = dict(zip(sensors, columns[i], strict=True))
        yield row


def _numbers(array: Any) -> list[Any]:
    """Nested lists, the shortest decimals that give these float32 back; None where there is no number."""
    exact = np.asarray(array)
    # The detour over text is what keeps 0.1 from becoming 0.10000000149011612.
    short = exact.astype("U").astype(np.float64).astype(object)
    short[~np.isfinite(exact)] = None
    found: list[Any] = short.tolist()
    return found
