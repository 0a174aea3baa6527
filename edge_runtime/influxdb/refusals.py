"""What an InfluxDB's refusals mean: for good or for now, and what helps."""

from __future__ import annotations

import http.client
import json
import socket
import ssl
from dataclasses import dataclass
from typing import TYPE_CHECKING, NoReturn

from edge_runtime.errors import (
    EdgeDetectError,
    SinkError,
    SinkUnavailableError,
    SourceError,
    SourceUnavailableError,
)
from edge_runtime.influxdb.settings import PASSWORD_VARIABLE, TOKEN_VARIABLE

if TYPE_CHECKING:
    from edge_runtime.influxdb.settings import InfluxSettings

__all__ = [
    "MESSAGE_BYTES",
    "READING",
    "WRITING",
    "BodyTooLargeError",
    "Errors",
    "LoginRefusedError",
    "NothingToWriteError",
    "QueryTooLargeError",
    "is_missing_database",
    "is_too_large",
    "missing_database",
    "one_line",
    "refuse",
    "unreachable",
    "words_of",
]

MESSAGE_BYTES = 4096
MESSAGE_LETTERS = 300
# What a server says when one question asks for more than it may read at once: 3 Core's limit of Parquet files
# and of memory, 1.x's limits of a SELECT, 2.x's of a Flux query.
TOO_LARGE_WORDS = ("file limit", "resources exhausted", "max-select-", "memory allocation limit")


# What InfluxDB itself answers to a request that it refuses, beside the codes from 500 on.
OWN_REFUSALS = {400, 401, 403, 404, 413, 422, 429}
PAGE_BEGINNINGS = ("<html", "<!doctype")
# What a server says of a limit that somebody can lift, and of a body without points.
LIMIT_WORDS = "exceed limit"
NOTHING_WORDS = ("writing requires points", "write was empty")


class LoginRefusedError(SourceError):
    """The server does not know the token or password: another one may be in its file later."""


class QueryTooLargeError(SourceError):
    """The server will not read so much for one question: ask for a shorter range."""


@dataclass(frozen=True, slots=True)
class Errors:
    """Which errors a request raises.

    Attributes:
        final: For a request that will never be accepted.
        for_now: For a server that cannot be reached or is overloaded.
        setup: For a right that is lacking or a database that is not there: mended at the server.
        login: For a token or password that the server does not know.
        right: What the login needs the right to do.
    """

    final: type[EdgeDetectError]
    for_now: type[EdgeDetectError]
    setup: type[EdgeDetectError]
    login: type[EdgeDetectError]
    right: str


READING = Errors(SourceError, SourceUnavailableError, SourceError, LoginRefusedError, "read")
# Rows are worth keeping until somebody has mended the server.
WRITING = Errors(SinkError, SinkUnavailableError, SinkUnavailableError, SinkUnavailableError, "write")


class NothingToWriteError(SinkError):
    """A post had no points: the server would have taken some."""


class BodyTooLargeError(SinkError):
    """More in one post than the server takes: `write` halves it."""


def refuse(
    status: int, message: str, settings: InfluxSettings, errors: Errors, *, is_3: bool = False
) -> NoReturn:
    """Raises what an answer means whose status is none of success.

    Args:
        status: Of the answer.
        message: The server's words, on one line.
        settings: Where and as whom it was asked.
        errors: Which errors to raise.
        is_3: Whether the server is an InfluxDB 3.
    """
    where = settings.place
    if _is_not_its_own(status, message):
        raise errors.for_now(
            f"something other than InfluxDB answers {status} ({message})",
            where=where,
            hint="check the address, and the proxy before it",
        )
    if status == http.client.UNAUTHORIZED:
        raise errors.login(
            f"InfluxDB refuses the login ({message})",
            where=where,
            hint=f"set {TOKEN_VARIABLE}, or --username with {PASSWORD_VARIABLE}",
        )
    if status == http.client.FORBIDDEN:
        raise errors.setup(
            f"InfluxDB knows the login, but it lacks the right to {errors.right} here ({message})",
            where=where,
            hint=f"give its token or user the right to {errors.right} the {settings.store}",
        )
    if status == http.client.NOT_FOUND and settings.bucket and is_3:
        raise errors.setup(
            f"this is InfluxDB 3, which has no buckets ({message})",
            where=where,
            hint="name a database with --database instead of --bucket and --org",
        )
    if status == http.client.NOT_FOUND or is_missing_database(message):
        raise missing_database(message, where, errors)
    if errors is READING and is_too_large(message):
        raise QueryTooLargeError(f"InfluxDB refuses to read this much at once ({message})", where=where)
    if status == http.client.TOO_MANY_REQUESTS or status >= http.client.INTERNAL_SERVER_ERROR:
        raise errors.for_now(f"InfluxDB answers {status} ({message})", where=where, hint="try again later")
    raise _refusal(status, message, where, errors)


