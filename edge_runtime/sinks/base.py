"""What every sink is: it turns results into payloads, and delivers payloads; and how one is made."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol, runtime_checkable

from edge_runtime.config import setting
from edge_runtime.connector import Connector
from edge_runtime.errors import SinkError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from edge_runtime.connector import Given
    from edge_runtime.engine.alarms import Change
    from edge_runtime.records import Results
    from edge_runtime.sinks.pace import Pace

__all__ = [
    "ALARMS",
    "ALL_ALARMS",
    "EVERYTHING",
    "ROWS",
    "TAKES",
    "AlarmSink",
    "Only",
    "OnlyAlarms",
    "PacedSink",
    "RowsRefusedError",
    "Sink",
    "SinkKind",
    "StateSink",
    "TendedSink",
    "Verdicts",
]

ROWS, ALARMS = "rows", "alarms"
TAKES = "What goes there: rows, changes of alarms, or both."
THINNING = ("all", "changes", "alarms")
# The words of `engine.alarms`, which few runs import.
PRIORITIES = ("low", "medium", "high")
KINDS = ("machine", "sensor")
CHANGES = (
    *("raised", "priority", "sensor", "again", "returned", "acknowledged", "comment"),
    *("shelved", "unshelved", "out of service", "in service", "replaced", "forgotten"),
)
LONGEST_AROUND_S = 86_400.0


@dataclass(frozen=True, slots=True)
class OnlyAlarms:
    """Which alarms go to a sink that takes nothing else; a table in the table of its settings."""

    machines: tuple[str, ...] = setting(
        (), "Machines of which anything goes there, as patterns such as press-*; every one unless given."
    )
    kinds: tuple[str, ...] = setting((), "Kinds of alarms that go there; every kind unless given.")
    priority: str = setting("low", "Least priority of the alarms that go there: low, medium or high.")
    changes: tuple[str, ...] = setting(
        (),
        "Changes of alarms that go there, such as raised; unless given, those of docs/notifications.md.",
    )

    def __post_init__(self) -> None:
        if self.priority not in PRIORITIES:
            what = f"'{self.priority}' is no priority"
            raise UsageError(what, where="only.priority", hint=_one_of(PRIORITIES))
        for kind in self.kinds:
            if kind not in KINDS:
                raise UsageError(f"'{kind}' is no kind of alarm", where="only.kinds", hint=_one_of(KINDS))
        for change in self.changes:
            if change not in CHANGES:
                what = f"'{change}' is no change of an alarm"
                raise UsageError(what, where="only.changes", hint=_one_of(CHANGES))


@dataclass(frozen=True, slots=True)
class Only(OnlyAlarms):
    """Which rows and alarms go to a sink, of those that it takes; a table in the table of its settings."""

    rows: str = setting(
        "all",
        'Which rows go there: all, those with another verdict or status than the row before ("changes"), or '
        'those around an alarm ("alarms").',
    )
    every: int = setting(1, "Of these rows, one of so many of each machine goes there.")
    around_s: float = setting(
        60.0, "How long before and after an alarm, in the time of the rows, a row is around it.", unit="s"
    )

    def __post_init__(self) -> None:
        OnlyAlarms.__post_init__(self)
        if self.rows not in THINNING:
            raise UsageError(f"'{self.rows}' is no choice of rows", where="only.rows", hint=_one_of(THINNING))
        if self.every < 1:
            raise UsageError("every must be 1 or more", where="only.every")
        if not 0 <= self.around_s <= LONGEST_AROUND_S:
            raise UsageError("around_s must be 0 to a day", where="only.around_s")


ALL_ALARMS, EVERYTHING = OnlyAlarms(), Only()


def _one_of(words: Sequence[str]) -> str:
    return f"it is one of: {', '.join(words)}"


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
    """A sink that takes alarms, instead of rows or beside them.

    Each change of an alarm is an entry of the outbox by itself, so that one that is refused takes no other
    along.
    """

    def encode_alarm(self, change: Change) -> bytes:
        """The payload for this change of an alarm; an empty one goes nowhere."""
        ...


@runtime_checkable
class StateSink(Protocol):
    """A sink that takes alarms, and also shows which ones are open at a machine."""

    def encode_state(self, machine_id: str, alarms: Sequence[dict[str, Any]]) -> bytes:
        """The payload that replaces what was shown of a machine.

        Args:
            machine_id: The machine.
            alarms: The fields of its open alarms, as in `Change.fields`.
        """
        ...


@runtime_checkable
class TendedSink(Protocol):
    """A sink with something to look after while nothing goes there, such as a connection."""

    def tend(self) -> None:
        """Called about once a second, on the sender's thread; it neither waits nor raises."""
        ...


