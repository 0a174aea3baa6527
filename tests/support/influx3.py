"""A loopback server that answers as InfluxDB 3 Core 3.9.6 does, with its limits, over a test's rows."""

from __future__ import annotations

import json
import re
import threading
from bisect import bisect_left
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Influx3", "Table", "serving"]

MINUTE_NS = 60_000_000_000
# Core writes a Parquet file each ten minutes.
FILE_NS = 10 * MINUTE_NS
DAY_NS = 24 * 60 * MINUTE_NS
LONGEST_TARGET = 65_000
NOTHING = b'{"results":[{"statement_id":0}]}'
_TIMES = re.compile(r"time >= (\d+) AND time < (\d+)")
_SELECT = re.compile(r'SELECT (.*?) FROM "((?:[^"\\]|\\.)*)"')
_NAME = re.compile(r'"((?:[^"\\]|\\.)*)"')
_MACHINE = re.compile(r"""= '((?:[^'\\]|\\.)*)'|=~ /\^(.*?)\$/""")


@dataclass(frozen=True, slots=True)
class Table:
    """A measurement.

    Attributes:
        tags: Tags' names.
        fields: Fields' names, each with its type.
        rows: A row a point: "time" in nanoseconds, tags and fields; rising in time.
    """

    tags: tuple[str, ...]
    fields: dict[str, str]
    rows: list[dict[str, Any]]

    def between(self, start: int, stop: int) -> list[dict[str, Any]]:
        """The rows from one time to before another."""
        low, high = (bisect_left(self.rows, edge, key=_time) for edge in (start, stop))
        return self.rows[low:high]


def _time(row: dict[str, Any]) -> int:
    time: int = row["time"]
    return time


