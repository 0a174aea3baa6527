"""History by a Flux query of one's own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from edge_runtime.errors import InputError, UsageError
from edge_runtime.influxdb import ReadingsQuery, open_reader
from edge_runtime.timeparse import format_time
from trainer.prepare.influx import InfluxOrigin
from trainer.prepare.origin import ONE_MACHINE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edge_runtime.influxdb import InfluxClient

__all__ = ["QueryOrigin"]


class QueryOrigin(InfluxOrigin):
    """What a query gives over a range. It is asked for the first and last row, and once more for all.

    Args:
        client: The bucket's server; events are read from that bucket.
        template: The query, with `{start}` and `{stop}`: its rows rise in time and have `_time`, the machine
            tag and the sensors as columns.
        machine_tag: The column with the machine's id; "=NAME" where all rows are of the machine NAME.
        sensors: The sensors' columns.
        start_ns: First time of the range.
        stop_ns: First time after it.

    Raises:
        UsageError: No sensor is named, or there is no bucket.
        SourceError: The server cannot be reached or refuses.
    """

    def __init__(
        self,
        client: InfluxClient,
        template: str,
        *,
        machine_tag: str,
        sensors: Sequence[str],
        start_ns: int,
        stop_ns: int,
    ) -> None:
        where = "--flux-file"
        if not client.settings.bucket:
            raise UsageError("a Flux query reads a bucket", where=where, hint="give --bucket with --org")
        if not sensors:
            raise UsageError(
                "a query of one's own does not tell which columns are sensors",
                where=where,
                hint="name them with --sensor",
            )
        wanted = ReadingsQuery(tuple(sensors), machine_tag=machine_tag, default_machine=ONE_MACHINE)
        self._begin(open_reader(client, template=template), wanted, (start_ns, stop_ns), [])

    def extent(self) -> tuple[int, int]:
        """Reads all rows for the first and the last one."""
        first: int | None = None
        last = 0
        for block in self.reader.rows(self._wanted, *self._bounds):
            first = int(block.readings.times[0]) if first is None else first
            last = int(block.readings.times[-1])
        if first is None:
            start, stop = map(format_time, self._bounds)
            raise InputError(
                f"the query gives no rows from {start} to {stop}",
                where=self._where,
                hint="choose another range, or check that the query uses {start} and {stop}",
            )
        return first, last

    def describe(self) -> dict[str, Any]:
        """As of other readings, without a measurement: only the query says what it reads."""
        return {name: value for name, value in super().describe().items() if name != "measurement"}

    def _apart(self, machine: str, time_ns: int) -> tuple[str, str]:  # noqa: ARG002
        """Only the query says where its rows come from."""
        return "", "the query gives several rows of one machine and time: group or filter them in it"

    @property
    def _where(self) -> str:
        return f"{self.reader.client.settings.place}, --flux-file"
