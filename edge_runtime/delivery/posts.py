"""A delivery: parcels on their way to a sink, on the sender's thread or on one of their own."""

from __future__ import annotations

import queue
import threading
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from edge_runtime.delivery.outbox import Parcel
    from edge_runtime.sinks.base import Sink

__all__ = ["Post"]


class Post:
    """Parcels that a sink is given together; it may take them in several parts.

    Args:
        sink: Where to.
        parcels: At least one, oldest first.

    Attributes:
        parcels: The same.
    """

    def __init__(self, sink: Sink, parcels: Sequence[Parcel]) -> None:
        self.parcels = parcels
        self._sink = sink
        self._thread: threading.Thread | None = None
        self._done: queue.SimpleQueue[int | BaseException] = queue.SimpleQueue()
        self._given_up = False

    def start(self) -> None:
        """Begins it on a thread of its own, if one can be had; otherwise `parts` does it."""
        if self._thread is not None:
            return
        # No process waits for it at its end: a server may hang.
        thread = threading.Thread(target=self._run, name=f"post to {self._sink.name}", daemon=True)
        with suppress(RuntimeError):  # as many as this process may have
            thread.start()
            self._thread = thread

    @property
    def is_on_its_own(self) -> bool:
        """Whether it has a thread of its own."""
        return self._thread is not None

    def give_up(self) -> None:
        """Ends it after the part that is under way; `join` waits for that."""
        self._given_up = True

    def join(self) -> None:
        """Waits until nothing of it is under way."""
        if self._thread is not None:
            self._thread.join()

    def parts(self) -> Iterator[int]:
        """Numbers of parcels, each when the sink has them for good; raises whatever the sink raised."""
        if self._thread is None:
            yield from self._deliver()
            return
        left = len(self.parcels)
        while left:
            done = self._done.get()
            if isinstance(done, BaseException):
                raise done
            left -= done
            yield done

    def _deliver(self) -> Iterator[int]:
        payloads = [parcel.payload for parcel in self.parcels]
        while payloads and not self._given_up:
            taken = self._sink.deliver(payloads)
            count = len(payloads) if taken is None else taken
            del payloads[:count]
            yield count

    def _run(self) -> None:
        try:
            for count in self._deliver():
                self._done.put(count)
        except BaseException as error:  # noqa: BLE001 - it is raised where it is waited for
            self._done.put(error)
