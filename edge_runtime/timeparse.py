"""Moments and durations as people write them on a command line."""

from __future__ import annotations

import re
from datetime import date, datetime, timedelta
from functools import lru_cache
from math import inf

from edge_runtime.errors import UsageError

__all__ = ["EARLIEST", "LATEST", "ago", "format_time", "parse_duration", "parse_time", "zone_remark"]

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
RFC3339 = re.compile(
    r"(\d{4}-\d\d-\d\d)(?:[T ](\d\d:\d\d(?::\d\d)?)(?:\.(\d{1,9}))?)?(Z|[+-]\d\d:?\d\d)?", re.ASCII
)
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
    found = RFC3339.fullmatch(text)
    if found is None:
        return None
    day, clock, fraction, zone = found.groups()
    zone = "+00:00" if zone in (None, "Z") else zone
    try:
        moment = datetime.fromisoformat(f"{day}T{clock or '00:00'}{zone}")
    except ValueError:
        return None
    return int(moment.timestamp()) * 1_000_000_000 + int((fraction or "").ljust(9, "0"))


def zone_remark(text: str) -> str | None:
    """What to say of a time of the day that names no zone; None of other times."""
    found = RFC3339.fullmatch(text.strip())
    if found is None or found.group(2) is None or found.group(4) is not None:
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
