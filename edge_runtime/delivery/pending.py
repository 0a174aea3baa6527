"""What was judged and is not committed yet, and its way into the ledger."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from edge_runtime.engine.accounts import LEFT_OUT
from edge_runtime.errors import LedgerUnavailableError, counted
from edge_runtime.records import Results

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from edge_runtime.checkpoint import Checkpoint
    from edge_runtime.delivery.backoff import Backoff
    from edge_runtime.delivery.entries import Entry
    from edge_runtime.delivery.ledger import Ledger
    from edge_runtime.delivery.sender import Sender
    from edge_runtime.engine.alarms import Change
    from edge_runtime.engine.stage import StageState

__all__ = ["DISK_S", "Pending", "store"]

# A full disk of this machine's own may be tried more often than a server.
DISK_S = 5.0


@dataclass
class Pending:
    """Rows since the last commit.

    Attributes:
        results: Blocks of them.
        counters: What the accounts counted of them.
        checkpoint: Where the source goes on after them, with the machines that moved; None for where it did
            before.
        alarms: What changed in alarms.
        words: The mark of the last of people's words that was taken up; None for none.
        rules: The rules in force; None for those that the ledger has.
        rows: How many were read.
        since: When the first of them came, seconds of the monotonic clock.
    """

    results: list[Results] = field(default_factory=list)
    counters: dict[str, int] = field(default_factory=dict)
    checkpoint: Checkpoint | None = None
    alarms: list[Change] = field(default_factory=list)
    words: str | None = None
    rules: str | None = None
    rows: int = 0
    since: float = 0.0

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing that must be stored."""
        return not self.rows and not self.alarms and self.words is None and self.rules is None

    def add(self, results: Results, counted: Mapping[str, int], clock: Callable[[], float]) -> None:
        """A block, and what the accounts counted of it."""
        if not self.rows:
            self.since = clock()
        for name, number in counted.items():
            self.counters[name] = self.counters.get(name, 0) + number
        self.results.append(results)
        self.rows += counted.get("read", 0)


def store(  # noqa: PLR0913 - what it depends on
    pending: Pending,
    ledger: Ledger,
    senders: Iterable[Sender],
    *,
    states: Sequence[StageState],
    clock: int | None,
    report: Callable[[str], None],
    wait: Callable[[float], Any],
    stopping: Callable[[], bool],
    standing: Callable[[str], list[dict[str, Any]]] = lambda _: [],
    remember: Callable[[Results | None, Sequence[Change]], str | None] | None = None,
) -> bool:
    """Commits rows; waits while the disk does not take them.

    Args:
        pending: The rows.
        ledger: Where to.
        senders: One for each sink behind the ledger.
        states: What the engine remembers after these rows.
        clock: The gateway's clock; None where it is not believed.
        report: Called with one line for a person.
        wait: Sleeps so many seconds, or less.
        stopping: Whether the process ends.
        standing: The fields of a machine's open alarms, for sinks that show them.
        remember: Writes the rows and changes of alarms where they are looked up later, before the ledger has
            them, and returns the mark to store with them; None for nowhere.

    Returns:
        Whether they are stored; only a stop ends the trying, for nothing may be lost.
    """
    blocks = [block for block in pending.results if len(block)]
    results = Results.joined(blocks) if blocks else None
    entries, left_out = _entries(results, pending.alarms, senders, standing)
    for sink, rows in left_out.items():
        pending.counters[f"{LEFT_OUT}{sink}"] = rows
    mark = None if remember is None else remember(results, pending.alarms)
    backoff: Backoff | None = None
    while True:
        try:
            ledger.commit(
                checkpoint=pending.checkpoint,
                states=states,
                payloads=entries,
                counters=pending.counters,
                words=pending.words,
                rules=pending.rules,
                clock=clock,
                history=mark,
            )
        except LedgerUnavailableError as error:
            if stopping():
                # Not acknowledged, so not lost: the next start reads these rows again.
                report(
                    f"ledger: {error}; {counted(pending.rows, 'row is', 'rows are')} left for the next start"
                )
                return False
            if backoff is None:
                from edge_runtime.delivery.backoff import Backoff  # noqa: PLC0415 - when a disk is full

                report(f"ledger: {error}; reading is paused until it can be written")
                backoff = Backoff(longest=DISK_S)
            wait(backoff.next_wait())
        else:
            if backoff is not None:
                report("ledger: is writable again")
            for sender in senders:
                sender.wake()
            return True


def _entries(
    results: Results | None,
    alarms: Sequence[Change],
    senders: Iterable[Sender],
    standing: Callable[[str], list[dict[str, Any]]],
) -> tuple[list[Entry], dict[str, int]]:
    """What goes to each sink; and how many rows do not, by the sinks that were told to leave them out."""
    from edge_runtime.delivery.entries import Entry  # noqa: PLC0415 - standard output needs none

    entries, left_out = list[Entry](), dict[str, int]()
    for sender in senders:
        outlet, name = sender.outlet, sender.sink.name
        entries += (Entry(name, *entry) for entry in outlet.entries(results, alarms, standing))
        if outlet.left_out:
            left_out[name], outlet.left_out = outlet.left_out, 0
    return entries, left_out
