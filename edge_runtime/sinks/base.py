"""What every sink is: it turns results into payloads, and delivers payloads; and how one is made."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol, runtime_checkable

from edge_runtime.connector import Connector
from edge_runtime.errors import SinkError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from edge_runtime.connector import Given
    from edge_runtime.engine.alarms import Change
    from edge_runtime.records import Results

__all__ = ["AlarmSink", "RowsRefusedError", "Sink", "SinkKind", "Verdicts"]


class RowsRefusedError(SinkError):
    """A sink took a payload, but for some of its rows, which it never will take.

    Args:
        error: What it says of the last of them.
        payload: These rows, encoded as `Sink.encode` does.
        rows: Their number.
    """

    def __init__(self, error: SinkError, payload: bytes, rows: int) -> None:
        super().__init__(error.what, where=error.where, hint=error.hint)
        self.payload = payload
        self.rows = rows


class Sink(Protocol):
    """A place that results go to.

    `encode` makes the payload that the outbox stores; `deliver` sends payloads, oldest first, and returns
    only when the receiver has them for good. It raises `SinkUnavailableError` when the same payloads should
    be tried again later and `SinkError` when they will never be accepted; of a single payload it may raise
    `RowsRefusedError`. Delivery is at least once: a payload that was delivered just before a crash comes
    again, after `resume` with the position before it.
    """

    name: str

    def check(self) -> None:
        """Fails now, before a row is read, where the sink could not work at all."""
        ...

    def resume(self, position: str | None, waiting: Sequence[bytes]) -> None:
        """Goes on after what is known to have been delivered, and undoes what came after.

        `waiting` are the payloads that come first: what was delivered without being recorded is of these.
        It is called before the first delivery, and again after a delivery that failed in a way that `deliver`
        does not name.
        """
        ...

    def position(self) -> str | None:
        """What is delivered so far, for a later `resume`; None for a sink where repeating does no harm.

        It is asked for before each delivery and after it, and stored each time.
        """
        ...

    def encode(self, results: Results) -> bytes:
        """The payload for these rows."""
        ...

    def deliver(self, payloads: Sequence[bytes]) -> int | None:
        """Sends payloads, oldest first; returns how many of them, at least the first, or None for all.

        Where the kind's `max_under_way` is more than 1, several threads call it at the same time.
        """
        ...

    def close(self) -> None:
        """Frees what the sink holds."""
        ...


@runtime_checkable
class AlarmSink(Protocol):
    """A sink that takes alarms instead of rows: `Sink.encode` gives an empty payload, which goes nowhere."""

    def encode_alarms(self, changes: Sequence[Change]) -> bytes:
        """The payload for these changes of alarms, at least one, in their order."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdicts:
    """What a sink is made for.

    Attributes:
        sensors: The bundle's, in its order.
        digest: The bundle's, "sha256:" and 64 digits.
        report: Takes one line for a person.
    """

    sensors: tuple[str, ...]
    digest: str
    report: Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class SinkKind(Connector):
    """A kind of sink.

    Attributes:
        make: Makes one of its settings; raises `EdgeDetectError` where they are wrong or incomplete.
        direct: Whether it takes rows at once and keeps nothing, so that no ledger stands before it.
        max_under_way: How many calls of `deliver` may be under way at the same time, on threads of their own.
            More than one is for a sink without positions, to which neither the order of payloads matters nor
            that one comes twice.
        takes: What goes there: "rows", or the changes of "alarms", for an `AlarmSink`.
        probe: Raises `EdgeDetectError` where results could not go there, and leaves nothing behind; None
            where an ordinary sink's `check` does so.
    """

    make: Callable[[Given, Verdicts], Sink]
    direct: bool = False
    max_under_way: int = 1
    takes: Literal["rows", "alarms"] = "rows"
    probe: Callable[[Given, Verdicts], None] | None = None

    def probed(self, given: Given, verdicts: Verdicts) -> None:
        """Makes sure, for `edge-detect check`, that results could go there.

        Raises:
            EdgeDetectError: They could not.
        """
        if self.probe is not None:
            self.probe(given, verdicts)
            return
        sink = self.made(given, verdicts)
        sink.check()
        sink.close()

    def made(self, given: Given, verdicts: Verdicts) -> Sink:
        """A sink of this kind, which goes by the kind's name: the ledger keeps under it what waits.

        Raises:
            EdgeDetectError: Its settings are wrong or incomplete, or it has another name.
        """
        sink = self.make(given, verdicts)
        if sink.name != self.name:
            raise UsageError(f"the sink {self.name} calls itself '{sink.name}'", hint="correct its name")
        return sink
