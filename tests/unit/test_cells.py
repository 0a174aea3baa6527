"""Cells that are no times, numbers or names, and times at the edges of what int64 nanoseconds hold."""

from __future__ import annotations

import numpy as np
import pytest

from edge_runtime.errors import InputError, UsageError
from edge_runtime.mapping.cells import Place, check_machine, codes, shown
from edge_runtime.mapping.numbers import floats
from edge_runtime.mapping.times import Times
from edge_runtime.timeparse import EARLIEST, LATEST, parse_duration, parse_time

PLACE = Place("in.csv", 2)
T0 = 1_767_225_600_000_000_000
SECOND = 1_000_000_000
FIRST, LAST = "1677-09-21T00:12:44Z", "2262-04-11T23:47:16Z"
MOMENTS = {
    FIRST: -9_223_372_036 * SECOND,
    LAST: 9_223_372_036 * SECOND,
    "2262-04-11T23:47:16.854775807Z": LATEST,
    "1677-09-21T00:12:43.145224193Z": EARLIEST,
    "1969-12-31T23:59:59.999999999Z": -1,
    "1800-01-01T00:00:00Z": -5_364_662_400 * SECOND,
    "2026-01-01T00:00:00": T0,
    "2026-01-01": T0,
    "2026-01-01 01:30+01:30": T0,
    "1767225600": T0,
    "01767225600": T0,
    "1767225600.000000001": T0 + 1,
    "1767225600001.25": T0 + 1_250_000,
    "1767225600000001.5": T0 + 1500,
    "1767225600000000001.9": T0 + 1,
    "1767225600.1234567899": T0 + 123_456_789,
    "631152000": 631_152_000 * SECOND,
    "1000000000000000000": 1_000_000_000 * SECOND,
}
NO_MOMENTS = [
    *("0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "1677-09-21T00:12:43Z", "2262-04-11T23:47:17Z"),
    *("0000-00-00T00:00:00Z", "0000-01-01", "2026-02-30", "2026-01-01T25:00:00Z"),
    *("2026-01-01T00:00:00+99:99", "2026-01-01T00:00:00.1234567890Z", "2026-01-01T00:00:00Zx", "2026-01-01T"),
    *("0", "631151999", "9223372036", "9223372036854775807", "20260131", "20260131080000", "46053.5"),
    *("134143488000000000", "638000000000000000", "01/02/2026", "08:00:00", "2026-01-31T08:00:00 CET"),
    *("-5", "+5", "1e9", "nan", "", "now", "-7d", "7d", "99999999999", "10000000000", "99999999999999"),
    *("9223372036854775808", "1" * 21, "1" * 5000, "1_000_000", "²³", "176722560²", "\u0661\u0662"),
    *("\u0661767225600", "1767225600.²", "1767225600.5.5", ".5", "5."),
    *("2026-01-01T00:00:00Z" + " " * 30 + "x", "1767225600" + "x" * 50, "1767225600\0"),
]
REFUSED = (
    "is not a time, or none of the years 1677 to 2262|may be a time, but its unit cannot be told|there is no "
    "time|whose day and month may be either|is a time of the day without a date|names a zone by letters"
)
NO_NUMBERS = [b"x", b"1,5", b"0x10", b"--1", b"1e", "\u0661".encode(), b"1\0", b"\xff", b"1 2"]


@pytest.mark.parametrize("text", MOMENTS)
def test_a_time_is_the_same_alone_and_in_columns(text: str) -> None:
    cell = text.encode()
    for column in ([cell], [cell] * 3, [cell, b"1767225600", cell], [b" " + cell + b" ", cell]):
        found = Times().read(column, PLACE)
        assert found.dtype == np.int64
        assert {found[0], found[-1]} == {MOMENTS[text]}, column
    if "." not in text or "T" in text:
        assert parse_time(text, 0) == MOMENTS[text]


@pytest.mark.parametrize("text", NO_MOMENTS)
def test_what_is_no_time_is_one_nowhere_in_a_column(text: str) -> None:
    cell = text.encode()
    for column in ([cell], [cell] * 3, [b"1767225600", cell], [FIRST.encode(), cell], [cell, LAST.encode()]):
        with pytest.raises(InputError, match=REFUSED) as error:
            Times().read(column, PLACE)
        assert error.value.where == f"in.csv, line {2 + column.index(cell)}"
        assert len(error.value.what) < 120


def test_a_time_outside_the_years_is_one_clear_error_on_the_command_line() -> None:
    for text in ("0001-01-01", "9999-12-31", "99999999999", "-99999999999w", "9223372036854775808"):
        with pytest.raises(UsageError, match="is outside the years 1677 to 2262"):
            parse_time(text, T0)
    for text in ("²", "-²d", "1" * 30, "-" + "1" * 30 + "d", "\u0661d"):
        with pytest.raises(UsageError, match="is not a (time|duration)"):
            parse_time(text, T0)
    with pytest.raises(UsageError, match="is not a duration"):
        parse_duration("1" * 400 + "d")


@pytest.mark.parametrize(
    "cell", [b"x", b"1,5", b"0x10", b"--1", b"1e", "\u0661".encode(), b"1\0", b"\xff", b"1 2"]
)
def test_what_is_no_number_is_named(cell: bytes) -> None:
    with pytest.raises(InputError, match="in column 'a' is not a number") as error:
        floats([b"1", cell], "a", PLACE)
    assert error.value.where == "in.csv, line 3"


def test_what_says_that_there_is_no_number_is_a_gap() -> None:
    found = floats([b"", b" ", b"NaN", b"n/a", b"NULL", b"none", b"-inf", b"1e400"], "a", PLACE)
    assert np.isnan(found[:6]).all()
    assert found[6:].tolist() == [-np.inf, np.inf]


@pytest.mark.parametrize("name", ["a\0", "\0", "a\x1b[2J", "a\nb", "a\tb", "a\x7f", "a\x85b"])
def test_a_machine_with_a_control_character_is_none(name: str) -> None:
    with pytest.raises(InputError, match="the machine id '.*' has a control character in it") as error:
        check_machine(name)
    assert error.value.what.isprintable()
    with pytest.raises(InputError) as named:
        codes([b"m1", name.encode() + b"x", b"m2"], "machine", PLACE)
    assert named.value.where == "in.csv, line 3"


def test_a_machine_is_no_novel() -> None:
    check_machine("m" * 256)
    with pytest.raises(InputError, match="the machine id 'm{40}' is longer than 256 letters"):
        check_machine("m" * 257)
    names, of_row = codes([b" m1 ", b"", b"m1", b"machine"], "machine", PLACE)
    assert names == ("m1", "machine")
    assert of_row.tolist() == [0, 1, 0, 1]
    with pytest.raises(InputError, match="is not UTF-8"):
        codes([b"m\xff"], "machine", PLACE)


def test_of_a_cell_forty_letters_are_shown() -> None:
    assert shown(b"x" * 1000) == "x" * 40
    assert shown("ä".encode() * 100) == "ä" * 40
    assert shown(b"a\x1b[2J\xff\0") == "a?[2J\ufffd?"
