"""Answers that an InfluxDB might give, and all that a reader may be asked about them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from edge_runtime.errors import SourceError, SourceUnavailableError
from edge_runtime.influxdb import InfluxClient, InfluxSettings, ReadingsQuery
from edge_runtime.influxdb.flux import FluxReader
from edge_runtime.influxdb.influxql import InfluxqlReader
from edge_runtime.influxdb.reader import HOUR_NS

if TYPE_CHECKING:
    from collections.abc import Callable

    from support.answering import Answering

    from edge_runtime.influxdb.reader import Reader

__all__ = [
    "DOCUMENT",
    "FAILED",
    "GOOD",
    "HEADER",
    "ROW",
    "T0",
    "WANTED",
    "ask",
    "client",
    "flux",
    "influxql",
    "questions",
]

T0 = 1_767_225_600_000_000_000
WANTED = ReadingsQuery(("a", "b"), other_tags=("host",))
# Rows, fields, tags and names in one: each question finds what it looks for.
GOOD: dict[str, Any] = {
    "results": [
        {
            "statement_id": 0,
            "series": [
                {
                    "name": "sensors",
                    "tags": {"machine_id": "m1"},
                    "columns": [
                        *("time", "a", "b", "machine_id", "host", "fieldKey", "fieldType", "tagKey", "name"),
                        *("value", "default"),
                    ],
                    "values": [
                        [T0, 1, 2.5, "m1", "h", "a", "float", "machine_id", "sensors", "m1", True],
                        [T0 + 1, None, "n/a", None, "h", "b", "integer", "host", "other", "m2", False],
                    ],
                    "partial": False,
                }
            ],
            "partial": False,
        }
    ]
}
DOCUMENT = json.dumps(GOOD).encode()
HEADER = (
    b"#datatype,string,long,dateTime:RFC3339,double,double,string,string\r\n#group,false,false,false,false,false,"
    b"false,false\r\n#default,_result,,,,,,\r\n,result,table,_time,a,b,machine_id,_value\r\n"
)
FAILED = b",error,reference\r\n,failed,7\r\n"
ROW = b",,0,2026-01-01T00:00:0%dZ,1.5,2,m1,a\r\n"


def client(server: Answering, **changed: Any) -> InfluxClient:
    return InfluxClient(InfluxSettings(url=server.url, timeout=30.0, **({"database": "db"} | changed)))


def influxql(server: Answering, **options: Any) -> InfluxqlReader:
    return InfluxqlReader(client(server), **options)


def flux(server: Answering) -> FluxReader:
    return FluxReader(client(server, database=None, org="o", bucket="b", token="t"))


def questions(reader: Reader) -> dict[str, Callable[[], Any]]:
    start, stop = T0, T0 + HOUR_NS
    return {
        "rows": lambda: [len(rows) for rows in reader.rows(WANTED, start, stop)],
        "first": lambda: reader.first(WANTED, start, stop),
        "last": lambda: reader.last(WANTED, start, stop),
        "machines": lambda: reader.machines(WANTED, start, stop),
        "fields": lambda: reader.fields("sensors"),
        "tags": lambda: reader.tags("sensors"),
        "measurements": reader.measurements,
        "number fields": lambda: reader.number_fields("sensors", start, stop),
        "points": lambda: list(reader.points("sensors", ("a", "host"), start, stop)),
    }


def ask(question: Callable[[], Any]) -> Any:
    """What was found, or the error's class; any other error than a source's is the test's."""
    try:
        return question()
    except (SourceError, SourceUnavailableError) as error:
        return type(error)
