"""A range out of InfluxDB 1.x: its client's `DataFrameClient.query` beside our reader."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.database import filled_database
from benchmarks.figures import paired
from benchmarks.workloads import DATABASE_ROWS, QUICK_ROUNDS, ROUNDS
from edge_runtime.influxdb import open_reader

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.figures import Figure

__all__ = ["measure"]


def measure(*, quick: bool) -> Iterator[Figure]:
    """Rows a second into memory, the server's own work included; unchunked, for its chunks it cannot read."""
    from influxdb import DataFrameClient  # noqa: PLC0415 - may be missing

    with filled_database(DATABASE_ROWS // 8 if quick else DATABASE_ROWS) as filled:
        settings = filled.client.settings
        port = int(settings.url.rpartition(":")[2])
        client = DataFrameClient("127.0.0.1", port, database=settings.database)
        columns = ", ".join((*filled.query.sensors, filled.query.machine_tag))
        where = f"time >= {filled.start_ns} AND time < {filled.stop_ns}"
        query = f"SELECT {columns} FROM {filled.query.measurement} WHERE {where}"  # noqa: S608
        ours, theirs = [], []
        for _ in range(QUICK_ROUNDS if quick else ROUNDS):
            started = time.perf_counter()
            reader = open_reader(filled.client)
            blocks = list(reader.rows(filled.query, filled.start_ns, filled.stop_ns))
            rows = len(np.concatenate([block.readings.values for block in blocks]))
            ours.append(rows / (time.perf_counter() - started))

            started = time.perf_counter()
            frame = client.query(query)[filled.query.measurement]
            theirs.append(len(frame) / (time.perf_counter() - started))
            assert rows == len(frame) == filled.rows
    target = f"{filled.rows:,} rows out of InfluxDB 1.x into memory"
    yield paired(target, "Reader.rows", "DataFrameClient.query", "rows/s", ours, theirs)
