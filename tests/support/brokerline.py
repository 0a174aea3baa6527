"""A line to a broker, which a test cuts or mutes."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from typing import Self

__all__ = ["BrokerLine"]


class BrokerLine:
    """Hands on what it gets, to a broker on the loopback and back, within a `with` block.

    Args:
        port: The broker's.

    Attributes:
        port: Its own.
        cuts: Of each later connection in turn: after how many bytes to the broker it ends. When none are
            left, connections do not end.
        mute: Whether what the broker says is kept back.
        made: Number of connections so far.
    """

    def __init__(self, port: int) -> None:
        self._broker = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.cuts: list[int] = []
        self.mute = False
        self.made = 0
        self._ends: list[socket.socket] = []  # the client's and the broker's, in turn
        self._silent = False

    @property
    def url(self) -> str:
        """For a client."""
        return f"mqtt://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.cut()

    def cut(self) -> None:
        """Ends every connection now."""
        ends, self._ends = self._ends, []
        for end in ends:
            _close(end)

    def hang_up(self) -> None:
        """Ends every connection, of which the broker learns nothing."""
        self._silent = True
        for end in self._ends[::2]:
            _close(end)

    def _accept(self) -> None:
        with suppress(OSError):  # the block ended
            while True:
                client, _ = self._listener.accept()
                self.made += 1
                try:
                    broker = socket.create_connection(("127.0.0.1", self._broker))
                except OSError:
                    client.close()
                    continue
                self._ends += [client, broker]
                left = self.cuts.pop(0) if self.cuts else 1 << 62
                threading.Thread(target=self._to_broker, args=(client, broker, left), daemon=True).start()
                threading.Thread(target=self._from_broker, args=(broker, client), daemon=True).start()

    def _to_broker(self, client: socket.socket, broker: socket.socket, left: int) -> None:
        with suppress(OSError):
            while left and (data := client.recv(min(left, 1 << 14))):
                broker.sendall(data)
                left -= len(data)
        for end in (client,) if self._silent else (client, broker):
            _close(end)

    def _from_broker(self, broker: socket.socket, client: socket.socket) -> None:
        with suppress(OSError):
            while data := broker.recv(1 << 14):
                if not self.mute:
                    client.sendall(data)
        for end in (client, broker):
            _close(end)


def _close(end: socket.socket) -> None:
    with suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)
    end.close()
