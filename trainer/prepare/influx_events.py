"""Events out of an InfluxDB: who, what, from when to when."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from edge_runtime.errors import InputError, listed
from edge_runtime.influxdb import InfluxClient, open_reader
from edge_runtime.influxdb.survey import policies_with
from edge_runtime.timeparse import format_time
from trainer.labels.events import LabelledEvent

if TYPE_CHECKING:
    from edge_runtime.influxdb import Reader, ReadingsQuery

__all__ = ["EventSource", "find_events", "read_events"]

DAY_NS = 86_400_000_000_000
# How long before a range an event may have begun that still reaches into it, where not all can be asked for.
LOOK_BACK_NS = 7 * DAY_NS


@dataclass(frozen=True, slots=True)
class EventSource:
    """A measurement of events.

    Attributes:
        reader: The database or bucket that it is in.
        measurement: Its name.
        types: Its fields, each with the types it was written with as far as they are known.
        remark: Where it was found, if not where the readings are; in a sentence for people.
    """

    reader: Reader
    measurement: str
    types: dict[str, set[str]]
    remark: str | None = None

    @property
    def where(self) -> str:
        """For messages."""
        return f"{self.reader.client.settings.place}, measurement {self.measurement}"


def find_events(reader: Reader, measurement: str) -> EventSource | None:
    """The measurement of events; None where there is none.

    In 1.x it may be in another retention policy than the readings: it is then taken from there.

    Raises:
        InputError: It is in several others.
        SourceError: The server cannot be reached or refuses.
    """
    if types := reader.fields(measurement):
        return EventSource(reader, measurement, types)
    client = reader.client
    names = policies_with(client, measurement)
    if len(names) > 1:
        raise InputError(
            f"the events may be those of several retention policies ({listed(names)})",
            where=f"{client.settings.place}, measurement {measurement}",
            hint="keep the events of these readings in the same retention policy, give an --events-file, or "
            "choose --labels none",
        )
    if not names:
        return None
    other = open_reader(InfluxClient(replace(client.settings, retention_policy=names[0])))
    remark = f"the events of the measurement {measurement} were read from the retention policy '{names[0]}'"
    return EventSource(other, measurement, other.fields(measurement), remark)


def read_events(
    found: EventSource, wanted: ReadingsQuery, start_ns: int, stop_ns: int
) -> list[LabelledEvent]:
    """Events that reach into a range: of each point its time, machine, `kind` and `stop` (ns).

    Args:
        found: Where they are.
        wanted: The readings, with the tag of their machines.
        start_ns: First time of the range.
        stop_ns: First time after it.

    Raises:
        InputError: An event has no stop after its start, or none says of which machine it is.
        SourceError: The server cannot be reached or refuses.
    """
    reader, types = found.reader, found.types
    if types.get("stop") not in ({"integer"}, set()):  # a bucket without a mapping does not tell types
        raise InputError(
            "an event needs its end as a field 'stop'", where=found.where, hint="write whole nanoseconds"
        )
    tag = wanted.tag
    if tag is not None and tag not in types:
        tags = reader.tags(found.measurement)
        # Where the readings have none either, all are of one machine.
        if tag not in tags and tag in reader.tags(wanted.measurement):
            raise InputError(
                f"the events have no tag '{tag}' with the machine's id",
                where=found.where,
                hint=f"there are: {listed(tags) or 'none'}; write the events with the tag of the readings, "
                "give an --events-file, or choose --labels none",
            )
    columns = ("kind", "stop") if tag is None else ("kind", "stop", tag)
    low = 0 if reader.looks_up_any_range else start_ns - LOOK_BACK_NS
    events = []
    for start, kind, stop, *machine in reader.points(found.measurement, columns, min(low, start_ns), stop_ns):
        if type(stop) is not int or stop < start:
            raise InputError(f"the event at {format_time(start)} has no stop after it", where=found.where)
        if stop > start_ns:
            name = machine[0] if machine else None
            events.append(LabelledEvent(name or wanted.nameless, kind or "", int(start), int(stop)))
    return events
