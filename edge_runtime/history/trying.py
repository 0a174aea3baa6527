"""Trying rules on stored rows: which alarms there are with the rules in force, and which with others."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from edge_runtime.engine.alarmwatch import AlarmWatch
from edge_runtime.engine.rulebook import Rulebook
from edge_runtime.history.matching import FoundAlarm, matched
from edge_runtime.history.replay import replayed
from edge_runtime.records import Verdict

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from edge_runtime.engine.rules import Rule
    from edge_runtime.history.matching import Match
    from edge_runtime.history.reading import HistoryReader
    from edge_runtime.history.replay import LeftOut
    from edge_runtime.loading.load import Bundle
    from edge_runtime.records import Results

__all__ = ["MachineTried", "Tried", "tried"]


class MachineTried(NamedTuple):
    """What was found at one machine.

    Attributes:
        machine_id: The machine.
        rows: How many of its rows were judged again.
        anomalous: How many of these are anomalous, whatever the rules.
        covered_s: From the first to the last of them, without times whose rows were left out; seconds.
        before: Number of alarms with the rules in force.
        after: Number of alarms with the rules that are tried.
        lost: How many of those before have no alarm after at the same time.
        new: How many of those after have no alarm before at the same time.
    """

    machine_id: str
    rows: int
    anomalous: int
    covered_s: float
    before: int
    after: int
    lost: int
    new: int


class Tried(NamedTuple):
    """What rules change.

    Attributes:
        machines: What was found at each, in the order in which they were given.
        matches: All alarms, machine by machine, and of each in the order of time.
        left_out: Rows that another bundle judged, and which say nothing here.
    """

    machines: list[MachineTried]
    matches: list[Match]
    left_out: list[LeftOut]


def tried(
    reader: HistoryReader,
    bundle: Bundle,
    machines: Sequence[str],
    start: int,
    stop: int,
    before: Sequence[Rule],
    after: Sequence[Rule],
    progress: Callable[[float], None] = lambda _share: None,
) -> Tried:
    """Judges rows again, once, and follows alarms with two sets of rules.

    Both begin with nothing at `start`: an alarm that was up already begins there, with another id than it
    really had, and needs its on-delay again. At the end, an alarm that has not lasted for its on-delay yet is
    none, so with a longer on-delay one that is still active may seem lost. What people said about alarms
    plays no part, and where rows are missing or left out, an alarm neither ends nor goes on.

    Args:
        reader: The history.
        bundle: The one that judged the rows; those that another one judged are left out.
        machines: Whose rows; of a machine that is not known there are none.
        start: From when, nanoseconds since the epoch.
        stop: Until before when.
        before: The rules in force.
        after: The rules that are tried.
        progress: Called now and then with the share of the time that is done, from 0 to 1.

    Raises:
        LedgerError: The history cannot be read.
    """
    spans = {one.machine_id: (max(start, one.start), min(stop, one.stop + 1)) for one in reader.machines()}
    lengths = {name: max(0, end - begin) for name, (begin, end) in spans.items()}
    whole = max(1, sum(lengths.get(name, 0) for name in machines))
    sides = _Side(bundle, before), _Side(bundle, after)
    found, done = Tried([], [], []), 0
    for machine in machines:
        begin, _ = spans.get(machine, (start, start))
        rows = anomalous = 0
        first, last, left_out = begin, begin, _LeftOut()
        for judged in replayed(reader, bundle, machine, start, stop, leave_out=left_out.add):
            results = judged.results
            left_out.end()
            for side in sides:
                side.watch(results)
            first = first if rows else int(results.readings.times[0])
            last = int(results.readings.times[-1])
            rows += len(results)
            anomalous += int((results.verdicts == Verdict.ANOMALY).sum())
            progress(min(1.0, (done + last - begin) / whole))
        done += lengths.get(machine, 0)
        away = sum(one.until - one.since for one in left_out.found if first < one.since < last)
        matches = matched(sides[0].taken(), sides[1].taken())
        found.machines.append(
            MachineTried(
                machine,
                rows,
                anomalous,
                (last - first - away) / 1e9,
                before=sum(len(one.before) for one in matches),
                after=sum(len(one.after) for one in matches),
                lost=sum(len(one.before) for one in matches if one.lost),
                new=sum(len(one.after) for one in matches if one.new),
            )
        )
        found.matches.extend(matches)
        found.left_out.extend(left_out.found)
    progress(1.0)
    return found


class _Side:
    """Alarms as one set of rules leads to them, of one machine after the other."""

    def __init__(self, bundle: Bundle, rules: Sequence[Rule]) -> None:
        self._watch = AlarmWatch(bundle.metadata, bundle.digest)
        self._watch.rulebook = Rulebook(rules, bundle.metadata.sensor_names) if rules else None
        self._found: dict[str, FoundAlarm] = {}

    def watch(self, results: Results) -> None:
        """Goes on from rows."""
        for change in self._watch.watch(results):
            event = change.fields["event_id"]
            told = self._found[event].told if event in self._found else change.time
            self._found[event] = FoundAlarm(told, change.fields)

    def taken(self) -> list[FoundAlarm]:
        """The alarms since the last call."""
        found, self._found = self._found, {}
        return list(found.values())


class _LeftOut:
    """Rows that are left out, those together that follow one another and one bundle judged."""

    def __init__(self) -> None:
        self.found: list[LeftOut] = []
        self._goes_on = False

    def add(self, one: LeftOut) -> None:
        """Takes up some."""
        last = self.found[-1] if self._goes_on else None
        if last is not None and last.bundle == one.bundle:
            self.found[-1] = last._replace(until=one.until, rows=last.rows + one.rows)
        else:
            self.found.append(one)
        self._goes_on = True

    def end(self) -> None:
        """Says that other rows follow."""
        self._goes_on = False
