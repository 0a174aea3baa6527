"""What must be so before readings are taken from a database: each fault named, with what there is instead."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from edge_runtime.errors import SourceError, SourceUnavailableError
from edge_runtime.influxdb.contradictions import check_series
from edge_runtime.influxdb.readings import NUMBER_TYPES
from edge_runtime.influxdb.survey import elsewhere
from edge_runtime.timeparse import format_time

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from edge_runtime.influxdb.reader import Reader
    from edge_runtime.influxdb.readings import ReadingsQuery

__all__ = ["ANY", "check_readings"]

MAX_NAMES = 20
# Stands for the sensors of a measurement in which none was found.
ANY = "*"


def check_readings(
    reader: Reader,
    wanted: ReadingsQuery,
    start_ns: int,
    stop_ns: int,
    *,
    around_ns: int = 0,
    report: Callable[[str], None] = lambda _: None,
) -> ReadingsQuery:
    """Makes sure that all that is to be read is there, and that no two series contradict each other.

    Args:
        reader: The database.
        wanted: What is to be read.
        start_ns: First time of a range in which machines are looked for, and the newest rows.
        stop_ns: First time after it.
        around_ns: How much further on both sides machines are looked for that have no row in the range.
        report: Called with one line for a person: what may be wrong, but need not be.

    Returns:
        What is to be read, with the measurement's other tags.

    Raises:
        SourceUnavailableError: There is nothing yet; or the server cannot be reached.
        SourceError: Something is missing, or of another kind.
    """
    where = f"{reader.client.settings.place}, measurement {wanted.measurement}"
    types = reader.fields(wanted.measurement)
    if not types:
        names = reader.measurements()
        if not names:
            raise SourceUnavailableError(
                "there are no measurements yet, or none that this login may read",
                where=reader.client.settings.place,
                hint="write readings to it, or give the login the right to read it",
            )
        if wanted.measurement in names and (other := elsewhere(reader.client, wanted.measurement)):
            raise SourceError(f"there is no row: {other}", where=where)
        raise SourceError("there is no such measurement", where=where, hint=f"there are: {_listed(names)}")
    tags = reader.tags(wanted.measurement)
    _check_tag(wanted, tags, types, where)
    _check_sensors(wanted, types, where)
    # A name that is a tag's and a field's cannot be asked for as the one and the other.
    other_tags = tuple(tag for tag in tags if tag != wanted.tag and tag not in types)
    wanted = replace(wanted, other_tags=other_tags)
    if wanted.machines:
        bounds = ((start_ns, stop_ns), (start_ns - around_ns, start_ns), (stop_ns, stop_ns + around_ns))
        _check_machines(reader, wanted, bounds if around_ns else bounds[:1], where, report)
    if wanted.other_tags:
        check_series(reader, wanted, start_ns, stop_ns, report=report)
    return wanted


def _check_tag(wanted: ReadingsQuery, tags: tuple[str, ...], types: dict[str, set[str]], where: str) -> None:
    tag = wanted.tag
    if tag is None:
        return
    if tag in tags and tag in types:
        raise SourceError(
            f"'{tag}' is both a tag and a field",
            where=where,
            hint="name a tag that is not a field, or rename one of them",
        )
    if tag in tags:
        return
    there = f"there are: {_listed(tags)}" if tags else "there are no tags"
    one = "or =NAME if all rows are of one machine"
    if tag in types:
        raise SourceError(
            f"'{tag}' is a field, not a tag with the machine's id", where=where, hint=f"{there}; {one}"
        )
    # Rows without any tag are of one machine. With tags, machines would be taken for one.
    if tags:
        raise SourceError(
            f"there is no tag '{tag}' with the machine's id", where=where, hint=f"{there}; {one}"
        )


def _check_sensors(wanted: ReadingsQuery, types: dict[str, set[str]], where: str) -> None:
    for sensor in wanted.sensors:
        if sensor == ANY and sensor not in types:
            named = [f"{name} ({' and '.join(sorted(kinds))})" for name, kinds in sorted(types.items())]
            raise SourceError("no field holds numbers", where=where, hint=f"there are: {_listed(named)}")
        if sensor not in types:
            raise SourceError(
                f"no field '{sensor}'", where=where, hint=f"there are: {_listed(sorted(types))}"
            )
        # What has been a number somewhere is read; values that are none are counted row by row.
        if types[sensor] and not types[sensor] & set(NUMBER_TYPES):
            raise SourceError(
                f"field '{sensor}' holds {' and '.join(sorted(types[sensor]))} values, not numbers",
                where=where,
                hint="write it as a number",
            )


def _check_machines(
    reader: Reader,
    wanted: ReadingsQuery,
    bounds: Sequence[tuple[int, int]],
    where: str,
    report: Callable[[str], None],
) -> None:
    found: set[str] = set()
    for start, stop in bounds:
        found.update(reader.machines(wanted, start, stop, until=wanted.machines))
        missing = [machine for machine in wanted.machines if machine not in found]
        if not missing:
            return
    there = sorted(found)
    # Where machines are looked for in the rows, one that is silent cannot be told from one that never was.
    looked = "" if reader.looks_up_any_range else f" since {format_time(min(bounds)[0])}"
    error = SourceError(
        f"no machine {_listed(missing, quoted=True)} in the tag '{wanted.machine_tag}'{looked}",
        where=where,
        hint=f"there are: {_listed(there) or 'none'}",
    )
    if len(missing) == len(wanted.machines) or reader.looks_up_any_range:
        raise error
    report(str(error))


def _listed(names: list[str] | tuple[str, ...], *, quoted: bool = False) -> str:
    shown = [f"'{name}'" if quoted else name for name in names[:MAX_NAMES]]
    more = len(names) - len(shown)
    return ", ".join(shown) + (f" and {more:,} more" if more > 0 else "")
