"""One Flux query and its answer, through influxdb-client; extra `influx`."""

from __future__ import annotations

import csv
from functools import cache
from http.client import HTTPException
from itertools import count
from typing import TYPE_CHECKING, Any, NoReturn

from edge_runtime.errors import MissingExtraError, SourceError
from edge_runtime.influxdb.annotated import tables
from edge_runtime.influxdb.client import BoundedResponse
from edge_runtime.influxdb.query import (
    BLOCK_BYTES,
    CHUNK_ROWS,
    FINISHED_BYTES,
    UnfinishedAnswerError,
    malformed,
)
from edge_runtime.influxdb.refusals import READING, one_line, refuse, unreachable
from edge_runtime.text.cutter import MAX_LINE_BYTES, LineCutter

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from edge_runtime.errors import EdgeDetectError
    from edge_runtime.influxdb.annotated import Table
    from edge_runtime.influxdb.client import InfluxClient
    from edge_runtime.influxdb.settings import InfluxSettings

__all__ = ["run_flux"]

BAD_REQUEST, UNAUTHORIZED, NOT_FOUND = 400, 401, 404


def run_flux(
    client: InfluxClient, text: str, *, stopped: Callable[[], bool] = lambda: False
) -> Iterator[Table]:
    """The tables of a query's answer, a few thousand rows at a time.

    Args:
        client: Which server, bucket and organisation.
        text: The query.
        stopped: Asked as the answer comes, which may be without an end: whether it is no longer wanted.

    Raises:
        MissingExtraError: influxdb-client is not installed.
        SourceUnavailableError: The server cannot be reached or is overloaded.
        QueryTooLargeError: It will not read so much for one query.
        SourceError: It refuses the query.
    """
    try:
        from influxdb_client.client.influxdb_client import InfluxDBClient  # noqa: PLC0415
        from influxdb_client.rest import ApiException  # noqa: PLC0415
        from urllib3.exceptions import HTTPError  # noqa: PLC0415
    except ImportError:
        raise MissingExtraError("reading with Flux", "influx") from None

    try:
        for attempt in count(1):
            settings = client.settings
            milliseconds = max(1, int(settings.timeout * 1000))  # 0 would wait for ever
            with InfluxDBClient(
                settings.url,
                settings.token or "",
                org=settings.org or "",
                timeout=milliseconds,
                ssl_context=client.tls,
            ) as flux:
                _bound(flux.api_client.rest_client.pool_manager)
                try:
                    response = flux.query_api().query_raw(text, org=settings.org)
                except ApiException as error:
                    if error.status == UNAUTHORIZED and attempt == 1 and client.renew():
                        continue
                    raise
                yield from tables(_rows(response, stopped), most=CHUNK_ROWS)
                return
    except ApiException as error:
        # Without a status TLS came to nothing.
        if error.status:
            _refuse(error, client.settings)
        raise _broken(error.__context__, settings.place) from None
    except (HTTPError, OSError) as error:
        raise _broken(error, settings.place) from None
    except (csv.Error, UnicodeDecodeError):
        raise malformed(settings.place) from None


def _bound(manager: Any) -> None:
    """Makes each answer of the connections that a manager will make a `BoundedResponse`."""
    pools = manager.pool_classes_by_scheme
    manager.pool_classes_by_scheme = {scheme: _bounded(pool) for scheme, pool in pools.items()}


@cache
def _bounded(pool: Any) -> Any:
    connection = type("Connection", (pool.ConnectionCls,), {"response_class": BoundedResponse})
    return type("Pool", (pool,), {"ConnectionCls": connection})


def _rows(response: Any, stopped: Callable[[], bool]) -> Iterator[list[str]]:
    """An answer's rows that are not empty, none of them longer than a line may be: it may go over several."""
    row_bytes = 0

    def lines() -> Iterator[str]:
        nonlocal row_bytes
        for text in _texts(response, stopped):
            # Not by splitlines(), which also cuts where a text of the database has a separator of paragraphs.
            for line in text.decode().removesuffix("\n").split("\n"):
                row_bytes += len(line)
                if row_bytes > MAX_LINE_BYTES:
                    raise csv.Error
                yield f"{line}\n"

    for row in csv.reader(lines()):
        row_bytes = 0
        if row:
            yield row


def _texts(response: Any, stopped: Callable[[], bool]) -> Iterator[bytes]:
    """Whole lines, as they come; the client's own iterator would hold one of any length.

    By `read`, as urllib3's `stream` has no limit for the line before a chunk in all its versions; and what is
    compressed, which nobody asked for, is no CSV.
    """
    cutter, came = LineCutter(), 0
    while block := response.read(BLOCK_BYTES, decode_content=False):
        came += len(block)
        if came > FINISHED_BYTES and stopped():
            raise UnfinishedAnswerError("the answer is no longer waited for")
        text = cutter.feed(block)
        if cutter.left_out:
            raise csv.Error
        if text:
            yield text
    if rest := cutter.end():
        yield rest


def _broken(error: BaseException | None, where: str) -> EdgeDetectError:
    """What urllib3 wraps says more than its own error; for TLS it is an argument."""
    causes = (error and error.__cause__, *(error.args[:1] if error else ()), error)
    cause = next(
        c for c in (*causes, OSError("the connection broke")) if isinstance(c, (OSError, HTTPException))
    )
    return unreachable(cause, where, READING)


def _refuse(error: Any, settings: InfluxSettings) -> NoReturn:
    """Raises what a refusal means; of a query that was not taken more than for other requests."""
    message = one_line(str(getattr(error, "message", "") or error.reason or ""))
    if "could not find bucket" in message:
        raise SourceError(
            f"InfluxDB has no such bucket, or the token lacks the right to read it ({message})",
            where=settings.place,
            hint=f"check --bucket, or give the token the right to read the {settings.store}",
        )
    if error.status in (BAD_REQUEST, NOT_FOUND):
        hint = "check --org" if "organization" in message else "check --bucket and the query"
        raise SourceError(f"InfluxDB answers {error.status} ({message})", where=settings.place, hint=hint)
    refuse(error.status, message, settings, READING)
