"""Flux, for InfluxDB 2.x without a database mapping or with a query of one's own; extra `influx`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from edge_runtime.errors import SourceError
from edge_runtime.influxdb.annotated import WHERE
from edge_runtime.influxdb.fluxrun import run_flux
from edge_runtime.influxdb.query import LISTED_BYTES, malformed
from edge_runtime.influxdb.reader import Reader
from edge_runtime.influxdb.rows import Rows, sensor_values, whole_rows
from edge_runtime.influxdb.series import SeriesTags
from edge_runtime.records import Readings
from edge_runtime.timeparse import format_time

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from edge_runtime.influxdb.annotated import Table
    from edge_runtime.influxdb.client import InfluxClient
    from edge_runtime.influxdb.readings import ReadingsQuery

__all__ = ["FluxReader", "flux_query", "literal"]

ESCAPES = str.maketrans({"\\": "\\\\", '"': '\\"', "\n": "\\n", "\r": "\\r", "\t": "\\t"})


def literal(text: str) -> str:
    """A Flux string, whatever is in it; `${` would begin an expression."""
    return f'"{text.translate(ESCAPES).replace("${", chr(92) + "${")}"'


def flux_query(client: InfluxClient, wanted: ReadingsQuery) -> str:
    """The query for a bucket; `{start}` and `{stop}` stand for the range.

    A field may have changed its type from one shard to the next, and `pivot` keeps one type alone: all
    numbers become floats first. Text and booleans become NaN, so that they are known for unreadable; InfluxDB
    itself holds no NaN.
    """
    tags = () if wanted.tag is None else (wanted.tag,)
    columns = ", ".join(map(literal, ("_time", *tags, *wanted.other_tags, *wanted.sensors)))
    return (
        'import "types"\n'
        f"readings = {_readings_of(client, wanted)}"
        f"numbers = readings\n  |> filter(fn: (r) => {_of_type('float', 'int', 'uint')})\n  |> toFloat()\n"
        f"others = readings\n  |> filter(fn: (r) => {_of_type('string', 'bool')})\n"
        '  |> map(fn: (r) => ({r with _value: float(v: "NaN")}))\n'
        "union(tables: [numbers, others])\n"
        '  |> pivot(rowKey: ["_time"], columnKey: ["_field"], valueColumn: "_value")\n'
        f"  |> keep(columns: [{columns}])\n"
        "  |> group()\n"
        '  |> sort(columns: ["_time"])\n'
    )


class FluxReader(Reader):
    """Flux, by way of influxdb-client; extra `influx`.

    Args:
        client: Its settings name the bucket and organisation.
        template: A query of one's own with `{start}` and `{stop}`; its rows need `_time`, the machine tag and
            the sensors as columns, sorted by time. A sensor without a column has no reading.
        stopped: As for `Reader`.

    Every method raises `MissingExtraError` when influxdb-client is not installed.
    """

    def __init__(
        self,
        client: InfluxClient,
        *,
        template: str | None = None,
        stopped: Callable[[], bool] = lambda: False,
    ) -> None:
        super().__init__(client, stopped=stopped)
        self.template = template

    @property
    def looks_up_any_range(self) -> bool:
        """Every server with Flux looks a series' first and last point up."""
        return True

    def measurements(self) -> tuple[str, ...]:
        """The measurements that are there."""
        return self._schema("measurements")

    def fields(self, measurement: str) -> dict[str, set[str]]:
        """A measurement's fields, whose types are not known; empty when there is no such one."""
        return {name: set() for name in self._schema("measurementFieldKeys", measurement=measurement)}

    def number_fields(self, measurement: str, start_ns: int, stop_ns: int) -> tuple[str, ...]:
        """The fields whose first or last value of a series is a number, in the order of their names."""
        numbers = (
            f'  |> filter(fn: (r) => {_of_type("float", "int", "uint")})\n  |> keep(columns: ["_field"])\n'
        )
        text = (
            f'import "types"\nvalues = {self._range(measurement)}'
            f"firsts = values\n  |> first()\n{numbers}lasts = values\n  |> last()\n{numbers}"
            'union(tables: [firsts, lasts])\n  |> group()\n  |> distinct(column: "_field")\n'
        )
        return self._texts(_within(text, start_ns, stop_ns))

    def tags(self, measurement: str) -> tuple[str, ...]:
        """A measurement's tags, in the order of their names."""
        keys = self._schema("measurementTagKeys", measurement=measurement)
        return tuple(name for name in keys if not name.startswith("_"))  # those of Flux itself

    def rows(self, wanted: ReadingsQuery, start_ns: int, stop_ns: int) -> Iterator[Rows]:
        """The rows of a range; a query of one's own is asked once, as it may be about the whole range."""
        if self.template is None:
            return super().rows(wanted, start_ns, stop_ns)
        return self._page(wanted, start_ns, stop_ns)

    def describe(self, wanted: ReadingsQuery) -> dict[str, Any]:
        """Bucket and query."""
        settings = self.client.settings
        return {
            "url": settings.url,
            "org": settings.org,
            "bucket": settings.bucket,
            "measurement": wanted.measurement,
            "machine_tag": wanted.machine_tag,
            "flux": self.template or flux_query(self.client, wanted),
        }

    def _page(self, wanted: ReadingsQuery, start_ns: int, stop_ns: int) -> Iterator[Rows]:
        text = _within(self.template or flux_query(self.client, wanted), start_ns, stop_ns)
        tags_of = SeriesTags(wanted.other_tags)
        tables = self._run(text)
        return whole_rows(_in_order(_as_rows(table, wanted, tags_of) for table in tables))

    def _edge_of_page(
        self, wanted: ReadingsQuery, start_ns: int, stop_ns: int, *, newest: bool
    ) -> int | None:
        text = (
            f"{_readings_of(self.client, wanted)}"
            f"  |> {'last' if newest else 'first'}()\n"
            '  |> keep(columns: ["_time"])\n  |> group()\n'
            f'  |> sort(columns: ["_time"], desc: {"true" if newest else "false"})\n  |> limit(n: 1)\n'
        )
        times = [
            time
            for table in self._run(_within(text, start_ns, stop_ns))
            for time in table.times("_time").tolist()
        ]
        return times[0] if times else None

    def _tag_values(self, measurement: str, tag: str, start_ns: int, stop_ns: int) -> Sequence[str]:
        del start_ns, stop_ns  # of all times: the server has them in an index
        return self._schema("measurementTagValues", measurement=measurement, tag=tag)

    def _points(
        self, measurement: str, columns: Sequence[str], start_ns: int, stop_ns: int
    ) -> Iterator[tuple[Any, ...]]:
        kept = ", ".join(map(literal, ("_time", *columns)))
        text = (
            f"{self._range(measurement)}"
            '  |> pivot(rowKey: ["_time"], columnKey: ["_field"], valueColumn: "_value")\n'
            f"  |> keep(columns: [{kept}])\n  |> group()\n"
            '  |> sort(columns: ["_time"])\n'
        )
        for table in self._run(_within(text, start_ns, stop_ns)):
            yield from zip(table.times("_time").tolist(), *map(table.values, columns), strict=True)

    def _range(self, measurement: str) -> str:
        bucket = literal(self.client.settings.bucket or "")
        return (
            f"from(bucket: {bucket})\n  |> range(start: {{start}}, stop: {{stop}})\n"
            f"  |> filter(fn: (r) => r._measurement == {literal(measurement)})\n"
        )

    def _schema(self, function: str, **arguments: str) -> tuple[str, ...]:
        """What a function of the package `schema` lists; without a start it looks back thirty days."""
        of = {"bucket": self.client.settings.bucket or "", **arguments}
        given = ", ".join(f"{name}: {literal(value)}" for name, value in of.items())
        return self._texts(
            f'import "influxdata/influxdb/schema"\nschema.{function}({given}, start: 1970-01-01T00:00:00Z)\n'
        )

    def _texts(self, text: str) -> tuple[str, ...]:
        found: set[str] = set()
        letters = 0
        for table in self._run(text):
            letters += sum(map(len, table.texts("_value")))
            if letters > LISTED_BYTES:  # which seems to have no end
                raise malformed(self.client.settings.place)
            found.update(table.texts("_value"))
        return tuple(sorted(found))

    def _run(self, text: str) -> Iterator[Table]:
        return run_flux(self.client, text, stopped=self.stopped)


