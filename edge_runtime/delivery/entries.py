"""What stands in the outbox, and what is known of all of it together."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from edge_runtime.delivery.book import Book

__all__ = ["Bounds", "Entry", "Kept", "Parcel"]


class Entry(NamedTuple):
    """A payload that is put into the outbox.

    Attributes:
        sink: For which sink.
        payload: What the sink encoded.
        rows: Number of rows, or of changes of alarms, in it.
    """

    sink: str
    payload: bytes
    rows: int


@dataclass(frozen=True, slots=True)
class Parcel:
    """A payload on its way to a sink.

    Attributes:
        id: Its place in the order; rises.
        rows: Number of rows in it.
        payload: What the sink encoded.
    """

    id: int
    rows: int
    payload: bytes


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much a ledger keeps; beyond it the oldest go.

    Attributes:
        waiting_bytes: Of payloads that wait.
        dead_bytes: Of the payloads of dead letters.
        dead_letters: How many of them.
    """

    waiting_bytes: int = 256 << 20
    dead_bytes: int = 64 << 20
    dead_letters: int = 100_000


@dataclass(slots=True)
class Kept:
    """What is summed over the entries, and how far they reach.

    Attributes:
        last: The highest id that was given.
        floor: No entry up to this id waits any more, for they went for room.
        entries: That wait.
        bytes: Of their payloads.
        dead_floor: As `floor`, for the dead letters.
        letters: Dead letters.
        dead_bytes: Of their payloads.
        old: Entries up to this id may be of a version without checksums.
    """

    last: int = 0
    floor: int = 0
    entries: int = 0
    bytes: int = 0
    dead_floor: int = 0
    letters: int = 0
    dead_bytes: int = 0
    old: int = 0

    @classmethod
    def of(cls, book: Book) -> Kept:
        """As the book has it."""
        return cls(**json.loads(book.about.get("kept", "{}")))

    def into(self, book: Book) -> None:
        """Into the book."""
        book.about["kept"] = json.dumps(asdict(self), separators=(",", ":"))
