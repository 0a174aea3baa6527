"""Changes of alarms, and rows where that is asked for, posted as JSON to an address of one's own."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from edge_runtime.config import setting
from edge_runtime.engine.alarmtext import sentence
from edge_runtime.sinks.base import ALARMS, EVERYTHING, ROWS, TAKES, Only, SinkKind, Verdicts
from edge_runtime.sinks.posting.sink import Message, PostingSink, change_of, key_of, together
from edge_runtime.sinks.posting.target import PostSettings, variable_of
from edge_runtime.sinks.posting.template import Template, values_of
from edge_runtime.sinks.rows import json_lines
from edge_runtime.tls import TlsSettings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from edge_runtime.connector import Given
    from edge_runtime.engine.alarms import Change
    from edge_runtime.records import Results

__all__ = ["WEBHOOK", "WebhookSettings", "WebhookSink"]

# Of rows in one post: many servers, and proxies before them, take 1 MiB.
MAX_POST_BYTES = 1_000_000
# Between two rows of an entry, and nowhere within one: JSON has no line break in a text.
BETWEEN = b",\n"


@dataclass(frozen=True, slots=True, repr=False)
class WebhookSettings(PostSettings):
    """Where to, and what is posted."""

    url: str | None = setting(
        None, "Address of the receiver, such as https://example.org/alarms, without a login."
    )
    url_file: Path | None = setting(
        None,
        f"Private file with that address, where it is a secret, instead of {variable_of('webhook', 'url')}.",
    )
    token_file: Path | None = setting(
        None,
        "Private file with a token to send as Authorization: Bearer, "
        f"instead of {variable_of('webhook', 'token')}.",
    )
    takes: tuple[str, ...] = setting((ALARMS,), TAKES)
    only: Only = EVERYTHING
    body: str | None = setting(
        None,
        'JSON that is posted for a change of an alarm, such as {"text": "{text}"}: in its texts, {NAME} '
        "stands for a field of docs/alarms.md, {text} for a sentence and {title} for a few words about it, "
        "{{ and }} for braces; all fields, and text, unless given. Rows are posted as an array, without it.",
    )
    secret_file: Path | None = setting(
        None,
        "Private file with a key to sign posts with as Standard Webhooks has it, instead of "
        f"{variable_of('webhook', 'secret')}.",
    )

    def __post_init__(self) -> None:
        PostSettings.__post_init__(self)
        if self.body is not None:
            Template(self.body)


class WebhookSink(PostingSink):
    """Posts each change of an alarm by itself, and each block of rows as arrays.

    With a secret, posts are signed by the Standard Webhooks specification
    (https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md): the header
    `webhook-signature` is "v1," and the base64 of the HMAC-SHA256 of "ID.TIMESTAMP.BODY", with ID
    and TIMESTAMP as in the headers `webhook-id` and `webhook-timestamp`.

    Args:
        settings: Where to, and what is posted.
        tls: By what TLS knows the server, and the server us.
        sensors: The bundle's.
        now: Seconds since the epoch, for signatures.

    Raises:
        UsageError: The settings are wrong or incomplete, or a file cannot be read.
    """

    name = "webhook"

    def __init__(
        self,
        settings: WebhookSettings,
        tls: TlsSettings,
        sensors: tuple[str, ...],
        now: Callable[[], float] = time.time,
    ) -> None:
        super().__init__(settings, tls, settings.secret_file)
        self._template = None if settings.body is None else Template(settings.body)
        self._sensors = sensors
        self._now = now

    def encode(self, results: Results) -> bytes:
        """An array of JSON, one row a line."""
        lines = json_lines(results, self._sensors)
        return b"[" + lines[:-1].replace(b"\n", BETWEEN) + b"]" if lines else b""

    def deliver(self, payloads: Sequence[bytes]) -> int:
        """Posts some, oldest first; returns how many the server has then.

        Raises:
            SinkUnavailableError: Try again later.
            SinkError: The server will never take the first one.
        """
        with self._posting() as poster:
            return sum(1 for _ in self._one_by_one(poster, payloads, self._messages))

    def _messages(self, payload: bytes) -> Iterator[Message]:
        if payload.startswith(b"["):
            for body in _within(payload, MAX_POST_BYTES):
                yield Message(body, together(body))
            return
        change = change_of(payload)
        yield Message(json.dumps(self._document(change)).encode(), key_of(change))

    def _document(self, change: Change) -> object:
        if self._template is not None:
            return self._template.filled(values_of(change))
        return {**change.to_dict(), "text": sentence(change)}

    def _headers(self, message: Message) -> dict[str, str]:
        headers = super()._headers(message)
        key = self._target.secret
        if key is not None:
            moment = str(int(self._now()))
            signed = b".".join((message.key.encode(), moment.encode(), message.body))
            mac = base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()
            headers |= {
                "webhook-id": message.key,
                "webhook-timestamp": moment,
                "webhook-signature": f"v1,{mac}",
            }
        return headers


def _within(payload: bytes, most: int) -> Iterator[bytes]:
    """An array in parts of so many bytes, if a single row is not longer."""
    if len(payload) <= most:
        yield payload
        return
    rows = payload[1:-1].split(BETWEEN)
    part, size = list[bytes](), len(b"[]")
    for row in rows:
        if part and size + len(row) > most:
            yield b"[" + BETWEEN.join(part) + b"]"
            part, size = [], len(b"[]")
        part.append(row)
        size += len(row) + len(BETWEEN)
    yield b"[" + BETWEEN.join(part) + b"]"


def _make(given: Given, verdicts: Verdicts) -> WebhookSink:
    return WebhookSink(given[WebhookSettings], given[TlsSettings], verdicts.sensors)


WEBHOOK = SinkKind(
    name="webhook",
    summary="Posts each change of an alarm, or rows, as JSON to an address.",
    guarantee="At least once: a post whose answer is lost comes again, with the same Idempotency-Key.",
    tables={"webhook": WebhookSettings, "tls": TlsSettings},
    make=_make,
    takes=(ROWS, ALARMS),
    settings=WebhookSettings,
    tells="told",
)
