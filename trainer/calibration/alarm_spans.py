"""From the verdicts of rows to alarms: when each is raised and returns, by the delays of a bundle.

The rules are those of docs/bundle.md. An alarm is raised at the first anomalous row that is at least the
on-delay after the first row of an unbroken run of anomalous rows, and returns at the first normal row that is
at least the off-delay after the first row of an unbroken run of normal rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from trainer.data.stretches import SECOND_NS, SLACK_NS
from trainer.evaluation.series import Spans

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from trainer.data.stretches import Stretch

__all__ = ["RaisedAlarms", "VerdictRuns", "alarm_spans", "raises_in", "touched"]


@dataclass(frozen=True, slots=True, eq=False)
class RaisedAlarms:
    """Alarms of one machine, as numbers of its rows; no two are up at once.

    Attributes:
        first: [alarms] the first row of the run that raised it.
        raised: [alarms] the row at which it was raised.
        stop: [alarms] the row at which it returned; the number of rows for one that is still up.
    """

    first: NDArray[np.intp]
    raised: NDArray[np.intp]
    stop: NDArray[np.intp]

    def __len__(self) -> int:
        return len(self.first)

    def peaks(self, severity: NDArray[np.float64], anomalous: NDArray[np.bool_]) -> NDArray[np.float64]:
        """[alarms] the highest severity of their anomalous rows, until each returned.

        Args:
            severity: [rows] of the same machine.
            anomalous: [rows] verdicts.
        """
        severity = np.where(anomalous, severity, -np.inf)
        bounds = np.stack([self.first, self.stop], axis=1).ravel()
        if not len(bounds):
            return np.empty(0)
        # The row behind the last one belongs to no alarm.
        found: NDArray[np.float64] = np.maximum.reduceat(np.append(severity, -np.inf), bounds)[::2]
        return found


@dataclass(frozen=True, eq=False)
class VerdictRuns:
    """Rows of one machine that have a verdict, and the unbroken runs of equal verdicts among them.

    Attributes:
        times: [rows] ns, ascending.
        anomalous: [rows] the verdicts.
    """

    times: NDArray[np.int64]
    anomalous: NDArray[np.bool_]

    @cached_property
    def starts(self) -> NDArray[np.intp]:
        """[runs] the first row of each."""
        changes = np.flatnonzero(self.anomalous[1:] != self.anomalous[:-1]) + 1
        return np.concatenate([np.zeros(min(len(self.times), 1), np.intp), changes])

    def alarms(self, on_delay_s: float, off_delay_s: float) -> RaisedAlarms:
        """The alarms with these delays, in seconds of data time."""
        starts = self.starts
        stops = np.append(starts[1:], len(self.times))[: len(starts)]
        kinds = self.anomalous[starts]
        waits = np.where(kinds, round(on_delay_s * SECOND_NS), round(off_delay_s * SECOND_NS))
        # The row of each run at which it raises an alarm, or ends one; beyond the run where it is too short.
        rows = np.searchsorted(self.times, self.times[starts] + waits)
        counts = rows < stops
        starts, rows, kinds = starts[counts], rows[counts], kinds[counts]
        turns = kinds != np.concatenate([[False], kinds[:-1]])[: len(kinds)]
        starts, rows, kinds = starts[turns], rows[turns], kinds[turns]
        raised, returned = rows[kinds], rows[~kinds]
        stop = np.full(len(raised), len(self.times), np.intp)
        stop[: len(returned)] = returned
        return RaisedAlarms(starts[kinds], raised, stop)


def alarm_spans(
    times: NDArray[np.int64],
    anomalous: NDArray[np.bool_],
    on_delay_s: float,
    off_delay_s: float,
    *,
    known: NDArray[np.bool_] | None = None,
) -> list[tuple[int, int, int | None]]:
    """The alarms of one machine as times in ns: start, raised, and returned, None for one that is still up.

    Args:
        times: [rows] ns, ascending.
        anomalous: [rows] verdicts; they say nothing where the verdict is unknown.
        on_delay_s: Seconds of data time.
        off_delay_s: The same.
        known: [rows] False where the verdict is unknown; None where none is.
    """
    if known is not None:
        times, anomalous = times[known], anomalous[known]
    found = VerdictRuns(times, anomalous).alarms(on_delay_s, off_delay_s)
    return [
        (int(times[first]), int(times[raised]), int(times[stop]) if stop < len(times) else None)
        for first, raised, stop in zip(found.first, found.raised, found.stop, strict=True)
    ]


def raises_in(raised: NDArray[np.int64], faults: Sequence[Stretch]) -> tuple[NDArray[np.intp], ...]:
    """[faults] the first and one past the last of the alarms that are raised in each fault.

    Those that are raised up to 30 s before count as well, unless they belong to the fault before.

    Args:
        raised: [alarms] ns, ascending.
        faults: Of the same machine, in order of time.
    """
    spans = Spans.of(faults)
    return np.searchsorted(raised, spans.opened(SLACK_NS)), np.searchsorted(raised, spans.stops, "right")


def touched(moments: NDArray[np.int64], faults: Sequence[Stretch]) -> NDArray[np.bool_]:
    """[moments] which lie within 30 s of a fault, or in it; faults are as for `raises_in`."""
    if not faults:
        return np.zeros(len(moments), np.bool_)
    spans = Spans.of(faults)
    stops = np.maximum.accumulate(spans.stops)  # of faults that overlap, the one that ends last counts
    last = np.searchsorted(spans.starts, moments + SLACK_NS, "right") - 1
    found: NDArray[np.bool_] = (last >= 0) & (moments <= stops[np.maximum(last, 0)] + SLACK_NS)
    return found
