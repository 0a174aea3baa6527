"""A range out of a real InfluxDB 1.x, read and scored, beside parsing the very same answer with `json` alone."""

from __future__ import annotations

import http.client
import json
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from influxd import Influxd

from benchmarks.figures import Figure, paired
from benchmarks.workloads import BUILD, ROUNDS, influx_fixture, load
from edge_runtime import Scorer
from edge_runtime.influxdb.query import CHUNK_ROWS
from edge_runtime.influxdb.readings import read_range

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["measure"]

def measure(*, quick: bool) -> Iterator[Figure]:
    ...
