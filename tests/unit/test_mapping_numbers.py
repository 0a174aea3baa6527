"""Numbers as others write them: a decimal comma, marks between thousands, words for no reading."""

from __future__ import annotations

import math

import pytest

from edge_runtime.errors import InputError, UsageError
from edge_runtime.mapping.cells import Place
from edge_runtime.mapping.form import Form
from edge_runtime.mapping.numbers import Numbers

PLACE = Place("in.csv", 2)


def read(cells: list[str], form: Form = Form(), delimiter: str = ";") -> list[float]:  # noqa: B008
    found = Numbers(form, delimiter).read([cell.encode() for cell in cells], "a", PLACE).tolist()
    return [math.inf if math.isnan(number) else number for number in found]


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        (["1.5", "-2", "+00003.25", "1e3", " 4 "], [1.5, -2.0, 3.25, 1000.0, 4.0]),
        (["1,5", "-2", "12,25", "1e3"], [1.5, -2.0, 12.25, 1000.0]),
        (["1,234", "1,5"], [1.234, 1.5]),
        (["", "NaN", "n/a", "#N/A", "NULL", "none", "1"], [math.inf] * 6 + [1.0]),
    ],
)
def test_numbers_are_read_as_they_are_written(cells: list[str], expected: list[float]) -> None:
    assert read(cells) == expected


@pytest.mark.parametrize(
    ("cell", "form", "expected"),
    [
        ("1.234,5", Form(decimal=",", thousands="."), 1234.5),
        ("1,234,567.5", Form(decimal=".", thousands=","), 1234567.5),
        ("1'234", Form(thousands="'"), 1234.0),
        ("1 234,5", Form(decimal=",", thousands=" "), 1234.5),
        ("1,234", Form(decimal=","), 1.234),
        ("1,234", Form(decimal=".", thousands=","), 1234.0),
        ("I/O Timeout", Form(missing=("I/O Timeout",)), math.inf),
        ("-999", Form(missing=("-999",)), math.inf),
        ("-999.0", Form(missing=("Bad", "-999")), math.inf),
        ("-999,0", Form(missing=("-999,0",), decimal=","), math.inf),
        ("999", Form(missing=("-999",)), 999.0),
        ("i/o timeout ", Form(missing=("I/O Timeout",)), math.inf),
    ],
)
def test_what_a_form_names_is_read(cell: str, form: Form, expected: float) -> None:
    assert read([cell], form) == [expected]


@pytest.mark.parametrize(
    ("cells", "form", "line", "hint"),
    [
        (["0x10"], Form(), 2, None),
        (["1", "Bad"], Form(), 3, '--missing "Bad"'),
        (["250", "1,250"], Form(), 3, '--decimal "," or --thousands ","'),
        (["1.5", "1,5"], Form(), 3, '--decimal "," or --thousands ","'),
        (["1,5", "1.5"], Form(), 2, '--decimal "," or --thousands ","'),
        (["1.5"], Form(decimal=","), 2, None),
        (["1.23,5"], Form(decimal=",", thousands="."), 2, None),
        (["12.34"], Form(decimal=",", thousands="."), 2, None),
        (["1_000", "x"], Form(), 2, None),
        (["55.5 °C"], Form(), 2, None),
    ],
)
def test_what_may_be_something_else_is_refused(
    cells: list[str], form: Form, line: int, hint: str | None
) -> None:
    with pytest.raises(InputError) as error:
        read(cells, form)
    assert error.value.where == f"in.csv, line {line}"
    assert hint is None or hint in (error.value.hint or "")


def test_a_comma_between_cells_is_never_one_of_a_number() -> None:
    with pytest.raises(InputError, match="'1,5' in column 'a' is not a number"):
        read(["1,5"], delimiter=",")


def test_each_column_has_its_own_mark() -> None:
    numbers = Numbers(Form(), ";")
    assert numbers.read([b"1,5"], "a", PLACE).tolist() == [1.5]
    assert numbers.decimal == ","
    assert numbers.read([b"1.5"], "b", PLACE).tolist() == [1.5]
    assert numbers.decimal == ""
    assert [numbers.decimal_of(name) for name in "abc"] == [",", ".", ""]
    with pytest.raises(InputError):
        numbers.read([b"1.5"], "a", PLACE)


def test_a_mark_that_was_found_holds_for_the_rest() -> None:
    numbers = Numbers(Form(), ";")
    numbers.read([b"1", b"2"], "a", PLACE)
    assert numbers.read([b"1,5"], "a", PLACE).tolist() == [1.5]
    with pytest.raises(InputError):
        numbers.read([b"1.5"], "a", PLACE)
    numbers = Numbers(Form(), ";")
    numbers.read([b"1.5"], "a", PLACE)
    with pytest.raises(InputError):
        numbers.read([b"1,5"], "a", PLACE)


@pytest.mark.parametrize(
    ("option", "where"),
    [
        ({"decimal": ";"}, "--decimal"),
        ({"thousands": "x"}, "--thousands"),
        ({"thousands": "."}, "--decimal, --thousands"),
        ({"delimiter": "::"}, "--delimiter"),
        ({"skip_rows": -1}, "--skip-rows"),
        ({"encoding": "klingon"}, "--encoding"),
        ({"encoding": "base64"}, "--encoding"),
    ],
)
def test_a_form_that_cannot_be_is_refused(option: dict[str, str], where: str) -> None:
    with pytest.raises(UsageError) as error:
        Form(**option)  # type: ignore[arg-type]
    assert error.value.where == where
