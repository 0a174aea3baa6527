"""The sender: drains one sink's outbox, oldest first, on a thread of its own.

It is never mute: it says what it cannot deliver, goes on after whatever a sink raises, and gives up when that
does not end, which the pipeline sees, and ends the process.
"""

from __future__ import annotations

import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from edge_runtime.delivery.backoff import Backoff
from edge_runtime.delivery.pending import DISK_S
from edge_runtime.errors import (
    EdgeDetectError,
    LedgerError,
    LedgerUnavailableError,
    SinkError,
    SinkUnavailableError,
)
from edge_runtime.sinks.base import RowsRefusedError
from edge_runtime.text.complaints import Complaints

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from edge_runtime.delivery.ledger import Ledger
    from edge_runtime.delivery.outbox import Parcel
    from edge_runtime.sinks.base import Sink

__all__ = ["Sender"]

MAX_PARCELS = 1000
MAX_BYTES = 4 << 20
IDLE_S = 1.0
# So often in a row a sink may raise what it should not: of one parcel, before that becomes a dead letter, and
# of any, before the sender gives up.
MAX_FAULTS_OF_PARCEL, MAX_FAULTS = 3, 10
# So long a sink that is away is waited for when nothing more will come, and so often it is tried at least.
LAST_S, LAST_TRIES = 15.0, 3


class Sender:
    """Delivers what the ledger holds for one sink.

    Args:
        sink: Where to.
        ledger: Where from.
        report: Called with one line when the sink goes away, comes back, or refuses rows.
        backoff: How long to wait when the sink is away.
        clock: Monotonic clock, in seconds.

    Attributes:
        sink: Where to.
        failure: Why the sender has given up; None while it has not.
        refused: Number of rows that became dead letters since the start.
    """

    def __init__(
        self,
        sink: Sink,
        ledger: Ledger,
        report: Callable[[str], None],
        *,
        backoff: Backoff | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.sink = sink
        self.failure: EdgeDetectError | None = None
        self.refused = 0
        self._ledger = ledger
        self._report = report
        self._complaints = Complaints(report, clock)
        self._backoff = backoff or Backoff()
        self._clock = clock
        self._wake = threading.Event()
        self._stop = threading.Event()
        self._ends_at = float("inf")
        self._finish = False
        self._last_progress, self._tries = clock(), 0
        self._away = False
        self._checked = self._resumed = False
        self._position: str | None = None  # as the ledger has it
        # What is being tried; and up to which parcel they go one by one, as one of them causes faults.
        self._batch: Sequence[Parcel] = ()
        self._alone_until = 0
        self._faults = 0  # in a row
        self._may_bury = True
        self._thread = threading.Thread(target=self._run, name=f"sender {sink.name}", daemon=True)

    def check(self) -> None:
        """Makes sure that the sink could work; one that is away is waited for.

        Raises:
            SinkError: It could not, however long one waits.
        """
        try:
            self.sink.check()
        except SinkUnavailableError as error:
            self._say_away(error)
        else:
            self._checked = True

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
        """Delivers until the outbox is empty; returns the seconds to wait if the sink is away."""
        try:
            while self._deliver_some() and self._clock() < self._ends_at:
                if self._away:
                    self._report(f"{self.sink.name}: delivers again")
                self._away = False
                self._backoff.reset()
        except (SinkUnavailableError, LedgerUnavailableError) as error:
            self._say_away(error)
            wait = self._backoff.next_wait()
            return min(wait, DISK_S) if isinstance(error, LedgerUnavailableError) else wait
        return None

    def _say_away(self, error: EdgeDetectError) -> None:
        if not self._away:
            self._report(f"{self.sink.name}: {error}; results wait in the ledger")
        self._away = True

    def _deliver_some(self) -> bool:
        """Delivers the oldest parcels; whether there were any."""
        self._batch = ()
        most = 1 if self._alone_until else MAX_PARCELS
        parcels = self._ledger.parcels(self.sink.name, most=most, max_bytes=MAX_BYTES)
        if not parcels:
            return False
        self._take_up()
        # Where the sink is before it is written to: from there a crash in the middle is undone.
        before = self.sink.position()
        if before != self._position:
            self._record((), before)
        self._batch = parcels
        self._deliver(parcels)
        self._faults, self._may_bury = 0, True
        self._last_progress, self._tries = self._clock(), 0
        if parcels[-1].id >= self._alone_until:
            self._alone_until = 0
        return True

    def _take_up(self) -> None:
        """Goes on after what an earlier process, or a failed try, is known to have delivered."""
        if not self._checked:
            self.sink.check()
            self._checked = True
        if self._resumed:
            return
        known = self._ledger.position(self.sink.name)
        try:
            self.sink.resume(known)
        except ValueError as error:
            self._report(
                f"{self.sink.name}: its position in the ledger is unusable ({error}); rows may come twice"
            )
            self.sink.resume(None)
        self._position, self._resumed = known, True

    def _deliver(self, parcels: Sequence[Parcel]) -> None:
        """Delivers parcels; those that the sink refuses become dead letters, and take no others with them."""
        try:
            taken = self.sink.deliver([parcel.payload for parcel in parcels])
        except SinkUnavailableError:
            raise
        except SinkError as error:
            if len(parcels) == 1:
                self._bury(parcels[0], error)
                return
            middle = len(parcels) // 2
            self._deliver(parcels[:middle])
            self._deliver(parcels[middle:])
            return
        count = len(parcels) if taken is None else taken
        self._record(parcels[:count], self.sink.position())
        if count < len(parcels):
            self._deliver(parcels[count:])

    def _bury(self, parcel: Parcel, error: SinkError) -> None:
        refused = (parcel.payload, parcel.rows)
        if isinstance(error, RowsRefusedError):
            refused = (error.payload, error.rows)
        self._ledger.bury(self.sink.name, parcel, str(error), refused=refused)
        self.refused += refused[1]
        self._complaints.add(f"{error}; {refused[1]:,} rows were moved to the dead letters", self.sink.name)

    def _record(self, parcels: Sequence[Parcel], position: str | None) -> None:
        """Tells the ledger what the sink has; until it can write that down, it gives out no more parcels."""
        self._ledger.delivered(self.sink.name, parcels, position)
        self._position = position

    def _run(self) -> None:
        while self.failure is None:
            stopping, finishing = self._stop.is_set(), self._finish
            self._wake.clear()
            wait = self._try()
            if stopping or (finishing and self._is_done(wait)):
                return
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
            if self._checked:
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
        self._resumed = False  # nobody knows how far the sink got
        if len(self._batch) > 1:
            self._alone_until = self._batch[-1].id
        elif self._batch and self._may_bury and self._faults >= MAX_FAULTS_OF_PARCEL:
            with suppress(LedgerUnavailableError):
                self._bury(self._batch[0], SinkError(f"it cannot be delivered ({what})"))
                self._faults, self._may_bury = 0, False
        elif self._faults >= MAX_FAULTS:
            self.failure = SinkError(
                f"gave up after {self._faults} faults in a row, the last one: {what}",
                where=self.sink.name,
                hint="its rows wait in the ledger",
            )
