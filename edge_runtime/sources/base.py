"""What every source is: an iterator of batches, each with its own acknowledgement."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edge_runtime.records import Readings

__all__ = ["Batch", "Source"]


@dataclass(frozen=True, slots=True)
class Batch:
    """What one read gave.

    Attributes:
        readings: The rows; may be empty (an idle poll, so that the loop can look at the clock).
        checkpoint: Where to go on after these rows, as JSON text. The ledger stores it in the same
            transaction as the rows' results; None for a source that cannot go back.
        skipped: Reason to the number of rows that were read but could not become readings.
        held: Whether the feed may hold back more until these rows are acknowledged: to wait for more could be
            to wait for nothing.
        unreadable: How many readings in these rows were no numbers, and are missing for that.
    """

    readings: Readings
    checkpoint: str | None
    skipped: dict[str, int]
    held: bool = False
    unreadable: int = 0


class Source(Protocol):
    """A feed of readings.

    `batches` yields until the feed ends or `close` is called from another thread or a signal handler. A
    source that can go back starts after `checkpoint`, what a batch of an earlier process carried. It raises
    `SourceUnavailableError` when the caller should back off and call `batches` again from the last
    checkpoint, and `SourceError` when it failed for good.

    Attributes:
        name: Of the kind of source.
        live: Whether rows come as they are measured, so that one of the future must be wrong.
    """

    name: str
    live: bool

    def check(self) -> None:
        """Fails now, before a row is read, where the source could not work at all."""
        ...

    def batches(self, checkpoint: str | None) -> Iterator[Batch]:
        """Yields the feed from `checkpoint` on, oldest first for each machine."""
        ...

    def what_came(self) -> str | None:
        """What came instead of readings, or None; asked when no row has come for a while."""
        ...

    def acknowledge(self) -> None:
        """Everything that was yielded is safe: committed or, where there is no ledger, handed on."""
        ...

    def close(self) -> None:
        """Makes `batches` return soon; safe from a signal handler."""
        ...
