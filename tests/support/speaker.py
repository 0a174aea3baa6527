"""A broker of one connection that says what a test wants it to say."""

from __future__ import annotations

import socket
import threading
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import ssl
    from collections.abc import Sequence

__all__ = ["Speaker", "sent"]

CONNECT, CONNACK, PUBACK, SUBSCRIBE = 1, b"\x20\x02\x00\x00", 4, 8


class Speaker(threading.Thread):
    """Takes a connection and a subscription, speaks, and hears what is acknowledged.

    Args:
        pieces: What it sends after the subscription's acknowledgement, piece by piece.
        pause_s: Between two of them.
        context: For TLS.
        at_once: Whether the first piece comes in one write with that acknowledgement.

    Attributes:
        port: Where it listens.
        acknowledged: The packet ids that were acknowledged.
        over: Set when the client has gone.
    """

    def __init__(
        self,
        pieces: Sequence[bytes],
        *,
        pause_s: float = 0.0,
        context: ssl.SSLContext | None = None,
        at_once: bool = False,
    ) -> None:
        super().__init__(daemon=True)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._pieces, self._pause_s, self._context, self._at_once = list(pieces), pause_s, context, at_once
        self.port: int = self._listener.getsockname()[1]
        self.acknowledged: list[int] = []
        self.over = threading.Event()

    def run(self) -> None:
        connection, _ = self._listener.accept()
        if self._context:
            connection = self._context.wrap_socket(connection, server_side=True)
        with connection, self._listener:
            assert _packet(connection)[0] >> 4 == CONNECT
            connection.sendall(CONNACK)
            subscribe = _packet(connection)
            assert subscribe[0] >> 4 == SUBSCRIBE
            acknowledgement = b"\x90\x03" + subscribe[2:4] + b"\x01"
            connection.sendall(acknowledgement + (self._pieces.pop(0) if self._at_once else b""))
            for piece in self._pieces:
                try:
                    connection.sendall(piece)
                except OSError:
                    break
                time.sleep(self._pause_s)
            while packet := _packet(connection):
                if packet[0] >> 4 == PUBACK:
                    self.acknowledged.append(int.from_bytes(packet[2:4], "big"))
        self.over.set()


def sent(payload: bytes, packet_id: int, topic: bytes = b"t/m") -> bytes:
    """A message of QoS 1."""
    body = len(topic).to_bytes(2, "big") + topic + packet_id.to_bytes(2, "big") + payload
    size, length = len(body), bytearray()
    while True:
        size, part = size >> 7, size & 0x7F
        length.append(part | (0x80 if size else 0))
        if not size:
            return b"\x32" + bytes(length) + body


def _packet(connection: socket.socket) -> bytes:
    """A packet of less than 128 bytes; nothing when the client has gone."""
    try:
        head = connection.recv(2)
        return head + (connection.recv(head[1]) if len(head) == 2 and head[1] else b"")
    except OSError:
        return b""
