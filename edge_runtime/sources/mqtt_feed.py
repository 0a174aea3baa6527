"""Readings from an MQTT broker: JSON objects, arrays of them, or line protocol.

The session is kept by the broker, messages have QoS 1, and a message is acknowledged when its rows are
committed: what was not comes again. A message that comes again although its rows were committed, for the
acknowledgement was lost, is recognised and left out (`edge_runtime/mqtt/redelivery.py`).

A retained message says how things were, not how they are: its rows are left out unless they have a time.

Everything happens in the caller's thread: while nothing is taken from the socket the broker holds back, so
that nothing piles up here. What has come is handed on at once: a message alone, or a backlog as one block.
"""

from __future__ import annotations

import os
import select
import time
from collections import Counter
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from edge_runtime.addresses import MQTT, TLS, who_answers
from edge_runtime.checkpoint import Checkpoint
from edge_runtime.errors import SourceError, SourceUnavailableError
from edge_runtime.mqtt.broker import PASSWORD_VARIABLE
from edge_runtime.mqtt.client import connect, holds_bytes, make_client, require_paho
from edge_runtime.mqtt.messages import MessageRows
from edge_runtime.mqtt.redelivery import Redelivery
from edge_runtime.records import NO_TIME, Readings
from edge_runtime.sources.base import Batch
from edge_runtime.text.cutter import MAX_LINE_BYTES

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Iterator

    from edge_runtime.mapping.form import Columns
    from edge_runtime.mqtt.broker import Broker, Topic

__all__ = ["MqttSource"]

IDLE_S = 0.5
ANSWERS_WITHIN_S = 5.0
ENDS_WITHIN_S, QUIET_S = 1.0, 0.05
MAX_MESSAGES = 500
AGAIN = "delivered before"
RETAINED = "retained, without a time"


