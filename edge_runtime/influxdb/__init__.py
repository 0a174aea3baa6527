"""InfluxDB over HTTP, standard library alone: what the source, the sink and the trainer share.

`GET /query` with chunked JSON is the one way to read that 1.x, 2.x (with a database mapping) and 3 Core all
serve; Flux, for 2.x without a mapping, is in `flux` and needs the extra `influx`.
"""

from __future__ import annotations

from edge_runtime.influxdb.client import InfluxClient
from edge_runtime.influxdb.lines import encode_lines
from edge_runtime.influxdb.query import Series, query
from edge_runtime.influxdb.readings import ReadingsQuery, check_fields, extent, read_range
from edge_runtime.influxdb.settings import InfluxSettings, influx_settings
from edge_runtime.influxdb.write import check_write, create_database, write

__all__ = [
    "InfluxClient",
    "InfluxSettings",
    "ReadingsQuery",
    "Series",
    "check_fields",
    "check_write",
    "create_database",
    "encode_lines",
    "extent",
    "influx_settings",
    "query",
    "read_range",
    "write",
]
