"""The sender: drains one sink's outbox, oldest first, on a thread of its own."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

from edge_runtime.delivery.backoff import Backoff
from edge_runtime.errors import EdgeDetectError, LedgerUnavailableError, SinkError, SinkUnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable

    from edge_runtime.delivery.ledger import Ledger
    from edge_runtime.delivery.outbox import Parcel
    from edge_runtime.sinks.base import Sink

__all__ = ["Sender"]

MAX_PARCELS = 50
IDLE_S = 1.0


class Sender:
    """Delivers what the ledger holds for one sink.

    Args:
        sink: Where to.
        ledger: Where from.
        report: Called with one line when the sink goes away, comes back, or refuses rows.
        backoff: How long to wait when the sink is away.
        clock: Monotonic clock, in seconds.
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
        self._ledger = ledger
        self._report = report
        self._backoff = backoff or Backoff()
        self._clock = clock
        self._wake = threading.Event()
        self._stop = threading.Event()
        self._away = False
        self._thread = threading.Thread(target=self._run, name=f"sender {sink.name}", daemon=True)

    def start(self) -> None:
        """Takes up what an earlier process left, and begins."""
        self.sink.resume(self._ledger.position(self.sink.name))
        self._thread.start()

    def wake(self) -> None:
        """There is something new in the outbox."""
        self._wake.set()

    def ask_to_stop(self) -> None:
        """Delivers what can be delivered at once, then ends; the rest stays in the ledger."""
        self._stop.set()
        self._wake.set()

    def stop(self, within: float) -> None:
        """The same, and waits so many seconds for its end."""
        self.ask_to_stop()
        self._thread.join(within)
        if not self._thread.is_alive():
            self.sink.close()

    def drain(self) -> float | None:
        """Delivers until the outbox is empty; returns the seconds to wait if the sink is away."""
        while parcels := self._ledger.parcels(self.sink.name, most=MAX_PARCELS):
            try:
                self._deliver(parcels)
            except (SinkUnavailableError, LedgerUnavailableError) as error:
                if not self._away:
                    self._report(f"{self.sink.name}: {error}; results wait in the ledger")
                self._away = True
                return self._backoff.next_wait()
            if self._away:
                self._report(f"{self.sink.name}: delivers again")
            self._away = False
            self._backoff.reset()
        return None

    def _deliver(self, parcels: list[Parcel]) -> None:
        try:
            self.sink.deliver([parcel.payload for parcel in parcels])
        except SinkUnavailableError:
            raise
        except SinkError as error:
            if len(parcels) == 1:
                self._ledger.bury(self.sink.name, parcels[0], str(error))
                self._report(
                    f"{self.sink.name}: {error}; {parcels[0].rows} rows were moved to the dead letters"
                )
                return
            # One bad parcel must not take the others with it.
            for parcel in parcels:
                self._deliver([parcel])
            return
        self._ledger.delivered(self.sink.name, parcels, self.sink.position())

    def _run(self) -> None:
        while True:
            stopping = self._stop.is_set()
            self._wake.clear()
            try:
                wait = self.drain()
            except EdgeDetectError as error:
                self._report(f"{self.sink.name}: {error}")
                wait = self._backoff.next_wait()
            except Exception as error:  # noqa: BLE001 - whatever a sink of another package raises: rows wait
                self._report(f"{self.sink.name}: {type(error).__name__}: {error}")
                wait = self._backoff.next_wait()
            if stopping:
                return
            if wait is None:
                self._wake.wait(IDLE_S)
            else:
                self._stop.wait(wait)
