"""Results as JSON lines: one object a row, valid JSON always, the same in every sink that writes text."""

from __future__ import annotations

import json
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from edge_runtime.records import COMPLETE, Reason, Results, Verdict
from edge_runtime.text.decimals import decimals
from edge_runtime.timeparse import format_time

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["json_lines"]

# Where writing by columns overtakes writing by rows.
FEW_ROWS = 12
CALL_ROWS = 512
NULL = "null"
GROUPS = ("readings", "expected", "errors")
CELL = "\0"  # which JSON never holds as it is
VERDICTS = [f'"{verdict.label}"' for verdict in Verdict]
UNKNOWN, ANOMALY = int(Verdict.UNKNOWN), int(Verdict.ANOMALY)
REASONS = [f',"reason":"{reason.label}"' for reason in Reason]


def json_lines(results: Results, sensors: tuple[str, ...]) -> bytes:
    """The rows as JSON lines.

    Keys: time (RFC 3339), machine_id, verdict, reason (when unknown), degraded (when judged without one
    sensor: which), sensor_status (when a sensor is not good: what is wrong, by sensor), score, severity,
    top_sensor (of an anomaly: the one with the largest error), readings, expected and errors by sensor. What
    is not a number is null; a number has the shortest decimals that give its float32 back.
    """
    if len(results) <= FEW_ROWS:
        return "".join([_line(results, row, sensors) for row in range(len(results))]).encode()
    # Text is several times as large as the arrays: a part at a time stays in the processor's cache.
    starts = range(0, len(results), CALL_ROWS)
    return b"".join(_lines(results.take(slice(start, start + CALL_ROWS)), sensors) for start in starts)


def _line(results: Results, row: int, sensors: tuple[str, ...]) -> str:
    """One row, by formatting."""
    readings, scores = results.readings, results.scores
    verdict = results.verdicts.item(row)
    _, tops, without, pattern = _layout(sensors)
    place = COMPLETE if results.degraded is None else results.degraded.item(row)
    return pattern % (
        format_time(readings.times.item(row)),
        _quoted(readings.machine if len(results) == 1 else readings.machines[row].item()),
        VERDICTS[verdict],
        (REASONS[results.reasons.item(row)] if verdict == UNKNOWN else without[place])
        + ("" if results.faults is None else _status(results.faults[row], sensors)),
        *decimals(scores.score[row : row + 1], NULL),
        *decimals(results.severity[row : row + 1], NULL),
        tops[scores.errors[row].argmax()] if verdict == ANOMALY else "",
        *decimals(readings.values[row], NULL),
        *decimals(scores.expected[row], NULL),
        *decimals(scores.errors[row], NULL),
    )


@lru_cache(maxsize=1024)
def _quoted(name: str) -> str:
    return json.dumps(name)


def _lines(results: Results, sensors: tuple[str, ...]) -> bytes:
    """The same rows, column by column."""
    from edge_runtime.text import lines  # noqa: PLC0415 - a feed of single rows does without

    readings, scores, verdicts = results.readings, results.scores, results.verdicts
    names, codes = readings.dictionary
    constants, tops, without, _ = _layout(sensors)
    # One code more than there are: for nothing at all.
    notes, judged = [*REASONS, ""], np.asarray(len(REASONS))
    if results.degraded is not None:
        notes, judged = [*notes, *without[:-1]], len(REASONS) - COMPLETE + results.degraded
    note = np.where(verdicts == UNKNOWN, results.reasons, judged)
    if results.faults is not None:
        notes, note = _with_status(notes, note, results.faults, sensors)
    top = np.where(verdicts == ANOMALY, np.argmax(scores.errors, axis=1), len(sensors))
    rates = scores.score[:, None], results.severity[:, None]
    score, severity, *by_sensor = lines.columns(
        [*rates, readings.values, scores.expected, scores.errors], NULL
    )
    return lines.join(
        constants,
        [
            lines.moments(readings.times),
            lines.choices([_quoted(name) for name in names], codes),
            lines.choices(VERDICTS, verdicts),
            lines.choices(notes, note),
            score,
            severity,
            lines.choices([*tops, ""], top),
            *by_sensor,
        ],
    )


def _status(faults: NDArray[np.int8], sensors: tuple[str, ...]) -> str:
    """The key of the sensors that are not good, of one row."""
    from edge_runtime.engine.status import by_sensor  # noqa: PLC0415 - for few rows

    found = by_sensor(faults, sensors)
    return f',"sensor_status":{json.dumps(found, separators=(",", ":"))}' if found else ""


def _with_status(
    notes: list[str], note: NDArray[Any], faults: NDArray[np.int8], sensors: tuple[str, ...]
) -> tuple[list[str], NDArray[np.intp]]:
    """Notes and each row's place among them, with the key of the sensors that are not good."""
    different, codes = np.unique(np.column_stack([note, faults]), axis=0, return_inverse=True)
    made = [notes[row[0]] + _status(row[1:], sensors) for row in different]
    return made, codes.reshape(-1)


@lru_cache(maxsize=8)
def _layout(sensors: tuple[str, ...]) -> tuple[tuple[str, ...], list[str], list[str], str]:
    """What stands between the cells, each sensor as the top one and as the missing one, and a row's pattern.

    After the last of the missing ones, in the place of `COMPLETE`, stands nothing.
    """
    keys = [json.dumps(sensor) for sensor in sensors]
    parts = (",".join(f"{key}:{CELL}" for key in keys) for _ in range(3))
    groups = ",".join(f'"{name}":{{{part}}}' for name, part in zip(GROUPS, parts, strict=True))
    row = (
        f'{{"time":"{CELL}","machine_id":{CELL},"verdict":{CELL}{CELL},'
        f'"score":{CELL},"severity":{CELL}{CELL},{groups}}}\n'
    )
    tops = [f',"top_sensor":{key}' for key in keys]
    without = [*(f',"degraded":{key}' for key in keys), ""]
    return tuple(row.split(CELL)), tops, without, row.replace("%", "%%").replace(CELL, "%s")
