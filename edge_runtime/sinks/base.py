"""What every sink is: it turns results into payloads, and delivers payloads."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edge_runtime.records import Results

__all__ = ["Sink"]


class Sink(Protocol):
    """A place that results go to.

    `encode` makes the payload that the outbox stores; `deliver` sends payloads, oldest first, and returns
    only when the receiver has them for good. It raises `SinkUnavailableError` when the same payloads should
    be tried again later and `SinkError` when they will never be accepted. Delivery is at least once: a
    payload that was delivered just before a crash comes again.
    """

    name: str

    def check(self) -> None:
        """Fails now, before a row is read, where the sink could not work at all."""
        ...

    def resume(self, position: str | None) -> None:
        """Goes on after what an earlier process is known to have delivered: undoes what came after."""
        ...

    def position(self) -> str | None:
        """What is delivered so far, for a later `resume`; None for a sink where repeating does no harm."""
        ...

    def encode(self, results: Results) -> bytes:
        """The payload for these rows."""
        ...

    def deliver(self, payloads: Sequence[bytes]) -> None:
        """Sends payloads, oldest first."""
        ...

    def close(self) -> None:
        """Frees what the sink holds."""
        ...
