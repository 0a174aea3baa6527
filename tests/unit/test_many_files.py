"""`edge-train prepare` on several files, which are judged together; and labels that are easily mistaken."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from edge_runtime.errors import EdgeDetectError, InputError, UsageError
from trainer.cli import app
from trainer.prepare.file_pages import names_of_files
from trainer.prepare.paths import CSV_SUFFIXES, files_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

ROWS = 300


def noise(seed: int) -> NDArray[np.float64]:
    return np.random.default_rng(seed).normal(5, 1, ROWS).round(3)


def write(path: Path, part: int, **columns: object) -> Path:
    times = pd.date_range(f"2026-01-01T00:{10 * part - 10:02d}", periods=ROWS, freq="1s").strftime(
        "%Y-%m-%dT%H:%M:%SZ"
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    frame = pd.DataFrame({"time": times, **columns})
    frame.to_parquet(path) if path.suffix == ".parquet" else frame.to_csv(path, index=False)
    return path


def prepare(*words: str | Path) -> str:
    """What the command prints on both streams; its error is raised."""
    result = CliRunner().invoke(app, ["prepare", "--gap", "0", *map(str, words)])
    if isinstance(result.exception, EdgeDetectError):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.output


def columns_of(folder: Path) -> list[str]:
    return list(map(str, pd.read_csv(folder / "train.csv")))[2:]


class TestRoles:
    def test_what_stands_still_in_the_first_file_is_a_sensor_if_it_moves_in_another(
        self, tmp_path: Path
    ) -> None:
        one = write(tmp_path / "1.csv", 1, power=noise(0), flow=5.5)
        other = write(tmp_path / "2.csv", 2, power=noise(1), flow=noise(2))
        prepare("--csv", one, "--csv", other, "-o", tmp_path / "data")
        assert columns_of(tmp_path / "data") == ["power", "flow"]

    def test_what_stands_still_in_each_is_left_out(self, tmp_path: Path) -> None:
        one = write(tmp_path / "1.csv", 1, power=noise(0), flow=5.5)
        other = write(tmp_path / "2.csv", 2, power=noise(1), flow=6.5)
        said = prepare("--csv", one, "--csv", other, "-o", tmp_path / "data")
        assert "it is always 5.5 in 1.csv, or such in others" in said
        assert columns_of(tmp_path / "data") == ["power"]

    def test_a_sensor_that_the_first_file_lacks_is_an_error_that_names_it(self, tmp_path: Path) -> None:
        one = write(tmp_path / "1.csv", 1, power=noise(0))
        other = write(tmp_path / "2.csv", 2, power=noise(1), flow=noise(2))
        with pytest.raises(InputError, match="1.csv: no column 'flow'.*or leave the column out with --drop"):
            prepare("--csv", one, "--csv", other, "-o", tmp_path / "data")
        prepare("--csv", one, "--csv", other, "-o", tmp_path / "data", "--drop", "flow")
        assert columns_of(tmp_path / "data") == ["power"]


class TestNames:
    def test_a_point_in_a_name_is_part_of_the_machines(self, tmp_path: Path) -> None:
        names = ["line.1.csv", "line.2.csv.gz", "press-1.5.parquet", "plain"]
        found = names_of_files([tmp_path / name for name in names])
        assert list(found.values()) == ["line.1", "line.2", "press-1.5", "plain"]

    def test_a_machine_without_a_name_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(UsageError, match="--machine-tag: there is no name behind ="):
            prepare(
                "--csv", write(tmp_path / "1.csv", 1, p=noise(0)), "--machine-tag", "=", "-o", tmp_path / "d"
            )

    def test_folders_that_a_pattern_matches_are_read(self, tmp_path: Path) -> None:
        files = [write(tmp_path / name, 1, p=noise(0)) for name in ("v1/a.csv", "v2/b.csv.gz", "v3.csv")]
        assert files_of([tmp_path / "v*"], CSV_SUFFIXES, "--csv") == sorted(files)
        deep = write(tmp_path / "deep" / "one" / "x.csv.gz", 1, p=noise(0))
        with pytest.raises(InputError) as caught:
            files_of([tmp_path / "deep"], CSV_SUFFIXES, "--csv")
        assert caught.value.hint is not None
        pattern = caught.value.hint.rpartition("--csv ")[2].strip("'")
        assert files_of([Path(pattern)], CSV_SUFFIXES, "--csv") == [deep]


class TestLabels:
    @pytest.mark.parametrize("kind", ["csv", "parquet"])
    def test_long_ids_stay_apart(self, kind: str, tmp_path: Path) -> None:
        batch: list[int | None] = [20260131123456701 + row // 60 for row in range(ROWS)]
        batch[5] = None
        frame = pd.array(batch, dtype="Int64")
        source = write(tmp_path / f"r.{kind}", 1, batch=frame, p=noise(0))
        words = (f"--{kind}", source, "--normal-where", "batch=20260131123456702", "-o", tmp_path / "data")
        prepare(*words)
        parts = [pd.read_csv(tmp_path / "data" / f"{name}.csv") for name in ("train", "val", "test")]
        anomaly = pd.concat(parts)["anomaly"]
        assert (anomaly.eq(0).sum(), anomaly.isna().sum(), len(anomaly)) == (60, 1, ROWS)

    def test_a_condition_with_a_decimal_comma_is_a_number(self, tmp_path: Path) -> None:
        source = write(tmp_path / "r.csv", 1, level=["7", "7,0", "3,5"] * 100, p=noise(0))
        prepare("--csv", source, "--normal-where", "level=7", "-o", tmp_path / "data")
        assert (pd.read_csv(tmp_path / "data" / "train.csv")["anomaly"] == 0).sum() == 140

    @pytest.mark.parametrize(("option", "value"), [("--normal-value", "idel"), ("--ignore-value", "servise")])
    def test_a_misspelt_value_is_refused(self, option: str, value: str, tmp_path: Path) -> None:
        source = write(tmp_path / "r.csv", 1, state=["on", "idle", "service"] * 100, p=noise(0))
        words = ("--label-column", "state", "--normal-value", "on", option, value)
        with pytest.raises(UsageError, match=f"{option}: no cell of column 'state' is '{value}'"):
            prepare("--csv", source, *words, "-o", tmp_path / "data")


@pytest.mark.parametrize(
    "words",
    [("--exclude", "2026-01-01T01:00:30/2026-01-01T01:01:00"), ("--start", "2026-01-01T01:00:30")],
)
def test_a_bound_without_a_zone_is_refused_beside_times_of_another(
    words: tuple[str, str], tmp_path: Path
) -> None:
    source = write(tmp_path / "r.csv", 1, p=noise(0))
    source.write_text(source.read_text().replace("Z,", ","))
    zone = ("--time-zone", "Europe/Berlin", "-o", tmp_path / "data")
    with pytest.raises(UsageError, match="has no zone, and the files are read in Europe/Berlin"):
        prepare("--csv", source, *words, *zone)
    option, text = words
    bounds = [f"{part.replace('T01', 'T00')}+01:00" for part in text.split("/")]
    prepare("--csv", source, option, "/".join(bounds), *zone)
