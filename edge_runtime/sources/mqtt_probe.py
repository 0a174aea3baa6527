"""What `edge-detect check` listens with: a session of its own, which ends with the connection."""

from __future__ import annotations

import time
import uuid
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from edge_runtime.addresses import MQTT, TLS, who_answers
from edge_runtime.connector import Fact
from edge_runtime.errors import SourceUnavailableError, printable
from edge_runtime.mqtt.broker import Broker, Topic
from edge_runtime.mqtt.client import connect, make_client, require_paho
from edge_runtime.sources.mqtt_feed import MqttSource

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from edge_runtime.mapping.form import Columns

__all__ = ["MqttProbe"]

LISTEN_S = 3.0
MAX_TOPICS = 20
MAX_TOPIC_LETTERS = 200


class MqttProbe:
    """A probe over one subscription: messages are copies, and the gateway's own session is not touched.

    Args:
        url: The broker.
        topic: What the gateway subscribes to.
        columns: Which keys or fields to read.
        username: None for nobody.
        password_file: None for the environment.
        report: Called with what was wrong with a message that is skipped.
        context: Of TLS, where the broker talks it.
    """

    def __init__(
        self,
        url: str,
        topic: str,
        columns: Columns,
        username: str | None,
        password_file: Path | None,
        report: Callable[[str], None],
        context: ssl.SSLContext | None = None,
    ) -> None:
        self._context = context
        own = f"edge-detect-check-{uuid.uuid4().hex[:12]}"
        self._broker = Broker.of(url, own, username=username, password_file=password_file)
        # Within a group it would be given messages that are meant for the gateway.
        self._topic = Topic(Topic(topic).alone)
        self.source = MqttSource(
            self._broker, self._topic, columns, report=report, kept=False, context=context
        )

    def facts(self) -> Iterator[Fact]:
        """The broker and the subscription.

        Raises:
            SourceUnavailableError: Something else answers there. Many a server waits for the rest of what it
                takes for a question of its own, so that only asking tells.
        """
        require_paho()
        who = who_answers(self._broker.host, self._broker.port)
        if who not in (None, TLS if self._broker.tls else MQTT):
            raise SourceUnavailableError(
                f"{who} answers there, not an MQTT broker",
                where=self._broker.place,
                hint="check the address and the port",
            )
        yield Fact("broker", self._broker.place)
        yield Fact("subscription", self._topic.subscription)

    def instead(self) -> Iterator[Fact]:
        """What came, and which topics there are."""
        yield Fact("instead", self.source.what_came() or "nothing came", wrong=True)
        topics = self._topics()
        more = " and more" if len(topics) > MAX_TOPICS else ""
        listed = ", ".join(topics[:MAX_TOPICS]) or "no message came on any topic that this login may read"
        yield Fact("topics", f"{listed}{more} ({LISTEN_S:g} s of everything, retained messages too)")

    def _topics(self) -> list[str]:
        """The topics of what comes within some seconds."""
        found: dict[str, None] = {}
        broker = replace(self._broker, client_id=f"{self._broker.client_id}-all")
        client = make_client(broker, kept=False, context=self._context)

        def on_connect(client: Any, *_: Any) -> None:
            client.subscribe("#")

        client.on_connect = on_connect

        def on_message(_client: Any, _data: Any, message: Any) -> None:
            with suppress(UnicodeDecodeError):  # of a broker that lets anything through
                found.setdefault(printable(message.topic, MAX_TOPIC_LETTERS))

        client.on_message = on_message
        connect(client, self._broker)
        until = time.monotonic() + LISTEN_S
        while (left := until - time.monotonic()) > 0 and len(found) <= MAX_TOPICS:
            try:
                if client.loop(left) != 0:  # the broker hung up, as on a subscription that it does not allow
                    break
            except Exception:  # noqa: BLE001 - whatever the client raises of bytes that are no MQTT
                break
        client.disconnect()
        return sorted(found)
