"""Events instead of rows: which faults an alarm told of, how soon, and how often it told of nothing.

Flagged rows no more than a minute apart are one alarm. It finds an event by beginning in it, or so shortly
before it as the tolerance says: an alarm that was up long before tells nobody that something has happened.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from trainer.data.stretches import ALARM_JOIN_NS, SECOND_NS, SLACK_NS, Stretch, by_machine, runs_of
from trainer.evaluation.chance import Chance
from trainer.evaluation.series import Series, Spans

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from trainer.evaluation.chance import RandomAlarms

__all__ = ["Delays", "EventReport", "false_alarms", "first_alarms", "match_events"]

DAY_S = 86_400.0
DAY_MINUTES = 1_440.0


@dataclass(frozen=True, slots=True)
class Delays:
    """From an event's start to the alarm that found it, seconds, over the events that were found.

    An alarm that began in the tolerance before an event has a delay of 0.
    """

    median: float
    p90: float


@dataclass(frozen=True, slots=True, kw_only=True)
class EventReport:
    """Events against flagged rows.

    Attributes:
        injected: Number of events there were.
        found: Number of those in which an alarm began, or in the tolerance before them.
        in_alarm_since_before: Number of the others during which an alarm was up that had begun before.
        by_kind: Kind to (injected, found).
        delays_s: How long finding took; None where nothing was found.
        alarms: Number of alarms.
        alarm_precision: Part of them that is no false alarm; 0 where there are none, None without events.
        false_alarms: Alarms that touch no event, nor the tolerance around one.
        false_alarms_per_day: Of one machine; 0 where no time was observed.
        false_alarm_rate: Part of the rows outside events that is flagged; None where there are none.
        alarm_minutes_per_day: Minutes of a machine's day outside events during which rows are flagged, 1,440
            for an alarm that is always up; None where there is no such time.
        machine_days: Time observed, summed over the machines.
        random_alarms: What the same alarms find at random times; None where no row is in an event.
    """

    injected: int
    found: int
    in_alarm_since_before: int
    by_kind: dict[str, tuple[int, int]]
    delays_s: Delays | None
    alarms: int
    alarm_precision: float | None
    false_alarms: int
    false_alarms_per_day: float
    false_alarm_rate: float | None
    alarm_minutes_per_day: float | None
    machine_days: float
    random_alarms: RandomAlarms | None

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready values."""
        return asdict(self)


def match_events(
    true: Sequence[Stretch],
    rows_times: NDArray[np.int64],
    rows_machines: NDArray[np.str_],
    rows_flags: NDArray[np.bool_],
    *,
    slack_ns: int = SLACK_NS,
    join_ns: int = ALARM_JOIN_NS,
) -> EventReport:
    """Compares events with flagged rows.

    An event is found when an alarm of its machine begins within it, both ends included, or at most `slack_ns`
    before it and not in another event: at a flagged row after one that is not. So an alarm that went down and
    rises again in the event has found it, and one that is up since before has not; nor has one that is up at
    a machine's first row, since nobody saw it begin. Alarms that touch no event of their machine, each
    widened by `slack_ns` on both sides, are false alarms.

    Args:
        true: The events, in any order.
        rows_times: [rows] ns, in any order.
        rows_machines: [rows] machine ids.
        rows_flags: [rows] whether the row was called anomalous; rows without a verdict are left out.
        slack_ns: The tolerance: how far from an event an alarm may lie and still be about it.
        join_ns: Flagged rows no further apart are one alarm.
    """
    order = _spans(true)
    firsts: list[int | None] = [None] * len(true)
    touched, alarms, wrong = 0, 0, 0
    normal, flagged, normal_s, flagged_s, seconds = 0, 0, 0.0, 0.0, 0.0
    chance = Chance()
    for series in _series(rows_times, rows_machines, rows_flags):
        places, spans = order.get(series.machine, ([], Spans.NONE))
        found, up = series.first_rises(spans, slack_ns), series.flagged_in(spans)
        for place, first in zip(places, found, strict=True):
            firsts[place] = first
        touched += sum(first is None and is_up for first, is_up in zip(found, up.tolist(), strict=True))
        runs = runs_of(series.machine, series.times, series.flags, None, join_ns)
        alarms += len(runs)
        wrong += int((~spans.touched(runs, slack_ns)).sum())
        inside, lengths = series.inside(spans), series.seconds
        normal, flagged = normal + int((~inside).sum()), flagged + int((series.flags & ~inside).sum())
        seconds += float(lengths.sum())
        normal_s += float(lengths[~inside].sum())
        flagged_s += float(lengths[series.flags & ~inside].sum())
        chance.add(series.flags, inside, *series.windows(spans, slack_ns))
    delays = [
        max(0.0, (first - event.start) / SECOND_NS)
        for event, first in zip(true, firsts, strict=True)
        if first is not None
    ]
    days = seconds / DAY_S
    return EventReport(
        injected=len(true),
        found=len(delays),
        in_alarm_since_before=touched,
        by_kind=_by_kind(true, firsts),
        delays_s=Delays(float(np.median(delays)), float(np.quantile(delays, 0.9))) if delays else None,
        alarms=alarms,
        alarm_precision=(alarms - wrong) / max(alarms, 1) if true else None,
        false_alarms=wrong,
        false_alarms_per_day=wrong / days if days else 0.0,
        false_alarm_rate=flagged / normal if normal else None,
        alarm_minutes_per_day=DAY_MINUTES * flagged_s / normal_s if normal_s else None,
        machine_days=days,
        random_alarms=chance.figures(),
    )


