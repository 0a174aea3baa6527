"""What a receiver's answers mean: taken, refused for good, or to be tried again; and what helps."""

from __future__ import annotations

import json
import socket
import ssl
from http import HTTPStatus
from http.client import HTTPException, RemoteDisconnected
from typing import TYPE_CHECKING

from edge_runtime.errors import SinkError, SinkUnavailableError, printable
from edge_runtime.sinks.posting.target import variable_of

if TYPE_CHECKING:
    from edge_runtime.sinks.posting.http import Answer
    from edge_runtime.sinks.posting.target import Target

__all__ = ["check_answer", "unreachable"]

MAX_LETTERS = 200
LATER = "it is tried again"
ADDRESS = "check the address"
# The statuses from 400 to 499 that speak of what was posted, and will again.
FINAL = {400, 406, *range(411, 418), 418, 422, 431}
# A proxy's 400 that speaks of how the connection is made, in the words of nginx.
OF_CONNECTION = ("ssl certificate", "https port")
# What helps at the others; None where that depends on the settings.
FOR_NOW: dict[int, str | None] = {
    HTTPStatus.UNAUTHORIZED: None,
    HTTPStatus.FORBIDDEN: None,
    HTTPStatus.NOT_FOUND: ADDRESS,
    HTTPStatus.METHOD_NOT_ALLOWED: ADDRESS,
    HTTPStatus.PROXY_AUTHENTICATION_REQUIRED: "a proxy stands before it, and wants a login",
    HTTPStatus.REQUEST_TIMEOUT: LATER,
    HTTPStatus.CONFLICT: LATER,
    HTTPStatus.GONE: "the receiver was removed: get a new address",
    HTTPStatus.TOO_EARLY: LATER,
    HTTPStatus.TOO_MANY_REQUESTS: LATER,
}


def check_answer(answer: Answer, target: Target) -> None:
    """Returns where the receiver has taken what was posted.

    Raises:
        SinkUnavailableError: It has not, and may later.
        SinkError: It never will.
    """
    status = answer.status
    if HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES:
        return
    words = words_of(answer.body, target)
    what = f"it answers {status}{f' ({words})' if words else ''}"
    of_connection = any(one in words.lower() for one in OF_CONNECTION)
    if status in FINAL and not of_connection:
        raise SinkError(what, where=target.place)
    if of_connection:
        hint = "check that the address begins with https, and cert_file in [tls]"
        raise SinkUnavailableError(what, where=target.place, hint=hint)
    if status in FOR_NOW:
        hint = FOR_NOW[status] or _about_token(target)
    elif status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        hint = LATER
    elif status >= HTTPStatus.MULTIPLE_CHOICES:
        hint = "redirects are not followed: give the address that it redirects to"
    else:
        hint = ADDRESS
    raise SinkUnavailableError(what, where=target.place, hint=hint)


def _about_token(target: Target) -> str:
    variable = variable_of(target.kind, "token")
    if target.token is not None:
        return f"put a valid token into the file that token_file in [{target.kind}] names, or into {variable}"
    return f"check the address, or set token_file in [{target.kind}] or {variable}"


def words_of(body: bytes, target: Target) -> str:
    """A receiver's own words, on one line of bounded length, and without what must not be shown."""
    text = body.decode("utf-8", "replace")
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        document = None
    if isinstance(document, dict):
        said = [document[key] for key in ("error", "message", "detail") if document.get(key)]
        text = ": ".join(one for one in said if isinstance(one, str)) or text
    elif isinstance(document, str):
        text = document
    for secret in target.secrets:
        escaped = json.dumps(secret)[1:-1]
        for written in (secret, escaped, escaped.replace("/", "\\/")):
            text = text.replace(written, "…")
    return printable(" ".join(text.split()), MAX_LETTERS)


def unreachable(error: BaseException, target: Target, timeout: float) -> SinkUnavailableError:
    """The error for a connection that was not made, or broke, or does not speak HTTP.

    Args:
        error: What happened.
        target: Where to.
        timeout: Seconds that there were.
    """
    hint = ADDRESS
    if isinstance(error, ssl.SSLCertVerificationError):
        what = f"its certificate is not trusted ({error.verify_message})"
        hint = "set ca_file in [tls] to the certificate of its authority"
    elif isinstance(error, ssl.SSLError):
        what = f"TLS fails ({error.reason or type(error).__name__})"
        hint = "check that it is https, and cert_file in [tls] if it asks for a certificate"
    elif isinstance(error, TimeoutError):
        what = f"no answer within {timeout:g} s"
        hint = f"check that it runs, or set a longer timeout in [{target.kind}]"
    elif isinstance(error, socket.gaierror | UnicodeError):
        what = "there is no such host"
    elif isinstance(error, RemoteDisconnected):
        what, hint = "it hung up without an answer", LATER
    elif isinstance(error, HTTPException | ValueError):
        what = f"what answers is not HTTP ({type(error).__name__})"
    else:
        what = f"it cannot be reached ({(getattr(error, 'strerror', None) or type(error).__name__).lower()})"
        hint = "check that it runs, and the address"
    return SinkUnavailableError(what, where=target.place, hint=hint)
