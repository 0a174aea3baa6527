"""Whatever comes down the pipe, each line becomes a row or is counted, and none ends the feed."""

from __future__ import annotations

import os
import random
import tracemalloc

import numpy as np
import pytest
from support.piped import feed

from edge_runtime.errors import InputError
from edge_runtime.mapping.form import Columns

PAIRS = 100_000 if os.environ.get("EDGE_DETECT_SOAK") else 5_000
COLUMNS = Columns(("a", "b"))
LETTERS = b"0123456789.,;= \\\"'{}[]:\t\r\x00\xff\xc3\xa9aeEinfNaTZ+-#_m"
FORMATS = {
    "csv": (b"time,machine_id,a,b\n", b"2026-01-01T00:00:%02dZ,m%d,%d.5,1e3\n"),
    "line protocol": (
        b"s,machine_id=m a=1,b=2 1767225600000000000\n",
        b"s,machine_id=m%d%d a=%d.25,b=7i 1767225600000000000\n",
    ),
    "json": (
        b'{"time":"1767225600","a":1,"b":2}\n',
        b'{"time":"17672256%02d","machine_id":"m%d","a":%d.5,"b":2}\n',
    ),
}


def broken(line: bytes, chance: random.Random) -> bytes:
    """A line with some of its letters changed, cut out or put in."""
    letters = bytearray(line[:-1])
    for _ in range(chance.randint(0, 3)):
        at = chance.randint(0, len(letters))
        letters[at : at + chance.randint(0, 4)] = bytes(chance.choices(LETTERS, k=chance.randint(0, 4)))
    return bytes(letters).replace(b"\n", b"") + b"\n"


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("seed", range(8))
@pytest.mark.filterwarnings("error")
def test_each_line_is_a_row_or_is_counted(kind: str, seed: int) -> None:
    first, pattern = FORMATS[kind]
    chance = random.Random(seed)  # noqa: S311 - a test's chance
    good = [pattern % (i % 60, i % 3, i) for i in range(400)]
    lines = [broken(line, chance) if chance.random() < 0.3 else line for line in good]
    found = feed(first + b"".join(lines), COLUMNS)
    # A blank line, and one that became a comment, is nothing at all.
    something = [line for line in lines if line.strip() and not line.startswith(b"#")]
    expected = len(something) + (kind != "csv")
    nothing = len(lines) - len(something)
    assert expected <= found.accounted <= expected + nothing
    assert len(found.readings) >= sum(line in good for line in lines)
    assert len(found.said) <= sum(found.skipped.values())


def test_a_line_without_an_end_does_not_fill_the_memory() -> None:
    found = feed(b"time,a,b\n1767225600,1,2\n" + b"x" * 5_000_000, COLUMNS)
    assert len(found.readings) == 1
    assert found.skipped == {"longer than 1 MiB": 1}


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("place", ["first", "middle", "last", "alone"])
def test_an_overlong_line_is_one_that_is_counted_and_what_follows_it_is_no_row(kind: str, place: str) -> None:
    first, pattern = FORMATS[kind]
    good = [pattern % (i, i, i) for i in range(6)]
    # Cut off after its first megabyte, what is left of it would be a good line.
    long = b"x" * (1 << 20) + good[0]
    lines = {"first": [long, *good], "middle": [*good[:3], long, *good[3:]], "last": [*good, long]}
    stream = first + b"".join(lines.get(place, [long, long]))
    for pieces in (stream, [stream[at : at + 99_991] for at in range(0, len(stream), 99_991)]):
        found = feed(pieces, COLUMNS)
        rows = (kind != "csv") + (0 if place == "alone" else 6)
        assert len(found.readings) == rows
        assert found.skipped == {"longer than 1 MiB": 2 if place == "alone" else 1}
        assert any("it is longer than 1 MiB" in line for line in found.said)


