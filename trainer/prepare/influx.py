"""History from an InfluxDB: a database, or a bucket of 2.x."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from edge_runtime.errors import InputError
from edge_runtime.influxdb import ReadingsQuery, check_readings, open_reader
from edge_runtime.influxdb.check import ANY
from edge_runtime.timeparse import format_time
from trainer.event_labels import LabelledEvent
from trainer.prepare.origin import LABEL_NAMES, ONE_MACHINE, labelled_rows, whole_times

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from edge_runtime.influxdb import InfluxClient, Reader
    from edge_runtime.influxdb.rows import Rows
    from trainer.rows import LabelledRows

__all__ = ["InfluxOrigin"]

DAY_NS = 86_400_000_000_000
# How long before the range an event may have begun that still reaches into it.
LOOK_BACK_NS = 7 * DAY_NS
# How far around a range without rows others are looked for, to say where they are.
LOOK_AROUND_NS = 31 * DAY_NS
# Of more rows that contradict others than this share no history is made; fewer are left out, and said.
MAX_CONFLICTS = 0.01
LAST_NS = 2**63 - 2 * DAY_NS  # InfluxQL knows no later time


class InfluxOrigin:
    """A measurement of one database or bucket, over a range.

    Args:
        client: Where it is.
        measurement: Its name.
        machine_tag: The tag with the machine's id; "=NAME" where all rows are of the machine NAME.
        sensors: The sensors' fields; empty for every field of numbers.
        machines: Keep these machines alone; empty for all.
        start_ns: First time of the range.
        stop_ns: First time after it.

    Raises:
        SourceError: The server cannot be reached or refuses; the measurement, a field, tag or machine is
            missing; or two series of one machine contradict each other.
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
        # With nothing chosen and nothing there, the check says what there is instead.
        wanted = ReadingsQuery(
            tuple(sensors) or (ANY,), measurement, machine_tag, tuple(machines), default_machine=ONE_MACHINE
        )
        self.reader = open_reader(client)
        self._bounds = (start_ns, stop_ns)
        if not sensors:
            found = _numeric(self.reader, measurement, start_ns, stop_ns)
            wanted = replace(wanted, sensors=found or wanted.sensors)
        self._remarks: list[str] = []
        # A machine without rows in the range may have some near it, which is then the better thing to say.
        self._wanted = check_readings(
            self.reader,
            wanted,
            start_ns,
            stop_ns,
            around_ns=LOOK_AROUND_NS,
            report=self._remarks.append,
        )
        self.sensors = self._wanted.sensors
        self._conflicts = 0
        self._unreadable: Counter[str] = Counter()

    def extent(self) -> tuple[int, int]:
        """Asks for the first and the last row."""
        start, stop = self._bounds
        first = self.reader.first(self._wanted, start, stop)
        last = None if first is None else self.reader.last(self._wanted, start, stop)
        if first is not None and last is not None:
            return first, last
        around = self._around()
        of = f" of machine {', '.join(self._wanted.machines)}" if self._wanted.machines else ""
        raise InputError(
            f"no rows{of} from {format_time(start)} to {format_time(stop)}",
            where=f"{self.reader.client.settings.place}, measurement {self._wanted.measurement}",
            hint=f"there are some from {format_time(around[0])} to {format_time(around[1])}"
            if around
            else f"there are none {self._far} either: choose another range, or --machine",
        )

    @property
    def _far(self) -> str:
        return "at any time" if self.reader.looks_up_any_range else "a month before or after it"

    def _around(self) -> tuple[int, int] | None:
        """Times of a first and a last row outside the range, as far away as the server lets one look."""
        start, stop = self._bounds
        anywhere = self.reader.looks_up_any_range
        low, high = (0, LAST_NS) if anywhere else (start - LOOK_AROUND_NS, stop + LOOK_AROUND_NS)
        first = self.reader.first(self._wanted, low, high)
        last = None if first is None else self.reader.last(self._wanted, low, high)
        return None if first is None or last is None else (first, last)

    def pages(self, start_ns: int, stop_ns: int) -> Iterator[LabelledRows]:
        """Reads the range page by page.

        Raises:
            InputError: At the end: too many rows contradicted each other.
        """
        self._conflicts, self._unreadable = 0, Counter()
        rows = self.reader.rows(self._wanted, start_ns, stop_ns)
        return whole_times(labelled_rows(block.readings) for block in self._counted(rows))

    def describe(self) -> dict[str, Any]:
        """Server, measurement, fields and range; and what could not be used of the rows that were read."""
        return {
            **self.reader.describe(self._wanted),
            "machines": list(self._wanted.machines) or None,
            "fields": list(self.sensors),
            "start": format_time(self._bounds[0]),
            "stop": format_time(self._bounds[1]),
            "conflicting_rows": self._conflicts,
            "unreadable_readings": dict(sorted(self._unreadable.items())),
        }

    def warnings(self) -> list[str]:
        """What could not be used of the rows that were read, in sentences for people."""
        said = self._remarks + [
            f"{number:,} values of '{sensor}' are not numbers and were treated as missing"
            for sensor, number in sorted(self._unreadable.items())
        ]
        if self._conflicts:
            said.append(
                f"{self._conflicts:,} rows contradict another row of the same machine and time: left out"
            )
        return said

    def has_events(self, measurement: str) -> bool:
        """Whether there is such a measurement."""
        return bool(self.reader.fields(measurement))

    def events(self, measurement: str, start_ns: int, stop_ns: int) -> list[LabelledEvent]:
        """Events that reach into a range: of each point its time, machine, `kind` and `stop` (ns).

        Raises:
            InputError: There is no such measurement, or an event without a stop.
            SourceError: The server cannot be reached or refuses.
        """
        where = f"{self.reader.client.settings.place}, measurement {measurement}"
        types = self.reader.fields(measurement)
        if not types:
            raise InputError(
                "there is no such measurement from which labels could be taken",
                where=where,
                hint="name it with --labels-measurement, give an --events-file, or choose --labels threshold",
            )
        if types.get("stop") not in ({"integer"}, set()):  # a bucket without a mapping does not tell types
            raise _no_stop(where)
        tag = self._wanted.tag
        columns = ("kind", "stop") if tag is None else ("kind", "stop", tag)
        events = []
        for start, kind, stop, *machine in self.reader.points(
            measurement, columns, start_ns - LOOK_BACK_NS, stop_ns
        ):
            if type(stop) is not int or stop < start:
                raise InputError(f"the event at {format_time(start)} has no stop after it", where=where)
            if stop > start_ns:
                name = machine[0] if machine else None
                events.append(LabelledEvent(name or self._wanted.nameless, kind or "", int(start), int(stop)))
        return events

    def _counted(self, blocks: Iterator[Rows]) -> Iterator[Rows]:
        total = 0
        for rows in blocks:
            total += len(rows)
            if rows.conflicts is not None:
                self._conflicts += int(rows.conflicts.sum())
            if rows.unreadable is not None:
                numbers = np.count_nonzero(rows.unreadable, axis=0).tolist()
                self._unreadable.update({s: n for s, n in zip(self.sensors, numbers, strict=True) if n})
            yield rows
        all_rows = total + self._conflicts
        if self._conflicts > MAX_CONFLICTS * all_rows:
            raise InputError(
                f"{self._conflicts:,} of {all_rows:,} rows contradict another one of their machine and time",
                where=f"{self.reader.client.settings.place}, measurement {self._wanted.measurement}",
                hint="several series that differ in a tag write the same field: separate them at the source",
            )


def _no_stop(where: str) -> InputError:
    return InputError("an event needs its end as a field 'stop'", where=where, hint="write whole nanoseconds")


def _numeric(reader: Reader, measurement: str, start_ns: int, stop_ns: int) -> tuple[str, ...]:
    """The fields that hold numbers and are no labels."""
    names = reader.number_fields(measurement, start_ns, stop_ns)
    return tuple(name for name in names if name not in LABEL_NAMES)
