"""A loopback server that answers as InfluxDB 2 does for a bucket without a mapping, over a test's points.

It knows the shapes of the Flux queries that are asked here, and what the steps in them do: a table is of one
series, field and type; `pivot` keeps the type that comes first where a field has two; `group` joins no two
columns of different types.
"""

from __future__ import annotations

import csv
import io
import json
import re
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

from edge_runtime.timeparse import format_time, parse_time

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Flux2", "Point", "serving_flux"]

Value = float | int | str | bool
KINDS: dict[type, str] = {float: "double", int: "long", str: "string", bool: "boolean"}
OWN_TAGS = ("_field", "_measurement", "_start", "_stop")


@dataclass(frozen=True, slots=True)
class Point:
    """One point: nanoseconds, tags and fields."""

    measurement: str
    tags: dict[str, str]
    fields: dict[str, Value]
    time: int


@dataclass
class Flux2:
    """What the bucket holds, and what it was asked.

    Attributes:
        points: In any order.
        asked: Every query that came.
    """

    points: list[Point] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)

    def put(self, *lines: str) -> None:
        """Takes lines of line protocol without a space or an escape in their names and texts."""
        for line in lines:
            series, fields, time = line.split(" ")
            name, *tags = series.split(",")
            values = dict(one.split("=") for one in fields.split(","))
            self.points.append(Point(name, dict(tag.split("=") for tag in tags), _typed(values), int(time)))
        self.points.sort(key=lambda point: point.time)

    def answer(self, query: str) -> str:
        """The body of an answer."""
        self.asked.append(query)
        of = re.search(r'(?:_measurement == |measurement: )"(\w+)"', query)
        points = [point for point in self.points if of is None or point.measurement == of[1]]
        if found := re.search(r"schema\.(\w+)\(", query):
            return _names(_schema(found[1], query, points))
        bounds = re.search(r"range\(start: (\S+?), stop: (\S+?)\)", query)
        assert bounds is not None
        start, stop = (parse_time(text, 0) for text in bounds.groups())
        values = [
            (point, name, value)
            for point in points
            if start <= point.time < stop and _has_machine(point, query)
            for name, value in point.fields.items()
            if name in (_wanted(query) or point.fields)
        ]
        if "distinct(" in query:
            return _names({name for _, name, value in _ends(values) if type(value) in (int, float)})
        if "limit(n: 1)" in query:
            times = [point.time for point, *_ in values]
            newest = "|> last()" in query
            found_rows = [{"_time": (max if newest else min)(times)}] if times else []
            return _table(("_time",), found_rows)
        columns = tuple(re.findall(r'"(.*?)"', query.rpartition("keep(columns: [")[2].partition("]")[0]))
        if "toFloat()" in query.partition("pivot(")[0]:
            values = [
                (point, name, float(value) if type(value) in (int, float) else float("nan"))
                for point, name, value in values
            ]
        return _table(columns, _pivoted(values))


def _typed(values: dict[str, str]) -> dict[str, Value]:
    found: dict[str, Value] = {}
    for name, text in values.items():
        if text.startswith('"'):
            found[name] = text.strip('"')
        elif text in ("true", "false"):
            found[name] = text == "true"
        else:
            found[name] = int(text[:-1]) if text.endswith("i") else float(text)
    return found


def _schema(function: str, query: str, points: list[Point]) -> set[str]:
    if function == "measurements":
        return {point.measurement for point in points}
    if function == "measurementFieldKeys":
        return {name for point in points for name in point.fields}
    if function == "measurementTagKeys":
        return {name for point in points for name in (*OWN_TAGS, *point.tags)}
    assert function == "measurementTagValues"
    found = re.search(r'tag: "(\w+)"', query)
    assert found is not None
    return {point.tags[found[1]] for point in points if found[1] in point.tags}


def _wanted(query: str) -> list[str]:
    return re.findall(r'r\._field == "(\w+)"', query)


def _has_machine(point: Point, query: str) -> bool:
    chosen = re.findall(r'r\["(\w+)"\] == "(.*?)"', query)
    return not chosen or any(point.tags.get(tag, "") == value for tag, value in chosen)


def _ends(values: list[tuple[Point, str, Value]]) -> list[tuple[Point, str, Value]]:
    """The first and the last value of each table."""
    tables: dict[Any, list[tuple[Point, str, Value]]] = {}
    for one in values:
        tables.setdefault((tuple(sorted(one[0].tags.items())), one[1], type(one[2])), []).append(one)
    return [end for table in tables.values() for end in (table[0], table[-1])]


def _pivoted(values: list[tuple[Point, str, Value]]) -> list[dict[str, Any]]:
    """A row for each series and time, in the order of time."""
    rows: dict[Any, dict[str, Any]] = {}
    kinds: dict[Any, type] = {}
    for point, name, value in values:
        series = tuple(sorted(point.tags.items()))
        if kinds.setdefault((series, name), type(value)) is type(value):
            row = rows.setdefault((series, point.time), {"_time": point.time, **point.tags})
            row[name] = value
    return sorted(rows.values(), key=lambda row: int(row["_time"]))


def _table(columns: tuple[str, ...], rows: list[dict[str, Any]]) -> str:
    if not rows:
        return "\r\n"
    shown = [name for name in columns if any(name in row for row in rows)]
    kinds = []
    for name in shown:
        types = {type(row[name]) for row in rows if name in row}
        if len(types) > 1:
            said = f'runtime error: group: schema collision: column "{name}" is of two types'
            head = [["#datatype", "string", "string"], ["#group", "true", "true"], ["#default", "", ""]]
            return _csv([*head, ["", "error", "reference"], ["", said, ""]])
        kinds.append("dateTime:RFC3339" if name == "_time" else KINDS[types.pop()])
    head = [
        ["#datatype", "string", "long", *kinds],
        ["#group", "false", "false", *("false" for _ in shown)],
        ["#default", "_result", "", *("" for _ in shown)],
        ["", "result", "table", *shown],
    ]
    return _csv([*head, *(["", "", "0", *(_cell(name, row) for name in shown)] for row in rows)])


def _names(names: set[str]) -> str:
    return _table(("_value",), [{"_value": name} for name in sorted(names)])


def _cell(name: str, row: dict[str, Any]) -> str:
    value = row.get(name)
    if value is None:
        return ""
    if name == "_time":
        return format_time(value)
    if isinstance(value, float):
        return str(value).replace("nan", "NaN").removesuffix(".0")
    return str(value).lower() if isinstance(value, bool) else str(value)


def _csv(lines: list[list[str]]) -> str:
    text = io.StringIO()
    csv.writer(text).writerows(lines)
    return f"{text.getvalue()}\r\n"


class _Server(ThreadingHTTPServer):
    held: Flux2


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def do_GET(self) -> None:
        """No bucket is listed to this login, so there is no mapping."""
        self._say("application/json", '{"buckets":[]}')

    def do_POST(self) -> None:
        query = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["query"]
        self._say("text/csv; charset=utf-8", self.server.held.answer(query))

    def _say(self, kind: str, body: str) -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("X-Influxdb-Version", "v2.9.1")
        self.send_header("Content-Length", str(len(body.encode())))
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *words: object) -> None:
        """Keeps the test's output clean."""


@contextmanager
def serving_flux(held: Flux2) -> Iterator[tuple[str, ...]]:
    """The options that name a bucket that holds this."""
    with _Server(("127.0.0.1", 0), _Handler) as server:
        server.held = held
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield "--url", f"http://127.0.0.1:{server.server_port}", "--org", "plant", "--bucket", "line 1"
        finally:
            server.shutdown()
            thread.join()