def _refusal(status: int, message: str, where: str, errors: Errors) -> EdgeDetectError:
    """The error for a request that the server understands and does not want."""
    answer = f"InfluxDB answers {status} ({message})"
    if status == http.client.REQUEST_ENTITY_TOO_LARGE:
        return BodyTooLargeError(f"InfluxDB does not accept a line this long ({message})", where=where)
    if LIMIT_WORDS in message:
        return errors.setup(f"InfluxDB has reached a limit ({message})", where=where, hint="raise its limit")
    if any(words in message for words in NOTHING_WORDS):
        return NothingToWriteError(answer, where=where)
    conflict = "conflict" in message or "column type" in message
    hint = "the field exists with another type: write to another measurement" if conflict else None
    return errors.final(answer, where=where, hint=hint)


def _is_not_its_own(status: int, message: str) -> bool:
    """Whether this is a redirect, or a page that a proxy or another server shows to people."""
    is_page = message[:9].lower().startswith(PAGE_BEGINNINGS)
    if status == http.client.REQUEST_ENTITY_TOO_LARGE:  # from whomever: less at once helps
        return False
    return status < http.client.INTERNAL_SERVER_ERROR and (is_page or status not in OWN_REFUSALS)


def unreachable(error: BaseException, where: str, errors: Errors) -> EdgeDetectError:
    """The error for a connection that was not made, or broke."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return errors.setup(
            f"InfluxDB's certificate is not trusted ({error.verify_message})",
            where=where,
            hint="set SSL_CERT_FILE to the certificate of its authority",
        )
    return errors.for_now(
        f"InfluxDB cannot be reached ({_reason(error)})",
        where=where,
        hint="check that it runs, and the address",
    )


def is_missing_database(message: str) -> bool:
    """Whether a server's words say that the database or bucket is not there."""
    lowered = message.lower()
    return "not found" in lowered and any(
        word in lowered for word in ("database", "bucket", "retention policy")
    )


def is_too_large(message: str) -> bool:
    """Whether a server's words say that one question asked for too much."""
    return any(word in message.lower() for word in TOO_LARGE_WORDS)


def missing_database(message: str, where: str, errors: Errors) -> EdgeDetectError:
    """The error for it."""
    return errors.setup(
        f"InfluxDB cannot find the database or bucket ({message})",
        where=where,
        hint="check --database (InfluxDB 2 needs a mapping for it) or --bucket, or create it",
    )


def one_line(message: str) -> str:
    """A server's words, on one line of bounded length."""
    return " ".join(message.split())[:MESSAGE_LETTERS]


def words_of(body: bytes) -> str:
    """A server's own words in the body of a refusal, on one line."""
    text = body.decode("utf-8", "replace").strip()
    try:
        document = json.loads(text)
    except ValueError:
        document = None
    if isinstance(document, dict):
        text = str(document.get("error") or document.get("message") or text)
        # 3 Core names the lines that it refused: an object for one, a list for several.
        refused = document.get("data")
        if isinstance(refused, list) and refused:
            refused = refused[0]
        if isinstance(refused, dict) and refused.get("error_message"):
            text = f"{text}: {refused['error_message']}"
    return one_line(text) or "without a word"


def _reason(error: BaseException) -> str:
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, socket.gaierror):
        return "no such host"
    if isinstance(error, ssl.SSLError):
        return f"TLS: {error.reason or error}"
    return (getattr(error, "strerror", None) or str(error) or type(error).__name__).lower()
