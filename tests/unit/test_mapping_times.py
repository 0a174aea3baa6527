"""Times as others write them: understood whole, or refused with a line to type that works."""

from __future__ import annotations

import numpy as np
import pytest

from edge_runtime.errors import InputError, UsageError
from edge_runtime.mapping.cells import Place
from edge_runtime.mapping.form import TimeForm
from edge_runtime.mapping.times import Times
from edge_runtime.timeparse import format_time, parse_time

PLACE = Place("in.csv", 2)
# 2026-01-31T08:00:00Z
T0 = 1_769_846_400_000_000_000
SECOND = 1_000_000_000
ROWS = 20


def read(cells: list[str], form: str = "", unit: str = "", zone: str = "") -> list[int]:
    times = Times(TimeForm(format=form, unit=unit, zone=zone))
    return [int(moment) for moment in times.read([cell.encode() for cell in cells], PLACE)]


@pytest.mark.parametrize(
    "pattern",
    [
        *(
            "2026-01-31T08:00:{:02}Z",
            "2026-01-31 08:00:{:02}",
            "2026/01/31 08:00:{:02}",
            "2026.01.31 08:00:{:02}",
        ),
        *("31.01.2026 08:00:{:02}", "2026-01-31T09:00:{:02}+01", "2026-01-31T09:30:{:02}+0130"),
        *("2026-01-31 08:00:{:02} UTC", "20260131T0800{:02}Z", "2026-01-31 07:00:{:02},000 -01:00"),
        *("2026-01-31T08:00:{:02}.000000Z", "17698464{:02}", "17698464{:02}000", "17698464{:02}000000"),
        *("17698464{:02}000000000", "17698464{:02}.000"),
    ],
)
def test_what_can_be_read_in_one_way_alone_is_read(pattern: str) -> None:
    cells = [pattern.format(second) for second in range(ROWS)]
    expected = [T0 + second * SECOND for second in range(ROWS)]
    # Alike from end to end, one by one, and beside others.
    assert read(cells) == expected
    assert [read([cell])[0] for cell in cells] == expected
    assert read([*cells, "2026-01-31T08:00:59.5Z"])[:-1] == expected


