"""A gateway at a broker: connected again whenever the connection is lost, and said there to be online."""

from __future__ import annotations

import json
import time
from contextlib import suppress
from typing import TYPE_CHECKING
from zlib import crc32

from edge_runtime.errors import SinkUnavailableError, UsageError
from edge_runtime.mqtt.client import MQTT_3, MQTT_5
from edge_runtime.mqtt.link import Link
from edge_runtime.mqtt.outgoing import Message
from edge_runtime.timeparse import format_time

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Iterable

    from edge_runtime.mqtt.broker import Broker

    Where = tuple[Broker, ssl.SSLContext | None]

__all__ = ["Presence"]

# Retained messages that a broker gets again, in case that it has forgotten them; of more topics, the newest.
MAX_RETAINED = 10_000
CLOSES_WITHIN_S = 2.0
# A lost connection is made again after a second, then after twice as long, and so on.
FIRST_S, LONGEST_S, DOUBLINGS = 1.0, 60.0, 10
# After having held for so long, it counts as one that was made at the first try.
HELD_S = 30.0


class Presence:
    """Keeps one link at a time; one thread at a time calls it.

    Args:
        where: Gives the broker, and the context of TLS where it talks that; asked for each connection, so
            that a secret or a certificate that was replaced is taken up.
        timeout: Seconds within which the broker has to answer.
        table: The table with these settings, for messages.
        status_topic: Where is said whether this gateway is online; None for nowhere.
        bundle: Digest of the bundle, which is said with it.
        report: Called with one line for a person.
        clock: Monotonic clock, in seconds.
    """

    def __init__(
        self,
        where: Callable[[], Where],
        *,
        timeout: float,
        table: str,
        status_topic: str | None,
        bundle: str,
        report: Callable[[str], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._where, self._timeout, self._table = where, timeout, table
        self._broker, self._context = where()
        self._status_topic, self._bundle = status_topic, bundle
        self._report, self._clock = report, clock
        self._link: Link | None = None
        self._tries, self._next_try = 0, clock()
        # So that many gateways do not come back in step: a part of each wait that is this one's own.
        self._part = 0.5 + crc32(self._broker.client_id.encode()) / 2**33
        self._said_of: Link | None = None  # the last link whose loss somebody was told of
        self._owes_news = False  # that it is connected again
        self._refusal = ""  # of a greeting, as it was said
        self._version = MQTT_5
        self._retained: dict[str, Message] = {}

    def opened(self) -> Link:
        """The link, which is made where there is none.

        Raises:
            SinkUnavailableError: The broker cannot be reached, or refuses.
        """
        link = self._link
        if link is None or link.why_lost is not None:
            link = self._connect()
        try:
            link.wait_open()
        except SinkUnavailableError:
            self.was_told()
            if not link.wants_older:
                raise
            return self.opened()
        return link

    def was_told(self) -> None:
        """Somebody was told that the link is lost."""
        self._said_of = self._link

    def tend(self) -> None:
        """Begins to connect again where the link is lost, and it is time; neither waits nor raises."""
        link = self._link
        if link is None:
            return
        if link.greeting.refusal is not None and str(link.greeting.refusal) != self._refusal:
            self._refusal = str(link.greeting.refusal)
            self._report(self._refusal)
        if link.why_lost is None:
            if self._owes_news and link.is_open:
                self._report("is connected again")
                self._owes_news = False
            return
        if link.held_s and link is not self._said_of:
            self._report(f"{link.why_lost}; it is tried again")
            self._said_of, self._owes_news = link, True
        if link.wants_older or self._clock() >= self._next_try:
            with suppress(SinkUnavailableError):
                self._connect()

    def remember(self, messages: Iterable[Message]) -> None:
        """The broker has these now; those that it retains it gets again with each connection."""
        for message in messages:
            if message.retain:
                self._retained.pop(message.topic, None)
                self._retained[message.topic] = message
        while len(self._retained) > MAX_RETAINED:
            del self._retained[next(iter(self._retained))]

    def close(self) -> None:
        """Says that this gateway stops, and hangs up; within seconds."""
        link, self._link = self._link, None
        if link is not None and link.why_lost is None:
            link.close(self._status("offline", reason="stopped"), CLOSES_WITHIN_S)

    def _connect(self) -> Link:
        before = self._link
        if before is not None and before.wants_older:
            self._version = MQTT_3
        else:
            # Whatever did not come about is tried with the newest version again: another broker may be there.
            self._version = self._version if before is not None and before.held_s else MQTT_5
            self._tries = 1 if before is not None and before.held_s >= HELD_S else self._tries + 1
            wait = min(LONGEST_S, FIRST_S * 2.0 ** min(self._tries - 1, DOUBLINGS))
            self._next_try = self._clock() + self._part * wait
        with suppress(UsageError):  # a file is just being replaced, or gone: it is as it was
            self._broker, self._context = self._where()
        online = self._status("online", bundle=self._bundle)
        # Not where the connection was lost over what is retained: something else has to get through.
        again = before is None or before.greeting.is_done or not before.held_s
        try:
            self._link = Link(
                self._broker,
                self._context,
                timeout=self._timeout,
                will=self._status("offline"),
                greeting=[*filter(None, [online]), *(self._retained.values() if again else ())],
                table=self._table,
                version=self._version,
                clock=self._clock,
            )
        except (OSError, RuntimeError) as error:  # no more sockets, or threads, for this process
            raise SinkUnavailableError(f"cannot connect ({error})", where=self._broker.place) from None
        return self._link

    def _status(self, status: str, **more: str) -> Message | None:
        """What is retained about this gateway; its will has no time, as nobody knows when it will be."""
        if self._status_topic is None:
            return None
        since = {"since": format_time(time.time_ns())} if more else {}
        content = json.dumps({"status": status, **since, **more}, separators=(",", ":"))
        return Message(self._status_topic, content.encode(), retain=True)
