"""InfluxQL: quoting, and chunked answers as a stream of series."""

from __future__ import annotations

import http.client
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

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
    from collections.abc import Iterator

    from edge_runtime.influxdb.client import InfluxClient

__all__ = [
    "CHUNK_ROWS",
    "Series",
    "UnfinishedAnswerError",
    "identifier",
    "query",
    "regular_expression",
    "text",
]

CHUNK_ROWS = 5000
BLOCK_BYTES = 65_536
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
        values: The rows; None where a row has no value.
    """

    name: str
    tags: dict[str, str]
    columns: tuple[str, ...]
    values: list[list[Any]]


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


def query(client: InfluxClient, statement: str) -> Iterator[Series]:
    """Runs a statement and yields its answer chunk by chunk, in bounded memory.

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
        for document in documents(_blocks(response)):
            results = _results(client, document)
            unfinished = any(result.get("partial") for result in results)
            for result in results:
                for one in result.get("series", ()):
                    yield Series(
                        one.get("name", ""), one.get("tags", {}), tuple(one["columns"]), one.get("values", [])
                    )
    if unfinished:
        raise UnfinishedAnswerError("InfluxDB's answer is cut off", where=settings.place)


def _blocks(response: http.client.HTTPResponse) -> Iterator[bytes]:
    """The answer's bytes. Iterating over a response would take one that breaks off for one that ends."""
    while block := response.read(BLOCK_BYTES):
        yield block
    if response.length:
        raise http.client.IncompleteRead(b"", response.length)


def _results(client: InfluxClient, document: bytes) -> list[dict[str, Any]]:
    """The results in one document of an answer; raises what it says of a failure."""
    where = client.settings.place
    try:
        answer = json.loads(document)
        results = list(answer.get("results", ()))
        failures = [answer.get("error"), *(result.get("error") for result in results)]
    except (ValueError, AttributeError, TypeError):
        # A connection that broke half-way looks like this too: trying again is right for both.
        raise READING.for_now(
            "InfluxDB's answer is cut off or malformed", where=where, hint="check the address"
        ) from None
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
