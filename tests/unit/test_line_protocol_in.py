"""Line protocol to readings: by a pattern where lines are alike, else with all that the format allows."""

from __future__ import annotations

from contextlib import suppress

import numpy as np
import pytest

from edge_runtime.errors import InputError
from edge_runtime.influxdb import encode_lines
from edge_runtime.mapping.cells import Unmapped
from edge_runtime.mapping.form import Columns, Form, TimeForm
from edge_runtime.records import NO_TIME
from edge_runtime.text.lineprotocol import LineProtocol, is_line_protocol

COLUMNS = Columns(("a", "b"), form=Form(TimeForm(unit="ns")))


def reader(columns: Columns = COLUMNS) -> LineProtocol:
    return LineProtocol(columns, "stdin", Unmapped())


def read(text: str, columns: Columns = COLUMNS) -> tuple[list[tuple[str, int, list[float]]], dict[str, int]]:
    readings, skipped = reader(columns).parse(text.encode(), 1)
    rows = zip(readings.machines.tolist(), readings.times.tolist(), readings.values.tolist(), strict=True)
    return list(rows), skipped


def test_what_our_own_writer_writes_is_read_back() -> None:
    values = np.random.default_rng(0).normal(50, 3, (500, 2)).astype(np.float32)
    machines = np.array([f"press {i % 3}, left=right" for i in range(500)])
    times = 10**18 + np.arange(500)
    fields = {"b": values[:, 1], "a": values[:, 0]}
    text = encode_lines("s", times, tags={"machine_id": machines}, fields=fields)
    readings, _ = reader().parse(text, 1)
    np.testing.assert_array_equal(readings.values, values)
    np.testing.assert_array_equal(readings.times, times)
    assert readings.machines.tolist() == machines.tolist()


@pytest.mark.parametrize(
    ("line", "row"),
    [
        ("m,machine_id=p a=1,b=2 5", ("p", 5, [1.0, 2.0])),
        ("m,x=y,machine_id=p,z=w c=9,b=2i,d=t,a=1u 5", ("p", 5, [1.0, 2.0])),
        ('m,machine_id=p a=-1e3,b=.5,text="a, b=7 \\" c" 5', ("p", 5, [-1000.0, 0.5])),
        ("m a=1,b=2 -5", ("machine", -5, [1.0, 2.0])),
        ("m,machine_id=p\\ 1\\,2\\=3 a=1,b=2 5", ("p 1,2=3", 5, [1.0, 2.0])),
        ("m\\ n,machine_id=p a=1,b=2", ("p", NO_TIME, [1.0, 2.0])),
        ("m,machine_id=p   a=1,b=2   5  \r", ("p", 5, [1.0, 2.0])),
    ],
)
def test_a_line_alone_and_among_others_gives_the_same_row(
    line: str, row: tuple[str, int, list[float]]
) -> None:
    other = "m,machine_id=q a=3,b=4 6"
    assert read(line) == ([row], {})
    assert read(f"{line}\n{line}\n") == ([row, row], {})
    around = ("q", 6, [3.0, 4.0])
    assert read(f"{other}\n{line}\n# a comment\n\n{other}\n")[0] == [around, row, around]


def test_a_line_without_a_sensor_is_left_out_and_one_without_some_lacks_them() -> None:
    rows, skipped = read("cpu,host=h load=1 5\nm,machine_id=p b=2 6\ncpu,host=h load=2 7\n")
    assert skipped == {"none of the sensors in it": 2}
    assert rows[0][:2] == ("p", 6)
    assert np.isnan(rows[0][2][0])
    assert rows[0][2][1] == 2.0


def test_a_stream_that_changes_its_layout_is_read_on() -> None:
    parser = reader()
    first = parser.parse(b"m,machine_id=p a=1,b=2 5\n" * 3, 1)[0]
    second = parser.parse(b"n,machine_id=p,x=1 b=2,a=1 6\n" * 3, 4)[0]
    np.testing.assert_array_equal(first.values, second.values)


