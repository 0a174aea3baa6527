"""A machine's history as text and as a document: a curve for each sensor, what happened, all points."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from edge_runtime.errors import counted, printable
from edge_runtime.timeparse import format_time

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from edge_runtime.history.points import Points
    from edge_runtime.history.told import StatusChange

__all__ = ["curves", "happened", "points_document"]

BARS = "▁▂▃▄▅▆▇█"
SEVERITY = "severity"
SENSOR_DIGITS, SEVERITY_DIGITS = 5, 3
MADE_OF = {0: "rows", 60: "minutes", 3600: "hours"}


def curves(points: Points) -> Iterator[str]:
    """A line a sensor, and one of the severity: least to greatest, and the means as bars."""
    units = [f" {sensor.unit}" if sensor.unit else "" for sensor in points.sensors]
    names = [*(printable(sensor.name) for sensor in points.sensors), SEVERITY]
    digits = [*[SENSOR_DIGITS] * len(units), SEVERITY_DIGITS]
    ranges = [
        f"{_extreme(points.least[:, place], min, of)} to {_extreme(points.greatest[:, place], max, of)}{unit}"
        for place, (unit, of) in enumerate(zip([*units, ""], digits, strict=True))
    ]
    wide, far = max(map(len, names)), max(map(len, ranges))
    seconds = points.width / 1e9
    yield ""
    yield (
        f"  {counted(int(points.rows.sum()), 'row')}, {int(points.anomalous.sum()):,} anomalous, "
        f"{int(points.unknown.sum()):,} unknown; of {MADE_OF[points.step]}, {seconds:,.4g} s a column"
    )
    for place, (name, span) in enumerate(zip(names, ranges, strict=True)):
        # Of the severity, the greatest counts: a mean would hide what was short.
        column = points.greatest[:, place] if name is SEVERITY else points.mean[:, place]
        yield f"  {name:<{wide}}  {span:<{far}}  {_bars(points, column)}"


def _bars(points: Points, column: NDArray[np.float32]) -> str:
    known = [float(number) for number in column if math.isfinite(number)]
    low, high = (min(known), max(known)) if known else (0.0, 0.0)
    begin = int(points.times[0])
    cells = [" "] * (int((points.times[-1] - begin) // points.width) + 1)
    for time, number in zip(points.times.tolist(), column.tolist(), strict=True):
        if math.isfinite(number):
            level = (number - low) / (high - low) if high > low else 0.0
            cells[(time - begin) // points.width] = BARS[min(len(BARS) - 1, int(level * len(BARS)))]
    return "".join(cells)


def _extreme(column: NDArray[np.float32], which: Any, digits: int) -> str:
    known = [float(number) for number in column if not math.isnan(number)]
    return f"{which(known):.{digits}g}" if known else "-"


def happened(alarms: Sequence[dict[str, Any]], statuses: Sequence[StatusChange], start: int) -> Iterator[str]:
    """Alarms and changes of sensors' status in the order of time, a line each."""
    from edge_runtime.engine.alarmtext import described
    from edge_runtime.engine.status import status_of
    from edge_runtime.records import Reason

    found: list[tuple[str, str]] = []
    for alarm in alarms:
        what = f"sensor {alarm['subject']}" if alarm["subject"] else "machine"
        until = f", returned {alarm['returned']}" if alarm["returned"] else ""
        severity = "" if alarm["severity"] is None else f", severity {alarm['severity']:.3g}"
        sensors = "".join(f", {described(sensor)}" for sensor in alarm["sensors"])
        text = f"{alarm['priority']} alarm {alarm['event_id']} of the {what}: {alarm['state']}"
        found.append((alarm["raised"], f"{text}{severity}{sensors}{until}"))
    found += [
        (format_time(one.time), f"{one.sensor}: {status_of(one.reason) or 'good'}")
        for one in statuses
        if one.time >= start or one.reason != Reason.NONE
    ]
    return (f"{time}  {printable(text, 400)}" for time, text in sorted(found))


def points_document(
    machine: str,
    start: int,
    stop: int,
    found: Sequence[Points],
    alarms: Sequence[dict[str, Any]],
    statuses: Sequence[StatusChange],
) -> dict[str, Any]:
    """JSON-ready; a number that is none is null."""
    from edge_runtime.engine.status import status_of

    return {
        "machine_id": machine,
        "start": format_time(start),
        "stop": format_time(stop),
        "parts": [_part(part) for part in found],
        "alarms": list(alarms),
        "sensor_status": [
            {"sensor": one.sensor, "time": format_time(one.time), "status": status_of(one.reason) or "good"}
            for one in statuses
        ],
    }


def _part(points: Points) -> dict[str, Any]:
    names = [*(sensor.name for sensor in points.sensors), SEVERITY]
    return {
        "made_of": MADE_OF[points.step],
        "width_s": points.width / 1e9,
        "sensors": [{"name": sensor.name, "unit": sensor.unit} for sensor in points.sensors],
        "times": [format_time(time) for time in points.times.tolist()],
        "rows": points.rows.tolist(),
        "anomalous": points.anomalous.tolist(),
        "unknown": points.unknown.tolist(),
        **{
            which: {name: _numbers(getattr(points, which)[:, place]) for place, name in enumerate(names)}
            for which in ("least", "mean", "greatest")
        },
    }


def _numbers(column: NDArray[np.float32]) -> list[float | None]:
    return [number if math.isfinite(number) else None for number in column.tolist()]