@dataclass
class Influx3:
    """What the server holds, and what it was asked.

    Attributes:
        tables: Measurement to its table.
        now_ns: The server's clock.
        file_limit: Most Parquet files of one question.
        row_limit: Most rows that one question may sort in memory; None for no limit.
        exact_is_partial: Whether an answer that ends with a full chunk says that there is more.
        token: What a login must bring; None for any.
        refusals: So many questions about rows to refuse for want of memory, whatever they ask for.
        asked: Every statement that came.
    """

    tables: dict[str, Table]
    now_ns: int
    file_limit: int = 432
    row_limit: int | None = None
    exact_is_partial: bool = False
    token: str | None = None
    refusals: int = 0
    asked: list[str] = field(default_factory=list)

    @property
    def longest_ns(self) -> int:
        """The longest range of any question about rows."""
        ranges = [_bounds(statement) for statement in self.asked if not _is_catalogue(statement)]
        return max(stop - start for start, stop in ranges)

    def range_ns(self, statement: str) -> int:
        """The range of a question about rows."""
        start, stop = _bounds(statement)
        return stop - start

    def answer(self, statement: str, chunk: int) -> bytes:
        """The body of an answer, its documents with nothing between them."""
        self.asked.append(statement)
        if statement == "SHOW MEASUREMENTS":
            return _document("measurements", ("name",), [[name] for name in self.tables])
        (name, columns) = _of(statement)
        table = self.tables.get(name)
        if table is None:
            return NOTHING
        if _is_catalogue(statement):
            return _catalogue(statement, name, table)
        if "time" in statement:
            start, stop = _bounds(statement)
        else:
            start, stop = self.now_ns - DAY_NS, self.now_ns
        if refused := self._refused(table, start, stop):
            return refused
        if statement.startswith("SHOW TAG VALUES"):
            (tag,) = columns
            found = {row[tag] for row in table.between(start, stop) if tag in row}
            return _document(name, ("key", "value"), [[tag, value] for value in sorted(found)])
        return self._rows(statement, name, columns, chunk)

    def _rows(self, statement: str, name: str, columns: tuple[str, ...], chunk: int) -> bytes:
        start, stop = _bounds(statement)
        machines = [
            _plain(text or pattern) for text, pattern in _MACHINE.findall(statement.partition(" AND (")[2])
        ]
        # A point without any of the fields is not in an answer.
        fields = [column for column in columns if column in self.tables[name].fields]
        chosen = [
            row
            for row in self.tables[name].between(start, stop)
            if (not machines or row.get("machine_id") in machines)
            and any(row.get(name) is not None for name in fields)
        ]
        if " DESC" in statement:
            chosen.reverse()
        if "LIMIT 1" in statement:
            chosen = chosen[:1]
        self.refusals -= 1
        if self.refusals >= 0 or (self.row_limit is not None and len(chosen) > self.row_limit):
            return _failure(
                "datafusion error: Resources exhausted: Additional allocation failed for ExternalSorter"
            )
        values = [[row.get(column) for column in ("time", *columns)] for row in chosen]
        parts = [values[i : i + chunk] for i in range(0, len(values), chunk)]
        more = self.exact_is_partial and bool(values) and len(values) % chunk == 0
        documents = [
            _document(name, ("time", *columns), part, partial=i < len(parts) - 1 or more)
            for i, part in enumerate(parts)
        ]
        return b"".join(documents) or NOTHING

    def _refused(self, table: Table, start: int, stop: int) -> bytes | None:
        files = len({row["time"] // FILE_NS for row in table.between(start, stop)})
        if files <= self.file_limit:
            return None
        return _failure(
            f"datafusion error: External error: Query would scan {files} Parquet files, exceeding the file "
            "limit. \nInfluxDB 3 Core caps file access. \nUse a narrower time range, or increase the limit."
        )


def _bounds(statement: str) -> tuple[int, int]:
    found = _TIMES.search(statement)
    assert found, f"a question without bounds: {statement}"
    return int(found[1]), int(found[2])


def _is_catalogue(statement: str) -> bool:
    return statement.startswith(("SHOW MEASUREMENTS", "SHOW FIELD KEYS", "SHOW TAG KEYS"))


def _catalogue(statement: str, name: str, table: Table) -> bytes:
    if statement.startswith("SHOW FIELD KEYS"):
        return _document(name, ("fieldKey", "fieldType"), [[*pair] for pair in table.fields.items()])
    return _document(name, ("tagKey",), [[tag] for tag in table.tags])


def _of(statement: str) -> tuple[str, tuple[str, ...]]:
    """The measurement, and the columns or the tag that are asked for."""
    if found := _SELECT.match(statement):
        return _plain(found[2]), tuple(map(_plain, _NAME.findall(found[1])))
    names = [_plain(name) for name in _NAME.findall(statement)]
    return names[0], tuple(names[1:])


def _plain(quoted: str) -> str:
    return re.sub(r"\\(.)", r"\1", quoted)


def _document(
    name: str, columns: tuple[str, ...], values: list[list[Any]], *, partial: bool = False
) -> bytes:
    more = {"partial": True} if partial else {}
    series = {"name": name, "columns": columns, "values": values, **more}
    document = {"results": [{"statement_id": 0, "series": [series], **more}]}
    return json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode()


def _failure(words: str) -> bytes:
    return json.dumps({"results": [{"statement_id": 0, "error": words}]}, separators=(",", ":")).encode()


class _Server(ThreadingHTTPServer):
    held: Influx3


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        parameters = {name: values[0] for name, values in parse_qs(parts.query).items()}
        held = self.server.held
        if held.token is not None and self.headers["Authorization"] != f"Token {held.token}":
            self._say(401, b'{"error": "the request was not authenticated"}')
        elif len(self.path) > LONGEST_TARGET:
            self._say(414, b"")
        elif parts.path != "/query":
            self._say(404, b"Not found")
        elif '"' in "".join(re.findall(r"'((?:[^'\\]|\\.)*)'", parameters["q"])):
            self._say(200, _failure('datafusion error: SQL error: ParserError("a quotation mark")'))
        else:
            self._say(200, held.answer(parameters["q"], int(parameters["chunk_size"])))

    def _say(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("cluster-uuid", "5f1a0a5e-6a3c-4a0e-9a53-5b1c1a8a7f00")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for start in range(0, len(body), 10_000):
            part = body[start : start + 10_000]
            self.wfile.write(b"%x\r\n%s\r\n" % (len(part), part))
        self.wfile.write(b"0\r\n\r\n")

    def log_message(self, *words: object) -> None:
        """Keeps the test's output clean."""


@contextmanager
def serving(held: Influx3) -> Iterator[str]:
    """The address of a server that holds this."""
    with _Server(("127.0.0.1", 0), _Handler) as server:
        server.held = held
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()
