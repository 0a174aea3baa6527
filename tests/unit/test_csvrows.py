"""CSV text to readings: layouts, times, gaps, and errors that name the line."""

from __future__ import annotations

import gzip
import io
from typing import TYPE_CHECKING

import numpy as np
import pytest

from edge_runtime.errors import InputError, SensorMismatchError, UsageError
from edge_runtime.mapping.form import Columns
from edge_runtime.records import Readings
from edge_runtime.text.csvblocks import READ_BYTES, open_rows, read_blocks

if TYPE_CHECKING:
    from pathlib import Path

COLUMNS = Columns(("a", "b"))
T0 = 1_767_225_600_000_000_000  # 2026-01-01T00:00:00Z


def read(text: str, columns: Columns = COLUMNS) -> Readings:
    blocks = [block.readings for block in read_blocks(io.BytesIO(text.encode()), columns, "in.csv")]
    return Readings(
        np.concatenate([b.machines for b in blocks]),
        np.concatenate([b.times for b in blocks]),
        np.concatenate([b.values for b in blocks]),
    )


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_columns_are_found_by_name_in_any_order_with_any_delimiter(delimiter: str) -> None:
    text = "b,x,time,machine_id,a\n2,z,2026-01-01T00:00:00Z,m1,1\n".replace(",", delimiter)
    readings = read(text)
    assert readings.values.tolist() == [[1.0, 2.0]]
    assert readings.machines.tolist() == ["m1"]
    assert readings.times.tolist() == [T0]


@pytest.mark.parametrize(
    ("cell", "nanoseconds"),
    [
        ("2026-01-01T00:00:00Z", 0),
        ("2026-01-01T00:00:00.25Z", 250_000_000),
        ("2026-01-01T00:00:00.123456789Z", 123_456_789),
        ("2026-01-01T02:00:00+02:00", 0),
        ("2026-01-01 00:00:01", 1_000_000_000),
        ("1767225600", 0),
        ("1767225600.5", 500_000_000),
        ("1767225600001", 1_000_000),
        ("1767225600000001", 1_000),
        ("1767225600000000001", 1),
    ],
)
def test_times_are_exact_to_the_nanosecond(cell: str, nanoseconds: int) -> None:
    assert read(f"time,a,b\n{cell},1,2\n").times.tolist() == [T0 + nanoseconds]


def test_an_empty_cell_is_a_missing_reading_and_no_machine_column_is_one_machine() -> None:
    readings = read("time,a,b\n2026-01-01T00:00:00Z,,nan\n2026-01-01T00:00:01Z,inf,1e40\n")
    assert np.isnan(readings.values[0]).all()
    assert readings.values[1].tolist() == [np.inf, np.inf]
    assert readings.machines.tolist() == ["machine", "machine"]


def test_blocks_are_bounded_and_whole() -> None:
    rows = 3 * READ_BYTES // len("1767225600,10000,10000\n")
    text = "time,a,b\n" + "".join(f"{1767225600 + i},{i},{i}\n" for i in range(rows))
    blocks = list(read_blocks(io.BytesIO(text.encode()), COLUMNS, "in.csv"))
    assert len(blocks) >= 3
    assert all(sum(map(len, block.times)) < READ_BYTES for block in blocks)
    values = np.concatenate([block.readings.values for block in blocks])
    assert values.tolist() == [[i, i] for i in range(rows)]
    assert blocks[-1].times[-1] == b"%d" % (1767225600 + rows - 1)


@pytest.mark.parametrize(
    ("text", "kind", "words"),
    [
        ("", InputError, "empty"),
        ("a,b\n1,2\n", InputError, "no column 'time'.*a, b"),
        ("time,a\n", SensorMismatchError, "no column 'b', a sensor of the bundle"),
        ("time,a,b,b\n", SensorMismatchError, "two columns 'b'"),
        (
            "time,a,b\n1767225600,1,2\n1767225601,1\n",
            InputError,
            "in.csv, line 3: 2 cells where the header has 3",
        ),
        ("time,a,b\n1767225600,1,two\n", InputError, "line 2: 'two' in column 'b' is not a number"),
        ("time,a,b\nyesterday,1,2\n", InputError, "line 2: 'yesterday' is not a time"),
    ],
)
def test_what_cannot_be_read_is_named_with_its_line(text: str, kind: type[Exception], words: str) -> None:
    with pytest.raises(kind, match=words):
        read(text)


def test_gzip_is_seen_by_its_content_and_a_missing_file_is_a_usage_error(tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_bytes(gzip.compress(b"time,a,b\n1767225600,1,2\n"))
    with open_rows(tmp_path / "in.csv") as stream:
        assert len(list(read_blocks(stream, COLUMNS, "in.csv"))) == 1
    with pytest.raises(UsageError, match="No such file"):
        open_rows(tmp_path / "nothing.csv")


def test_what_is_no_text_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_bytes(b"time,machine_id,a,b\n1767225600,\xff\xfe\x00,1,2\n")
    with open_rows(tmp_path / "in.csv") as stream, pytest.raises(InputError, match="line 2.*not UTF-8"):
        list(read_blocks(stream, COLUMNS, "in.csv"))
    broken = gzip.compress(b"time,a,b\n" + b"1767225600,1,2\n" * 1000)[:-20]
    (tmp_path / "in.csv").write_bytes(broken)
    with open_rows(tmp_path / "in.csv") as stream, pytest.raises(InputError, match="not a CSV"):
        list(read_blocks(stream, COLUMNS, "in.csv"))


def test_a_number_with_an_underscore_is_none_and_a_name_with_one_is_one() -> None:
    assert read("time,machine_id,a,b\n1767225600,m_1,1,2\n").machines.tolist() == ["m_1"]
    for text in (
        "time,machine_id,a,b\n1767225600,m_1,1,2\n1767225600,m_1,1_000,2\n",
        'time,machine_id,a,b\n1767225600,m_1,1,2\n1767225600,"m_1",1_000,2\n',
    ):
        with pytest.raises(InputError, match="line 3: '1_000' in column 'a' is not a number"):
            read(text)


def test_a_row_may_go_over_lines_in_a_file() -> None:
    readings = read('time,machine_id,a,b,note\n1767225600,m,1,2,"one\ntwo"\n1767225601,m,3,4,x\n')
    assert readings.values.tolist() == [[1.0, 2.0], [3.0, 4.0]]
