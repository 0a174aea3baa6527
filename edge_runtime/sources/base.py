"""What every source is: an iterator of batches, each with its own acknowledgement; and how one is made."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from edge_runtime.connector import Connector, Fact

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from edge_runtime.checkpoint import Checkpoint
    from edge_runtime.connector import Given
    from edge_runtime.records import Readings

__all__ = ["Batch", "Feed", "PlainProbe", "Probe", "Source", "SourceKind"]


@dataclass(frozen=True, slots=True)
class Batch:
    """What one read gave.

    Attributes:
        readings: The rows; may be empty (an idle poll, so that the loop can look at the clock).
        checkpoint: Where to go on after these rows. The ledger stores it in the same transaction as the rows'
            results; None for a source that cannot go back.
        skipped: Reason to the number of rows that were read but could not become readings.
        held: Whether the feed may hold back more until these rows are acknowledged: to wait for more could be
            to wait for nothing.
        unreadable: How many readings in these rows were no numbers, and are missing for that.
    """

    readings: Readings
    checkpoint: Checkpoint | None
    skipped: dict[str, int]
    held: bool = False
    unreadable: int = 0


class Source(Protocol):
    """A feed of readings.

    `batches` yields until the feed ends or `close` is called from another thread or a signal handler. A
    source that can go back starts after `checkpoint`, what the batches of an earlier process carried: the
    last one's text, and each machine as the last batch that named it had it. It raises
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

    def batches(self, checkpoint: Checkpoint | None) -> Iterator[Batch]:
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Feed:
    """What a source is made for.

    Attributes:
        sensors: The bundle's, in its order.
        report: Takes one line for a person.
        now_ns: What time to go by, nanoseconds since the epoch.
        future_s: Seconds ahead of that clock up to which rows are judged.
        owner: This gateway, this feed and its ledger: the same text at every start, and no one else's.
    """

    sensors: tuple[str, ...]
    report: Callable[[str], None]
    now_ns: Callable[[], int]
    future_s: float
    owner: str


class Probe(Protocol):
    """A source for `edge-detect check`: it moves no checkpoint, keeps no session, leaves nothing behind."""

    @property
    def source(self) -> Source:
        """What to read from for a while."""
        ...

    def facts(self) -> Iterator[Fact]:
        """What is there, before anything is read; raises `EdgeDetectError` where nothing can be read."""
        ...

    def instead(self) -> Iterator[Fact]:
        """What is there instead, when no row came."""
        ...


@dataclass(frozen=True, slots=True)
class PlainProbe:
    """The probe of a source that leaves nothing behind anyway."""

    source: Source

    def facts(self) -> Iterator[Fact]:
        """Whether it can be read at all."""
        self.source.check()
        return iter(())

    def instead(self) -> Iterator[Fact]:
        """What it says itself."""
        came = self.source.what_came()
        return iter(() if came is None else (Fact("instead", came, wrong=True),))


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceKind(Connector):
    """A kind of source.

    Attributes:
        make: Makes one of its settings; raises `EdgeDetectError` where they are wrong or incomplete.
        identity: What is read, as one line: a ledger belongs to it. It names what lies where, not what is
            taken of it, so that another machine or another spelling of the server keeps the ledger.
        earlier_identity: The line that versions up to 0.1 stored in a ledger of this feed; None if as now.
        has_earlier: Whether such a line of another spelling is of the same feed.
        needs_ledger: Whether it goes on where it was, so that `run` always keeps a ledger for it.
        needs_bundle: Whether `run` has to be told a bundle: readings of a real machine fit no default.
        probe: Makes what `edge-detect check` reads with; None where an ordinary source leaves no trace.
    """

    make: Callable[[Given, Feed], Source]
    identity: Callable[[Given], str]
    earlier_identity: Callable[[Given], str] | None = None
    has_earlier: Callable[[str, Given], bool] = lambda _stored, _given: False
    needs_ledger: bool = False
    needs_bundle: bool = True
    probe: Callable[[Given, Feed], Probe] | None = None

    def probed(self, given: Given, feed: Feed) -> Probe:
        """What `edge-detect check` reads with."""
        return PlainProbe(self.make(given, feed)) if self.probe is None else self.probe(given, feed)
