"""Writing line protocol, synchronously: when `write` returns, the server has it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge_runtime.errors import SinkError, SinkUnavailableError
from edge_runtime.influxdb.query import identifier
from edge_runtime.influxdb.refusals import WRITING, BodyTooLargeError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edge_runtime.influxdb.client import InfluxClient

__all__ = ["check_write", "create_database", "write"]

# Below what any of the three takes, and what a proxy before them takes: nginx stops at 1 MiB.
MAX_BYTES = 900_000


def write(client: InfluxClient, lines: bytes) -> None:
    """Writes lines with nanosecond times, in posts of bounded size cut between lines.

    Raises:
        SinkUnavailableError: The server cannot be reached or is overloaded, refuses the login, or does not
            have the database; what was not written may be sent again, and so may what was: a point replaces
            itself.
        SinkError: The server refuses lines; it may have taken the others.
    """
    for body in _cut(lines):
        _post(client, body)


def check_write(client: InfluxClient) -> None:
    """Makes sure that the server answers, has the database or bucket and lets us write, by writing nothing.

    Raises:
        SinkUnavailableError: One of them is not so.
    """
    try:
        _post(client, b"")
    except SinkUnavailableError:
        raise
    except SinkError:
        # 2.x refuses a body without points, but only after it has looked at all the rest.
        return


def create_database(client: InfluxClient) -> None:
    """Makes the database of a 1.x server; nothing happens when it is there.

    Raises:
        SinkError, SinkUnavailableError: As `write`.
    """
    statement = f"CREATE DATABASE {identifier(client.settings.database)}"
    with client.request("POST", "/query", {"q": statement}, errors=WRITING) as response:
        response.read()


def _post(client: InfluxClient, body: bytes) -> None:
    settings = client.settings
    if settings.bucket:
        path, parameters = "/api/v2/write", {"org": settings.org or "", "bucket": settings.bucket}
    else:
        path, parameters = "/write", {"db": settings.database}
        if settings.retention_policy:
            parameters["rp"] = settings.retention_policy
    parameters["precision"] = "ns"
    try:
        with client.request("POST", path, parameters, body=body, errors=WRITING) as response:
            response.read()
    except BodyTooLargeError:
        half = body.find(b"\n", len(body) // 2) + 1
        if not half or half == len(body):
            half = body.rfind(b"\n", 0, len(body) // 2) + 1
        if not half:
            raise
        _post(client, body[:half])
        _post(client, body[half:])


def _cut(lines: bytes) -> Iterator[bytes]:
    start = 0
    while len(lines) - start > MAX_BYTES:
        stop = lines.rfind(b"\n", start, start + MAX_BYTES) + 1
        if stop <= start:  # one line that long: let the server say what it thinks of it
            stop = lines.find(b"\n", start) + 1 or len(lines)
        yield lines[start:stop]
        start = stop
    if start < len(lines):
        yield lines[start:]
