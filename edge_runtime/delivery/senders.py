"""All senders of a process: begun, watched and ended together."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from edge_runtime.errors import SinkError, SinkUnavailableError, counted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from edge_runtime.delivery.ledger import Ledger
    from edge_runtime.delivery.sender import Sender

__all__ = ["Senders"]

# For what can be delivered at once: by each sender at the end of a feed, by all of them after a signal.
END_WITHIN_S = 5.0
STOP_WITHIN_S = 3.0
LOOK_EVERY_S = 0.2


class Senders:
    """One sender for each sink behind the ledger.

    Args:
        senders: They.
        ledger: What they drain; None where there are none.
        clock: Monotonic clock, in seconds.
    """

    def __init__(
        self, senders: Sequence[Sender], ledger: Ledger | None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._senders = senders
        self._ledger = ledger
        self._clock = clock

    def __iter__(self) -> Iterator[Sender]:
        """Each of them."""
        return iter(self._senders)

    def start(self) -> None:
        """Begins to deliver."""
        for sender in self._senders:
            sender.start()

    def check(self) -> None:
        """Raises what made a sender give up: a `SinkError`."""
        for sender in self._senders:
            if sender.failure is not None:
                raise sender.failure

    def finish(self, stopping: Callable[[], bool]) -> None:
        """Waits until each has delivered all, or its sink stays away, or it is time to stop."""
        for sender in self._senders:
            sender.finish()
        for sender in self._senders:
            while not (stopping() or sender.is_stuck or sender.join(LOOK_EVERY_S)):
                pass

    def stop(self, *, at_once: bool) -> None:
        """Ends them; each delivers what it can in the time it has, and the rest stays in the ledger.

        Args:
            at_once: Whether all of them together have the time that each has otherwise.
        """
        within = STOP_WITHIN_S if at_once else END_WITHIN_S
        until = self._clock() + within
        for sender in self._senders:
            sender.ask_to_stop(within)
        for sender in self._senders:
            sender.stop(max(0.0, until - self._clock()) if at_once else within)

    def waiting(self) -> dict[str, int]:
        """Sink to the number of rows or changes that wait for it in the ledger.

        Raises:
            LedgerUnavailableError: It cannot be read now.
        """
        ledger = self._ledger
        return {one.sink.name: ledger.waiting(one.sink.name) for one in self._senders} if ledger else {}

    def waits(self, sink: str, number: int) -> str:
        """That so much waits for a sink, such as "3 rows wait"."""
        one, many = next((s.outlet.words for s in self._senders if s.sink.name == sink), ("row", "rows"))
        return counted(number, f"{one} waits", f"{many} wait")

    def check_all_is_delivered(self) -> None:
        """Makes sure that a feed that has ended left nothing.

        Raises:
            SinkUnavailableError: Rows wait.
            SinkError: Rows were refused.
        """
        for sink, number in self.waiting().items():
            if number:
                raise SinkUnavailableError(
                    f"{self.waits(sink, number)} in the ledger for the sink {sink}",
                    hint="start again with the same ledger to deliver them",
                )
        for sender in self._senders:
            if sender.refused:
                one, many = sender.outlet.words
                refused_were = counted(sender.refused, f"{one} was", f"{many} were")
                raise SinkError(
                    f"{refused_were} refused by the sink {sender.sink.name}",
                    hint="`edge-detect outbox list` shows the dead letters of a ledger",
                )
