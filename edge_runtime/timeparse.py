"""Moments and durations as people write them on a command line."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from math import inf

from edge_runtime.errors import UsageError

__all__ = [
    "EARLIEST",
    "LATEST",
    "ago",
    "format_time",
    "moment_of",
    "parse_duration",
    "parse_time",
    "written_time",
    "zone_remark",
    "zone_seconds",
]

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
UNITS_NS = {
    "ns": 1,
    "us": 1_000,
    "ms": 1_000_000,
    "s": 1_000_000_000,
    "m": 60_000_000_000,
    "h": 3_600_000_000_000,
    "d": 86_400_000_000_000,
    "w": 604_800_000_000_000,
}
# Up to how many seconds which unit is used, and its seconds.
AGO = ((119.5, "s", 1), (7170, "min", 60), (171_000, "h", 3600), (inf, "days", 86_400))
DURATION = re.compile(r"(\d{1,15}(?:\.\d{1,15})?)(ns|us|ms|s|m|h|d|w)", re.ASCII)
ZONE = r"(?P<z>[Zz]|UTC|GMT|[+-]\d\d(?::?\d\d)?)"
CLOCK = (
    rf"(?:(?:[Tt]| +)(?P<H>\d{{1,2}}):(?P<M>\d\d)(?::(?P<S>\d\d)(?:[.,](?P<f>\d{{1,9}}))?)?)?(?: *{ZONE})?"
)
# What can be read in one way alone: the year first, or a day first that has full stops after it.
PATTERNS = tuple(
    re.compile(pattern, re.ASCII)
    for pattern in (
        rf"(?P<Y>\d{{4}})(?P<mark>[-/.])(?P<m>\d\d)(?P=mark)(?P<d>\d\d){CLOCK}",
        rf"(?P<d>\d{{1,2}})\.(?P<m>\d{{1,2}})\.(?P<Y>\d{{4}}){CLOCK}",
        rf"(?P<Y>\d{{4}})(?P<m>\d\d)(?P<d>\d\d)T(?P<H>\d\d)(?P<M>\d\d)(?P<S>\d\d)(?:[.,](?P<f>\d{{1,9}}))?{ZONE}?",
    )
)
MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]
NOON, DAY_HOURS, HOUR_MINUTES, HALF_CENTURY = 12, 24, 60, 69
# An epoch's unit by its number of digits: seconds up to the year 5138, then ms, us and ns.
EPOCH_UNITS_NS = ((11, 1_000_000_000), (14, 1_000_000), (17, 1_000), (20, 1))
# What int64 nanoseconds hold: the years 1677 to 2262. The least number stands for no time.
EARLIEST, LATEST = -(2**63) + 1, 2**63 - 1


def parse_duration(text: str) -> int:
    """Nanoseconds from "90s", "1.5h", "7d" or "1h30m".

    Raises:
        UsageError: It is not a duration.
    """
    parts = DURATION.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text.strip():
        raise UsageError(f"'{text}' is not a duration", hint="write for instance 90s, 15m, 12h or 7d")
    return sum(round(float(number) * UNITS_NS[unit]) for number, unit in parts)


def parse_time(text: str, now_ns: int) -> int:
    """Nanoseconds since the epoch from "now", "-7d", an RFC 3339 time (UTC without a zone) or an epoch.

    Args:
        text: What was written.
        now_ns: What "now" is, nanoseconds since the epoch.

    Raises:
        UsageError: It is not a time, or none of the years 1677 to 2262.
    """
    text = text.strip()
    found = _moment(text, now_ns)
    if found is None:
        raise UsageError(
            f"'{text}' is not a time",
            hint="write for instance now, -7d, 2026-01-31T08:00:00Z or seconds since 1970",
        )
    if not EARLIEST <= found <= LATEST:
        raise UsageError(f"'{text}' is outside the years 1677 to 2262")
    return found


def _moment(text: str, now_ns: int) -> int | None:
    """The same; None where it is not a time."""
    if text == "now":
        return now_ns
    if text[:1] == "-" and DURATION.match(text[1:]):
        return now_ns - parse_duration(text[1:])
    if text.isascii() and text.isdigit():
        return next((int(text) * unit for digits, unit in EPOCH_UNITS_NS if len(text) <= digits), None)
    found = written_time(text)
    return None if found is None else moment_of(found)


def written_time(text: str) -> re.Match[str] | None:
    """The parts of a time that is written in a way that can be read in one way alone; None of others."""
    return next(filter(None, (pattern.fullmatch(text) for pattern in PATTERNS)), None)


def moment_of(found: re.Match[str]) -> int | None:
    """Nanoseconds since the epoch, UTC where no zone is named; None where there is no such day or time.

    Args:
        found: With some of the groups Y, y, m, b (a month's name), d, H, I and p, M, S, f and z.
    """
    part = found.groupdict()
    year = int(part["Y"]) if part.get("Y") else int(part.get("y") or 70)
    if not part.get("Y"):
        year += 1900 if year >= HALF_CENTURY else 2000
    month = MONTHS.index(part["b"][:3].lower()) + 1 if part.get("b") else int(part.get("m") or 1)
    hour = int(part.get("H") or 0)
    if part.get("I"):
        hour = int(part["I"]) % NOON + (NOON if (part.get("p") or "").lower() == "pm" else 0)
        if not 1 <= int(part["I"]) <= NOON:
            return None
    try:
        moment = datetime(
            year,
            month,
            int(part.get("d") or 1),
            hour,
            int(part.get("M") or 0),
            int(part.get("S") or 0),
            tzinfo=UTC,
        )
    except ValueError:
        return None
    ahead = zone_seconds(part.get("z"))
    if ahead is None:
        return None
    away = moment - EPOCH
    seconds = away.days * 86_400 + away.seconds - ahead
    return seconds * 1_000_000_000 + int((part.get("f") or "").ljust(9, "0"))


def zone_seconds(text: str | None) -> int | None:
    """Seconds that a zone such as "+02:00" is ahead of UTC: 0 for none and Z; None if it cannot be."""
    if not text or text[0] not in "+-":
        return 0
    digits = text[1:].replace(":", "").ljust(4, "0")
    hours, minutes = int(digits[:2]), int(digits[2:])
    if hours >= DAY_HOURS or minutes >= HOUR_MINUTES:
        return None
    return (-1 if text[0] == "-" else 1) * (hours * 3600 + minutes * 60)


def zone_remark(text: str) -> str | None:
    """What to say of a time of the day that names no zone; None of other times."""
    found = written_time(text.strip())
    if found is None or found["H"] is None or found["z"] is not None:
        return None
    return f"times have no zone, such as {text.strip()}, and are taken as UTC"


def format_time(time_ns: int) -> str:
    """RFC 3339 in UTC, with as many decimals as the time has."""
    seconds, nanoseconds = divmod(int(time_ns), 1_000_000_000)
    days, of_day = divmod(seconds, 86_400)
    minutes, second = divmod(of_day, 60)
    fraction = f".{nanoseconds:09d}".rstrip("0") if nanoseconds else ""
    return f"{_day(days)}T{minutes // 60:02d}:{minutes % 60:02d}:{second:02d}{fraction}Z"


def ago(passed_ns: int) -> str:
    """How long ago something was, such as "3 s ago" or "2 days ago"; "12 s ahead" if it is still to come."""
    seconds = abs(passed_ns) / 1e9
    unit, length = next((unit, length) for most, unit, length in AGO if seconds < most)
    return f"{seconds / length:.0f} {unit} {'ago' if passed_ns >= 0 else 'ahead'}"


@lru_cache(maxsize=64)
def _day(days: int) -> str:
    return (date(1970, 1, 1) + timedelta(days)).isoformat()