def _readings_of(client: InfluxClient, wanted: ReadingsQuery) -> str:
    fields = " or ".join(f"r._field == {literal(sensor)}" for sensor in wanted.sensors)
    tag = literal(wanted.machine_tag)
    chosen = [f"r[{tag}] == {literal(machine)}" for machine in wanted.machines]
    if wanted.nameless in wanted.machines:  # which has no tag, or one with its name
        chosen += [f"not exists r[{tag}]", f'r[{tag}] == ""']
    machines = " or ".join(chosen) or "true"
    return (
        f"from(bucket: {literal(client.settings.bucket or '')})\n"
        "  |> range(start: {start}, stop: {stop})\n"
        f"  |> filter(fn: (r) => r._measurement == {literal(wanted.measurement)})\n"
        f"  |> filter(fn: (r) => ({fields}) and ({machines}))\n"
    )


def _of_type(*kinds: str) -> str:
    return " or ".join(f'types.isType(v: r._value, type: "{kind}")' for kind in kinds)


def _within(text: str, start_ns: int, stop_ns: int) -> str:
    return text.replace("{start}", format_time(start_ns)).replace("{stop}", format_time(stop_ns))


def _as_rows(table: Table, wanted: ReadingsQuery, tags_of: SeriesTags) -> Rows:
    if not table.columns.keys() & set(wanted.sensors):
        raise SourceError(
            f"no column of a sensor ({', '.join(wanted.sensors)})",
            where=WHERE,
            hint=f"there are: {', '.join(table.columns)}",
        )
    machines = ("",) * len(table) if wanted.tag is None else table.texts(wanted.tag)
    values, unreadable = sensor_values([table.values(sensor) for sensor in wanted.sensors])
    marked = np.array([[text == "NaN" for text in table.texts(s)] for s in wanted.sensors], np.bool_).T
    if marked.any():
        unreadable = marked if unreadable is None else unreadable | marked
    # A name of any length costs no more than itself.
    names: dict[str, int] = {}
    codes = [names.setdefault(name or wanted.nameless, len(names)) for name in machines]
    readings = Readings.coded(tuple(names), np.asarray(codes, np.intp), table.times("_time"), values)
    return Rows(readings, unreadable, None, tags_of.of(table.texts))


def _in_order(blocks: Iterator[Rows]) -> Iterator[Rows]:
    """The same blocks. Rows that go back in time would be taken for ones that were read before."""
    newest = np.iinfo(np.int64).min
    for block in blocks:
        times = block.readings.times
        if times[0] < newest or (np.diff(times) < 0).any():
            raise SourceError(
                "the rows are not in the order of time",
                where=WHERE,
                hint='end the query with |> group() |> sort(columns: ["_time"])',
            )
        newest = int(times[-1])
        yield block
