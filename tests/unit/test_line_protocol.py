"""Line protocol: what is written, to the byte, and that a real server reads back what was meant."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import numpy as np
import pytest

from edge_runtime.errors import UsageError
from edge_runtime.influxdb import encode_lines, query, write

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edge_runtime.influxdb import InfluxClient

T0 = 1_760_000_000_000_000_000
HOSTILE = " ,=\\\"'\t\n\r#/;$%{}()é漢🙂\u2028ab"


def times(rows: int) -> NDArray[np.int64]:
    return T0 + np.arange(rows, dtype=np.int64)


def line(**fields: object) -> str:
    """The one line of a measurement without tags, its end cut off."""
    columns = {name: np.asarray([value]) for name, value in fields.items()}
    return encode_lines("m", times(1), tags={}, fields=columns).decode().removesuffix(f" {T0}\n")


def test_a_row_is_a_line_with_its_tags_in_order_and_its_nanoseconds() -> None:
    lines = encode_lines(
        "sensors",
        times(2),
        tags={"site": ["a", "b"], "machine_id": np.array(["m1", "m2"])},
        fields={"temperature": np.array([55.25, -1.0]), "count": np.array([1, -2])},
    )
    assert lines.decode().splitlines() == [
        f"sensors,machine_id=m1,site=a temperature=55.25,count=1i {T0}",
        f"sensors,machine_id=m2,site=b temperature=-1.0,count=-2i {T0 + 1}",
    ]
    assert lines.endswith(b"\n")


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (np.float32(0.1), "0.1"),
        (np.float64(0.1), "0.1"),
        (np.float32(1 / 3), "0.33333334"),
        (np.float64(1 / 3), "0.3333333333333333"),
        (np.float64(1e300), "1e+300"),
        (np.float32(1e-20), "1e-20"),
        (-0.0, "-0.0"),
        (np.int8(-7), "-7i"),
        (2**63 - 1, f"{2**63 - 1}i"),
        (-(2**63), f"{-(2**63)}i"),
        (True, "true"),
        (np.bool_(False), "false"),
        ("text", '"text"'),
        ('a "quoted" \\ thing, = so', '"a \\"quoted\\" \\\\ thing, = so"'),
        ("two\r\nlines", '"two  lines"'),
    ],
)
def test_a_value_is_written_by_its_type_and_as_short_as_it_can_be(value: object, written: str) -> None:
    assert line(a=value) == f"m a={written}"


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, np.float32("nan"), ""])
def test_what_the_format_cannot_say_is_left_out(value: object) -> None:
    assert line(a=1.0, b=value, c=2.0) == "m a=1.0,c=2.0"


def test_a_row_of_which_nothing_is_left_gives_no_line() -> None:
    fields = {"a": np.array([np.nan, 1.0, np.inf]), "b": np.array(["", "", "x"])}
    lines = encode_lines("m", times(3), tags={}, fields=fields).decode()
    assert lines.splitlines() == [f"m a=1.0 {T0 + 1}", f'm b="x" {T0 + 2}']
    assert encode_lines("m", times(0), tags={"t": []}, fields={"a": np.empty(0)}) == b""


def test_an_empty_tag_is_left_out_of_its_row_alone() -> None:
    lines = encode_lines("m", times(2), tags={"t": ["", "x"]}, fields={"a": np.ones(2)}).decode()
    assert lines.splitlines() == [f"m a=1.0 {T0}", f"m,t=x a=1.0 {T0 + 1}"]


@pytest.mark.parametrize(
    ("name", "in_measurement", "in_tag"),
    [
        ("a b", "a\\ b", "a\\ b"),
        ("a,b", "a\\,b", "a\\,b"),
        ("a=b", "a=b", "a\\=b"),
        ('a"b', 'a"b', 'a"b'),
        ("a\\b", "a\\b", "a\\b"),
        ("a\\", "a", "a"),
        ("a\nb\tc\rd", "a\\ b\\ c\\ d", "a\\ b\\ c\\ d"),
        ("é漢🙂", "é漢🙂", "é漢🙂"),
    ],
)
def test_names_are_escaped_as_each_place_needs_it(name: str, in_measurement: str, in_tag: str) -> None:
    lines = encode_lines(name, times(1), tags={name: [name]}, fields={name: np.array([1])})
    assert lines.decode() == f"{in_measurement},{in_tag}={in_tag} {in_tag}=1i {T0}\n"


@pytest.mark.parametrize("name", ["", "\\", "#anomaly", "# a"])
def test_a_measurement_that_cannot_be_written_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match="cannot be the name of a measurement; choose another one"):
        encode_lines(name, times(1), tags={}, fields={"a": np.ones(1)})


def test_columns_of_unequal_length_are_an_error_and_not_a_cut() -> None:
    with pytest.raises(ValueError, match="shorter|longer"):
        encode_lines("m", times(2), tags={}, fields={"a": np.ones(3)})
    with pytest.raises(ValueError, match="shorter|longer"):
        encode_lines("m", times(2), tags={"t": ["x"]}, fields={"a": np.ones(2)})


def test_a_real_server_reads_back_any_tag_and_text(database: InfluxClient) -> None:
    random.seed(7)
    texts = ["".join(random.choices(HOSTILE, k=random.randint(1, 12))) + "." for _ in range(2000)]  # noqa: S311
    write(
        database,
        encode_lines("m", times(len(texts)), tags={"t": texts}, fields={"s": np.asarray(texts)}),
    )
    found = [row for series in query(database, "SELECT t, s FROM m") for row in series.values]
    spaces = str.maketrans("\n\r", "  ")
    kept = [text.translate(spaces) for text in texts]
    assert [row[2] for row in found] == kept
    assert [row[1] for row in found] == [text.replace("\t", " ") for text in kept]
    assert [row[0] for row in found] == times(len(texts)).tolist()


def test_a_real_server_reads_back_every_number_exactly(database: InfluxClient) -> None:
    bits = np.random.default_rng(7).integers(0, 2**64, 5000, np.uint64, endpoint=False)
    doubles = bits.view(np.float64)
    doubles = doubles[np.isfinite(doubles)]
    with np.errstate(over="ignore"):
        singles = doubles.astype(np.float32)
    singles[~np.isfinite(singles)] = 1.5
    whole = bits[: len(doubles)].view(np.int64)
    write(
        database,
        encode_lines(
            "m", times(len(doubles)), tags={}, fields={"d": doubles, "f": singles, "i": whole, "b": whole > 0}
        ),
    )
    rows = [row for series in query(database, "SELECT d, f, i, b FROM m") for row in series.values]
    assert len(rows) == len(doubles)
    assert np.array_equal(np.array([row[1] for row in rows], np.float64), doubles)
    assert np.array_equal(np.array([row[2] for row in rows], np.float64).astype(np.float32), singles)
    assert [row[3] for row in rows] == whole.tolist()
    assert [row[4] for row in rows] == (whole > 0).tolist()
