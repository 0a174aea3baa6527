"""Connections to a broker: only here is paho imported, which is an extra."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Self

from edge_runtime.errors import MissingExtraError, SinkUnavailableError, SourceUnavailableError
from edge_runtime.mqtt.broker import Broker
from edge_runtime.mqtt.oversize import PacketFilter

if TYPE_CHECKING:
    import ssl
    from pathlib import Path

    from edge_runtime.errors import EdgeDetectError

__all__ = ["Publisher", "connect", "holds_bytes", "make_client", "require_paho"]

CONNECT_S = 10.0
KEEP_ALIVE_S = 30
PUBLISHED_WITHIN_S = 10.0
# Codes of OpenSSL for a certificate that is for another host or address.
OF_ANOTHER_HOST = (62, 64)


def require_paho() -> Any:
    """The module.

    Raises:
        MissingExtraError: It is not installed.
    """
    try:
        import paho.mqtt.client as paho  # noqa: PLC0415
    except ImportError:
        raise MissingExtraError("MQTT", "mqtt") from None
    return paho


def make_client(
    broker: Broker, *, kept: bool, context: ssl.SSLContext | None = None, within_s: float = CONNECT_S
) -> Any:
    """A client that is not connected yet.

    Args:
        broker: Where, and as whom.
        kept: Whether the broker keeps its session, and each message is acknowledged by hand.
        context: Of TLS; the system's authorities are trusted without one.
        within_s: How long connecting to an address may take.

    Raises:
        MissingExtraError: The extra is not installed.
    """
    paho = require_paho()
    client = _bounded(paho)(
        paho.CallbackAPIVersion.VERSION2, broker.client_id, clean_session=not kept, manual_ack=kept
    )
    client.connect_timeout = within_s
    if broker.username:
        client.username_pw_set(broker.username, broker.password)
    if broker.tls:
        client.tls_set_context(context)
    return client


def _bounded(paho: Any) -> Any:
    """The class of clients that take in no message that is too long; each makes one connection."""

    class BoundedClient(paho.Client):  # type: ignore[misc]
        fault = ""  # why the connection broke, as far as the socket knows

        def __init__(self, *args: Any, **options: Any) -> None:
            super().__init__(*args, **options)
            self._packets = PacketFilter(self._take)

        def _take(self, size: int) -> bytes:
            try:
                data: bytes = super()._sock_recv(size)
            except BlockingIOError:
                raise
            except OSError as error:
                self.fault = _reason(error)
                raise
            # Else a long message that comes slowly looks like a broker that has gone away: to paho 2.2, to
            # 2.1, and for want of its answer to a ping, which waits behind the message.
            self._last_bytes_received = self._last_msg_in = time.monotonic()
            self._ping_t = 0.0
            return data

        def _sock_recv(self, bufsize: int) -> bytes:
            return self._packets.read(bufsize)

    return BoundedClient


def connect(client: Any, broker: Broker, unavailable: type[EdgeDetectError] = SourceUnavailableError) -> None:
    """Connects.

    Raises:
        SourceUnavailableError: The broker cannot be reached; or the error that is named.
    """
    try:
        client.connect(broker.host, broker.port, KEEP_ALIVE_S)
    except (OSError, ValueError) as error:
        what, hint = _unreachable(error, tls=broker.tls)
        raise unavailable(what, where=broker.place, hint=hint) from None


def _unreachable(error: Exception, *, tls: bool) -> tuple[str, str]:
    """What a connection that was not made means, and what helps."""
    import ssl  # noqa: PLC0415 - paho has loaded it

    if isinstance(error, ssl.SSLCertVerificationError):
        hint = "name the file with its authority's certificate as ca_file in [tls]"
        if error.verify_code in OF_ANOTHER_HOST:
            hint = "write the name that the certificate is for in the address"
        return f"the broker's certificate is not trusted ({error.verify_message.rstrip('.')})", hint
    what = f"the broker cannot be reached ({_reason(error)})"
    if isinstance(error, ssl.SSLError):
        return what, "check the address; if the broker asks for a certificate, set cert_file in [tls]"
    return what, f"check that it runs, and the address{', and whether it talks TLS' * tls}"


def _reason(error: Exception) -> str:
    """In a few words, without what the library adds for programmers."""
    reason = getattr(error, "reason", None)  # of TLS, such as WRONG_VERSION_NUMBER
    if isinstance(reason, str):
        return f"TLS: {reason.replace('_', ' ').lower()}"
    return (getattr(error, "strerror", None) or str(error) or type(error).__name__).lower()


def holds_bytes(socket: Any) -> bool:
    """Whether TLS has bytes that were read from the socket, which it no longer shows as ready for them."""
    pending = getattr(socket, "pending", None)
    return pending is not None and pending() > 0


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
