"""One machine's verdicts in order of time, and its events: where an alarm begins, and which it may find."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from trainer.data.stretches import row_seconds

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from trainer.data.stretches import Stretch

__all__ = ["Series", "Spans"]


@dataclass(frozen=True, slots=True)
class Spans:
    """Events of one machine, by their starts.

    Attributes:
        starts: [events] ns.
        stops: [events] ns, inclusive.
    """

    starts: NDArray[np.int64]
    stops: NDArray[np.int64]
    NONE: ClassVar[Spans]

    @staticmethod
    def of(events: Sequence[Stretch]) -> Spans:
        """Of events of one machine, by their starts."""
        return Spans(
            np.array([event.start for event in events], np.int64),
            np.array([event.stop for event in events], np.int64),
        )

    def opened(self, slack_ns: int) -> NDArray[np.int64]:
        """[events] ns from which on an alarm that begins has found the event.

        That is the tolerance before its start, but what begins within an earlier event is about that one.
        """
        ended = np.maximum.accumulate(self.stops)[:-1] + 1
        earliest = self.starts - slack_ns
        earliest[1:] = np.maximum(earliest[1:], ended)
        return np.minimum(earliest, self.starts)

    def touched(self, runs: Sequence[Stretch], slack_ns: int) -> NDArray[np.bool_]:
        """[runs] whether each touches an event, widened by the tolerance on both sides."""
        if not len(self.starts):
            return np.zeros(len(runs), np.bool_)
        run_starts = np.array([run.start for run in runs], np.int64)
        run_stops = np.array([run.stop for run in runs], np.int64)
        before = np.searchsorted(self.starts - slack_ns, run_stops, "right")
        latest = np.maximum.accumulate(self.stops + slack_ns)
        found: NDArray[np.bool_] = (before > 0) & (latest[np.maximum(before, 1) - 1] >= run_starts)
        return found


Spans.NONE = Spans.of([])


@dataclass(frozen=True, slots=True)
class Series:
    """Rows of one machine that have a verdict.

    Attributes:
        machine: Its id.
        times: [rows] ns, ascending.
        flags: [rows] whether the row was called anomalous.
    """

    machine: str
    times: NDArray[np.int64]
    flags: NDArray[np.bool_]

    @property
    def seconds(self) -> NDArray[np.float64]:
        """[rows] time that each stands for."""
        return row_seconds(self.times)

    def windows(self, events: Spans, slack_ns: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """[events] first row in which a beginning alarm finds the event, and the row after the last such."""
        return (
            np.searchsorted(self.times, events.opened(slack_ns), "left"),
            np.searchsorted(self.times, events.stops, "right"),
        )

    def first_rises(self, events: Spans, slack_ns: int) -> list[int | None]:
        """[events] when the first alarm began that found the event, ns; None where none did.

        An alarm begins at a flagged row after one that is not, however far apart: what was up before a hole
        in the data and is up after it has not begun there.
        """
        times = self.times[1:][self.flags[1:] & ~self.flags[:-1]]
        firsts = np.searchsorted(times, events.opened(slack_ns), "left")
        begun = firsts < np.searchsorted(times, events.stops, "right")
        return [
            int(times[first]) if is_found else None
            for first, is_found in zip(firsts, begun.tolist(), strict=True)
        ]

    def flagged_in(self, events: Spans) -> NDArray[np.bool_]:
        """[events] whether a row within the event is flagged."""
        before = np.concatenate([[0], np.cumsum(self.flags)])
        first = np.searchsorted(self.times, events.starts, "left")
        last = np.searchsorted(self.times, events.stops, "right")
        return before[last] > before[first]

    def inside(self, events: Spans) -> NDArray[np.bool_]:
        """[rows] whether the row lies within an event."""
        first = np.searchsorted(self.times, events.starts, "left")
        last = np.searchsorted(self.times, events.stops, "right")
        width = len(self.times) + 1
        changes = np.bincount(first, minlength=width) - np.bincount(last, minlength=width)
        return np.cumsum(changes[:-1]) > 0
