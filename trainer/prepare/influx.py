"""History from an InfluxDB."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from edge_runtime.errors import InputError
from edge_runtime.influxdb import ReadingsQuery, check_fields, extent, query, read_range
from edge_runtime.influxdb.query import identifier
from edge_runtime.influxdb.readings import NUMBER_TYPES, field_types
from edge_runtime.timeparse import format_time
from trainer.event_labels import LabelledEvent
from trainer.prepare.origin import LABEL_NAMES, ONE_MACHINE, labelled_rows, whole_times

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from edge_runtime.influxdb import InfluxClient
    from trainer.rows import LabelledRows

__all__ = ["InfluxOrigin", "events_from_influx", "has_measurement"]

# How long before the range an event may have begun that still reaches into it.
LOOK_BACK_NS = 7 * 86_400_000_000_000


class InfluxOrigin:
    """A measurement of one database, over a range.

    Args:
        client: Where it is.
        measurement: Its name.
        machine_tag: The tag with the machine's id.
        sensors: The sensors' fields; empty for every field of numbers.
        machines: Keep these machines alone; empty for all.
        start_ns: First time of the range.
        stop_ns: First time after it.

    Raises:
        SourceError: The server cannot be reached or refuses; the measurement or a field is missing.
        InputError: No field holds numbers.
    """

    labelled = False

    def __init__(
        self,
        client: InfluxClient,
        *,
        measurement: str,
        machine_tag: str,
        sensors: Sequence[str],
        machines: Sequence[str],
        start_ns: int,
        stop_ns: int,
    ) -> None:
        self._client = client
        self._bounds = (start_ns, stop_ns)
        chosen = tuple(sensors) or _numeric(client, measurement)
        # With nothing chosen and nothing there, `check_fields` says what there is instead.
        self._wanted = ReadingsQuery(
            chosen or ("*",), measurement, machine_tag, tuple(machines), default_machine=ONE_MACHINE
        )
        check_fields(client, self._wanted)
        self.sensors = chosen

    def extent(self) -> tuple[int, int]:
        """Asks for the first and the last row."""
        found = extent(self._client, self._wanted, *self._bounds)
        if found is not None:
            return found
        anywhere = extent(self._client, self._wanted)
        of = f" of machine {', '.join(self._wanted.machines)}" if self._wanted.machines else ""
        there = (
            f"there are some from {format_time(anywhere[0])} to {format_time(anywhere[1])}"
            if anywhere
            else f"its machines are: {', '.join(self._machines()) or 'none'}"
        )
        raise InputError(
            f"no rows{of} from {format_time(self._bounds[0])} to {format_time(self._bounds[1])}",
            where=f"{self._client.settings.place}, measurement {self._wanted.measurement}",
            mend=there,
        )

    def pages(self, start_ns: int, stop_ns: int) -> Iterator[LabelledRows]:
        """Reads the range chunk by chunk."""
        return whole_times(
            labelled_rows(block) for block in read_range(self._client, self._wanted, start_ns, stop_ns)
        )

    def _machines(self) -> list[str]:
        """Every machine that the measurement names."""
        wanted = self._wanted
        tag, measurement = identifier(wanted.machine_tag), identifier(wanted.measurement)
        answer = query(self._client, f"SHOW TAG VALUES FROM {measurement} WITH KEY = {tag}")
        return [str(row[series.columns.index("value")]) for series in answer for row in series.values]

    def describe(self) -> dict[str, Any]:
        """Server, measurement, fields and range."""
        settings = self._client.settings
        return {
            "url": settings.url,
            "database": settings.database,
            "measurement": self._wanted.measurement,
            "machine_tag": self._wanted.machine_tag,
            "machines": list(self._wanted.machines) or None,
            "fields": list(self.sensors),
            "start": format_time(self._bounds[0]),
            "stop": format_time(self._bounds[1]),
        }


def events_from_influx(
    client: InfluxClient, measurement: str, machine_tag: str, start_ns: int, stop_ns: int
) -> list[LabelledEvent]:
    """Events that reach into a range; each point is one: its time, the machine's tag, `kind` and `stop` (ns).

    Raises:
        InputError: There is no such measurement, or an event without a stop.
        SourceError: The server cannot be reached or refuses.
    """
    where = f"{client.settings.place}, measurement {measurement}"
    types = field_types(client, measurement)
    if not types:
        raise InputError(
            "there is no such measurement to take labels from",
            where=where,
            mend="name it with --labels-measurement, give an --events-file, or choose --labels threshold",
        )
    if types.get("stop") != {"integer"}:
        raise InputError(
            "an event needs its end as a field 'stop'", where=where, mend="write whole nanoseconds"
        )
    columns = ", ".join(map(identifier, ("kind", "stop", machine_tag)))
    condition = replace(ReadingsQuery(("stop",)), machine_tag=machine_tag).condition(
        start_ns - LOOK_BACK_NS, stop_ns
    )
    events = []
    for series in query(client, f"SELECT {columns} FROM {identifier(measurement)}{condition}"):  # noqa: S608
        order = [series.columns.index(name) for name in ("time", "kind", "stop", machine_tag)]
        for row in series.values:
            start, kind, stop, machine = (row[i] for i in order)
            if stop is None or stop < start:
                raise InputError(f"the event at {format_time(start)} has no stop after it", where=where)
            if stop > start_ns:
                events.append(LabelledEvent(machine or ONE_MACHINE, kind or "", int(start), int(stop)))
    return events


def has_measurement(client: InfluxClient, measurement: str) -> bool:
    """Whether there is such a measurement with any field."""
    return bool(field_types(client, measurement))


def _numeric(client: InfluxClient, measurement: str) -> tuple[str, ...]:
    """The fields that hold numbers and are no labels."""
    types = field_types(client, measurement)
    return tuple(
        name
        for name, kinds in sorted(types.items())
        if kinds <= set(NUMBER_TYPES) and name not in LABEL_NAMES
    )