@pytest.mark.parametrize("kind", FORMATS)
def test_a_last_line_without_an_end_is_counted_unless_it_is_a_whole_object(kind: str) -> None:
    first, pattern = FORMATS[kind]
    good = pattern % (1, 1, 1)
    for at in range(1, len(good) - 1):
        found = feed(first + good[:at], COLUMNS)
        whole = kind == "json" and good[:at].endswith(b"}")
        assert len(found.readings) == (kind != "csv") + whole, good[:at]
        assert found.skipped == ({} if whole else {"unfinished last line": 1})
        assert whole or "line 2: the last line has no line end" in found.said[-1]
    assert feed(first + good, COLUMNS).skipped == {}


def test_a_flood_of_bad_lines_is_a_few_words() -> None:
    found = feed(FORMATS["csv"][0] + b"1767225600,m,x,1\n1767225600,m,1\n" * PAIRS, COLUMNS)
    assert found.skipped == {"unreadable line": 2 * PAIRS}
    hint = 'correct it, or name what stands for no reading: --missing "x"'
    assert found.said[:2] == [
        f"standard input, line 2: 'x' in column 'a' is not a number; {hint}",
        "standard input, line 3: 3 cells where the header has 4",
    ]
    assert any(line.endswith(f"({PAIRS - 1:,} like it since the last such message)") for line in found.said)
    assert len(found.said) < 100


def test_what_is_not_a_number_in_the_text_of_a_float_is_none() -> None:
    found = feed(FORMATS["csv"][0] + b"1767225600,m_1,1_000,2\n1767225600,m_1,1000,2\n", COLUMNS)
    assert found.readings.values.tolist() == [[1000.0, 2.0]]
    assert found.skipped == {"unreadable line": 1}


def test_floats_that_are_no_numbers_are_readings_that_are_missing_or_not_finite() -> None:
    for stream in (
        FORMATS["csv"][0] + b"1767225600,m,nan,inf\n1767225600,m,-NaN,-1e400\n",
        b"s a=nan,b=inf\ns a=NaN,b=-1e400\n",
        b'{"a":NaN,"b":Infinity}\n{"a":null,"b":-1e400}\n',
    ):
        found = feed(stream, COLUMNS)
        assert found.skipped == {}
        assert np.isnan(found.readings.values[:, 0]).all()
        assert found.readings.values[:, 1].tolist() == [np.inf, -np.inf]


def test_one_long_cell_beside_many_short_ones_costs_no_more_than_itself() -> None:
    tracemalloc.start()
    rows = b"2026-01-01T00:00:01Z,m,1,2\n" * 5_000
    found = feed(FORMATS["csv"][0] + rows + b"2" * 100_000 + b",m,1,2\n" + rows, COLUMNS)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(found.readings) == 10_000
    assert peak < 50 << 20


@pytest.mark.parametrize(
    ("line", "what"),
    [
        (
            b'sensors,machine_id="press 1" a=5,b=2 1767225600000000000',
            "line protocol with a mistake",
        ),
        (b"sensors,machine_id=p\ta=5,b=2\t1767225600000000000", "line protocol with a mistake"),
        (b'[{"time": 1767225600, "a": 1}]', "a JSON array; write one object a line"),
    ],
)
def test_a_first_line_that_is_none_of_the_three_is_named_for_what_it_was_meant(
    line: bytes, what: str
) -> None:
    with pytest.raises(InputError, match=f"standard input, line 1: '.*' seems to be {what}"):
        feed(line + b"\n" + line + b"\n", COLUMNS)


def test_a_quotation_mark_in_the_value_of_a_tag_is_a_letter_of_it() -> None:
    lines = (
        b'sensors,machine_id="press-1" a=5,b=2 1767225600000000000\n'
        b'sensors,machine_id=p,id=ns\\=3;s\\="x",q=OK a=6,b=3 1767225601000000000\n'
    )
    found = feed(lines, COLUMNS)
    assert list(found.readings.machines) == ['"press-1"', "p"]
    assert found.readings.values.tolist() == [[5.0, 2.0], [6.0, 3.0]]
    first = feed(lines.splitlines(keepends=True)[1], COLUMNS)
    assert first.readings.values.tolist() == [[6.0, 3.0]]
