"""`edge-train prepare`: files that are named by a folder or by a pattern."""

from __future__ import annotations

import gzip
import json
from typing import TYPE_CHECKING

import pandas as pd
import pytest
from typer.testing import CliRunner

from edge_runtime.errors import EdgeDetectError
from trainer.cli import app

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def lines(tmp_path: Path) -> Path:
    """Folders with files, of which two are called the same, and what is no such file."""
    for number, name in enumerate(("north/2.csv", "north/10.csv", "south/2.csv", "south/deep/3.csv")):
        path = tmp_path / "lines" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        rows = [f"2026-01-01 00:00:{second:02};{number + second * 7 % 5}" for second in range(60)]
        path.write_text("\n".join(["datetime;flow", *rows, ""]))
    packed = tmp_path / "lines" / "north" / "4.CSV.gz"
    packed.write_bytes(gzip.compress((tmp_path / "lines" / "south" / "2.csv").read_bytes()))
    (tmp_path / "lines" / "north" / ".9.csv").write_text("nothing")
    (tmp_path / "lines" / "north" / "README.md").write_text("nothing")
    frame = pd.read_csv(tmp_path / "lines" / "south" / "2.csv", sep=";")
    frame.to_parquet(tmp_path / "lines" / "south" / "5.parquet")
    return tmp_path / "lines"


def prepared(lines: Path, *words: str) -> list[str]:
    """The files that were read, below the folder."""
    out = lines.parent / "out"
    result = CliRunner().invoke(app, ["prepare", *words, "--gap", "0", "-o", str(out)])
    if isinstance(result.exception, EdgeDetectError):
        raise result.exception
    assert result.exit_code == 0, result.output
    files = json.loads((out / "metadata.json").read_text())["query"]["files"]
    return [file.removeprefix(f"{lines}/") for file in files]


def machines(lines: Path) -> set[str]:
    return set(pd.read_csv(lines.parent / "out" / "train.csv", dtype=str)["machine_id"])


def test_a_folder_stands_for_its_own_files(lines: Path) -> None:
    words = ("--csv", f"{lines}/south", "--csv", f"{lines}/north", "--machine-per-file")
    assert prepared(lines, *words) == ["south/2.csv", "north/10.csv", "north/2.csv", "north/4.CSV.gz"]
    # Two are called 2, so that all have their folders' names.
    assert machines(lines) == {"south-2", "north-10", "north-2", "north-4"}
    assert prepared(lines, "--csv", f"{lines}/north", "--machine-per-file") == [
        "north/10.csv",
        "north/2.csv",
        "north/4.CSV.gz",
    ]
    assert machines(lines) == {"10", "2", "4"}
    assert prepared(lines, "--parquet", f"{lines}/south") == ["south/5.parquet"]


def test_a_pattern_stands_for_what_it_matches(lines: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert prepared(lines, "--csv", f"{lines}/*/[0-9].csv", "--machine-per-file") == [
        "north/2.csv",
        "south/2.csv",
    ]
    assert prepared(lines, "--csv", f"{lines}/**/3.csv") == ["south/deep/3.csv"]
    monkeypatch.chdir(lines)
    assert prepared(lines, "--csv", "nor*/?.csv") == ["north/2.csv"]


def test_a_file_may_be_called_like_a_pattern(lines: Path) -> None:
    (lines / "[1].csv").write_bytes((lines / "south" / "2.csv").read_bytes())
    assert prepared(lines, "--csv", f"{lines}/[1].csv") == ["[1].csv"]


@pytest.mark.parametrize(
    ("word", "said", "code"),
    [
        ("north/*.tsv", "--csv: no file matches '.*/north/[*].tsv'; see what `ls` finds there", 2),
        ("north/7.csv", "north/7.csv: no such file", 1),
        (
            "",
            "in this folder; north, south in it have some.* '.*/[*]/[*].csv' --csv '.*/[*]/[*].csv.gz'$",
            1,
        ),
        (
            "empty",
            "no file [*].csv or [*].csv.gz in this folder; name a file, a folder with such files, or",
            1,
        ),
    ],
)
def test_what_names_no_file_is_said(word: str, said: str, code: int, lines: Path) -> None:
    (lines / "empty").mkdir()
    with pytest.raises(EdgeDetectError, match=said) as caught:
        prepared(lines, "--csv", str(lines / word))
    assert caught.value.exit_code == code


def test_the_output_may_not_be_a_folder_that_is_read(lines: Path) -> None:
    words = ["prepare", "--csv", str(lines / "north"), "-o", str(lines / "north")]
    assert "10.csv is read, and lies in it" in str(CliRunner().invoke(app, words).exception)