def first_alarms(
    true: Sequence[Stretch],
    rows_times: NDArray[np.int64],
    rows_machines: NDArray[np.str_],
    rows_flags: NDArray[np.bool_],
    *,
    slack_ns: int = SLACK_NS,
) -> list[int | None]:
    """When the alarm began that found each event, ns; None for an event that was missed.

    The arguments are those of `match_events`.
    """
    order = _spans(true)
    found: list[int | None] = [None] * len(true)
    for series in _series(rows_times, rows_machines, rows_flags):
        places, spans = order.get(series.machine, ([], Spans.NONE))
        for place, first in zip(places, series.first_rises(spans, slack_ns), strict=True):
            found[place] = first
    return found


def false_alarms(
    true: Sequence[Stretch],
    rows_times: NDArray[np.int64],
    rows_machines: NDArray[np.str_],
    rows_flags: NDArray[np.bool_],
    *,
    slack_ns: int = SLACK_NS,
    join_ns: int = ALARM_JOIN_NS,
) -> list[Stretch]:
    """The alarms that touch no event, in order of machine and time; the arguments are `match_events`'s."""
    order = _spans(true)
    found: list[Stretch] = []
    for series in _series(rows_times, rows_machines, rows_flags):
        _, spans = order.get(series.machine, ([], Spans.NONE))
        runs = runs_of(series.machine, series.times, series.flags, None, join_ns)
        touched = spans.touched(runs, slack_ns).tolist()
        found += [run for run, is_about in zip(runs, touched, strict=True) if not is_about]
    return found


def _series(
    times: NDArray[np.int64], machines: NDArray[np.str_], flags: NDArray[np.bool_]
) -> Iterator[Series]:
    for machine, index in by_machine(times, machines):
        yield Series(machine, times[index], flags[index])


def _spans(true: Sequence[Stretch]) -> dict[str, tuple[list[int], Spans]]:
    """Machine to the places of its events among all, by their starts, and the events themselves."""
    places: dict[str, list[int]] = {}
    for place in sorted(range(len(true)), key=lambda place: true[place].start):
        places.setdefault(true[place].machine, []).append(place)
    return {machine: (own, Spans.of([true[place] for place in own])) for machine, own in places.items()}


def _by_kind(true: Sequence[Stretch], firsts: Sequence[int | None]) -> dict[str, tuple[int, int]]:
    counts = {kind: [0, 0] for kind in sorted({event.kind for event in true})}
    for event, first in zip(true, firsts, strict=True):
        counts[event.kind][0] += 1
        counts[event.kind][1] += first is not None
    return {kind: (injected, found) for kind, (injected, found) in counts.items()}
