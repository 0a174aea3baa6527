"""What InfluxDB 2.x is asked and answers, for the tests that play its exchanges."""

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING, Any

import numpy as np
from support.exchanges import Exchange
from support.reading import check_flux, read_flux

from edge_runtime.influxdb import (
    InfluxClient,
    InfluxSettings,
    ReadingsQuery,
)
from edge_runtime.records import Readings
from edge_runtime.tls import SYSTEM, TlsSettings

if TYPE_CHECKING:
    import re
    from collections.abc import Iterable


__all__ = [
    "BROKEN",
    "BUCKETS",
    "CSV",
    "DIALECT",
    "EDGE_QUERY",
    "FAILED",
    "FIELDS_QUERY",
    "HEADER",
    "JSON",
    "LIMITED",
    "LOGIN",
    "MAPPINGS",
    "MEASUREMENTS_QUERY",
    "NO_BUCKET_TO_READ",
    "NO_POINTS",
    "NO_SUCH_BUCKET",
    "OF",
    "OVERLOADED",
    "POINTS_QUERY",
    "QUERY",
    "ROWS",
    "SECOND",
    "T0",
    "TAGS_QUERY",
    "TAG_KEYS",
    "TOKEN",
    "TOO_LARGE",
    "UNAUTHORIZED",
    "UNMAPPED",
    "VERSION",
    "WANTED",
    "asked",
    "check",
    "client",
    "field_names",
    "joined",
    "mappings",
    "posted",
    "read",
    "refusal",
]

T0 = 1_767_225_600_000_000_000  # 2026-01-01T00:00:00Z
SECOND = 1_000_000_000
TOKEN = "uT-tok3n_of-2x=="
LOGIN = {"Authorization": f"Token {TOKEN}"}
VERSION = {"X-Influxdb-Build": "OSS", "X-Influxdb-Version": "v2.7.12"}
JSON = {**VERSION, "Content-Type": "application/json; charset=utf-8"}
CSV = {**VERSION, "Content-Type": "text/csv; charset=utf-8"}
WANTED = ReadingsQuery(("a", "b"))
# Whatever influxdb-client asks for must keep the annotations that the reader goes by.
DIALECT = {
    "header": True,
    "delimiter": ",",
    "annotations": ["datatype", "group", "default"],
    "commentPrefix": "#",
    "dateTimeFormat": "RFC3339",
}
OF = 'types.isType(v: r._value, type: "{}")'
QUERY = f"""import "types"
readings = from(bucket: "line 1")
  |> range(start: 2026-01-01T00:00:00Z, stop: 2026-01-01T00:01:00Z)
  |> filter(fn: (r) => r._measurement == "sensors")
  |> filter(fn: (r) => (r._field == "a" or r._field == "b") and (true))
numbers = readings
  |> filter(fn: (r) => {OF.format("float")} or {OF.format("int")} or {OF.format("uint")})
  |> toFloat()
others = readings
  |> filter(fn: (r) => {OF.format("string")} or {OF.format("bool")})
  |> map(fn: (r) => ({{r with _value: float(v: "NaN")}}))
union(tables: [numbers, others])
  |> pivot(rowKey: ["_time"], columnKey: ["_field"], valueColumn: "_value")
  |> keep(columns: ["_time", "machine_id", "a", "b"])
  |> group()
  |> sort(columns: ["_time"])
"""
FIELDS_QUERY = """import "influxdata/influxdb/schema"
schema.measurementFieldKeys(bucket: "line 1", measurement: "sensors", start: 1970-01-01T00:00:00Z)
"""
TAGS_QUERY = FIELDS_QUERY.replace("FieldKeys", "TagKeys")
MEASUREMENTS_QUERY = FIELDS_QUERY.replace("measurementFieldKeys", "measurements").replace(
    ', measurement: "sensors"', ""
)
HEADER = """#datatype,string,long,dateTime:RFC3339,string,double,long\r
#group,false,false,false,false,false,false\r
#default,_result,,,,,\r
,result,table,_time,machine_id,a,b\r
"""
ROWS = ''',,0,2026-01-01T00:00:00Z,press-1,1.5,2\r
,,0,2026-01-01T00:00:00.000000001Z,"press, ""2""",-0.25,\r
,,0,2026-01-01T00:00:59.25Z,,,4\r
\r
'''
EDGE_QUERY = """from(bucket: "line 1")
  |> range(start: 2026-01-01T00:00:00Z, stop: 2026-01-01T00:01:00Z)
  |> filter(fn: (r) => r._measurement == "sensors")
  |> filter(fn: (r) => (r._field == "a" or r._field == "b") and (true))
  |> first()
  |> keep(columns: ["_time"])
  |> group()
  |> sort(columns: ["_time"], desc: false)
  |> limit(n: 1)
"""
POINTS_QUERY = """from(bucket: "line 1")
  |> range(start: 2026-01-01T00:00:00Z, stop: 2026-01-01T00:00:00.000000001Z)
  |> filter(fn: (r) => r._measurement == "sensors")
  |> pivot(rowKey: ["_time"], columnKey: ["_field"], valueColumn: "_value")
  |> keep(columns: [{columns}])
  |> group()
  |> sort(columns: ["_time"])
"""
FAILED = """#datatype,string,string\r
#group,true,true\r
#default,,\r
,error,reference\r
,"runtime error @3:6-3:70: filter: cannot compare
values",\r
"""