@runtime_checkable
class PacedSink(Protocol):
    """A sink that speaks to people: in a flood, what waits is gathered, and `deliver` gets it together."""

    pace: Pace


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdicts:
    """What a sink is made for.

    Attributes:
        sensors: The bundle's, in its order.
        digest: The bundle's, "sha256:" and 64 digits.
        report: Takes one line for a person.
        owner: This gateway's feed, by its host and ledger: the same at each start, and that of no other one.
        state: The ledger's file, as commands name it; None where there is none.
    """

    sensors: tuple[str, ...]
    digest: str
    report: Callable[[str], None]
    owner: str = ""
    state: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SinkKind(Connector):
    """A kind of sink.

    Attributes:
        make: Makes one of its settings; raises `EdgeDetectError` where they are wrong or incomplete.
        direct: Whether it takes rows at once and keeps nothing, so that no ledger stands before it.
        max_under_way: How many calls of `deliver` may be under way at the same time, on threads of their own.
            More than one is for a sink without positions, to which neither the order of payloads matters nor
            that one comes twice.
        takes: What may go there: `ROWS`, and for an `AlarmSink` the changes of `ALARMS`; all of it, unless
            its settings say otherwise.
        settings: The dataclass among `tables` that says what goes there: with a field `takes`, a tuple of
            `ROWS` and `ALARMS`, where there is a choice, and a field `only`, an `Only`, or an `OnlyAlarms`
            for a sink that takes nothing else. None where there is nothing to choose.
        tells: Which changes of alarms go there unless its settings name them: "all", with those of alarms
            that are shelved or out of service; "told", those that are to be told; "people", of these what a
            person has to know.
        probe: Raises `EdgeDetectError` where results could not go there, and leaves nothing behind; None
            where an ordinary sink's `check` does so.
    """

    make: Callable[[Given, Verdicts], Sink]
    direct: bool = False
    max_under_way: int = 1
    takes: tuple[str, ...] = (ROWS,)
    settings: type | None = None
    tells: Literal["all", "told", "people"] = "all"
    probe: Callable[[Given, Verdicts], None] | None = None

    def chosen(self, given: Given) -> tuple[tuple[str, ...], OnlyAlarms]:
        """What goes there, and which of it.

        Raises:
            UsageError: It cannot take that.
        """
        if self.settings is None:
            return self.takes, EVERYTHING
        part: Any = given[self.settings]
        where, takes = f"the sink {self.name}", getattr(part, "takes", self.takes)
        for one in takes:
            if one not in self.takes:
                raise UsageError(f"it does not take '{one}'", where=where, hint=_one_of(self.takes))
        if not takes or len(set(takes)) < len(takes):
            raise UsageError(
                "takes must name at least one, and each once", where=where, hint=_one_of(self.takes)
            )
        return takes, part.only

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
            EdgeDetectError: Its settings are wrong or incomplete, it has another name, or it cannot take what
                its kind says.
        """
        sink = self.make(given, verdicts)
        if sink.name != self.name:
            raise UsageError(f"the sink {self.name} calls itself '{sink.name}'", hint="correct its name")
        if ALARMS in self.takes and not isinstance(sink, AlarmSink):
            raise UsageError(
                f"the sink {self.name} takes alarms, but has no encode_alarm",
                hint="it is of another version of edge-detect: install one that fits",
            )
        return sink
