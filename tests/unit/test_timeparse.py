"""Moments and durations as people write them."""

from __future__ import annotations

import pytest

from edge_runtime.errors import UsageError
from edge_runtime.timeparse import format_time, parse_duration, parse_time

NOW = 1_767_225_600_000_000_000


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("now", 0), ("-1h30m", -5400), ("-7d", -604_800), ("2026-01-01", 0), ("2026-01-01T01:00+01:00", 0)],
)
def test_times(text: str, seconds: int) -> None:
    assert parse_time(text, NOW) == NOW + seconds * 1_000_000_000


@pytest.mark.parametrize("text", ["", "tomorrow", "-1x", "2026-13-01", "7d", "1h"])
def test_what_is_no_time_is_a_usage_error(text: str) -> None:
    with pytest.raises(UsageError, match="is not a time"):
        parse_time(text, NOW)


def test_durations() -> None:
    assert parse_duration("1.5h") == 5_400_000_000_000
    assert parse_duration("250ms") == 250_000_000
    with pytest.raises(UsageError, match="is not a duration"):
        parse_duration("7 days")


@pytest.mark.parametrize("nanoseconds", [0, 1, 500_000_000, 123_456_789])
def test_what_is_written_reads_back(nanoseconds: int) -> None:
    assert parse_time(format_time(NOW + nanoseconds), 0) == NOW + nanoseconds
