"""What sinks share that post to a server: an entry of the outbox becomes a post, and its answer an outcome.

An entry of a change is the change itself, and becomes a post when it is delivered: a template that a receiver
refused can be mended, and its dead letters tried again.
"""

from __future__ import annotations

import json
import time
from abc import ABC, abstractmethod
from contextlib import contextmanager
from hashlib import sha256
from typing import TYPE_CHECKING, NamedTuple

from edge_runtime.engine.alarms import Change
from edge_runtime.errors import EdgeDetectError, SinkError, SinkUnavailableError, UsageError
from edge_runtime.sinks.posting.answers import check_answer
from edge_runtime.sinks.posting.http import Poster
from edge_runtime.sinks.posting.target import target_of
from edge_runtime.timeparse import parse_time

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

    from edge_runtime.records import Results
    from edge_runtime.sinks.posting.http import Answer
    from edge_runtime.sinks.posting.target import PostSettings, Target
    from edge_runtime.tls import TlsSettings

__all__ = ["Message", "PostingSink", "change_of", "key_of", "together"]

# In one call of `deliver`, which is recorded when it returns: what a crash makes come twice is no more.
MAX_POSTS = 50
KEY_DIGITS = 32


class Message(NamedTuple):
    """One post.

    Attributes:
        body: What is posted.
        key: The same whenever it is posted again, and no other post's.
    """

    body: bytes
    key: str


class PostingSink(ABC):
    """Posts each change of an alarm to a server.

    Args:
        settings: Where to, and within which time.
        tls: By what TLS knows the server, and the server us.
        secret_file: The file with the key of signatures; None where nothing is signed.
        clock: Monotonic clock, in seconds.

    Raises:
        UsageError: The settings are wrong or incomplete, or a file cannot be read.
    """

    name: str

    def __init__(
        self,
        settings: PostSettings,
        tls: TlsSettings,
        secret_file: Path | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings = settings
        self._tls = tls
        self._secret_file = secret_file
        self._clock = clock
        self._target = target_of(self.name, settings, secret_file)
        self._check_target(self._target)
        self._context = self._tls.context() if self._target.is_tls else None
        self._failed = False

    def check(self) -> None:
        """Makes sure that the server takes a connection; nothing is posted.

        Raises:
            SinkUnavailableError: It does not, or a file cannot be read.
        """
        self._renew()
        self._poster().connect()

    def resume(self, position: str | None, waiting: Sequence[bytes] = ()) -> None:  # noqa: B027
        """What comes again has the same key, by which the receiver can tell."""

    def position(self) -> str | None:
        """Not needed."""
        return None

    def encode(self, results: Results) -> bytes:  # noqa: ARG002 - most take alarms alone
        """Nothing: rows do not go here."""
        return b""

    def encode_alarm(self, change: Change) -> bytes:
        """The change, as JSON."""
        return json.dumps(change.to_dict(), separators=(",", ":")).encode()

    @abstractmethod
    def deliver(self, payloads: Sequence[bytes]) -> int:
        """Posts what it can, oldest first; returns how many payloads the server has then.

        Raises:
            SinkUnavailableError: Try again later.
            SinkError: The server will never take the first one.
        """

    def close(self) -> None:  # noqa: B027
        """Nothing is kept open between deliveries."""

    def _check_target(self, target: Target) -> None:  # noqa: B027 - most can post to any address
        """Raises UsageError where this kind of sink cannot post to such an address."""

    def _path(self, target: Target) -> str:
        """Where on the server it is posted."""
        return target.path

    def _headers(self, message: Message) -> dict[str, str]:
        """Headers of a post."""
        headers = {"Content-Type": "application/json", "Idempotency-Key": message.key}
        if self._target.token is not None:
            headers["Authorization"] = f"Bearer {self._target.token}"
        return headers

    def _post(self, poster: Poster, message: Message) -> Answer:
        """Posts once.

        Raises:
            SinkError: The server has not taken it.
        """
        answer = poster.post(self._path(self._target), message.body, self._headers(message))
        check_answer(answer, self._target)
        return answer

    @contextmanager
    def _posting(self) -> Iterator[Poster]:
        """A connection to be, for one delivery."""
        if self._failed:
            self._renew()
        try:
            with self._poster() as poster:
                yield poster
        except SinkUnavailableError:
            self._failed = True
            raise
        self._failed = False

    def _one_by_one(
        self, poster: Poster, payloads: Sequence[bytes], messages: Callable[[bytes], Iterable[Message]]
    ) -> Iterator[None]:
        """Posts payloads until one fails, and yields after each; the first one's failure is raised.

        Not all are posted, as what was is recorded after the last one.

        Args:
            poster: By which.
            payloads: Oldest first.
            messages: The posts of a payload.
        """
        until = self._clock() + self._settings.timeout
        for number, payload in enumerate(payloads[:MAX_POSTS]):
            try:
                for message in messages(payload):
                    self._post(poster, message)
            except SinkError:
                if number == 0:
                    raise
                return
            yield
            if self._clock() >= until:
                return

    def _poster(self) -> Poster:
        """A connection to be."""
        return Poster(self._target, self._settings.timeout, self._context, self._clock)

    def _renew(self) -> None:
        """Reads the files again: somebody may have put other secrets or certificates there.

        Raises:
            SinkUnavailableError: They cannot be used now.
        """
        try:
            target = target_of(self.name, self._settings, self._secret_file)
            self._check_target(target)
            self._context = self._tls.context() if target.is_tls else None
        except UsageError as error:
            raise SinkUnavailableError(error.what, where=error.where, hint=error.hint) from None
        self._target = target


def change_of(payload: bytes) -> Change:
    """The change of an entry of the outbox.

    Raises:
        SinkError: There is none in it.
    """
    try:
        fields = json.loads(payload)
        change = Change(fields.pop("change"), parse_time(fields.pop("time"), 0), told=True, fields=fields)
        key_of(change)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError, EdgeDetectError):
        raise SinkError("what waited in the ledger is no change of an alarm") from None
    return change


def key_of(change: Change) -> str:
    """What no other change has: its alarm's id and its revision."""
    return f"{change.fields['event_id']}-{change.fields['revision']}"


def together(*parts: str | bytes) -> str:
    """A key of several things that are posted together."""
    digest = sha256()
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        digest.update(b"%d:%s" % (len(data), data))
    return digest.hexdigest()[:KEY_DIGITS]
