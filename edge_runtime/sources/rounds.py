"""What a poll asks for: the live group in one question, and the machines behind it by their names.

One machine's clock or outage must cost no other machine's rows, and none of its own. So each machine is read
from its own newest time on. Those whose newest times are alike are asked for in one question, which names no
machine and so finds new ones, too. Whoever is behind, with a slow clock or after an outage, is asked for by
name from its own newest time, and its rows in the answer to the live question wait for that.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping
    from collections.abc import Set as AbstractSet

__all__ = ["BACKLOG_NS", "SECOND_NS", "Question", "Rests", "Round", "plan_round"]

SECOND_NS = 1_000_000_000
# Newest times within it are alike.
ALIKE_NS = 30 * SECOND_NS
# A machine that is further behind the newest one is not live.
LIVE_NS = 300 * SECOND_NS
# Machines that are further behind are asked for less often, but once a minute.
EACH_POLL_NS = 120 * SECOND_NS
PART_OF_SILENCE = 20
MINUTE_NS = 60 * SECOND_NS
# A search that finds nothing is followed by so many times as long without one; but not for ever.
SEARCH_REST = 20
LONGEST_REST_NS = 600 * SECOND_NS
# How far back a new machine is looked for, and one that is silent where each hour costs a question.
BACKLOG_NS = 7 * 86_400 * SECOND_NS


@dataclass(frozen=True, slots=True)
class Question:
    """Rows to ask for.

    Attributes:
        machines: By their names; empty for all, as the live question has it.
        start_ns: First time.
    """

    machines: tuple[str, ...]
    start_ns: int


@dataclass(frozen=True, slots=True)
class Round:
    """One poll.

    Attributes:
        behind: About machines that are behind, the least behind first.
        live: About the others, and those that are not known.
        own: The machines whose rows of the live answer are taken; None for all.
    """

    behind: tuple[Question, ...]
    live: Question
    own: frozenset[str] | None


class Rests:
    """When machines that are behind are asked for again."""

    def __init__(self) -> None:
        self._until: dict[str, int] = {}
        self._searched: set[str] = set()

    def searched(self, machines: Iterable[str]) -> bool:
        """Whether all that there is of these was asked for before, by this process."""
        return self._searched.issuperset(machines)

    def due(self, machine: str, now: int) -> bool:
        """Whether it is time to ask for this machine."""
        until = self._until.get(machine, 0)
        # One that is too far away was set before the clock was set back.
        return now >= until or until > now + LONGEST_REST_NS

    def after(self, machines: Collection[str], newest: Mapping[str, int], now: int, took: int) -> None:
        """Nothing was found, in so many nanoseconds: when to ask again."""
        self._searched.update(machines)
        front = max(newest.values(), default=0)
        for machine in machines:
            silent = front - newest[machine]
            rest = 0 if silent <= EACH_POLL_NS else min(MINUTE_NS, silent // PART_OF_SILENCE)
            self._until[machine] = now + min(max(rest, SEARCH_REST * took), LONGEST_REST_NS)

    def end(self, machines: Iterable[str]) -> None:
        """Asks for these at once."""
        for machine in machines:
            self._until.pop(machine, None)


def plan_round(
    newest: Mapping[str, int],
    from_ns: Mapping[str, int],
    start_ns: int,
    now: int,
    rests: Rests,
    *,
    expected: AbstractSet[str] = frozenset(),
    everyone: bool = False,
) -> Round:
    """What the next poll asks for.

    Args:
        newest: Machine to its newest time.
        from_ns: Machine to the first time to read of it.
        start_ns: First time of all.
        now: What time it is, nanoseconds since the epoch.
        rests: When machines that are behind are due.
        expected: The machines of which nothing came yet; they are behind until something comes.
        everyone: Whether none may rest: it is the last poll.
    """
    heard = {machine: time for machine, time in newest.items() if machine not in expected}
    if not heard:
        return Round((), Question((), start_ns), None)
    oldest_live = _oldest_live(heard)
    live = frozenset(machine for machine, time in heard.items() if time >= oldest_live)
    start = min(from_ns[machine] for machine in live)
    if start <= start_ns:  # that is everything
        return Round((), Question((), start_ns), None)
    due = {
        machine: time
        for machine, time in newest.items()
        if machine not in live and (everyone or rests.due(machine, now))
    }
    behind = tuple(
        Question(tuple(sorted(group)), min(from_ns[machine] for machine in group))
        for group in _alike(due, now)
    )
    return Round(behind, Question((), start), live)


def _oldest_live(newest: Mapping[str, int]) -> int:
    """Where the span of alike times begins that has the most machines in it, near the newest time."""
    front = max(newest.values())
    times = sorted(time for time in newest.values() if time >= front - LIVE_NS)
    best, most, stop = times[0], 0, 0
    for place, time in enumerate(times):
        while stop < len(times) and times[stop] <= time + ALIKE_NS:
            stop += 1
        if stop - place >= most:  # of equally many the later ones, whose range is shorter
            best, most = time, stop - place
    return best


def _alike(newest: Mapping[str, int], now: int) -> list[list[str]]:
    """Groups of machines, the least behind first; the further behind, the less alike they need to be."""
    groups: list[list[str]] = []
    oldest = 0
    for machine, time in sorted(newest.items(), key=lambda item: (-item[1], item[0])):
        if not groups or time < oldest:
            groups.append([])
            oldest = time - max(ALIKE_NS, (now - time) // 4)
        groups[-1].append(machine)
    return groups
