"""InfluxDB over HTTP, standard library alone: what the source, the sink and the trainer share.

`GET /query` with chunked JSON is the one way to read that 1.x, 2.x (with a database mapping) and 3 Core all
serve; Flux, for 2.x without a mapping, is in `flux` and needs the extra `influx`. `reader` is above both.
"""

from __future__ import annotations

from edge_runtime.influxdb.check import check_readings
from edge_runtime.influxdb.client import InfluxClient
from edge_runtime.influxdb.lines import encode_lines
from edge_runtime.influxdb.query import Series, query
from edge_runtime.influxdb.reader import Reader, open_reader
from edge_runtime.influxdb.readings import ReadingsQuery
from edge_runtime.influxdb.settings import InfluxSettings, influx_settings
from edge_runtime.influxdb.write import check_write, create_database, write

__all__ = [
    "InfluxClient",
    "InfluxSettings",
    "Reader",
    "ReadingsQuery",
    "Series",
    "check_readings",
    "check_write",
    "create_database",
    "encode_lines",
    "influx_settings",
    "open_reader",
    "query",
    "write",
]
