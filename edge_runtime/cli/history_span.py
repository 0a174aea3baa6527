"""What commands on a history share: which machine, from when until when, and what could not be read."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from edge_runtime.errors import LedgerError, UsageError, counted, listed, printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from edge_runtime.history.spans import MachineSpan

__all__ = ["Span", "complain", "machine_in", "span_before"]


class Span(NamedTuple):
    """A time range: start <= time < stop, nanoseconds since the epoch."""

    start: int
    stop: int


def span_before(
    newest: int, whose: str, last: str | None, start: str | None, stop: str | None, usual: str
) -> Span:
    """From when until when.

    Args:
        newest: Time of the newest row, nanoseconds since the epoch.
        whose: Whose row that is, for messages.
        last: How much time before the newest row, or before the end.
        start: When to begin.
        stop: Before when to end; after the newest row unless given.
        usual: The `last` where neither that nor a start is given.

    Raises:
        UsageError: These are no times, or there is nothing between them.
    """
    import time

    from edge_runtime.timeparse import EARLIEST, format_time, parse_duration, parse_time

    now = time.time_ns()
    end = newest + 1 if stop is None else parse_time(stop, now)
    if start is not None and last is not None:
        raise UsageError("--last and --start both say where to begin", hint="leave out one of them")
    if start is not None:
        begin = parse_time(start, now)
    else:
        begin = max(EARLIEST, end - 1 - parse_duration(last or usual))
    if begin >= end:
        if stop is None:
            hint = f"the newest row of {whose} is of {format_time(newest)}"
            raise UsageError("there are no rows from then on", where=format_time(begin), hint=hint)
        raise UsageError("that ends before it begins", where=f"{format_time(begin)} to {format_time(end)}")
    return Span(begin, end)


def machine_in(machines: Iterable[MachineSpan], name: str) -> MachineSpan:
    """The machine of this name.

    Raises:
        UsageError: The history has none.
    """
    known = {one.machine_id: one for one in machines}
    if name not in known:
        hint = f"it has {listed(known)}" if known else "it has none yet"
        raise UsageError(f"the history has no machine '{printable(name)}'", hint=hint)
    return known[name]


def complain(damaged: Sequence[tuple[int, int]]) -> None:
    """Says what was left out.

    Args:
        damaged: As `HistoryReader.damaged`.

    Raises:
        LedgerError: Something was.
    """
    from edge_runtime.timeparse import format_time

    if damaged:
        since, until = min(one[0] for one in damaged), max(one[1] for one in damaged)
        raise LedgerError(
            f"{counted(len(damaged), 'part')} of the history could not be read, and was left out"
            if len(damaged) == 1
            else f"{len(damaged)} parts of the history could not be read, and were left out",
            where=f"{format_time(since)} to {format_time(until)}",
            hint="the others are printed",
        )
