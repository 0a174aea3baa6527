"""Quiet times: hours of the week, by the clock of a place, in which anomalies raise no alarm."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple

from edge_runtime.errors import UsageError, printable

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["QuietTimes"]

DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
SHORTEST_NAME = 3
DAY_MINUTES, HOUR_MINUTES, NANOSECONDS = 1440, 60, 1_000_000_000
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
TIMES = re.compile(r"(\d{1,2}):(\d\d) ?- ?(\d{1,2}):(\d\d)", re.ASCII)
HINT = 'write for instance "Mon-Fri 05:45-06:15", "22:00-06:00" or "Sat, Sun"'


class Span(NamedTuple):
    """Minutes of some days: of a span that goes on after midnight, the days are those it begins on."""

    days: frozenset[int]
    start: int
    stop: int

    def holds(self, day: int, minute: int) -> bool:
        """Whether a minute of a day is in it."""
        if self.start < self.stop:
            return day in self.days and self.start <= minute < self.stop
        return (day in self.days and minute >= self.start) or (
            (day - 1) % len(DAYS) in self.days and minute < self.stop
        )


class QuietTimes:
    """Some spans of the week.

    Args:
        texts: Each such as "Mon-Fri 05:45-06:15", "22:00-06:00" or "Sat, Sun".
        zone: Of whose clock, such as "Europe/Berlin".

    Raises:
        UsageError: A text is none, or this machine knows no such zone.
    """

    def __init__(self, texts: Sequence[str], zone: str) -> None:
        from edge_runtime.mapping.zones import zone_named  # noqa: PLC0415 - with numpy, and `--help` needs none

        self._spans = [_span(text) for text in texts]
        self._zone = UTC if zone == "UTC" else zone_named(zone, "time_zone")
        self._last: tuple[int | None, bool] = None, False

    def holds(self, time: int) -> bool:
        """Whether a time, nanoseconds since the epoch, is in one of them."""
        second = time // NANOSECONDS  # clocks have differed from UTC by seconds, too
        if self._last[0] != second:
            local = (EPOCH + timedelta(seconds=second)).astimezone(self._zone)
            of_day = local.hour * HOUR_MINUTES + local.minute
            self._last = second, any(span.holds(local.weekday(), of_day) for span in self._spans)
        return self._last[1]


def _span(text: str) -> Span:
    """One span of a week.

    Raises:
        UsageError: The text is none.
    """
    rest, days, times = text.strip(), frozenset(range(len(DAYS))), (0, DAY_MINUTES)
    found = TIMES.search(rest)
    if found is not None and found.end() == len(rest):
        hours = [int(part) for part in found.groups()]
        times = hours[0] * HOUR_MINUTES + hours[1], hours[2] * HOUR_MINUTES + hours[3]
        rest = rest[: found.start()].strip()
        if max(hours[1], hours[3]) >= HOUR_MINUTES or times[0] >= DAY_MINUTES or times[1] > DAY_MINUTES:
            raise UsageError(f"'{printable(text)}' has no time of the day", where="quiet", hint=HINT)
        if times[0] == times[1]:
            raise UsageError(
                f"'{printable(text)}' ends when it begins",
                where="quiet",
                hint="name the days alone for all day",
            )
    elif not rest:
        raise UsageError("a quiet time is empty", where="quiet", hint=HINT)
    if rest:
        days = frozenset(day for part in rest.split(",") for day in _days(part, text))
    return Span(days, *times)


def _days(part: str, text: str) -> list[int]:
    """The days of a part such as "Mon-Fri" or "Sat"."""
    found = [_day(name.strip().lower()) for name in part.split("-")]
    if not 1 <= len(found) <= 2 or -1 in found:  # noqa: PLR2004 - from and to
        raise UsageError(f"'{printable(text)}' is no quiet time", where="quiet", hint=HINT)
    first, last = found[0], found[-1]
    return [day % len(DAYS) for day in range(first, last + 1 if last >= first else last + 1 + len(DAYS))]


def _day(short: str) -> int:
    """The number of a day, by its name or at least three letters of it; -1 for none."""
    if len(short) < SHORTEST_NAME:
        return -1
    return next((day for day, name in enumerate(DAYS) if name.startswith(short)), -1)
