"""Round after round what is new in a database, machine by machine."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING

from edge_runtime.influxdb.reader import HOUR_NS
from edge_runtime.sources.rounds import (
    BACKLOG_NS,
    LONGEST_REST_NS,
    MINUTE_NS,
    SEARCH_REST,
    SECOND_NS,
    Question,
    Rests,
    Round,
    plan_round,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from edge_runtime.influxdb.reader import Reader
    from edge_runtime.influxdb.readings import ReadingsQuery
    from edge_runtime.influxdb.rows import Rows
    from edge_runtime.sources.seen import Seen

__all__ = ["Following"]

DISCOVER_NS = 30 * SECOND_NS

Part = tuple["Rows", bool, "frozenset[str] | None"]


class Following:
    """Asks a reader for what was not delivered yet.

    Args:
        reader: Of the database or bucket.
        wanted: Which readings.
        seen: What was delivered.
        names_machines: Whether a question can name machines, which a query of one's own cannot.
        now_ns: The wall clock, nanoseconds.
    """

    def __init__(
        self,
        reader: Reader,
        wanted: ReadingsQuery,
        seen: Seen,
        *,
        names_machines: bool,
        now_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self._reader = reader
        self._wanted = wanted
        self._seen = seen
        self._names_machines = names_machines
        self._now_ns = now_ns
        self._rests = Rests()
        self._discovered = 0
        self._search = (0, 0)  # when the whole silence was last looked through, and when it will be again

    def round(self, now: int, stop_ns: int, *, everyone: bool) -> Iterator[Part]:
        """Blocks of rows, with whether each is an answer's last, and whose rows to take; None for all.

        A machine's rows come in the order of time.

        Args:
            now: What time it is.
            stop_ns: First time not to read.
            everyone: Whether no machine and no silence may be left for later: it is the last round.
        """
        self._seen.begin_round()
        plan = self._plan(now, stop_ns, everyone=everyone)
        for question in plan.behind:
            yield from self._behind(question, now, stop_ns)
        before, started = dict(self._seen.newest), self._now_ns()
        if self._may_wait(plan.live, now, stop_ns, everyone=everyone):
            return
        latest: dict[str, int] = {}
        for rows, last in _with_end(self._reader.rows(self._wanted, plan.live.start_ns, stop_ns)):
            yield rows, last, plan.own
            if plan.own is not None:
                latest |= _latest(rows, plan.own)
        # Who turned up there, and is new or further on than was known: from its own newest time on.
        for machine in latest.keys() - self._seen.newest.keys():
            self._seen.expect(machine, min(plan.live.start_ns, now - BACKLOG_NS))
        late = [machine for machine, time in latest.items() if time > self._seen.newest[machine]]
        if late:
            first = min(map(self._seen.from_ns, late))
            yield from self._behind(Question(tuple(sorted(late)), first), now, stop_ns)
        rest = min(max(MINUTE_NS, SEARCH_REST * max(0, self._now_ns() - started)), LONGEST_REST_NS)
        # Where something was found, more of it may be on its way.
        found = any(newest > before.get(machine, 0) for machine, newest in self._seen.newest.items())
        self._search = (0, 0) if found else (now, now + rest)

    def _plan(self, now: int, stop_ns: int, *, everyone: bool) -> Round:
        seen = self._seen
        # What a clock that was far ahead let through would keep its machine from being read until then.
        latest = max(now, stop_ns) + HOUR_NS
        for machine in [name for name, newest in seen.newest.items() if newest > latest]:
            seen.forget(machine, now - BACKLOG_NS)
        if not self._names_machines:
            front = max(seen.newest.values(), default=0)
            live = [seen.from_ns(name) for name, newest in seen.newest.items() if newest >= front - HOUR_NS]
            return Round((), Question((), min(live, default=seen.start_ns)), None)
        if seen.newest and self._wanted.tag is not None:
            self._discover(now, stop_ns)
        from_ns = {machine: seen.from_ns(machine) for machine in seen.newest}
        return plan_round(
            seen.newest,
            from_ns,
            seen.start_ns,
            now,
            self._rests,
            expected=seen.expected,
            everyone=everyone,
        )

    def _discover(self, now: int, stop_ns: int) -> None:
        """Looks for machines that the live question cannot show, because their clocks are far behind."""
        if self._discovered <= now < self._discovered + DISCOVER_NS:
            return
        self._discovered = now
        wanted = self._wanted.machines
        # From no later than what was read of the others, in case the clock is ahead for a moment.
        from_ns = min(now - BACKLOG_NS, max(self._seen.newest.values()))
        for machine in self._reader.machines(self._wanted, stop_ns - HOUR_NS, stop_ns, until=wanted):
            if not wanted or machine in wanted:
                self._seen.expect(machine, from_ns)

    def _behind(self, question: Question, now: int, stop_ns: int) -> Iterator[Part]:
        """Rows of the machines that a question names."""
        before = {machine: self._seen.newest[machine] for machine in question.machines}
        started, start = self._now_ns(), question.start_ns
        if not self._reader.looks_up_any_range and self._rests.searched(question.machines):
            start = max(start, now - BACKLOG_NS)  # each hour is a question
        wanted, own = replace(self._wanted, machines=question.machines), frozenset(question.machines)
        for rows, last in _with_end(self._reader.rows(wanted, start, stop_ns)):
            yield rows, last, own
        moved = [machine for machine, newest in before.items() if self._seen.newest[machine] > newest]
        self._rests.end(moved)
        took = max(0, self._now_ns() - started)
        self._rests.after(before.keys() - set(moved), self._seen.newest, now, took)

    def _may_wait(self, live: Question, now: int, stop_ns: int, *, everyone: bool) -> bool:
        """Whether a long silence was looked through of late, and its last hour has nothing new."""
        last, following = self._search
        # A search of the future was made before the clock was set back.
        searched = last <= now < following and self._names_machines and not everyone
        if not searched or stop_ns - live.start_ns <= 2 * HOUR_NS:
            return False
        return self._reader.first(self._wanted, stop_ns - HOUR_NS, stop_ns) is None


def _latest(rows: Rows, own: frozenset[str]) -> dict[str, int]:
    """The newest time of each machine that is not among these."""
    block, groups = rows.readings, rows.readings.groups
    times = groups.gather(block.times)
    return {machine: int(times[part.stop - 1]) for machine, part in groups if machine not in own}


def _with_end(blocks: Iterator[Rows]) -> Iterator[tuple[Rows, bool]]:
    """Each block, and whether it is the last."""
    before = next(blocks, None)
    for block in blocks:
        if before is not None:
            yield before, False
        before = block
    if before is not None:
        yield before, True
