"""Who listens at a broker: what came, as it came."""

from __future__ import annotations

import json
import threading
import time
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Heard", "Subscriber", "forget", "until"]

LIMIT_S = 240.0


def until(condition: Callable[[], object], limit_s: float = LIMIT_S) -> None:
    """Returns when that is so."""
    end = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < end, "it never was"
        time.sleep(0.005)


@dataclass(frozen=True, slots=True)
class Heard:
    """One message."""

    topic: str
    payload: bytes
    retained: bool
    qos: int

    @property
    def content(self) -> Any:
        """What it says."""
        return json.loads(self.payload)


class Subscriber:
    """Listens within a `with` block, with a session that the broker keeps until then.

    Args:
        port: The broker's, on the loopback.
        topic: What to subscribe to.

    Attributes:
        heard: What came so far.
    """

    def __init__(self, port: int, topic: str) -> None:
        self.heard: list[Heard] = []
        self._subscribed = threading.Event()
        self._client = paho.Client(CallbackAPIVersion.VERSION2, uuid.uuid4().hex, clean_session=False)
        self._client.reconnect_delay_set(1, 1)
        self._client.on_connect = lambda client, *_: client.subscribe(topic, qos=1)
        self._client.on_subscribe = lambda *_: self._subscribed.set()
        self._client.on_message = self._on_message
        self._port = port

    def __enter__(self) -> Self:
        self._client.connect("127.0.0.1", self._port)
        self._client.loop_start()
        assert self._subscribed.wait(LIMIT_S)
        return self

    def __exit__(self, *_: object) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def _on_message(self, _client: Any, _data: Any, message: Any) -> None:
        self.heard.append(Heard(message.topic, bytes(message.payload), message.retain, message.qos))

    def publish(self, topic: str, payload: bytes, *, retain: bool = False) -> None:
        """Publishes something itself."""
        self._client.publish(topic, payload, qos=1, retain=retain)

    def wait(self, condition: Callable[[list[Heard]], object]) -> list[Heard]:
        """What came, once that is so of it."""
        until(lambda: condition(self.heard))
        return list(self.heard)

    def wait_for(self, number: int) -> list[Heard]:
        """What came, once it is so many messages."""
        return self.wait(lambda heard: len(heard) >= number)


def forget(port: int, root: str) -> None:
    """Leaves nothing retained below a root, on a broker that other tests use as well."""
    with Subscriber(port, f"{root}/#") as subscriber:
        subscriber.publish(f"{root}/mark", b"")
        heard = subscriber.wait(lambda heard: any(one.topic.endswith("/mark") for one in heard))
        topics = {one.topic for one in heard if one.retained}
        for topic in topics:
            subscriber.publish(topic, b"", retain=True)
        subscriber.wait(lambda heard: topics <= {one.topic for one in heard if not one.payload})