def test_one_sensor_without_tags_and_times_is_read() -> None:
    rows, _ = read("m a=1\nm a=2\n", Columns(("a",)))
    assert rows == [("machine", NO_TIME, [1.0]), ("machine", NO_TIME, [2.0])]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("garbage", "'garbage' is not line protocol"),
        ("m,machine_id=p a=one,b=2 5", "field 'a' holds 'one', not a number"),
        ("m,machine_id=p a=true,b=2 5", "field 'a' holds 'true', not a number"),
        ('m,machine_id=p a="1",b=2 5', "field 'a' holds"),
        ("m,machine_id=p a=1.2.3,b=2 5", "not a number"),
        ("m,machine_id=p a=,b=2 5", "not line protocol"),
        ("m,machine_id a=1,b=2 5", "not line protocol"),
        ("m,machine_id=p a=1,b=2 9999999999999999999", "beyond int64"),
    ],
)
def test_what_cannot_be_read_is_named_with_its_line(line: str, words: str) -> None:
    for text in (f"m,machine_id=p a=1,b=2 4\n{line}\n", f"{line}\n{line}\n"):
        with pytest.raises(InputError, match=f"stdin, line [12].*{words}"):
            read(text)


@pytest.mark.parametrize(
    ("line", "found"),
    [
        (b"sensors,machine_id=p a=1 5", True),
        (b"sensors a=1", True),
        (b"s\\ p,a=b c=1", True),
        (b'{"time": "a b=c"}', False),
        (b"time,machine_id,a,b", False),
        (b"time;a (mm/s) = x;b", False),
        (b"", False),
    ],
)
def test_it_is_told_by_its_first_line(line: bytes, found: bool) -> None:  # noqa: FBT001
    assert is_line_protocol(line) is found


def test_a_field_alone_without_tag_and_time_is_a_row_in_blocks_and_alone() -> None:
    rows = [("machine", NO_TIME, [float(at)]) for at in range(5)]
    text = "".join(f"sensors a={at}\n" for at in range(5))
    one = Columns(("a",))
    assert read(text, one) == (rows, {})
    parser = reader(one)
    for at in range(5):
        readings, skipped = parser.parse(b"sensors a=%d" % at, 1)
        assert (readings.values.tolist(), skipped) == ([[float(at)]], {})
        assert readings.times.tolist() == [NO_TIME]
    with pytest.raises(InputError, match="field 'a' holds 'x', not a number"):
        parser.parse(b"sensors a=x", 1)
    with pytest.raises(InputError, match="field 'a' holds '1.2.3', not a number|'1.2.3' in column 'a'"):
        parser.parse(b"sensors a=1.2.3", 1)


@pytest.mark.parametrize(
    ("line", "row"),
    [
        ("a\\,b\\ c,machine_id=p a=1,b=2 5", ("p", 5, [1.0, 2.0])),
        ("a\\,machine_id=q,machine_id=p a=1,b=2 5", ("p", 5, [1.0, 2.0])),
        ("m,machine_id=p a=1i,b=2u\r", ("p", NO_TIME, [1.0, 2.0])),
        ("m,t=\\ x,machine_id=p a=1i,b=2u\r", ("p", NO_TIME, [1.0, 2.0])),
        ("m,machine_id=p,machine_id=q a=1,a=3,b=2 5", ("q", 5, [3.0, 2.0])),
    ],
)
def test_what_the_format_allows_and_few_write(line: str, row: tuple[str, int, list[float]]) -> None:
    assert read(line) == ([row], {})
    assert read(f"{line}\n{line}\n") == ([row, row], {})
    assert read(f"m,machine_id=q a=3,b=4 6\n{line}\n")[0][1] == row


@pytest.mark.parametrize(
    "line",
    [
        *("m a=1,=2", "m =1", "m,=x a=1", "m,machine_id a=1", ",machine_id=p a=1", "m a=1,b", "m a=1,b="),
        *("m a", 'm a="1', 'm a=1"2"', "m a=1 5 6", "m a=1 5x", "m  ", " m a=1", "m a=1_0", "m a=0x1"),
        "m a=1,b=2 5.0",
        # Escapes are for names, for the values of tags, and for text in quotes.
        *("m a=1,b=2,c=x\\ 5", "m a=1,b=2,c=x\\,d 5", "m a=1,b=\\2 5"),
        "m a=1,b=2,c=x\0 5",
    ],
)
def test_what_is_no_line_is_none_whatever_came_before_it(line: str) -> None:
    for before in ([], ["m,machine_id=p a=1,b=2 5"], ["m a=1"], [line, line], ["m a=1,b=2,", "m a=1,b=2,"]):
        parser = reader()
        for other in before:
            with suppress(InputError):
                parser.parse(other.encode(), 1)
        with pytest.raises(InputError):
            parser.parse(line.encode(), 1)
        with pytest.raises(InputError):
            parser.parse(f"{line}\n{line}\n".encode(), 1)
