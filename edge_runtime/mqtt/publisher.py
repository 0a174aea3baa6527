"""Publishes on one topic for a while: what `edge-detect bench` feeds a gateway with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from edge_runtime.errors import SinkUnavailableError
from edge_runtime.mqtt.broker import Broker
from edge_runtime.mqtt.client import connect, make_client

if TYPE_CHECKING:
    import ssl
    from pathlib import Path

__all__ = ["Publisher"]

PUBLISHED_WITHIN_S = 10.0


class Publisher:
    """Publishes on one topic, within a `with` block, and leaves nothing there.

    Args:
        url: The broker.
        topic: Where to; nobody else's.
        session: Of the one who listens there: the client's id, whose session ends with the block.
        username: None for nobody.
        password_file: None for the environment.
        context: Of TLS.

    Raises:
        SinkUnavailableError: The broker cannot be reached.
    """

    def __init__(
        self,
        url: str,
        topic: str,
        session: str,
        username: str | None,
        password_file: Path | None,
        context: ssl.SSLContext | None = None,
    ) -> None:
        self._topic, self._context = topic, context
        self._listener = Broker.of(url, session, username=username, password_file=password_file)
        self._broker = Broker.of(url, f"{session}-publisher", username=username, password_file=password_file)
        self._client = make_client(self._broker, kept=False, context=context)

    def __enter__(self) -> Self:
        connect(self._client, self._broker, SinkUnavailableError)
        self._client.loop_start()
        return self

    def __exit__(self, *_: object) -> None:
        self.retain(b"")
        self._client.disconnect()
        self._client.loop_stop()
        # A session that begins anew takes away what was kept of it.
        client = make_client(self._listener, kept=False, context=self._context)
        connect(client, self._listener, SinkUnavailableError)
        client.loop_start()
        client.disconnect()
        client.loop_stop()

    def retain(self, payload: bytes) -> None:
        """For whoever subscribes from now on; nothing for nobody. Returns when the broker has it.

        Raises:
            SinkUnavailableError: It does not take it.
        """
        sent = self._client.publish(self._topic, payload, qos=1, retain=True)
        try:
            sent.wait_for_publish(PUBLISHED_WITHIN_S)
            taken = sent.is_published()
        except (RuntimeError, ValueError):
            taken = False
        if not taken:
            raise SinkUnavailableError(
                "the broker takes no message", where=self._broker.place, hint="check the login in [mqtt]"
            )

    def send(self, payload: bytes) -> None:
        """With QoS 1; does not wait."""
        self._client.publish(self._topic, payload, qos=1)
