from __future__ import annotations

import gzip
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest

from edge_runtime.errors import InputError
from trainer.data.tables import (
    column_names,
    find_table,
    numeric_columns,
    read_pages,
    read_table,
    time_columns,
    times_ns,
)

if TYPE_CHECKING:
    from pathlib import Path

NS = 10**9
NEW_YEAR = 1_735_689_600


def table(folder: Path, text: str | bytes, name: str = "t.csv") -> Path:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("zipped", [False, True])
def test_a_csv_is_read_whatever_its_delimiter_and_compression(
    tmp_path: Path, delimiter: str, *, zipped: bool
) -> None:
    text = "time,machine_id,a,b,kind\n2025-01-01T00:00:00Z,007,1,2.5,\n2025-01-01T00:00:01Z,008,2,,SPIKE\n"
    data = text.replace(",", delimiter).encode()
    path = table(
        tmp_path, gzip.compress(data, mtime=0) if zipped else data, "t.csv.gz" if zipped else "t.csv"
    )
    frame = read_table(path)
    assert frame["machine_id"].tolist() == ["007", "008"]
    assert frame["kind"].tolist() == ["", "SPIKE"]
    assert frame["a"].dtype == np.int64
    np.testing.assert_array_equal(numeric_columns(frame, ["a", "b"], path), [[1, 2.5], [2, np.nan]])


def test_a_parquet_is_read_with_its_types(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    moments = pd.to_datetime(["2025-01-01T00:00:00Z", "2025-01-01T00:00:01.500Z"], format="ISO8601").as_unit(
        "ms"
    )
    pd.DataFrame({"time": moments, "a": [1.5, None]}).to_parquet(path)
    frame = read_table(path)
    np.testing.assert_array_equal(times_ns(frame, "time", path), [NEW_YEAR * NS, NEW_YEAR * NS + 3 * NS // 2])
    np.testing.assert_array_equal(numeric_columns(frame, ["a"], path), [[1.5], [np.nan]])
    assert column_names(path) == ["time", "a"]


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        (["2025-01-01T00:00:00Z", "2025-01-01T00:00:00.25Z"], [0, NS // 4]),
        (["2025-01-01 00:00:00", "2025-01-01 00:00:01"], [0, NS]),
        (["2025-01-01T01:00:00+01:00", "2025-01-01T00:00:02+00:00"], [0, 2 * NS]),
        (["2025-01-01", "2025-01-02"], [0, 86_400 * NS]),
        ([f"{NEW_YEAR}", f"{NEW_YEAR + 1}"], [0, NS]),
        ([f"{NEW_YEAR}.5", f"{NEW_YEAR + 1}.25"], [NS // 2, 5 * NS // 4]),
        ([f"{NEW_YEAR}000", f"{NEW_YEAR}250"], [0, NS // 4]),
        ([f"{NEW_YEAR}000000", f"{NEW_YEAR}000001"], [0, 1000]),
        ([f"{NEW_YEAR}000000000", f"{NEW_YEAR}000000001"], [0, 1]),
    ],
)
def test_times_are_understood_in_every_usual_form(
    tmp_path: Path, cells: list[str], expected: list[int]
) -> None:
    path = table(tmp_path, "time,a\n" + "".join(f"{cell},1\n" for cell in cells))
    times = times_ns(read_table(path), "time", path)
    assert times.dtype == np.int64
    assert (times - NEW_YEAR * NS).tolist() == expected


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "the file is empty"),
        ("time,a\n", "no rows"),
        ("time,a,b\n1,2,3\n1,2\n", "line 3: 2 cells where the header has 3"),
        ("time,a\n1,2\n1,2,3\n", "line 3: 3 cells where the header has 2"),
        ("time,a\n" + "1,2\n" * 300_000 + "7\n", "line 300002: 1 cell where the header has 2"),
        (b"time,a\n1,\xff\n", "not text in UTF-8"),
        ("time,a,a\n1,2,3\n", "two columns are named 'a'"),
        (gzip.compress(b"time,a\n" + b"1,2\n" * 9999, mtime=0)[:60], "cannot be read"),
    ],
)
def test_a_file_that_cannot_be_used_is_one_clear_error(
    tmp_path: Path, content: str | bytes, said: str
) -> None:
    path = table(tmp_path, content)
    with pytest.raises(InputError, match=said) as caught:
        read_table(path)
    assert str(path) in str(caught.value)
    with pytest.raises(InputError, match=said):
        list(read_pages(path))


def test_a_missing_file_a_folder_and_a_false_parquet_are_named(tmp_path: Path) -> None:
    for path, said in (
        (tmp_path / "none.csv", "no such file"),
        (tmp_path, "a folder"),
        (table(tmp_path, "junk", "t.parquet"), "Parquet"),
    ):
        with pytest.raises(InputError, match=said):
            read_table(path)


def test_text_in_a_column_of_numbers_is_named_by_column_and_line(tmp_path: Path) -> None:
    path = table(tmp_path, "time,a\n1,2\n2,NaN\n3,oops\n")
    with pytest.raises(InputError, match=r"line 4: 'oops' in column 'a' is not a number; .*--missing"):
        numeric_columns(read_table(path), ["a"], path)
    with pytest.raises(InputError, match=r"no column 'b'.*it has time, a"):
        numeric_columns(read_table(path), ["b"], path)


@pytest.mark.parametrize(
    ("cell", "said"), [(" ", "there is no time"), ("yesterday", "'yesterday' is not a time")]
)
def test_a_cell_that_is_no_time_is_named_by_its_line(tmp_path: Path, cell: str, said: str) -> None:
    path = table(tmp_path, f"time,a\n2025-01-01,2\n{cell},3\n")
    with pytest.raises(InputError, match=f"line 3: {said}"):
        times_ns(read_table(path), "time", path)


def test_pages_hold_the_same_rows_with_their_line_numbers(tmp_path: Path) -> None:
    rows = 300_000
    path = table(
        tmp_path, "time,machine_id,a\n" + "".join(f"{NEW_YEAR + i},{i % 3},{i}\n" for i in range(rows))
    )
    pages = list(read_pages(path, columns=["time", "machine_id", "a"], text=["machine_id"]))
    assert len(pages) > 1
    assert np.concatenate([page["a"] for page in pages]).tolist() == list(range(rows))
    assert pages[1].index[0] == len(pages[0])
    assert pages[0]["machine_id"].tolist()[:4] == ["0", "1", "2", "0"]


def test_the_time_column_is_found_by_its_name(tmp_path: Path) -> None:
    path = table(tmp_path, "x,Timestamp\n1,2\n")
    assert time_columns(column_names(path), path) == ("Timestamp",)
    with pytest.raises(InputError, match="no column 'time' for the time.*its columns are: x; name one with"):
        time_columns(["x"], path)


@pytest.mark.parametrize("suffix", [".csv", ".csv.gz", ".parquet"])
def test_a_split_is_found_with_any_suffix(tmp_path: Path, suffix: str) -> None:
    (tmp_path / f"train{suffix}").touch()
    assert find_table(tmp_path, "train") == tmp_path / f"train{suffix}"
    with pytest.raises(InputError, match=r"no val\.csv or val\.csv\.gz or val\.parquet"):
        find_table(tmp_path, "val")
    with pytest.raises(InputError, match="no such folder"):
        find_table(tmp_path / "none", "val")
