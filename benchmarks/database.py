"""A real InfluxDB 1.x of the benchmarks' own, filled with the plant's rows; gone when the block ends."""

from __future__ import annotations

import sys
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.workloads import BUILD, DATABASE_MACHINES, ROOT, line_protocol, plant
from edge_runtime.influxdb import InfluxClient, InfluxSettings, ReadingsQuery, create_database, write
from edge_runtime.simulation import SENSORS

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Filled", "filled_database"]

NAME = "plant"


@dataclass(frozen=True, slots=True)
class Filled:
    """A database with rows.

    Attributes:
        client: For it.
        query: The rows.
        start_ns: The first row's time.
        stop_ns: After the last row.
        rows: So many.
    """

    client: InfluxClient
    query: ReadingsQuery
    start_ns: int
    stop_ns: int
    rows: int


@contextmanager
def filled_database(rows: int) -> Iterator[Filled]:
    """A server on loopback with so many rows.

    Raises:
        RuntimeError: There is no influxd, and none can be fetched.
    """
    sys.path.insert(0, str(ROOT / "packaging" / "demo"))  # no package: it would shadow PyPI's `packaging`
    from influxd import Influxd  # noqa: PLC0415

    readings = plant(rows, machines=DATABASE_MACHINES)
    BUILD.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory(dir=BUILD) as folder,
        Influxd(Path(folder), unpack_into=ROOT / "build" / "influxdb-package") as server,
    ):
        client = InfluxClient(InfluxSettings(url=server.url, database=NAME, timeout=60.0))
        create_database(client)
        write(client, line_protocol(readings))
        first, last = int(readings.times[0]), int(readings.times[-1])
        yield Filled(client, ReadingsQuery(SENSORS), first, last + 1, rows)
