"""Quiet times by the clock of a place: over midnight, the week's end and both changes of the clock."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edge_runtime.engine.quiet import QuietTimes
from edge_runtime.errors import UsageError
from edge_runtime.timeparse import parse_time

economical = settings(
    max_examples=300,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
SECOND = 1_000_000_000
NAMES = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
HINT = 'write for instance "Mon-Fri 05:45-06:15", "22:00-06:00" or "Sat, Sun"'
BERLIN = "Europe/Berlin"


def is_quiet(time: str, *texts: str, zone: str = "UTC") -> bool:
    return QuietTimes(texts, zone).holds(parse_time(time, 0))


# 2026-01-05 is a Monday.
@pytest.mark.parametrize(
    ("text", "within", "outside"),
    [
        (
            "05:45-06:15",
            ["2026-01-05T05:45:00Z", "2026-01-11T06:14:59.999999999Z"],
            ["2026-01-05T05:44:59.999999999Z", "2026-01-05T06:15:00Z"],
        ),
        (
            "22:00-06:00",
            ["2026-01-05T22:00:00Z", "2026-01-05T00:00:00Z", "2026-01-05T05:59:59Z"],
            ["2026-01-05T06:00:00Z", "2026-01-05T21:59:59Z", "2026-01-05T12:00:00Z"],
        ),
        # A span that goes on after midnight is of the day on which it begins.
        (
            "Fri 22:00-06:00",
            ["2026-01-09T22:00:00Z", "2026-01-09T23:59:59Z", "2026-01-10T00:00:00Z", "2026-01-10T05:59:59Z"],
            ["2026-01-09T05:00:00Z", "2026-01-10T06:00:00Z", "2026-01-10T22:00:00Z", "2026-01-08T23:00:00Z"],
        ),
        # So is one over the end of the week.
        (
            "Sun 22:00-06:00",
            ["2026-01-11T22:00:00Z", "2026-01-12T05:59:00Z", "2026-01-05T00:00:00Z"],
            ["2026-01-11T05:00:00Z", "2026-01-12T06:00:00Z", "2026-01-12T22:00:00Z", "2026-01-06T01:00:00Z"],
        ),
        ("22:00-24:00", ["2026-01-05T22:00:00Z", "2026-01-05T23:59:59Z"], ["2026-01-05T00:00:00Z"]),
        ("Mon 22:00-00:00", ["2026-01-05T23:59:59Z"], ["2026-01-06T00:00:00Z", "2026-01-05T00:00:00Z"]),
        ("Mon 00:00-24:00", ["2026-01-05T00:00:00Z", "2026-01-05T23:59:59Z"], ["2026-01-06T00:00:00Z"]),
        ("Mon 23:59-00:01", ["2026-01-05T23:59:00Z", "2026-01-06T00:00:59Z"], ["2026-01-05T00:00:00Z"]),
        ("00:00-24:00", ["2026-01-05T00:00:00Z", "2026-01-11T23:59:59Z"], []),
        (
            "Sat, Sun",
            ["2026-01-10T00:00:00Z", "2026-01-11T23:59:59.999999999Z"],
            ["2026-01-09T23:59:59.999999999Z", "2026-01-12T00:00:00Z"],
        ),
        # Days over the end of the week.
        (
            "Fri-Mon",
            ["2026-01-09T12:00:00Z", "2026-01-10T12:00:00Z", "2026-01-11T12:00:00Z", "2026-01-12T12:00:00Z"],
            ["2026-01-06T12:00:00Z", "2026-01-07T12:00:00Z", "2026-01-08T12:00:00Z"],
        ),
        ("Sun-Mon 06:00-07:00", ["2026-01-11T06:30:00Z", "2026-01-12T06:30:00Z"], ["2026-01-10T06:30:00Z"]),
        ("Wed-Wed", ["2026-01-07T12:00:00Z"], ["2026-01-06T12:00:00Z", "2026-01-08T12:00:00Z"]),
        ("Tue-Mon", ["2026-01-05T12:00:00Z", "2026-01-06T12:00:00Z", "2026-01-11T12:00:00Z"], []),
        (
            "Mon, Wed-Thu, Sun 06:00-07:00",
            ["2026-01-05T06:00:00Z", "2026-01-08T06:00:00Z", "2026-01-11T06:00:00Z"],
            ["2026-01-06T06:00:00Z", "2026-01-05T07:00:00Z"],
        ),
        # The last second before 1970.
        ("Wed 23:59-24:00", ["1969-12-31T23:59:59.999999999Z"], ["1970-01-01T00:00:00Z"]),
    ],
)
def test_a_span_holds_from_its_first_minute_to_before_its_last(
    text: str, within: list[str], outside: list[str]
) -> None:
    assert [time for time in within if not is_quiet(time, text)] == []
    assert [time for time in outside if is_quiet(time, text)] == []


@pytest.mark.parametrize(
    "text",
    [
        "Mon-Fri 05:45-06:15",
        "mon-fri 5:45-6:15",
        "MON-FRI 05:45 - 06:15",
        "Monday-Friday 05:45-06:15",
        "Mon - Friday 05:45- 06:15",
        "  Mon-Fri   05:45-06:15  ",
        "Mon-Fri05:45-06:15",
        "Monday,Tuesday, wednesday ,THU,Fri 05:45-06:15",
        "Mon-Wed, Tue-Fri 05:45-06:15",
    ],
)
def test_days_are_written_in_full_or_in_three_letters(text: str) -> None:
    quiet = QuietTimes([text], "UTC")
    hours = [parse_time(f"2026-01-{day:02}T06:00:00Z", 0) for day in range(5, 12)]
    assert [quiet.holds(hour) for hour in hours] == [True] * 5 + [False] * 2
    assert not quiet.holds(hours[0] + 15 * 60 * SECOND)
    assert not quiet.holds(hours[0] - 16 * 60 * SECOND)


@pytest.mark.parametrize("day", range(7))
def test_each_day_has_its_name(day: int) -> None:
    for name in (NAMES[day], NAMES[day][:3]):
        found = [is_quiet(f"2026-01-{each:02}T12:00:00Z", name) for each in range(5, 12)]
        assert found == [each == day for each in range(7)]


def test_of_several_spans_each_holds() -> None:
    texts = ("Sat", "Mon 22:00-06:00", "12:00-12:30")
    times = ("2026-01-10T08:00:00Z", "2026-01-06T03:00:00Z", "2026-01-07T12:15:00Z", "2026-01-07T03:00:00Z")
    assert [is_quiet(time, *texts) for time in times] == [True, True, True, False]
    assert not is_quiet("2026-01-10T08:00:00Z")


def test_when_the_clock_goes_forward_the_hour_that_is_left_out_is_not_quiet() -> None:
    """2026-03-29, 01:00 UTC: it is 03:00 after 01:59."""
    times = [f"2026-03-29T{time}Z" for time in ("00:59:59", "01:00:00", "01:30:00", "01:59:59", "02:00:00")]
    assert [is_quiet(time, "Sun 02:00-03:00", zone=BERLIN) for time in times] == [False] * 5
    assert [is_quiet(time, "02:30-03:30", zone=BERLIN) for time in times] == [
        False,
        True,
        False,
        False,
        False,
    ]
    assert [is_quiet(time, "Sat 22:00-03:00", zone=BERLIN) for time in times] == [True, *[False] * 4]
    assert is_quiet("2026-03-28T21:00:00Z", "Sat 22:00-06:00", zone=BERLIN)
    assert is_quiet("2026-03-29T03:59:59Z", "Sat 22:00-06:00", zone=BERLIN)
    assert not is_quiet("2026-03-29T04:00:00Z", "Sat 22:00-06:00", zone=BERLIN)


def test_when_the_clock_goes_back_the_hour_that_comes_twice_is_quiet_twice() -> None:
    """2026-10-25, 01:00 UTC: it is 02:00 once more."""
    times = ["23:59:59", "00:00:00", "00:59:59", "01:00:00", "01:59:59", "02:00:00"]
    days = ["24", *["25"] * 5]
    found = [
        is_quiet(f"2026-10-{day}T{time}Z", "Sun 02:00-03:00", zone=BERLIN)
        for day, time in zip(days, times, strict=True)
    ]
    assert found == [False, True, True, True, True, False]
    for time in ("00:35", "01:35"):
        assert is_quiet(f"2026-10-25T{time}:00Z", "02:30-02:45", zone=BERLIN)
    assert not is_quiet("2026-10-25T00:50:00Z", "02:30-02:45", zone=BERLIN)


@pytest.mark.parametrize(
    ("zone", "within", "outside"),
    [
        ("Pacific/Kiritimati", ["2026-01-04T10:00:00Z"], ["2026-01-04T09:59:59Z", "2026-01-05T10:00:00Z"]),
        ("Pacific/Niue", ["2026-01-05T11:00:00Z"], ["2026-01-05T10:59:59Z", "2026-01-06T11:00:00Z"]),
        ("Asia/Kathmandu", ["2026-01-04T18:15:00Z"], ["2026-01-04T18:14:59Z", "2026-01-05T18:15:00Z"]),
        ("America/St_Johns", ["2026-01-05T03:30:00Z"], ["2026-01-05T03:29:59Z", "2026-01-06T03:30:00Z"]),
        ("UTC", ["2026-01-05T00:00:00Z"], ["2026-01-04T23:59:59Z", "2026-01-06T00:00:00Z"]),
    ],
)
def test_days_are_those_of_the_zone(zone: str, within: list[str], outside: list[str]) -> None:
    assert [time for time in within if not is_quiet(time, "Monday", zone=zone)] == []
    assert [time for time in outside if is_quiet(time, "Monday", zone=zone)] == []


def test_a_clock_that_differs_by_seconds_is_followed_to_the_second() -> None:
    """Until 1972 it was 00:44:30 behind in Monrovia."""
    times = [f"1971-06-01T{time}Z" for time in ("10:44:29.999999999", "10:44:30", "10:44:59", "10:45:30")]
    found = [is_quiet(time, "10:00-10:01", zone="Africa/Monrovia") for time in times]
    assert found == [False, True, True, False]


@pytest.mark.parametrize("text", ["", " ", "\t"])
def test_a_text_without_anything_is_refused(text: str) -> None:
    with pytest.raises(UsageError) as error:
        QuietTimes(["Sat", text], "UTC")
    assert str(error.value) == f"quiet: a quiet time is empty; {HINT}"


@pytest.mark.parametrize(
    ("text", "what"),
    [
        *(
            (text, "is no quiet time")
            for text in (
                "noon",
                "Mo",
                "Monkey",
                "Mondays",
                "Sat Sun",
                "Sat; Sun",
                "Sat,, Sun",
                "Sat, Sun,",
                "Mon-Wed-Fri",
                "Mon-",
                "-Fri",
                "-",
                ",",
                "1-5",
                "22:00",
                "22:00-",
                "22-06",
                "22:0-06:00",
                "-22:00-06:00",
                "22:00-06:00 Mon",
                "22:00-06:00, 12:00-13:00",
                "22:00-06:00 12:00-13:00",
                "Mon, 22:00-06:00",
                "22:00:00-06:00:00",
                "122:00-06:00",
                "22:00--06:00",
                "22:00 to 06:00",
                "\u0662\u0662:00-06:00",
                "2026-01-05",
            )
        ),
        *(
            (text, "has no time of the day")
            for text in ("24:00-06:00", "25:00-06:00", "22:00-24:01", "22:60-06:00", "Mon 22:00-06:60")
        ),
        *((text, "ends when it begins") for text in ("06:00-06:00", "Mon 00:00-00:00", "6:00-06:00")),
    ],
)  # fmt: skip
def test_a_text_that_is_no_quiet_time_is_refused(text: str, what: str) -> None:
    hint = "name the days alone for all day" if what == "ends when it begins" else HINT
    with pytest.raises(UsageError) as error:
        QuietTimes([text], "UTC")
    assert str(error.value) == f"quiet: '{text}' {what}; {hint}"


def test_a_text_in_a_message_is_short_and_on_one_line() -> None:
    with pytest.raises(UsageError) as error:
        QuietTimes(["Mon\x1b[2J\n" + "x" * 1000], "UTC")
    assert str(error.value) == f"quiet: 'Mon?[2J?{'x' * 32}' is no quiet time; {HINT}"


@pytest.mark.parametrize(
    "zone",
    ["", "Mars/Base", "Europe", "Europe/Berlin/Mitte", "../zone", "/etc/passwd", "z" * 5000, "\0", "\ud800",
     "zone.tab", "UTC "],
)  # fmt: skip
def test_a_zone_that_is_none_is_refused(zone: str) -> None:
    with pytest.raises(UsageError, match="there is no time zone '.*' on this machine; such as"):
        QuietTimes(["Sat"], zone)


@dataclass(frozen=True)
class Plain:
    """A quiet time, and when it is by the calendar."""

    days: tuple[tuple[int, int], ...]  # from and to
    start: int  # minutes after midnight
    stop: int
    form: int

    @property
    def text(self) -> str:
        days = ", ".join(
            self.name(first) if first == last else f"{self.name(first)}-{self.name(last)}"
            for first, last in self.days
        )
        start, stop = (f"{minute // 60:02}:{minute % 60:02}" for minute in (self.start, self.stop))
        return f"{days} {start}-{stop}"

    def name(self, day: int) -> str:
        return (NAMES[day], NAMES[day][:3], NAMES[day].upper(), NAMES[day][:3].lower())[self.form]

    def begins_on(self, weekday: int) -> bool:
        for first, last in self.days:
            day = first
            while day not in (last, weekday):
                day = (day + 1) % 7
            if day == weekday:
                return True
        return not self.days

    def holds(self, clock: datetime) -> bool:
        """Whether this is in one of the spans that began today or yesterday."""
        for ago in (0, 1):
            midnight = datetime(clock.year, clock.month, clock.day) - timedelta(days=ago)  # noqa: DTZ001
            start = midnight + timedelta(minutes=self.start)
            stop = midnight + timedelta(minutes=self.stop, days=self.stop < self.start)
            if self.begins_on(midnight.weekday()) and start <= clock < stop:
                return True
        return False


plain_times = st.builds(
    Plain,
    st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), max_size=2).map(tuple),
    st.integers(0, 1439),
    st.integers(0, 1440),
    st.integers(0, 3),
).filter(lambda plain: plain.start != plain.stop)
zones = st.sampled_from(
    ["UTC", BERLIN, "Pacific/Kiritimati", "Pacific/Niue", "Asia/Kathmandu", "America/St_Johns",
     "Australia/Lord_Howe", "Africa/Casablanca", "Africa/Monrovia", "America/New_York"]
)  # fmt: skip
FIRST, LAST = datetime(1970, 1, 2, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)


@economical
@given(
    st.lists(plain_times, min_size=1, max_size=3),
    zones,
    st.integers(0, (LAST - FIRST).days),
    st.lists(
        st.tuples(
            st.integers(0, 2),
            st.sampled_from(["start", "stop", "any"]),
            st.integers(-61, 61) | st.integers(-86_400, 86_400),
        ),
        min_size=1,
        max_size=8,
    ),
    st.integers(0, SECOND - 1),
)
def test_quiet_times_are_those_of_the_calendar(
    plain: list[Plain], zone: str, day: int, moments: list[tuple[int, str, int]], fraction: int
) -> None:
    """At random times from 1970 to 2100, many of them close to where a span begins or ends."""
    quiet = QuietTimes([one.text for one in plain], zone)
    for number, near, seconds in moments:
        one = plain[number % len(plain)]
        minute = {"start": one.start, "stop": one.stop, "any": 720}[near]
        local = (FIRST + timedelta(days=day, minutes=minute)).replace(tzinfo=ZoneInfo(zone))
        moment = local.astimezone(UTC) + timedelta(seconds=seconds)
        clock = moment.astimezone(ZoneInfo(zone)).replace(tzinfo=None)
        time = (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(seconds=1) * SECOND + fraction
        assert quiet.holds(time) is any(each.holds(clock) for each in plain), (moment, clock)
