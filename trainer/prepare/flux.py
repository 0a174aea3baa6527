"""History from a bucket of InfluxDB 2 that has no database mapping, through Flux."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from edge_runtime.errors import InputError, UsageError
from edge_runtime.influxdb import ReadingsQuery
from edge_runtime.influxdb.flux import check_flux, flux_query, read_flux
from edge_runtime.timeparse import format_time
from trainer.prepare.origin import ONE_MACHINE, labelled_rows, whole_times

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from edge_runtime.influxdb import InfluxClient
    from trainer.rows import LabelledRows

__all__ = ["FluxOrigin"]

# Flux pivots a whole answer in the server's memory: an hour at a time is kind to it.
PAGE_NS = 3_600_000_000_000


class FluxOrigin:
    """A measurement of one bucket, over a range.

    Args:
        client: Its settings name bucket and organisation.
        measurement: Its name.
        machine_tag: The tag with the machine's id.
        sensors: The sensors' fields.
        machines: Keep these machines alone; empty for all.
        start_ns: First time of the range.
        stop_ns: First time after it.

    Raises:
        UsageError: No sensor is named.
        SourceError: The server cannot be reached or refuses; a field is missing.
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
        if not sensors:
            raise UsageError(
                "a bucket does not tell which fields are sensors", mend="name them with --sensor"
            )
        self._client = client
        self._bounds = (start_ns, stop_ns)
        self._wanted = ReadingsQuery(
            tuple(sensors), measurement, machine_tag, tuple(machines), default_machine=ONE_MACHINE
        )
        check_flux(client, self._wanted)
        self.sensors = self._wanted.sensors

    def extent(self) -> tuple[int, int]:
        """Asks for the first and the last row."""
        ends = []
        for end in ("limit", "tail"):
            template = f"{flux_query(self._client, self._wanted)}  |> {end}(n: 1)\n"
            for block in read_flux(self._client, self._wanted, *self._bounds, template=template):
                ends += block.times.tolist()
        if not ends:
            start, stop = map(format_time, self._bounds)
            raise InputError(
                f"no rows from {start} to {stop}",
                where=f"{self._client.settings.place}, measurement {self._wanted.measurement}",
                mend="check --measurement, --sensor and --machine, or widen --start and --stop",
            )
        return min(ends), max(ends)

    def pages(self, start_ns: int, stop_ns: int) -> Iterator[LabelledRows]:
        """Reads the range hour by hour."""
        return whole_times(
            labelled_rows(block)
            for page in range(start_ns, stop_ns, PAGE_NS)
            for block in read_flux(self._client, self._wanted, page, min(page + PAGE_NS, stop_ns))
        )

    def describe(self) -> dict[str, Any]:
        """Server, bucket, and the Flux query."""
        settings = self._client.settings
        return {
            "url": settings.url,
            "org": settings.org,
            "bucket": settings.bucket,
            "measurement": self._wanted.measurement,
            "machine_tag": self._wanted.machine_tag,
            "machines": list(self._wanted.machines) or None,
            "fields": list(self.sensors),
            "flux": flux_query(self._client, self._wanted),
            "start": format_time(self._bounds[0]),
            "stop": format_time(self._bounds[1]),
        }
