"""Several series of one machine: those that contradict each other, and those that alternate."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from edge_runtime.errors import SourceError, listed, printable
from edge_runtime.timeparse import format_time

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from edge_runtime.influxdb.reader import Reader
    from edge_runtime.influxdb.readings import ReadingsQuery
    from edge_runtime.influxdb.rows import Rows

__all__ = ["apart", "check_series"]

# How much of the newest rows is looked through: longer where a machine has few rows, to see an order in them.
LOOKS_NS = (60 * 10**9, 600 * 10**9, 3_600 * 10**9, 86_400 * 10**9)
MIN_ROWS = 10
# One series may take over from another, and be taken over from; those that go on are there at the same time.
MIN_ALTERNATIONS = 3
MAX_VALUES = 4


def check_series(
    reader: Reader,
    wanted: ReadingsQuery,
    start_ns: int,
    stop_ns: int,
    *,
    report: Callable[[str], None] = lambda _: None,
) -> None:
    """Looks through the newest rows for several series of one machine that bring the same sensor.

    Args:
        reader: The database.
        wanted: What is to be read, with the measurement's other tags.
        start_ns: First time of the range whose newest rows are looked through.
        stop_ns: First time after it.
        report: Called with one line for a person where they bring it in turn, each at times of its own.

    Raises:
        SourceError: Two have different values for one time.
    """
    last = reader.last(wanted, start_ns, stop_ns)
    if last is None:
        return
    for look_ns in LOOKS_NS:
        number, machines, in_turn = 0, set[str](), None
        for rows in reader.rows(wanted, max(start_ns, last - look_ns), last + 1):
            # What once was, and is no longer, need not be an error.
            if rows.conflicts is not None and look_ns == LOOKS_NS[0]:
                raise _contradiction(reader, wanted, rows, int(np.flatnonzero(rows.conflicts)[0]))
            in_turn = in_turn or _in_turn(rows, wanted)
            number += len(rows)
            machines.update(np.unique(rows.readings.machines).tolist())
        if in_turn is not None:
            report(in_turn)
        if in_turn is not None or number >= MIN_ROWS * len(machines):
            return


def apart(reader: Reader, wanted: ReadingsQuery, machine: str, time_ns: int) -> tuple[str, str]:
    """Which values the series of a machine have at one time, and in which tags they differ.

    Returns:
        The values in brackets, after a space, and a hint that names the tags.
    """
    tags = wanted.other_tags if wanted.tag is None else (*wanted.other_tags, wanted.tag)
    columns = (*wanted.sensors, *tags)
    points = [
        of
        for point in reader.points(wanted.measurement, columns, time_ns, time_ns + 1)
        if (of := dict(zip(columns, point[1:], strict=True)))
        and (wanted.tag is None or (of[wanted.tag] or wanted.nameless) == machine)
    ]
    points.sort(key=lambda of: [of[tag] or "" for tag in wanted.other_tags])
    held = {tag: list(dict.fromkeys(str(of[tag] or "") for of in points)) for tag in wanted.other_tags}
    hint = _advice(wanted, held)
    for sensor in wanted.sensors:
        values = list(dict.fromkeys(_shown(of[sensor]) for of in points if of[sensor] is not None))
        if len(values) > 1:
            return f" ({sensor} {' and '.join(values[:MAX_VALUES])})", hint
    return "", hint


def _shown(value: Any) -> str:
    """A value as a person writes it: by Flux 250 comes as 250.0."""
    return repr(value).removesuffix(".0") if isinstance(value, float) else printable(str(value))


def _contradiction(reader: Reader, wanted: ReadingsQuery, rows: Rows, row: int) -> SourceError:
    """The error for a row that contradicts another one."""
    machine, time = str(rows.readings.machines[row]), int(rows.readings.times[row])
    what, hint = apart(reader, wanted, machine, time)
    return SourceError(
        f"two series of machine '{printable(machine)}' have different values at {format_time(time)}{what}",
        where=f"{reader.client.settings.place}, measurement {wanted.measurement}",
        hint=hint,
    )


def _in_turn(rows: Rows, wanted: ReadingsQuery) -> str | None:
    """What to say where series of one machine alternate in a sensor; None where none do."""
    if rows.series is None:
        return None
    names, machines = rows.readings.dictionary
    for column, sensor in enumerate(wanted.sensors):
        there = ~np.isnan(rows.readings.values[:, column])
        for machine in np.unique(machines[there]):
            codes = rows.series.codes[there & (machines == machine)]
            if np.count_nonzero(np.diff(codes)) < MIN_ALTERNATIONS:
                continue
            series = [rows.series.tags[code] for code in np.unique(codes)]
            held = {tag: [one[place] for one in series] for place, tag in enumerate(wanted.other_tags)}
            return (
                f"several series of machine '{printable(names[machine])}' bring '{sensor}' in turn, each at "
                f"times of its own, and are read as one; {_advice(wanted, held)}"
            )
    return None


def _advice(wanted: ReadingsQuery, held: Mapping[str, Sequence[str]]) -> str:
    """Names the tags in which series differ, and says what to do.

    Args:
        wanted: What is read.
        held: Tag to the series' values.
    """
    tags = [tag for tag, values in held.items() if len(set(values)) > 1] or list(held)
    named = ", ".join(f"'{tag}' ({listed(sorted({*held[tag]} - {''}))})" for tag in tags)
    advice = f"they differ in the tag {named}: use it as the machine tag, or write the series separately"
    if len(wanted.sensors) == 1:
        advice += "; if it names sensors, write each of them as a field of its own"
    return advice
