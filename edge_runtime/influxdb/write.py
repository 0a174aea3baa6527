"""Writing line protocol, synchronously: when `write` returns, the server has it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge_runtime.influxdb.client import WRITING
from edge_runtime.influxdb.query import identifier

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edge_runtime.influxdb.client import InfluxClient

__all__ = ["create_database", "write"]

# Well below the 25 MB that 1.x takes by default, and the 10 MB of 3 Core.
MOST_BYTES = 2_000_000


def write(client: InfluxClient, lines: bytes) -> None:
    """Writes lines with nanosecond times, in posts of bounded size cut between lines.

    Raises:
        SinkUnavailableError: The server cannot be reached or is overloaded; what was not written may be sent
            again, and so may what was: a point replaces itself.
        SinkError: The server refuses lines, a missing database or the login.
    """
    settings = client.settings
    if settings.bucket:
        path, parameters = (
            "/api/v2/write",
            {"org": settings.org or "", "bucket": settings.bucket, "precision": "ns"},
        )
    else:
        path, parameters = "/write", {"db": settings.database, "precision": "ns"}
        if settings.retention_policy:
            parameters["rp"] = settings.retention_policy
    for body in _cut(lines):
        with client.request("POST", path, parameters, body=body, errors=WRITING) as response:
            response.read()


def create_database(client: InfluxClient) -> None:
    """Makes the database of a 1.x server; nothing happens when it is there.

    Raises:
        SinkError, SinkUnavailableError: As `write`.
    """
    statement = f"CREATE DATABASE {identifier(client.settings.database)}"
    with client.request("POST", "/query", {"q": statement}, errors=WRITING) as response:
        response.read()


def _cut(lines: bytes) -> Iterator[bytes]:
    start = 0
    while len(lines) - start > MOST_BYTES:
        stop = lines.rfind(b"\n", start, start + MOST_BYTES) + 1
        if stop <= start:  # one line that long: let the server say what it thinks of it
            stop = lines.find(b"\n", start) + 1 or len(lines)
        yield lines[start:stop]
        start = stop
    if start < len(lines):
        yield lines[start:]
