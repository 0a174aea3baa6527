"""One connection to a broker, over which messages are published with QoS 1, on a thread of its own.

The thread keeps the connection alive while nothing is published. A connection that is lost is never taken up
again: the next one is another link, which publishes only what it is given.
"""

from __future__ import annotations

import socket
import threading
import time
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from edge_runtime.errors import EdgeDetectError, SinkUnavailableError
from edge_runtime.mqtt.client import MQTT_5, connect, make_client, turn
from edge_runtime.mqtt.losses import UNKNOWN_VERSION, Losses
from edge_runtime.mqtt.outgoing import Delivery

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Sequence

    from edge_runtime.mqtt.broker import Broker
    from edge_runtime.mqtt.outgoing import Message

__all__ = ["Link"]

# Messages under way at the same time, unless the broker takes fewer: more gain nothing.
UNDER_WAY = 64
# After so long no further group begins, so that whoever delivers learns which have arrived.
BEGIN_WITHIN_S = 1.0
IDLE_S = 5.0
JOIN_S = 1.0
TICK_S = 1e-9


class Link:
    """Begins to connect at once.

    Args:
        broker: Where, and as whom.
        context: Of TLS, where the broker talks it.
        timeout: Seconds within which the broker has to answer, and to acknowledge.
        will: What the broker publishes when the connection is lost; None for nothing.
        greeting: What is published first; what the broker does not take of it, it does not get.
        table: The table with its settings, for what is said when it is lost.
        version: Of the protocol, as `make_client` has it.
        clock: Monotonic clock, in seconds.

    Attributes:
        why_lost: Why it was lost, or never came about; None while it is not.
        greeting: What became of the greeting.
        wants_older: Whether it was lost because the broker may not know this version.
        max_packet: Bytes that a packet may have, where the broker has said so.
    """

    def __init__(
        self,
        broker: Broker,
        context: ssl.SSLContext | None,
        *,
        timeout: float,
        will: Message | None = None,
        greeting: Sequence[Message] = (),
        table: str,
        version: int = MQTT_5,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._broker, self._context, self._timeout = broker, context, timeout
        self._will, self._clock = will, clock
        self._losses, self._version = Losses(broker, timeout, table), version
        # Held for what both threads use: the next five, and the end of a delivery.
        self._changed = threading.Condition()
        self._opened_at: float | None = None
        self.why_lost: EdgeDetectError | None = None
        self._lost_at = 0.0
        self.greeting = Delivery([greeting], goes_on=True)
        self._waiting, self._end_by = deque([self.greeting]), float("inf")
        self.wants_older = False
        self.max_packet: int | None = None
        self._under_way = UNDER_WAY
        self._refusal: EdgeDetectError | None = None
        self._hung_up = ""
        self._unacknowledged: dict[int, tuple[Delivery, int, Message]] = {}
        self._progress_at = clock()
        self._bell, self._ear = socket.socketpair()
        self._thread = threading.Thread(target=self._run, name=f"mqtt {broker.place}", daemon=True)
        self._thread.start()

    @property
    def is_open(self) -> bool:
        """Whether the broker has accepted it, and it is not lost."""
        return self._opened_at is not None and self.why_lost is None

    @property
    def held_s(self) -> float:
        """Seconds from when the broker accepted it until it was lost; 0 where it never did."""
        return 0.0 if self._opened_at is None else max(self._lost_at - self._opened_at, TICK_S)

    def wait_open(self) -> None:
        """Returns when the broker has accepted it.

        Raises:
            EdgeDetectError: It is lost, or the broker does not answer.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._opened_at is not None or self.why_lost, self._timeout)
            if self.why_lost is not None:
                raise self.why_lost
            if self._opened_at is None:
                raise self._losses.no_answer()

    def send(self, groups: Sequence[Sequence[Message]]) -> tuple[int, EdgeDetectError | None]:
        """Publishes messages in their order; what does not arrive is not tried again.

        Returns:
            How many of the first groups are with the broker, and why the next one is not. Without a reason it
            is at least one; not all, where that took long.
        """
        delivery = Delivery(groups, self._clock() + BEGIN_WITHIN_S)
        with self._changed:
            self._waiting.append(delivery)
            self._ring()
            self._changed.wait_for(lambda: delivery.is_done or self.why_lost)
            arrived = delivery.arrived()
            return arrived, None if arrived == len(groups) else delivery.refusal or self.why_lost

    def close(self, farewell: Message | None, within_s: float) -> None:
        """Publishes one more message, and hangs up; within so many seconds, whatever the broker does.

        If the broker has not acknowledged it by then, the will is published instead.
        """
        with self._changed:
            if farewell is not None:
                self._waiting.append(Delivery([[farewell]]))
            self._end_by = self._clock() + within_s
            self._ring()
        # Not for long: a name may still be looked up, which nothing ends.
        self._thread.join(within_s + JOIN_S)

    def _ring(self) -> None:
        with suppress(OSError):  # the thread has ended
            self._bell.send(b"!")

    def _run(self) -> None:
        client: Any = None
        try:
            client = self._client()
            connect(client, self._broker, SinkUnavailableError)
            why = self._serve(client)
        except EdgeDetectError as error:
            why = error
        except Exception as error:  # noqa: BLE001 - else nobody would learn that it has ended
            why = self._losses.broken(error)
        if client is not None and (connection := client.socket()) is not None:
            connection.close()
        with self._changed:
            self._lost_at, self.why_lost = self._clock(), why
            self._changed.notify_all()
        self._bell.close()
        self._ear.close()

    def _client(self) -> Any:
        client = make_client(
            self._broker, kept=False, context=self._context, within_s=self._timeout, version=self._version
        )
        client.max_inflight_messages_set(0)  # without a bound, for they are counted here
        if self._will is not None:
            client.will_set(self._will.topic, self._will.payload, qos=1, retain=self._will.retain)
        client.on_connect, client.on_disconnect = self._on_connect, self._on_disconnect
        client.on_publish = self._on_publish
        return client

    def _serve(self, client: Any) -> EdgeDetectError:
        """Publishes and keeps alive until the connection is lost or `close` is called; why it ended."""
        self._progress_at = self._clock()
        while True:
            if self._opened_at is not None:
                self._publish(client)
            now = self._clock()
            if client.socket() is None:
                return self._why_gone()
            expects = self._opened_at is None or bool(self._unacknowledged)
            if self._end_by < float("inf") and not (expects or self._waiting):
                client.disconnect()
                return self._losses.closed()
            if now >= self._end_by:
                # Without a word, or the broker would drop the will, and what it retains would stay as it is.
                return self._losses.closed()
            overdue = self._progress_at + self._timeout if expects else float("inf")
            if now >= overdue:
                losses = self._losses
                return losses.no_answer() if self._opened_at is None else losses.no_acknowledgement()
            seconds = min(now + IDLE_S, overdue, self._end_by) - now
            try:
                if turn(client, self._ear, seconds, waits=bool(self._unacknowledged)):
                    self._progress_at = self._clock()
            except ValueError as error:
                nonsense = self._losses.nonsense(error)
                return self._no_broker(nonsense) if self._opened_at is None else nonsense

    def _why_gone(self) -> EdgeDetectError:
        if self._refusal is not None:
            return self._refusal
        if self._opened_at is not None:
            return self._losses.gone(self._hung_up)
        return self._no_broker(self._losses.hung_up(self._hung_up))

    def _no_broker(self, why: EdgeDetectError) -> EdgeDetectError:
        """It is no broker; or one that does not know the version, for many of these hang up."""
        self.wants_older = self._version == MQTT_5
        return why if self.wants_older else self._losses.another_server() or why

    def _publish(self, client: Any) -> None:
        """Sends as many messages as may be under way."""
        while len(self._unacknowledged) < self._under_way and self._waiting:
            delivery, now = self._waiting[0], self._clock()
            found = delivery.next(now)
            if found is None:
                with self._changed:
                    self._waiting.popleft()
                    self._changed.notify_all()
                continue
            if not self._unacknowledged:
                self._progress_at = now
            group, message = found
            sent = client.publish(message.topic, message.payload, qos=1, retain=message.retain)
            self._unacknowledged[sent.mid] = delivery, group, message

    def _on_connect(self, _client: Any, _data: Any, _flags: Any, reason: Any, properties: Any) -> None:
        if reason.is_failure:
            self._refusal = self._losses.refused(reason.value, str(reason).lower())
            self.wants_older = reason.value == UNKNOWN_VERSION and self._version == MQTT_5
            return
        self._under_way = min(UNDER_WAY, getattr(properties, "ReceiveMaximum", UNDER_WAY))
        self.max_packet = getattr(properties, "MaximumPacketSize", None)
        with self._changed:
            self._opened_at = self._clock()
            self._changed.notify_all()

    def _on_publish(self, _client: Any, _data: Any, mid: int, reason: Any, _properties: Any) -> None:
        delivery, group, message = self._unacknowledged.pop(mid)
        self._progress_at = self._clock()
        if reason.is_failure:
            delivery.refused(self._losses.not_taken(message, str(reason).lower()))
        else:
            delivery.acknowledged(group)
        if delivery.is_done:
            with self._changed:
                self._changed.notify_all()

    def _on_disconnect(self, client: Any, _data: Any, _flags: Any, reason: Any, _properties: Any) -> None:
        said = str(reason).lower()
        self._hung_up = client.fault or ("it hung up" if said == "unspecified error" else said)
