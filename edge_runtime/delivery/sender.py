"""The sender: drains one sink's outbox, oldest first, on a thread of its own.

It is never mute: it says what it cannot deliver, goes on after whatever a sink raises, and gives up when that
does not end, which the pipeline sees, and ends the process.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

from edge_runtime.delivery.backoff import Backoff
from edge_runtime.delivery.drain import Drain, Gathering
from edge_runtime.delivery.pending import DISK_S
from edge_runtime.errors import (
    EdgeDetectError,
    LedgerError,
    LedgerUnavailableError,
    SinkError,
    SinkUnavailableError,
)
from edge_runtime.sinks.base import TendedSink
from edge_runtime.sinks.outlet import Outlet

if TYPE_CHECKING:
    from collections.abc import Callable

    from edge_runtime.delivery.ledger import Ledger
    from edge_runtime.sinks.base import Sink

__all__ = ["Sender"]

IDLE_S = 1.0
# So often in a row a sink may raise what it should not: of one parcel, before that becomes a dead letter, and
# of any, before the sender gives up.
MAX_FAULTS_OF_PARCEL, MAX_FAULTS = 3, 10
# So long a sink that is away is waited for when nothing more will come, and so often it is tried at least.
LAST_S, LAST_TRIES = 15.0, 3


class Sender:
    """Delivers what the ledger holds for one sink.

    Args:
        outlet: Where to, and what of it.
        ledger: Where from.
        report: Called with one line when the sink goes away, comes back, or refuses rows.
        backoff: How long to wait when the sink is away.
        max_under_way: How many posts may be under way at the same time, as `Drain` has it.
        clock: Monotonic clock, in seconds.

    Attributes:
        outlet: What goes there; every row, if a sink was given.
        sink: Where to.
        failure: Why the sender has given up; None while it has not.
    """

    def __init__(
        self,
        outlet: Sink | Outlet,
        ledger: Ledger,
        report: Callable[[str], None],
        *,
        backoff: Backoff | None = None,
        max_under_way: int = 1,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.outlet = outlet if isinstance(outlet, Outlet) else Outlet(outlet)
        self.sink = sink = self.outlet.sink
        self.failure: EdgeDetectError | None = None
        self._report = report
        words = self.outlet.words
        self._drain = Drain(sink, ledger, report, clock, self._progressed, max_under_way, words)
        self._backoff = backoff or Backoff()
        self._clock = clock
        self._wake = threading.Event()
        self._stop = threading.Event()
        self._ends_at = float("inf")
        self._finish = False
        self._last_progress, self._tries = clock(), 0
        self._away = False
        self._unexplained = False  # whether nobody has said why it is away
        self._faults = 0  # in a row
        self._may_bury = True
        self._checking: threading.Thread | None = None
        self._fault_found: Exception | None = None
        self._thread = threading.Thread(target=self._run, name=f"sender {sink.name}", daemon=True)

    def check(self, within: float | None = None) -> None:
        """Makes sure that the sink could work; one that is away is waited for.

        Args:
            within: Seconds that this may take. What takes longer, as with a server that takes no packets,
                goes on, and the sender waits for it; None for as long as it takes.

        Raises:
            SinkError: It could not, however long one waits.
        """
        if within is None:
            self._check()
        else:
            self._checking = threading.Thread(target=self._check, name=f"check {self.sink.name}", daemon=True)
            self._checking.start()
            self._checking.join(within)
            if self._checking.is_alive():
                self._say_away(SinkUnavailableError("it does not answer yet"))
                self._unexplained = True
        if self._fault_found is not None:
            raise self._fault_found

    def _check(self) -> None:
        try:
            self.sink.check()
        except SinkUnavailableError as error:
            self._say_away(error)
        except Exception as error:  # noqa: BLE001 - it is raised where it is waited for
            self._fault_found = error
        else:
            self._drain.checked = True

    @property
    def refused(self) -> int:
        """Number of rows that became dead letters since the start."""
        return self._drain.refused

    def start(self) -> None:
        """Begins; what an earlier process left is taken up first."""
        self._thread.start()

    def wake(self) -> None:
        """There is something new in the outbox."""
        self._wake.set()

    def finish(self) -> None:
        """Nothing more will come: ends when all is delivered, or when the sink stays away."""
        self._last_progress, self._tries = self._clock(), 0
        self._finish = True
        self._wake.set()

    @property
    def is_stuck(self) -> bool:
        """Whether nothing was delivered for so long that `finish` need not be waited for."""
        return self._clock() - self._last_progress >= LAST_S and (self._tries >= LAST_TRIES or self._away)

    def join(self, within: float) -> bool:
        """Waits so many seconds for the end; whether it has ended."""
        self._thread.join(within)
        return not self._thread.is_alive()

    def ask_to_stop(self, within: float) -> None:
        """Delivers what can be delivered at once, then ends; the rest stays in the ledger."""
        self._ends_at = self._clock() + within
        self._stop.set()
        self._wake.set()

    def stop(self, within: float) -> None:
        """The same, and waits so many seconds for its end."""
        self.ask_to_stop(within)
        if self.join(within):
            self.sink.close()

    def drain(self) -> float | None:
        """Delivers until the outbox is empty; returns the seconds to wait where there is more to deliver."""
        try:
            while self._drain.some(more=self._clock() < self._ends_at):
                self._progressed()
        except (SinkUnavailableError, LedgerUnavailableError) as error:
            self._say_away(error)
            wait = self._backoff.next_wait()
            return min(wait, DISK_S) if isinstance(error, LedgerUnavailableError) else wait
        except Gathering as gathering:
            return min(gathering.seconds, IDLE_S)
        return None

    def _progressed(self) -> None:
        """Something was delivered, or refused and put aside."""
        if self._away:
            self._report(f"{self.sink.name}: delivers again")
        self._away = False
        self._backoff.reset()
        self._faults, self._may_bury = 0, True
        self._last_progress, self._tries = self._clock(), 0

    def _say_away(self, error: EdgeDetectError) -> None:
        if not self._away or self._unexplained:
            self._report(f"{self.sink.name}: {error}; results wait in the ledger")
        self._away, self._unexplained = True, False

    def _run(self) -> None:
        try:
            self._work()
        except EdgeDetectError as error:  # it was away at the start, and now it turns out that it cannot work
            self.failure = error
        except BaseException as error:
            self.failure = SinkError(
                f"its sender ended with {type(error).__name__}: {error}", where=self.sink.name
            )
            raise
        finally:
            self._drain.complaints.tell_all()

    def _work(self) -> None:
        if self._checking is not None:
            self._checking.join()
            if self._drain.checked and self._away:
                self._away = False
                self._report(f"{self.sink.name}: answers now")
            if isinstance(self._fault_found, EdgeDetectError):
                raise self._fault_found
            if self._fault_found is not None:
                kind = type(self._fault_found).__name__
                raise SinkError(f"its check failed with {kind}: {self._fault_found}", where=self.sink.name)
        while self.failure is None:
            stopping, finishing = self._stop.is_set(), self._finish
            self._drain.hurried = stopping or finishing
            self._wake.clear()
            wait = self._try()
            if stopping or (finishing and self._is_done(wait)):
                return
            self._drain.complaints.tell_due()
            if isinstance(self.sink, TendedSink):
                self.sink.tend()
            if wait is None:
                self._wake.wait(IDLE_S)
            else:
                self._stop.wait(wait)

    def _is_done(self, wait: float | None) -> bool:
        """Whether all is delivered, or the sink stays away; faults are counted otherwise."""
        self._tries += not self._faults
        return wait is None or (self._tries >= LAST_TRIES and self.is_stuck)

    def _try(self) -> float | None:
        """As `drain`. Whatever a sink raises, its rows wait, and after a while they are tried again."""
        try:
            return self.drain()
        except LedgerError as error:  # damaged, and cannot be mended
            self.failure = error
        except SinkError as error:
            if self._drain.checked:
                self._fault(error)
            else:  # it was away at the start, and now it turns out that it cannot work
                self.failure = error
        except Exception as error:  # noqa: BLE001 - a sink of another package may raise anything
            self._fault(error)
        return self._backoff.next_wait()

    def _fault(self, error: Exception) -> None:
        """Counts a fault; a parcel that causes faults becomes a dead letter.

        If the next one does so, too, it is not the parcel, and the sender gives up.
        """
        what = str(error) if isinstance(error, EdgeDetectError) else f"{type(error).__name__}: {error}"
        self._report(f"{self.sink.name}: {what}")
        self._faults += 1
        self._drain.doubt()
        batch = self._drain.batch
        if len(batch) == 1 and self._may_bury and self._faults >= MAX_FAULTS_OF_PARCEL:
            try:
                self._drain.bury(batch[0], SinkError(f"it cannot be delivered ({what})"))
                self._faults, self._may_bury = 0, False
            except LedgerUnavailableError:
                pass  # it is tried again
            except LedgerError as damaged:
                self.failure = damaged
        elif self._faults >= MAX_FAULTS:
            self.failure = SinkError(
                f"gave up after {self._faults} faults in a row, the last one: {what}",
                where=self.sink.name,
                hint="its rows wait in the ledger",
            )
