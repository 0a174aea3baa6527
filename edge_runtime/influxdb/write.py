"""Writing line protocol, synchronously: when `write` returns, the server has it."""

from __future__ import annotations

import http.client
from contextlib import suppress
from typing import TYPE_CHECKING

from edge_runtime.errors import SinkError, SinkUnavailableError
from edge_runtime.influxdb.query import identifier
from edge_runtime.influxdb.refusals import (
    MESSAGE_BYTES,
    WRITING,
    BodyTooLargeError,
    NothingToWriteError,
    words_of,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edge_runtime.influxdb.client import InfluxClient

__all__ = ["check_write", "create_database", "refused_lines", "write"]

# What any server takes, and any proxy before it, nginx with its 1 MiB among them; and less than any.
MIN_POST_BYTES, MIN_BYTES = 900_000, 50_000
# So many posts in a row may be refused while the lines that a server refuses are looked for; it then refuses
# whatever comes, and what is left counts as refused.
MAX_REFUSALS = 200


def write(client: InfluxClient, lines: bytes | bytearray) -> None:
    """Writes lines with nanosecond times, in posts as large as the server takes, cut between lines.

    Raises:
        SinkUnavailableError: The server cannot be reached or is overloaded, refuses the login, or does not
            have the database; what was not written may be sent again, and so may what was: a point replaces
            itself.
        SinkError: The server refuses lines; it may have taken the others.
    """
    for body in _cut(lines, client.post_bytes):
        _post(client, body)


def refused_lines(client: InfluxClient, lines: bytes | bytearray) -> tuple[bytes, SinkError | None]:
    """Writes lines of which some were refused; those that the server will not take are found by halving.

    Returns:
        Those lines, and what the server says of the last of them; None when it took all after all.

    Raises:
        SinkUnavailableError: As `write`.
    """
    refused, last, in_a_row = list[bytes](), None, 0
    parts = [bytes(lines).splitlines(keepends=True)]
    while parts:
        part = parts.pop()
        if in_a_row < MAX_REFUSALS:
            try:
                write(client, b"".join(part))
            except SinkUnavailableError:
                raise
            except SinkError as error:
                last, in_a_row = error, in_a_row + 1
            else:
                in_a_row = 0
                continue
        if len(part) == 1 or in_a_row >= MAX_REFUSALS:
            refused += part
        else:
            middle = len(part) // 2
            parts += [part[middle:], part[:middle]]
    return b"".join(refused), last


def check_write(client: InfluxClient) -> None:
    """Makes sure that the server answers, has the database or bucket and lets us write, by writing nothing.

    Raises:
        SinkUnavailableError: One of them is not so.
        SinkError: The server will never take anything there, such as for the database's name.
    """
    # 2.x and 3 refuse a body without points, but only after they have looked at all the rest.
    with suppress(NothingToWriteError):
        _post(client, b"")


def create_database(client: InfluxClient) -> None:
    """Makes the database of a 1.x server; nothing happens when it is there.

    Raises:
        SinkError, SinkUnavailableError: As `write`.
    """
    statement = f"CREATE DATABASE {identifier(client.settings.database)}"
    with client.request("POST", "/query", {"q": statement}, errors=WRITING) as response:
        response.read()


def _post(client: InfluxClient, body: bytes | bytearray) -> None:
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
            _check_taken(response, settings.place)
        client.post_bytes = min(2 * client.post_bytes, client.max_post_bytes)
    except BodyTooLargeError:
        # Of several posts under way each may be refused, for the same reason.
        client.max_post_bytes = max(MIN_BYTES, min(client.max_post_bytes, len(body) // 2))
        client.post_bytes = client.max_post_bytes
        half = body.find(b"\n", len(body) // 2) + 1
        if not half or half == len(body):
            half = body.rfind(b"\n", 0, len(body) // 2) + 1
        if not half:
            raise
        _post(client, body[:half])
        _post(client, body[half:])
    except SinkUnavailableError:
        # 3 Core answers 500 to a body that is too long, and a slow server may not manage it in time.
        client.post_bytes = max(MIN_POST_BYTES, min(client.post_bytes, len(body) // 2))
        raise


def _check_taken(response: http.client.HTTPResponse, place: str) -> None:
    """That a write was answered as an InfluxDB does; a proxy may answer 200 to everything, with a page."""
    if response.status != http.client.NO_CONTENT:
        said = words_of(response.read(MESSAGE_BYTES))
        raise SinkUnavailableError(
            f"something other than InfluxDB answers {response.status} to a write ({said})",
            where=place,
            hint="check the address, and the proxy before it",
        )


def _cut(lines: bytes | bytearray, max_bytes: int) -> Iterator[bytes | bytearray]:
    start = 0
    while len(lines) - start > max_bytes:
        stop = lines.rfind(b"\n", start, start + max_bytes) + 1
        if stop <= start:  # one line that long: let the server say what it thinks of it
            stop = lines.find(b"\n", start) + 1 or len(lines)
        yield lines[start:stop]
        start = stop
    if start < len(lines):
        yield lines[start:] if start else lines