def client(url: str, **changes: Any) -> InfluxClient:
    """A client of the bucket, or of what `changes` say."""
    options = {"org": "plant", "bucket": "line 1", "token": TOKEN, "timeout": 20.0, **changes}
    return InfluxClient(InfluxSettings(url=url, **options))


def asked(query: str = QUERY, *, path: str = "/api/v2/query", **answer: Any) -> Exchange:
    """A Flux query and its answer."""
    return Exchange(
        f"POST {path}",
        {"org": "plant"},
        LOGIN,
        {"query": query, "dialect": DIALECT, "extern": {"imports": [], "body": []}},
        **{"headers": CSV, **answer},
    )


def posted(body: bytes | re.Pattern[bytes], *, path: str = "/api/v2/write", **answer: Any) -> Exchange:
    """Lines and what is said to them; nothing, where they are taken."""
    return Exchange(
        f"POST {path}",
        {"org": "plant", "bucket": "line 1", "precision": "ns"},
        {**LOGIN, "Content-Encoding": None},
        body,
        **{"status": 204, "headers": JSON, **answer},
    )


def refusal(status: int, code: str, message: str) -> dict[str, Any]:
    """An answer as the server refuses."""
    answer = json.dumps({"code": code, "message": message}, separators=(",", ":")).encode()
    return {"status": status, "headers": {**JSON, "X-Platform-Error-Code": code}, "answer": answer}


def field_names(*names: str) -> bytes:
    """What `schema.measurementFieldKeys` answers."""
    head = "#datatype,string,long,string\r\n#group,false,false,false\r\n#default,_result,,\r\n"
    rows = "".join(f",,0,{name}\r\n" for name in names)
    return f"{head},result,table,_value\r\n{rows}\r\n".encode()


UNAUTHORIZED = refusal(401, "unauthorized", "unauthorized access")
NO_SUCH_BUCKET = refusal(404, "not found", 'bucket "line 1" not found')
NO_BUCKET_TO_READ = refusal(
    404, "not found", 'failed to initialize execute state: could not find bucket "line 1"'
)
NO_POINTS = refusal(400, "invalid", "writing requires points")
TOO_LARGE = refusal(413, "request too large", "unable to read data: points batch is too large")
OVERLOADED = refusal(503, "unavailable", "queue length exceeded")
LIMITED = refusal(429, "too many requests", "exceeded rate limit")
LIMITED["headers"] = {**LIMITED["headers"], "Retry-After": "3600"}
BROKEN = refusal(500, "internal error", "unexpected error writing points to database: timeout")


def read(url: str, wanted: ReadingsQuery = WANTED, tls: TlsSettings = SYSTEM, **options: Any) -> Readings:
    """A minute of readings, put together."""
    found = read_flux(client(url, tls=tls), wanted, T0, T0 + 60 * SECOND, **options)
    return joined(found, len(wanted.sensors))


def joined(blocks: Iterable[Readings], sensors: int) -> Readings:
    """Blocks, put together."""
    found = [*blocks] or [Readings.empty(sensors)]
    return Readings(
        np.concatenate([block.machines for block in found]),
        np.concatenate([block.times for block in found]),
        np.concatenate([block.values for block in found]),
    )


def check(url: str, wanted: ReadingsQuery) -> ReadingsQuery:
    """What is checked before the bucket is read by Flux."""
    return check_flux(client(url), wanted, T0, T0 + 60 * SECOND)


TAG_KEYS = (
    '{"results":[{"statement_id":0,"series":[{"name":"sensors","columns":["tagKey"],'
    '"values":[["machine_id"]]}]}]}\n'
)
BUCKETS = Exchange(
    "GET /api/v2/buckets",
    {"org": "plant", "name": "line 1"},
    LOGIN,
    headers=JSON,
    answer=b'{"links":{"self":"/api/v2/buckets"},"buckets":[{"id":"0a1b2c3d4e5f6071","orgID":"01","type":"user",'
    b'"name":"line 1","retentionRules":[]}]}\n',
)
MAPPINGS = Exchange(
    "GET /api/v2/dbrps",
    {"org": "plant", "bucketID": "0a1b2c3d4e5f6071"},
    LOGIN,
    headers=JSON,
    answer=b'{"content":[]}\n',
)
# Where it lists no bucket to this login, Flux is what is left.
UNMAPPED = dataclasses.replace(BUCKETS, answer=b'{"buckets":[]}\n')


def mappings(*found: tuple[str, str]) -> Exchange:
    """What the server lists for a bucket; the virtual mapping of its name looks the same."""
    content = [
        {
            "id": "0a1b2c3d4e5f6071",
            "orgID": "01",
            "bucketID": "0a1b2c3d4e5f6071",
            "database": database,
            "retention_policy": policy,
            "default": True,
            "virtual": True,
        }
        for database, policy in found
    ]
    return dataclasses.replace(MAPPINGS, answer=json.dumps({"content": content}).encode())
