"""Alarms of two sets of rules, put together where they are about the same."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from edge_runtime.engine.alarms import PRIORITIES
from edge_runtime.timeparse import LATEST, parse_time

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["FoundAlarm", "Match", "matched"]


class FoundAlarm(NamedTuple):
    """An alarm as one of the two sets of rules leads to it; nobody acknowledges it.

    Attributes:
        told: Time of the row at which it was raised, nanoseconds since the epoch; the field `raised` is the
            time of the first row of its run, which is earlier by the on-delay.
        fields: As its last change has them, by the names of `docs/alarms.md`; `returned` is None for an alarm
            that is still active at the end.
    """

    told: int
    fields: dict[str, Any]


class Match(NamedTuple):
    """Alarms of one machine or sensor whose times overlap: they are about the same.

    Mostly it is one alarm on each side. Rules may divide an alarm into several, or join several into one.

    Attributes:
        before: With the rules in force, oldest first; empty for alarms that are new.
        after: With the rules that are tried; empty for an alarm that is lost.
    """

    before: tuple[FoundAlarm, ...]
    after: tuple[FoundAlarm, ...]

    @property
    def lost(self) -> bool:
        """Whether the rules that are tried lead to no alarm at all here."""
        return not self.after

    @property
    def new(self) -> bool:
        """Whether there was no alarm at all here before."""
        return not self.before

    @property
    def delay_s(self) -> float:
        """How much later the first alarm is told, seconds; negative for earlier, 0 without one to compare."""
        return (self.after[0].told - self.before[0].told) / 1e9 if self.before and self.after else 0.0

    @property
    def priorities(self) -> tuple[str | None, str | None]:
        """The highest priority before, and after; None where there is no alarm."""
        before, after = (
            max((one.fields["priority"] for one in side), key=PRIORITIES.index, default=None) for side in self
        )
        return before, after

    @property
    def changed(self) -> bool:
        """Whether both sides have alarms, told at another time, of another priority or in another number."""
        before, after = self.priorities
        same = self.delay_s == 0 and before == after and len(self.before) == len(self.after)
        return bool(self.before and self.after) and not same


def matched(before: Iterable[FoundAlarm], after: Iterable[FoundAlarm]) -> list[Match]:
    """Puts alarms of one machine together that are about the same and overlap, in the order of time.

    Those of one side that are about the same never overlap each other.
    """
    groups: dict[tuple[str, str], list[tuple[int, bool, FoundAlarm]]] = {}
    for is_after, side in ((False, before), (True, after)):
        for one in side:
            group = groups.setdefault((one.fields["kind"], one.fields["subject"]), [])
            group.append((parse_time(one.fields["raised"], 0), is_after, one))
    found: list[tuple[int, Match]] = []
    for group in groups.values():
        group.sort(key=lambda one: one[:2])
        until: int | None = None
        for raised, is_after, one in group:
            if until is None or raised > until:
                until = raised
                found.append((raised, Match((), ())))
            begin, (own, others) = found[-1]
            match = Match(own, (*others, one)) if is_after else Match((*own, one), others)
            found[-1] = begin, match
            until = max(until, _returned(one))
    found.sort(key=lambda one: one[0])
    return [match for _, match in found]


def _returned(alarm: FoundAlarm) -> int:
    returned = alarm.fields["returned"]
    return LATEST if returned is None else parse_time(returned, 0)
