"""Connections to a broker: only here is paho imported, which is an extra."""

from __future__ import annotations

import select
import socket
import time
from typing import TYPE_CHECKING, Any

from edge_runtime.errors import MissingExtraError, SourceUnavailableError
from edge_runtime.mqtt.oversize import PacketFilter

if TYPE_CHECKING:
    import ssl

    from edge_runtime.errors import EdgeDetectError
    from edge_runtime.mqtt.broker import Broker

__all__ = [
    "MQTT_3",
    "MQTT_5",
    "connect",
    "holds_bytes",
    "make_client",
    "require_paho",
    "turn",
]

MQTT_3, MQTT_5 = 4, 5  # as the protocol has them
CONNECT_S = 10.0
KEEP_ALIVE_S = 30
# Codes of OpenSSL for a certificate that is for another host or address.
OF_ANOTHER_HOST = (62, 64)
QUICK_ACK = getattr(socket, "TCP_QUICKACK", None)  # Linux has it


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
    broker: Broker,
    *,
    kept: bool,
    context: ssl.SSLContext | None = None,
    within_s: float = CONNECT_S,
    version: int = MQTT_3,
) -> Any:
    """A client that is not connected yet.

    Args:
        broker: Where, and as whom.
        kept: Whether the broker keeps its session, and each message is acknowledged by hand.
        context: Of TLS; the system's authorities are trusted without one.
        within_s: How long connecting to an address may take.
        version: `MQTT_5` or `MQTT_3`, which is 3.1.1; a session is kept with the latter alone.

    Raises:
        MissingExtraError: The extra is not installed.
    """
    paho = require_paho()
    client = _bounded(paho)(
        paho.CallbackAPIVersion.VERSION2,
        broker.client_id,
        clean_session=None if version == MQTT_5 else not kept,
        protocol=paho.MQTTv5 if version == MQTT_5 else paho.MQTTv311,
        manual_ack=kept,
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


def holds_bytes(connection: Any) -> bool:
    """Whether TLS has bytes that were read from the socket, which it no longer shows as ready for them."""
    pending = getattr(connection, "pending", None)
    return pending is not None and pending() > 0


def turn(client: Any, ear: socket.socket, seconds: float, *, waits: bool) -> bool:
    """Reads and writes what there is, after at most so many seconds.

    Args:
        client: A client that is connected, and belongs to this thread.
        ear: Ends the waiting as well; what comes there is read.
        seconds: How long to wait.
        waits: Whether acknowledgements are under way.

    Returns:
        Whether something was written.

    Raises:
        ValueError: What the broker sends is not MQTT.
    """
    connection = client.socket()
    if waits and QUICK_ACK is not None:
        # Else the broker's kernel holds its last acknowledgements back until ours owns to those before.
        connection.setsockopt(socket.IPPROTO_TCP, QUICK_ACK, 1)
    held = holds_bytes(connection)
    writing = [connection] if client.want_write() else []
    ready, writable, _ = select.select([connection, ear], writing, [], 0.0 if held else max(0.0, seconds))
    if ear in ready:
        ear.recv(4096)
    if writable:
        client.loop_write()
    if held or connection in ready:
        try:
            client.loop_read()
        except Exception as error:  # noqa: BLE001 - whatever the client raises of such bytes
            raise ValueError(str(error)) from None
    client.loop_misc()
    return bool(writable)
