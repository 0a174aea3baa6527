"""InfluxQL: quoting, and chunked answers as a stream of series."""

from __future__ import annotations

import http.client
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from edge_runtime.influxdb.client import READING, InfluxClient, is_missing_database, missing_database

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["CHUNK_ROWS", "Series", "identifier", "query", "text"]

CHUNK_ROWS = 5000
BLOCK_BYTES = 65_536
# What 1.x says, within an answer of status 200, when it stops or has too much to do.
LATER_WORDS = ("timeout", "engine is closed", "interrupted", "killed", "max-concurrent", "shutting down")


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


def query(client: InfluxClient, statement: str) -> Iterator[Series]:
    """Runs a statement and yields its answer chunk by chunk, in bounded memory.

    Raises:
        SourceUnavailableError: The server cannot be reached or went away half-way.
        SourceError: It refuses the statement; 1.x says so within an answer of status 200.
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
    with client.request("GET", "/query", parameters) as response:
        for line in _lines(response):
            if line.strip():
                yield from _series(client, line)


def _lines(response: http.client.HTTPResponse) -> Iterator[bytes]:
    """The answer's lines. Iterating over a response would take one that breaks off for one that ends."""
    parts: list[bytes] = []
    while block := response.read(BLOCK_BYTES):
        head, *lines = block.split(b"\n")
        parts.append(head)
        if lines:
            yield b"".join(parts)
            yield from lines[:-1]
            parts = [lines[-1]]
    if response.length:
        raise http.client.IncompleteRead(b"", response.length)
    yield b"".join(parts)


def _series(client: InfluxClient, line: bytes) -> Iterator[Series]:
    where = client.settings.place
    try:
        document = json.loads(line)
        failures = [document.get("error"), *(result.get("error") for result in document.get("results", ()))]
        found = [s for result in document.get("results", ()) for s in result.get("series", ())]
    except (ValueError, AttributeError):
        # A connection that broke half-way looks like this too: trying again is right for both.
        raise READING.for_now(
            "InfluxDB's answer is cut off or not its own", where=where, mend="check the address"
        ) from None
    for failure in filter(None, failures):
        if is_missing_database(str(failure)):
            raise missing_database(str(failure), where, READING)
        if any(word in str(failure) for word in LATER_WORDS):
            raise READING.for_now(f"InfluxDB gave up ({failure})", where=where)
        raise READING.final(f"InfluxDB refuses the query ({failure})", where=where)
    for one in found:
        yield Series(one.get("name", ""), one.get("tags", {}), tuple(one["columns"]), one.get("values", []))
