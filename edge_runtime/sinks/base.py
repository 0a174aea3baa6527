"""What every sink is: it turns results into payloads, and delivers payloads."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edge_runtime.records import Results

__all__ = ["Sink"]


class Sink(Protocol):
    """A place that results go to.

    `encode` makes the payload that the outbox stores; `deliver` sends payloads, oldest first, and returns only
    when the receiver has them for good. It raises `SinkUnavailableError` when the same payloads should be tried
    again later and `SinkError` when they will never be accepted. Delivery is at least once: a payload that was
    delivered just before a crash comes again.
    """

    name: str

    def encode(self, results: Results) -> bytes:
        """The payload for these rows."""
        ...

    def deliver(self, payloads: Sequence[bytes]) -> None:
        """Sends payloads, oldest first."""
        ...

    def close(self) -> None:
        """Frees what the sink holds."""
        ...
