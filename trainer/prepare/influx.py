"""History from an InfluxDB: a database, or a bucket of 2.x."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from edge_runtime.errors import InputError, counted, listed, printable
from edge_runtime.influxdb import ReadingsQuery, check_readings, open_reader
from edge_runtime.influxdb.check import ANY
from edge_runtime.influxdb.contradictions import apart
from edge_runtime.timeparse import format_time
from trainer.prepare.account import ReadAccount
from trainer.prepare.influx_events import DAY_NS, EventSource, find_events, read_events
from trainer.prepare.influx_fields import fields_of_numbers, without_readings
from trainer.prepare.origin import ONE_MACHINE, labelled_rows, whole_times

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from edge_runtime.influxdb import InfluxClient, Reader
    from edge_runtime.influxdb.rows import Rows
    from trainer.data.rows import LabelledRows
    from trainer.labels.events import LabelledEvent

__all__ = ["InfluxOrigin"]

# How far around a range without rows others are looked for, to say where they are.
LOOK_AROUND_NS = 31 * DAY_NS
# Of a machine with more rows that contradict others than this share no history is made; fewer are left out,
# and said.
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
        reader = open_reader(client)
        remarks: list[str] = []
        if not sensors:
            found, remarks = fields_of_numbers(reader, measurement, start_ns, stop_ns)
            wanted = replace(wanted, sensors=found or wanted.sensors)
        # A machine without rows in the range may have some near it, which is then the better thing to say.
        wanted = check_readings(
            reader, wanted, start_ns, stop_ns, around_ns=LOOK_AROUND_NS, report=remarks.append
        )
        self._begin(reader, wanted, (start_ns, stop_ns), remarks)
        if absent := without_readings(reader, wanted, start_ns, stop_ns):
            self._leave_out(absent, chosen=bool(sensors))

    def _begin(
        self, reader: Reader, wanted: ReadingsQuery, bounds: tuple[int, int], remarks: list[str]
    ) -> None:
        """Takes what is to be read, over which range, and what is already to be said of it."""
        self.reader, self._bounds, self._remarks = reader, bounds, remarks
        self._wanted, self.sensors = wanted, wanted.sensors
        self._account = ReadAccount(self.sensors)
        self._contradictions: list[str] = []
        self._events: dict[str, EventSource | None] = {}
        self._event_machines: Counter[str] = Counter()

    def _leave_out(self, absent: list[str], *, chosen: bool) -> None:
        if chosen:
            start, stop = map(format_time, self._bounds)
            raise InputError(
                f"no row has a reading of {listed(absent)} from {start} to {stop}",
                where=self._where,
                hint="leave it out of --sensor, or choose another range",
            )
        self._remarks.append(f"fields without a reading in the range were left out: {listed(absent)}")
        self.sensors = tuple(name for name in self.sensors if name not in absent)
        self._wanted = replace(self._wanted, sensors=self.sensors)

    @property
    def _where(self) -> str:
        return f"{self.reader.client.settings.place}, measurement {self._wanted.measurement}"

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
            where=self._where,
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
            InputError: At the end: too many rows of a machine contradicted each other, or a sensor never had
                a number.
        """
        self._account = ReadAccount(self.sensors)
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
            "conflicting_rows": self._account.total("conflicting"),
            "unreadable_readings": self._account.unreadable(),
            "account": self._account.to_dict(),
        }

    def warnings(self) -> list[str]:
        """What could not be used of the rows that were read, in sentences for people."""
        said = self._remarks + [
            counted(
                number,
                f"value of '{sensor}' is not a number and was treated as missing",
                f"values of '{sensor}' are not numbers and were treated as missing",
            )
            for sensor, number in self._account.unreadable().items()
        ]
        said += self._contradictions
        said += self._account.lacking()
        if silent := [name for name in self._wanted.machines if name not in self._account.machines]:
            said.append(f"there is no row in the range of {listed(silent)}: not trained")
        wanted = self._wanted.machines or tuple(self._event_machines)
        strangers = {
            m: n for m in wanted if (n := self._event_machines[m]) and m not in self._account.machines
        }
        if strangers:
            label = counted(sum(strangers.values()), "event labels", "events label")
            said.append(
                f"{label} nothing, as their machines have no rows in the range: {listed(sorted(strangers))}"
            )
        return said

    def summary(self) -> str:
        """What became of the rows that were read, in one line for people."""
        return self._account.summary()

    def has_events(self, measurement: str) -> bool:
        """Whether there is such a measurement."""
        return self._find_events(measurement) is not None

    def events(self, measurement: str, start_ns: int, stop_ns: int) -> list[LabelledEvent]:
        """Events that reach into a range, as `read_events`.

        Raises:
            InputError: There is no such measurement; or as `read_events`.
            SourceError: The server cannot be reached or refuses.
        """
        found = self._find_events(measurement)
        if found is None:
            raise InputError(
                "there is no such measurement from which labels could be taken",
                where=f"{self.reader.client.settings.place}, measurement {measurement}",
                hint="name it with --labels-measurement, give an --events-file, or choose --labels threshold",
            )
        if found.remark:
            self._remarks.append(found.remark)
        events = read_events(found, self._wanted, start_ns, stop_ns)
        self._event_machines = Counter(event.machine for event in events)
        return events

    def _find_events(self, measurement: str) -> EventSource | None:
        if measurement not in self._events:
            self._events[measurement] = find_events(self.reader, measurement)
        return self._events[measurement]

    def _apart(self, machine: str, time_ns: int) -> tuple[str, str]:
        """What a machine's series say of one time, after a space, and a hint that tells them apart."""
        return apart(self.reader, self._wanted, machine, time_ns)

    def _counted(self, blocks: Iterator[Rows]) -> Iterator[Rows]:
        self._contradictions = []
        for rows in blocks:
            self._account.add(rows)
            yield rows
        if never := self._account.never_read():
            raise InputError(
                f"no row has a number for {listed(never)}",
                where=self._where,
                hint="choose the sensors with --sensor; there are numbers for "
                f"{listed(name for name in self.sensors if name not in never) or 'none'}",
            )
        for name, machine in sorted(self._account.machines.items()):
            if machine.conflict_ns is None:
                continue
            what, hint = self._apart(name, machine.conflict_ns)
            rows_said = (
                f"{machine.conflicting:,} of {machine.read:,} rows of machine '{printable(name)}' contradict"
            )
            first = f"first at {format_time(machine.conflict_ns)}{what}"
            if machine.conflicting > MAX_CONFLICTS * machine.read:
                raise InputError(
                    f"{rows_said} another one of their time, {first}", where=self._where, hint=hint
                )
            self._contradictions.append(
                f"{rows_said} another one of their time and were left out, {first}; {hint}"
            )
