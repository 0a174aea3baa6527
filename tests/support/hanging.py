"""Servers that take a connection and then say nothing: at once, or from a moment on."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from typing import Self

__all__ = ["Freezing", "Silent"]


class Silent:
    """Accepts every connection, and answers none; a `with` block.

    Attributes:
        port: On the loopback.
        asked: Set once somebody is connected.
    """

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.asked = threading.Event()
        self._kept: list[socket.socket] = []

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for connection in self._kept:
            connection.close()

    def _accept(self) -> None:
        with suppress(OSError):  # the block ended
            while True:
                connection, _ = self._listener.accept()
                self._kept.append(connection)
                self._serve(connection)

    def _serve(self, connection: socket.socket) -> None:
        connection.setblocking(False)
        self.asked.set()


class Freezing(Silent):
    """Hands everything on to another server, until `freeze` is called.

    Args:
        port: The other server's, on the loopback.
    """

    def __init__(self, port: int) -> None:
        super().__init__()
        self._port = port
        self._frozen = False

    def freeze(self) -> None:
        """From now on nothing is answered any more; `asked` tells when somebody has asked in vain."""
        self._frozen = True

    def thaw(self) -> None:
        """Hands on again, but not what was asked in vain."""
        self._frozen = False

    def _serve(self, connection: socket.socket) -> None:
        if self._frozen:
            self.asked.set()
            return
        behind = socket.create_connection(("127.0.0.1", self._port))
        self._kept.append(behind)
        for source, sink in ((connection, behind), (behind, connection)):
            threading.Thread(target=self._pump, args=(source, sink), daemon=True).start()

    @staticmethod
    def _pump(source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(1 << 16):
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)
