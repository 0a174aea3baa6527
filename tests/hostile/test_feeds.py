"""Feeds that would fill the memory, in processes of their own: counted, and in no more of it than others."""

from __future__ import annotations

import gzip
import os
from typing import TYPE_CHECKING

import pytest
from support.measured import MOST_MB, measured

from edge_runtime.simulation import SENSORS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

HEADER = f"time,machine_id,{','.join(SENSORS)}\n".encode()
MIB = 1 << 20
# A message of half a kilobyte for each of so few would already break the limit of memory.
BAD_LINES = 1_000_000 if os.environ.get("EDGE_DETECT_SOAK") else 100_000


def row(second: int) -> bytes:
    return b"2026-01-01T00:%02d:%02dZ,m,55,1,50,235\n" % divmod(second, 60)


RUN = ("edge-detect", "run", "--bundle", "default", "--source")


def repeated(begin: bytes, block: bytes, times: int, end: bytes) -> Iterator[bytes]:
    yield begin
    for _ in range(times):
        yield block
    yield end


def test_standard_input_without_line_ends_is_one_line_that_is_too_long(tmp_path: Path) -> None:
    stream = repeated(HEADER + row(1), b"x" * MIB, 200, b"\n" + row(2) + b"2026-01-01T00:00:03Z,m,55")
    done = measured(tmp_path, *RUN, "stdin", "--sink", "stdout", stdin=stream)
    assert done.code == 0, done.said
    assert len(done.out.splitlines()) == 2
    assert "line 3: it is longer than 1 MiB" in done.said
    assert "longer than 1 MiB: 1" in done.said
    assert "unfinished last line: 1" in done.said
    assert done.peak_mb < MOST_MB


@pytest.mark.parametrize("bad", [b"x\n", b"2026-01-01T00:00:03Z,m,55,x,50,235\n", b"\0" * 40 + b"\n"])
def test_a_flood_of_bad_lines_is_some_words_and_a_number(bad: bytes, tmp_path: Path) -> None:
    stream = repeated(HEADER + row(1), bad * 10_000, BAD_LINES // 10_000, row(2))
    done = measured(tmp_path, *RUN, "stdin", "--sink", "stdout", stdin=stream)
    assert done.code == 0, done.said
    assert len(done.out.splitlines()) == 2
    assert f"unreadable line: {BAD_LINES:,}" in done.said
    assert len(done.said.splitlines()) < 20
    assert done.peak_mb < MOST_MB


def sparse(path: Path, begin: bytes, hole: int, end: bytes) -> Path:
    with path.open("wb") as file:
        file.write(begin)
        file.seek(hole, 1)
        file.write(end)
    return path


@pytest.mark.parametrize("command", ["run", "score"])
def test_a_hole_of_nuls_in_a_csv_is_an_error_that_names_its_line(command: str, tmp_path: Path) -> None:
    path = sparse(tmp_path / "in.csv", HEADER + row(1), 300 * MIB, b"\n" + row(2))
    words = (
        (*RUN, "csv", "--input", path)
        if command == "run"
        else ("edge-detect", "score", path, "-o", "out.csv")
    )
    done = measured(tmp_path, *words)
    assert done.code == 1, done.said
    assert "in.csv, line 3: it is longer than 1 MiB" in done.said
    assert done.peak_mb < MOST_MB


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (HEADER.rstrip() + b"x" * 50 * MIB, "line 1: it is longer than 1 MiB"),
        (HEADER + b'"' + b"a\n" * 25 * MIB, "not a CSV (field larger"),
        (HEADER + b'"' + b'a\n","' * 8 * MIB, "a row is longer than 1 MiB"),
        (b'"' + HEADER, "its header has a quote that is not closed"),
        (HEADER.rstrip() + b',"\n' + row(1), "its header has a quote that is not closed"),
        (HEADER.rstrip() + b',"' + b"x" * 200_000 + b'"\n', "the header is not one of a CSV (field larger"),
    ],
    ids=["header", "quote", "row", "quoted header", "quote in the header", "long cell in the header"],
)
def test_a_csv_of_any_shape_is_an_error_in_little_memory(content: bytes, words: str, tmp_path: Path) -> None:
    (tmp_path / "in.csv.gz").write_bytes(gzip.compress(content, 1))
    done = measured(tmp_path, *RUN, "csv", "--input", "in.csv.gz")
    assert done.code == 1, done.said
    assert words in done.said
    assert "Traceback" not in done.said
    assert done.peak_mb < MOST_MB


def test_a_csv_of_many_columns_is_read(tmp_path: Path) -> None:
    wide = 450_000
    (tmp_path / "in.csv").write_bytes(
        HEADER.rstrip()
        + b",c" * wide
        + b"\n"
        + b"".join(row(at).rstrip() + b"," * wide + b"\n" for at in (1, 2))
    )
    done = measured(tmp_path, *RUN, "csv", "--input", "in.csv", "--sink", "stdout")
    assert done.code == 0, done.said
    assert len(done.out.splitlines()) == 2
    assert done.peak_mb < MOST_MB, done.peak_mb
    (tmp_path / "in.csv").write_bytes(b"c," * wide + b"c\n")
    done = measured(tmp_path, *RUN, "csv", "--input", "in.csv")
    assert done.code == 1
    assert len(done.said) < 1000
