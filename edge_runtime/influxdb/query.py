"""InfluxQL: quoting, and chunked answers as a stream of series."""

from __future__ import annotations

import http.client
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from edge_runtime.errors import SourceUnavailableError
from edge_runtime.influxdb.documents import documents
from edge_runtime.influxdb.refusals import (
    READING,
    QueryTooLargeError,
    is_missing_database,
    is_too_large,
    missing_database,
    one_line,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

    from edge_runtime.errors import EdgeDetectError
    from edge_runtime.influxdb.client import InfluxClient

__all__ = [
    "BLOCK_BYTES",
    "CHUNK_ROWS",
    "FINISHED_BYTES",
    "LISTED_BYTES",
    "Series",
    "UnfinishedAnswerError",
    "identifier",
    "malformed",
    "query",
    "regular_expression",
    "text",
]

CHUNK_ROWS = 5000
BLOCK_BYTES = 65_536
# Of a whole answer that is kept, such as names: hundreds of thousands of them.
LISTED_BYTES = 16 << 20
# An answer of no more than this is read to its end, even if it is no longer wanted.
FINISHED_BYTES = 1 << 20
# What 1.x says, within an answer of status 200, when it stops or has too much to do.
LATER_WORDS = ("timeout", "engine is closed", "interrupted", "killed", "max-concurrent", "shutting down")
_EXPRESSION = str.maketrans({letter: f"\\{letter}" for letter in "\\/.+*?()|[]{}^$"})


class UnfinishedAnswerError(SourceUnavailableError):
    """The rest of an answer did not come: ask for what is after its last row."""


@dataclass(frozen=True, slots=True)
class Series:
    """One chunk of one series.

    Attributes:
        name: The measurement.
        tags: The tags that it was grouped by.
        columns: The columns' names; "time" is int64 nanoseconds.
        values: The rows, each as long as `columns`; None where a row has no value.
        place: The server, for errors.
    """

    name: str
    tags: dict[str, str]
    columns: tuple[str, ...]
    values: list[list[Any]]
    place: str

    def __len__(self) -> int:
        return len(self.values)

    def column(self, name: str) -> Sequence[Any]:
        """A column's values; None for each row where there is no such column."""
        if name not in self.columns:
            return (None,) * len(self.values)
        place = self.columns.index(name)
        return [row[place] for row in self.values]

    @property
    def times(self) -> NDArray[np.int64]:
        """[rows] nanoseconds since the epoch.

        Raises:
            SourceUnavailableError: A row has none.
        """
        column = self.column("time")
        try:
            if not set(map(type, column)) - {int}:
                return np.fromiter(column, np.int64, len(column))
        except OverflowError:
            pass
        raise malformed(self.place)


def identifier(name: str) -> str:
    """A name as InfluxQL wants it, whatever is in it."""
    escaped = name.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


def text(value: str) -> str:
    """A string literal, whatever is in it."""
    escaped = value.replace("\\", "\\\\").replace("'", "\\'").replace("\n", "\\n")
    return f"'{escaped}'"


def regular_expression(value: str) -> str:
    """A regular expression that matches this text alone, as InfluxQL writes one."""
    return f"/^{value.translate(_EXPRESSION)}$/"


def query(
    client: InfluxClient,
    statement: str,
    *,
    most_bytes: int | None = LISTED_BYTES,
    stopped: Callable[[], bool] = lambda: False,
) -> Iterator[Series]:
    """Runs a statement and yields its answer chunk by chunk, in bounded memory.

    Args:
        client: Which server and database.
        statement: What to ask.
        most_bytes: How long the whole answer may be; None where nothing of it is kept.
        stopped: Asked as the answer comes, which may be without an end: whether it is no longer wanted.

    Raises:
        SourceUnavailableError: The server cannot be reached or went away half-way.
        UnfinishedAnswerError: The answer ended well, but the server says that there is more.
        QueryTooLargeError: The server will not read so much for one question.
        SourceError: It refuses the statement; it says so within an answer of status 200.
    """
    settings = client.settings
    parameters = {
        "db": settings.database,
        "epoch": "ns",
        "chunked": "true",
        "chunk_size": str(CHUNK_ROWS),
        "q": statement,
    }
    if settings.retention_policy:
        parameters["rp"] = settings.retention_policy
    unfinished = False
    with client.request("GET", "/query", parameters) as response:
        for document in _documents(_blocks(response, most_bytes, stopped), settings.place):
            results = _results(client, document)
            unfinished = any(result.get("partial") for result in results)
            for result in results:
                for one in result.get("series") or ():
                    yield _series(one, settings.place)
    if unfinished:
        raise UnfinishedAnswerError("InfluxDB's answer is cut off", where=settings.place)


def _blocks(
    response: http.client.HTTPResponse, most_bytes: int | None, stopped: Callable[[], bool]
) -> Iterator[bytes]:
    """The answer's bytes. Iterating over a response would take one that breaks off for one that ends."""
    came = 0
    while block := response.read(BLOCK_BYTES):
        came += len(block)
        if most_bytes is not None and came > most_bytes:
            raise ValueError
        if came > FINISHED_BYTES and stopped():
            raise UnfinishedAnswerError("the answer is no longer waited for")
        yield block
    if response.length:
        raise http.client.IncompleteRead(b"", response.length)


def _documents(blocks: Iterator[bytes], place: str) -> Iterator[bytes]:
    try:
        yield from documents(blocks)
    except ValueError:  # which seems to have no end
        raise malformed(place) from None


def malformed(place: str) -> EdgeDetectError:
    """The error for an answer that is none. One of a connection that broke half-way looks like this, too."""
    return READING.for_now("InfluxDB's answer is cut off or malformed", where=place, hint="check the address")


def _series(one: Any, place: str) -> Series:
    """A series as a document has it, of the shape that it must have."""
    try:
        found = Series(
            one.get("name", ""), one.get("tags", {}), tuple(one["columns"]), one.get("values") or [], place
        )
        of_names = not set(map(type, found.columns)) - {str}
        of_rows = not set(map(type, found.values)) - {list}
        if of_names and of_rows and not set(map(len, found.values)) - {len(found.columns)}:
            return found
    except (AttributeError, KeyError, TypeError):
        pass
    raise malformed(place)


def _results(client: InfluxClient, document: bytes) -> list[dict[str, Any]]:
    """The results in one document of an answer; raises what it says of a failure."""
    where = client.settings.place
    try:
        answer = json.loads(document)
        results = list(answer.get("results", ()))
        failures = [answer.get("error"), *(result.get("error") for result in results)]
        of_lists = all(isinstance(result.get("series") or [], list) for result in results)
    except (ValueError, AttributeError, TypeError, RecursionError):
        raise malformed(where) from None
    if not of_lists:
        raise malformed(where)
    for failure in map(str, filter(None, failures)):
        said = one_line(failure)
        if is_missing_database(failure):
            raise missing_database(said, where, READING)
        if is_too_large(failure):
            raise QueryTooLargeError(f"InfluxDB refuses to read this much at once ({said})", where=where)
        if any(word in failure for word in LATER_WORDS):
            raise READING.for_now(f"InfluxDB gave up ({said})", where=where)
        raise READING.final(f"InfluxDB refuses the query ({said})", where=where)
    return results
