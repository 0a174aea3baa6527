"""What a database holds, read as one block."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge_runtime.influxdb import check_readings, open_reader
from edge_runtime.influxdb.flux import FluxReader
from edge_runtime.records import Readings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edge_runtime.influxdb import InfluxClient, ReadingsQuery

__all__ = ["check_flux", "read_all", "read_blocks", "read_flux"]


def read_blocks(client: InfluxClient, wanted: ReadingsQuery, start_ns: int, stop_ns: int) -> list[Readings]:
    """The blocks as they come."""
    return [rows.readings for rows in open_reader(client).rows(wanted, start_ns, stop_ns)]


def read_all(client: InfluxClient, wanted: ReadingsQuery, start_ns: int, stop_ns: int) -> Readings:
    """The blocks, put together."""
    blocks = read_blocks(client, wanted, start_ns, stop_ns)
    return Readings.joined(blocks) if blocks else Readings.empty(len(wanted.sensors))


def read_flux(
    client: InfluxClient, wanted: ReadingsQuery, start_ns: int, stop_ns: int, *, template: str | None = None
) -> Iterator[Readings]:
    """The blocks as Flux gives them, whether or not the bucket has a mapping for InfluxQL."""
    for rows in FluxReader(client, template=template).rows(wanted, start_ns, stop_ns):
        yield rows.readings


def check_flux(client: InfluxClient, wanted: ReadingsQuery, start_ns: int, stop_ns: int) -> ReadingsQuery:
    """What is checked before a bucket is read by Flux."""
    return check_readings(FluxReader(client), wanted, start_ns, stop_ns)