class MqttSource:
    """A source over one subscription.

    Args:
        broker: Where.
        topic: What.
        columns: Which keys or fields to read.
        report: Called with what was wrong with a message that is skipped.
        kept: Whether the broker keeps the session; without it, messages are only looked at.
        context: Of TLS, where the broker talks it.
    """

    name = "mqtt"
    live = True

    def __init__(
        self,
        broker: Broker,
        topic: Topic,
        columns: Columns,
        *,
        report: Callable[[str], None] | None = None,
        kept: bool = True,
        context: ssl.SSLContext | None = None,
    ) -> None:
        self._broker = broker
        self._kept = kept
        self._context = context
        self._known = False
        self._answers_until = 0.0
        self._topic = topic
        self._columns = columns
        self._messages = MessageRows(topic, columns, broker.place, report=report or (lambda _: None))
        self._client: Any = None
        self._lost: str | None = None
        self._refused: str | None = None
        self._arrived: list[Any] = []
        self._arrived_bytes = 0
        self._given: list[Any] = []
        self._redelivery = Redelivery()
        self._closed = False
        self._wake_read, self._wake_write = os.pipe()

    def check(self) -> None:
        """Makes sure that the extra is installed.

        Raises:
            MissingExtraError: It is not.
        """
        require_paho()

    def what_came(self) -> str | None:
        """What came instead of readings."""
        sensors = ", ".join(self._columns.sensors)
        if self._messages.unmapped:
            return f"no message has one of the sensors {sensors}; there are: {self._messages.unmapped}"
        return f"no message with readings has come on {self._topic.subscription} so far"

    def acknowledge(self) -> None:
        """Tells the broker that every message that was handed on is safe."""
        given, self._given = self._given, []
        if self._kept and self._client is not None and self._lost is None:
            for message in given:
                self._client.ack(message.mid, message.qos)

    def close(self) -> None:
        """Ends `batches`, also while it waits for messages."""
        self._closed = True
        os.write(self._wake_write, b"x")

    def batches(self, checkpoint: Checkpoint | None) -> Iterator[Batch]:
        """Yields rows as they come; an empty batch when none came for a while.

        Raises:
            SourceUnavailableError: The broker cannot be reached or went away; call again.
            SourceError: It refuses the login or the subscription, or the checkpoint is another source's.
        """
        if checkpoint is not None:
            self._redelivery.restore(checkpoint.text)
        self._connect()
        try:
            while not self._closed:
                self._receive(IDLE_S)
                messages, self._arrived, self._arrived_bytes = self._arrived, [], 0
                self._given += messages
                if self._is_closed():
                    return
                readings, skipped = self._rows(messages)
                if not messages:
                    self._messages.complaints.tell_due()
                reached = Checkpoint(self._redelivery.checkpoint())
                yield Batch(readings, reached, skipped, held=bool(messages))
        finally:
            self._messages.complaints.tell_all()
            self._disconnect()

    def _is_closed(self) -> bool:
        return self._closed

    def _connect(self) -> None:
        self._arrived, self._given, self._lost, self._refused = [], [], None, None
        self._arrived_bytes = 0
        client = make_client(self._broker, kept=self._kept, context=self._context)
        client.on_connect, client.on_disconnect = self._on_connect, self._on_disconnect
        client.on_subscribe = self._on_subscribe
        client.on_message = self._on_message
        self._client = client
        self._answers_until = time.monotonic() + ANSWERS_WITHIN_S
        connect(client, self._broker)

    def _on_connect(self, client: Any, _data: Any, flags: Any, reason: Any, _properties: Any) -> None:
        if reason.is_failure:
            self._refused = f"the broker refuses the login ({str(reason).lower()})"
        else:
            self._known = True
            if not flags.session_present:
                self._redelivery.forget()
            client.subscribe(self._topic.subscription, qos=1)

    def _on_message(self, _client: Any, _data: Any, message: Any) -> None:
        try:
            message.topic  # noqa: B018 - decodes it
        except UnicodeDecodeError:  # which no broker should let through
            message.topic = b"?"
        self._arrived.append(message)
        self._arrived_bytes += len(message.payload)

    def _on_subscribe(self, _client: Any, _data: Any, _mid: int, reasons: Any, _properties: Any) -> None:
        if any(reason.is_failure for reason in reasons):
            self._refused = f"the broker refuses the subscription to {self._topic.subscription}"

    def _on_disconnect(self, client: Any, _data: Any, _flags: Any, reason: Any, _properties: Any) -> None:
        self._lost = client.fault or str(reason).lower()

    def _disconnect(self) -> None:
        if self._client is None:
            return
        with suppress(OSError, ValueError):
            self._settle()
        client, self._client = self._client, None
        client.disconnect()
        # Not when the garbage is collected: until then the broker would have the connection.
        if (socket := client.socket()) is not None:
            socket.close()

    def _settle(self) -> None:
        """Sends what is to be sent, and takes in what is under way.

        A connection that is closed with something unread is reset, and acknowledgements may be lost with it.
        """
        until = time.monotonic() + ENDS_WITHIN_S
        while (socket := self._client.socket()) is not None and time.monotonic() < until:
            waiting = [socket] if self._client.want_write() else []
            ready, writable, _ = select.select([socket], waiting, [], QUIET_S)
            if writable:
                self._client.loop_write()
            if ready:
                self._read_packet()
            if not ready and not writable:
                return

    def _receive(self, seconds: float) -> None:
        """Takes what has come; waits for the first message."""
        until = time.monotonic() + seconds
        while not self._arrived and not self._closed and self._lost is None:
            socket = self._client.socket()
            left = until - time.monotonic()
            if socket is None or left <= 0:
                break
            waiting = [socket] if self._client.want_write() else []
            held = holds_bytes(socket)
            ready, writable, _ = select.select([socket, self._wake_read], waiting, [], 0.0 if held else left)
            if held:
                ready.append(socket)
            if writable:
                self._client.loop_write()
            before = -1
            # One packet a call: until a call brings no more.
            while socket in ready and before < len(self._arrived) and self._has_room():
                before = len(self._arrived)
                self._read_packet()
        self._client.loop_misc()
        if self._refused:
            hint = f"set username in [mqtt], and {PASSWORD_VARIABLE}"
            raise SourceError(self._refused, where=self._broker.place, hint=hint)
        # Many a server of another kind waits for the rest of what it takes for a question of its own.
        if self._lost is None and not self._known and time.monotonic() >= self._answers_until:
            self._lost = "it does not answer"
        if self._lost is not None:
            # It learns so only when it has shown none; the reason may be lost with the connection.
            asked = self._broker.tls and not self._known
            mend = "if the broker asks for a certificate, set cert_file in [tls]" if asked else None
            raise SourceUnavailableError(self._why_lost(), where=self._broker.place, hint=mend)

    def _has_room(self) -> bool:
        """Whether more is to be taken in before what came is handed on."""
        few = len(self._arrived) < MAX_MESSAGES and self._arrived_bytes < MAX_LINE_BYTES
        return few and self._lost is None

    def _read_packet(self) -> None:
        try:
            self._client.loop_read()
        except Exception as error:  # noqa: BLE001 - whatever the client raises of bytes that are no MQTT
            self._lost = f"it sends what is not MQTT: {error}"

    def _why_lost(self) -> str:
        """What a lost connection means; one that never was a broker's may be to another server."""
        if not self._known:
            who = who_answers(self._broker.host, self._broker.port)
            if who not in (None, TLS if self._broker.tls else MQTT):
                return f"{who} answers there, not an MQTT broker"
        return f"the broker went away ({self._lost})"

    def _rows(self, messages: list[Any]) -> tuple[Readings, dict[str, int]]:
        """Rows of the messages, without those that were committed before; and what was left out."""
        if any(message.dup or message.retain for message in messages):
            return self._mixed(messages)
        self._redelivery.add(messages)
        readings, skipped = self._messages.readings(messages)
        return readings, dict(skipped)

    def _mixed(self, messages: list[Any]) -> tuple[Readings, dict[str, int]]:
        """The same where some were delivered before, or are retained."""
        again, retained, live = list[Any](), list[Any](), list[Any]()
        for message in messages:
            known = self._redelivery.knows(message)
            (again if known else retained if message.retain else live).append(message)
        self._redelivery.add(messages)
        left_out = Counter({AGAIN: self._count(again)})
        kept, unreadable = self._messages.readings(retained)
        timed = kept.times != NO_TIME
        left_out[RETAINED] = len(kept) - int(timed.sum())
        readings, skipped = self._messages.readings(live)
        joined = Readings.joined([kept.take(timed), readings])
        return joined, dict(left_out + unreadable + skipped)

    def _count(self, messages: list[Any]) -> int:
        """The rows that were left out, and the messages that have none."""
        readings, skipped = self._messages.readings(messages)
        return len(readings) + skipped.total()
