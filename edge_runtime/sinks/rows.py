"""Results as JSON lines: one object a row, valid JSON always, the same in every sink that writes text."""

from __future__ import annotations

import json
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from edge_runtime.records import Reason, Results, Verdict
from edge_runtime.text.lines import lines_for

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["json_lines"]

CALL_ROWS = 512
GROUPS = ("readings", "expected", "errors")
CELL = "\0"  # which JSON never holds as it is
VERDICTS = [f'"{verdict.label}"' for verdict in Verdict]
UNKNOWN, ANOMALY = int(Verdict.UNKNOWN), int(Verdict.ANOMALY)
REASONS = [f',"reason":"{reason.label}"' for reason in Reason]


def json_lines(results: Results, sensors: tuple[str, ...]) -> bytes:
    """The rows as JSON lines.

    Keys: time (RFC 3339), machine_id, verdict, reason (when unknown), score, severity, top_sensor (of an
    anomaly: the one with the largest error), readings, expected and errors by sensor. What is not a number
    is null; a number has the shortest decimals that give its float32 back.
    """
    # Text is several times as large as the arrays: a part at a time stays in the processor's cache.
    starts = range(0, len(results), CALL_ROWS)
    return b"".join(_lines(results.take(slice(start, start + CALL_ROWS)), sensors) for start in starts)


def _lines(results: Results, sensors: tuple[str, ...]) -> bytes:
    readings, scores, verdicts = results.readings, results.scores, results.verdicts
    names, codes = readings.dictionary
    lines = lines_for(len(results))
    # One code more than there are: for nothing at all.
    reasons = np.where(verdicts == UNKNOWN, results.reasons, len(REASONS))
    top = np.where(verdicts == ANOMALY, _largest(scores.errors), len(sensors))
    numbers = np.concatenate(
        [scores.score[:, None], results.severity[:, None], readings.values, scores.expected, scores.errors], 1
    )
    score, severity, *by_sensor = lines.numbers(numbers, "null")
    constants, tops = _layout(sensors)
    return lines.join(
        constants,
        [
            lines.moments(readings.times),
            lines.choices([json.dumps(name) for name in names], codes),
            lines.choices(VERDICTS, verdicts),
            lines.choices([*REASONS, ""], reasons),
            score,
            severity,
            lines.choices([*tops, ""], top),
            *by_sensor,
        ],
    )


def _largest(errors: NDArray[np.float32]) -> NDArray[np.intp]:
    """Each row's sensor with the largest error; any where there are none."""
    found: NDArray[np.intp] = np.argmax(errors, axis=1)
    return found


@lru_cache(maxsize=8)
def _layout(sensors: tuple[str, ...]) -> tuple[tuple[str, ...], list[str]]:
    """What stands between the cells, and each sensor as the top one."""
    keys = [json.dumps(sensor) for sensor in sensors]
    parts = (",".join(f"{key}:{CELL}" for key in keys) for _ in range(3))
    groups = ",".join(f'"{name}":{{{part}}}' for name, part in zip(GROUPS, parts, strict=True))
    row = (
        f'{{"time":"{CELL}","machine_id":{CELL},"verdict":{CELL}{CELL},'
        f'"score":{CELL},"severity":{CELL}{CELL},{groups}}}\n'
    )
    return tuple(row.split(CELL)), [f',"top_sensor":{key}' for key in keys]