@pytest.mark.parametrize(
    ("cell", "option", "moment"),
    [
        ("01/31/2026 08:00:00", '--time-format "%m/%d/%Y %H:%M:%S"', T0),
        ("31/01/2026 08:00", '--time-format "%d/%m/%Y %H:%M"', T0),
        ("01/02/2026 08:00:00", '--time-format "%m/%d/%Y %H:%M:%S"', T0 - 29 * 86_400 * SECOND),
        ("01/31/2026 08:00:00.500 AM", '--time-format "%m/%d/%Y %I:%M:%S.%f %p"', T0 + SECOND // 2),
        ("01/31/26 8:00:00 am", '--time-format "%m/%d/%y %I:%M:%S %p"', T0),
        ("31-01-2026", '--time-format "%d-%m-%Y"', T0 - 8 * 3600 * SECOND),
        ("20260131080000", '--time-format "%Y%m%d%H%M%S"', T0),
        ("202601310800", '--time-format "%Y%m%d%H%M"', T0),
        ("20260131", '--time-format "%Y%m%d"', T0 - 8 * 3600 * SECOND),
        ("46053.333333333", "--time-unit excel", T0),
        ("134143200000000000", "--time-unit filetime", T0),
        ("639054432000000000", "--time-unit ticks", T0),
    ],
)
def test_the_hint_of_a_refused_time_is_one_that_works(cell: str, option: str, moment: int) -> None:
    with pytest.raises(InputError) as error:
        read([cell])
    assert error.value.where == "in.csv, line 2"
    assert option in (error.value.hint or "")
    flag, _, value = option.partition(" ")
    form, unit = (value.strip('"'), "") if flag == "--time-format" else ("", value)
    assert read([cell], form, unit) == [moment]
    assert read([cell] * ROWS, form, unit) == [moment] * ROWS


@pytest.mark.parametrize(
    ("cell", "said"),
    [
        ("08:00:00", "is a time of the day without a date"),
        ("2026-01-31T08:00:00 CET", "names a zone by letters that may mean several"),
        ("1700000000000000", None),
        ("2026-01-31 08:00:60", "is not a time"),
        ("2026-01-31 24:00:00", "is not a time"),
        ("2026-02-29 08:00:00", "is not a time"),
        ("31.01.2026 08:00:00 and more", "is not a time"),
        ("31.13.2026", "is not a time"),
        ("2026-01/31", "is not a time"),
    ],
)
def test_what_is_no_time_is_one_neither_alone_nor_in_a_column(cell: str, said: str | None) -> None:
    for cells in ([cell], [cell] * ROWS, ["2026-01-31T08:00:00Z"] * ROWS + [cell]):
        if said is None:
            assert read(cells)[-1] == int(cell) * 1000
        else:
            with pytest.raises(InputError, match=said):
                read(cells)


def test_an_epoch_of_tomorrow_is_one_and_one_of_next_year_needs_its_unit() -> None:
    times = Times(TimeForm(), T0 + 86_400 * SECOND)
    assert times.read([b"1769932800"], PLACE).tolist() == [T0 + 86_400 * SECOND]
    with pytest.raises(InputError, match="its unit cannot be told"):
        times.read([b"1801382400"], PLACE)
    named = Times(TimeForm(unit="s"), T0 + 86_400 * SECOND)
    assert named.read([b"1801382400", b"0", b"4102444800"], PLACE).tolist() == [
        1_801_382_400 * SECOND, 0, 4_102_444_800 * SECOND,
    ]  # fmt: skip


@pytest.mark.parametrize(
    "form",
    ["%Q", "%H:%M", "%Y-%m-%d %I:%M", "%Y%Y%m%d", "%", "no directive", "%d.%m"],
)
def test_a_format_that_cannot_tell_a_time_is_refused(form: str) -> None:
    with pytest.raises(UsageError) as error:
        Times(TimeForm(format=form))
    assert error.value.where == "--time-format"


@pytest.mark.parametrize(
    ("form", "cell"),
    [
        ("%d %b %Y %H:%M:%S", "31 Jan 2026 08:00:00"),
        ("%d %B %Y %H:%M:%S", "31 january 2026 08:00:00"),
        ("%a, %d %b %Y %T %z", "Sat, 31 Jan 2026 09:00:00 +0100"),
        ("%d%m%Y%H%M%S", "31012026080000"),
        ("(%F) %H.%M", "(2026-01-31) 08.00"),
        ("%m/%d/%Y %I:%M:%S %p", "01/31/2026 08:00:00 AM"),
    ],
)
def test_a_format_is_what_strptime_calls_one(form: str, cell: str) -> None:
    assert read([cell], form=form) == [T0]
    assert read([cell] * ROWS, form=form) == [T0] * ROWS
    with pytest.raises(InputError, match="is not a time of the format"):
        read([cell + "x"], form=form)


def test_midnight_and_noon_have_twelve_hours() -> None:
    cells = ["01/31/2026 12:00 AM", "01/31/2026 12:30 PM", "01/31/2026 11:59 PM"]
    found = read(cells, form="%m/%d/%Y %I:%M %p")
    assert [format_time(moment) for moment in found] == [
        "2026-01-31T00:00:00Z", "2026-01-31T12:30:00Z", "2026-01-31T23:59:00Z",
    ]  # fmt: skip
    with pytest.raises(InputError):
        read(["01/31/2026 00:10 AM"], form="%m/%d/%Y %I:%M %p")


def test_a_zone_is_that_of_times_that_name_none() -> None:
    assert read(["2026-01-31 09:00:00"], zone="Europe/Berlin") == [T0]
    assert read(["2026-01-31T08:00:00Z", "2026-01-31T08:00:00Z"], zone="Europe/Berlin") == [T0, T0]
    assert read(["1769846400"], zone="Europe/Berlin") == [T0]
    with pytest.raises(InputError, match="some times name their zone"):
        read(["2026-01-31 09:00:00", "2026-01-31T08:00:00+00:00"], zone="Europe/Berlin")
    with pytest.raises(UsageError, match="no time zone 'Mars/Olympus'"):
        read(["2026-01-31 09:00:00"], zone="Mars/Olympus")


def night(step_minutes: int) -> tuple[list[str], list[int]]:
    """Clock on the wall and UTC through the night in which Berlin goes through 2 to 3 o'clock twice."""
    first = parse_time("2025-10-25T23:00:00Z", 0)
    moments = [first + minute * 60 * SECOND for minute in range(0, 300, step_minutes)]
    change = parse_time("2025-10-26T01:00:00Z", 0)
    local = [moment + (2 if moment < change else 1) * 3600 * SECOND for moment in moments]
    return [format_time(moment)[:-1].replace("T", " ") for moment in local], moments


@pytest.mark.parametrize("block", [1, 7, 300])
@pytest.mark.parametrize("step", [1, 10])
def test_the_hour_that_comes_twice_is_told_apart_by_the_order(step: int, block: int) -> None:
    cells, moments = night(step)
    times = Times(TimeForm(zone="Europe/Berlin"))
    found: list[int] = []
    for start in range(0, len(cells), block):
        part = [cell.encode() for cell in cells[start : start + block]]
        found += times.read(part, PLACE).tolist()
    assert found == moments
    assert times.zone is not None
    assert times.zone.repeated == 120 // step


def test_each_machine_goes_through_that_hour_by_itself() -> None:
    cells, moments = night(10)
    # The second machine sends its whole night after the first one, and half an hour later than it.
    both = [cell.encode() for cell in (*cells, *cells[3:])]
    codes = np.array([0] * len(cells) + [1] * len(cells[3:]))
    times = Times(TimeForm(zone="Europe/Berlin"))
    assert times.read(both, PLACE, ("a", "b"), codes).tolist() == [*moments, *moments[3:]]


def test_the_hour_that_is_left_out_is_no_time() -> None:
    cells = [b"2026-03-29 01:59:59", b"2026-03-29 02:30:00"]
    with pytest.raises(InputError, match=r"there was no 2026-03-29T02:30:00 in Europe/Berlin") as error:
        Times(TimeForm(zone="Europe/Berlin")).read(cells, PLACE)
    assert error.value.where == "in.csv, line 3"
