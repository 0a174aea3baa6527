"""One HTTP request to an InfluxDB, and what its failures mean."""

from __future__ import annotations

import base64
import http.client
import json
import socket
import ssl
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlencode, urlsplit

from edge_runtime.errors import (
    EdgeDetectError,
    SinkError,
    SinkUnavailableError,
    SourceError,
    SourceUnavailableError,
)
from edge_runtime.influxdb.settings import PASSWORD_VARIABLE, TOKEN_VARIABLE, InfluxSettings

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["READING", "WRITING", "BodyTooLargeError", "Errors", "InfluxClient", "unreachable"]

MESSAGE_BYTES = 4096


@dataclass(frozen=True, slots=True)
class Errors:
    """Which errors a request raises.

    Attributes:
        final: For a request that will never be accepted.
        for_now: For a server that cannot be reached or is overloaded.
        setup: For a login that is refused or a database that is not there: mended at the server.
    """

    final: type[EdgeDetectError]
    for_now: type[EdgeDetectError]
    setup: type[EdgeDetectError]


READING = Errors(SourceError, SourceUnavailableError, SourceError)
# Rows are worth keeping until somebody has mended the server.
WRITING = Errors(SinkError, SinkUnavailableError, SinkUnavailableError)


class BodyTooLargeError(SinkError):
    """More in one post than the server takes: `write` halves it."""


class InfluxClient:
    """Requests to one server; a connection of its own for each, so that none goes stale between polls.

    Args:
        settings: Where and as whom.
    """

    def __init__(self, settings: InfluxSettings) -> None:
        self.settings = settings
        parts = urlsplit(settings.url)
        self._host = parts.hostname or ""
        self._port = parts.port
        self._prefix = parts.path.rstrip("/")
        self._tls = ssl.create_default_context() if parts.scheme == "https" else None

    @contextmanager
    def request(
        self,
        method: str,
        path: str,
        parameters: Mapping[str, str],
        *,
        body: bytes | None = None,
        errors: Errors = READING,
    ) -> Iterator[http.client.HTTPResponse]:
        """A response with a status below 300, to be read within the block.

        Raises:
            SourceUnavailableError, SinkUnavailableError: The server cannot be reached, is overloaded, or went
                away.
            SourceError, SinkError: It refuses the request.
        """
        connection = self._connection()
        headers = {"Accept": "application/json", "User-Agent": "edge-detect", **self._authorization()}
        try:
            try:
                connection.request(method, f"{self._prefix}{path}?{urlencode(parameters)}", body, headers)
            except (BrokenPipeError, ConnectionResetError):
                if connection.sock is None:
                    raise
                # A body that is too long is answered before it is read to its end.
            response = connection.getresponse()
            if response.status >= http.client.MULTIPLE_CHOICES:
                self._refuse(response, errors)
            yield response
        except (OSError, http.client.HTTPException) as error:
            raise unreachable(error, self.settings.place, errors) from None
        finally:
            connection.close()

    def version(self) -> str:
        """The server's version, as /ping gives it; empty when it does not say.

        Raises:
            SourceUnavailableError: It cannot be reached.
        """
        with self.request("GET", "/ping", {}) as response:
            return response.getheader("X-Influxdb-Version") or ""

    def _connection(self) -> http.client.HTTPConnection:
        timeout = self.settings.timeout
        if self._tls is not None:
            return http.client.HTTPSConnection(self._host, self._port, timeout=timeout, context=self._tls)
        return http.client.HTTPConnection(self._host, self._port, timeout=timeout)

    def _authorization(self) -> dict[str, str]:
        settings = self.settings
        if settings.token:
            return {"Authorization": f"Token {settings.token}"}
        if settings.username:
            pair = f"{settings.username}:{settings.password or ''}".encode()
            return {"Authorization": f"Basic {base64.b64encode(pair).decode()}"}
        return {}

    def _refuse(self, response: http.client.HTTPResponse, errors: Errors) -> None:
        """Raises what a status says."""
        status, message = response.status, _message(response.read(MESSAGE_BYTES))
        where = self.settings.place
        if status in (http.client.UNAUTHORIZED, http.client.FORBIDDEN):
            raise errors.setup(
                f"InfluxDB refuses the login ({message})",
                where=where,
                mend=f"set {TOKEN_VARIABLE}, or --username with {PASSWORD_VARIABLE}",
            )
        if status == http.client.NOT_FOUND or is_missing_database(message):
            raise missing_database(message, where, errors)
        if status == http.client.TOO_MANY_REQUESTS or status >= http.client.INTERNAL_SERVER_ERROR:
            raise errors.for_now(
                f"InfluxDB answers {status} ({message})", where=where, mend="try again later"
            )
        if status == http.client.REQUEST_ENTITY_TOO_LARGE:
            raise BodyTooLargeError(f"InfluxDB takes no line that long ({message})", where=where)
        conflict = "conflict" in message or "column type" in message
        mend = "the field is there with another type: write to another measurement" if conflict else None
        raise errors.final(f"InfluxDB answers {status} ({message})", where=where, mend=mend)


def unreachable(error: BaseException, where: str, errors: Errors) -> EdgeDetectError:
    """The error for a connection that was not made, or broke."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return errors.setup(
            f"InfluxDB's certificate is not trusted ({error.verify_message})",
            where=where,
            mend="set SSL_CERT_FILE to the certificate of its authority",
        )
    return errors.for_now(
        f"InfluxDB cannot be reached ({_reason(error)})",
        where=where,
        mend="check that it runs, and the address",
    )


def is_missing_database(message: str) -> bool:
    """Whether a server's words say that the database or bucket is not there."""
    lowered = message.lower()
    return "not found" in lowered and any(
        word in lowered for word in ("database", "bucket", "retention policy")
    )


def missing_database(message: str, where: str, errors: Errors) -> EdgeDetectError:
    """The error for it."""
    return errors.setup(
        f"InfluxDB does not have it ({message})",
        where=where,
        mend="check --database (InfluxDB 2 needs a mapping for it) or --bucket, or create it",
    )


def _message(body: bytes) -> str:
    """A server's own words, on one line."""
    text = body.decode("utf-8", "replace").strip()
    try:
        document = json.loads(text)
    except ValueError:
        document = None
    if isinstance(document, dict):
        text = str(document.get("error") or document.get("message") or text)
        # 3 Core names the lines that it refused one by one: the first says enough.
        refused = document.get("data")
        if isinstance(refused, list) and refused and isinstance(refused[0], dict):
            text = f"{text}: {refused[0].get('error_message')}"
    return " ".join(text.split())[:300] or "without a word"


def _reason(error: BaseException) -> str:
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, socket.gaierror):
        return "no such host"
    if isinstance(error, ssl.SSLError):
        return f"TLS: {error.reason or error}"
    return (getattr(error, "strerror", None) or str(error) or type(error).__name__).lower()
