"""A range out of a real InfluxDB 1.x, read and scored, beside parsing the same answer with `json` alone."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

from benchmarks.database import Filled, filled_database
from benchmarks.figures import Figure, paired
from benchmarks.workloads import DATABASE_ROWS, QUICK_ROUNDS, ROUNDS, load
from edge_runtime import Engine
from edge_runtime.influxdb import open_reader

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["measure"]

CHUNK_ROWS = 5000
BLOCK_BYTES = 65_536


def measure(*, quick: bool) -> Iterator[Figure]:
    """Rows a second, the server's own work included, and for comparison without it."""
    bundle = load("default")
    with filled_database(DATABASE_ROWS // 4 if quick else DATABASE_ROWS) as filled:
        ours, theirs, parsed = [], [], []
        for _ in range(QUICK_ROUNDS if quick else ROUNDS):
            started = time.perf_counter()
            engine = Engine(bundle)
            blocks = open_reader(filled.client).rows(filled.query, filled.start_ns, filled.stop_ns)
            rows = sum(len(engine.feed(block.readings)) for block in blocks)
            ours.append(rows / (time.perf_counter() - started))

            started = time.perf_counter()
            answer = [json.loads(line) for line in _lines(filled)]
            theirs.append(filled.rows / (time.perf_counter() - started))

            kept = list(_lines(filled))
            started = time.perf_counter()
            answer = [json.loads(line) for line in kept]
            parsed.append(filled.rows / (time.perf_counter() - started))
            found = sum(len(chunk["results"][0]["series"][0]["values"]) for chunk in answer)
            assert rows == found == filled.rows
    target = f"{filled.rows:,} rows out of InfluxDB 1.x, scored"
    yield paired(target, "read and scored", "json.loads as it comes", "rows/s", ours, theirs, at_least=0.7)
    yield paired(target, "read and scored", "json.loads in memory", "rows/s", ours, parsed)


def _lines(filled: Filled) -> Iterator[bytes]:
    """The chunks of the same answer, one a line, as they come."""
    columns = ", ".join(f'"{name}"' for name in (*filled.query.sensors, filled.query.machine_tag))
    where = f"time >= {filled.start_ns} AND time < {filled.stop_ns}"
    query = f"SELECT {columns} FROM {filled.query.measurement} WHERE {where} ORDER BY time"  # noqa: S608
    parameters = {
        "db": filled.client.settings.database,
        "epoch": "ns",
        "chunked": "true",
        "chunk_size": str(CHUNK_ROWS),
        "q": query,
    }
    rest = b""
    with filled.client.request("GET", "/query", parameters) as response:
        while block := response.read(BLOCK_BYTES):
            *lines, rest = (rest + block).split(b"\n")
            yield from lines
