"""`edge-train prepare` on files: labels in any form, no labels, and stretches of time to ignore."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from edge_runtime.errors import EdgeDetectError
from trainer.cli import app

if TYPE_CHECKING:
    from pathlib import Path

ROWS = 1000
FIRST = 1_767_225_600  # 2026-01-01
BAD = (np.arange(ROWS) % 50) == 7
PLAIN = pd.DataFrame(
    {
        "time": np.arange(ROWS) + FIRST,
        "machine_id": np.where(np.arange(ROWS) % 2, "a", "b"),
        "power": np.random.default_rng(0).normal(5, 1, ROWS).round(3),
    }
)
EXCLUDED = (
    "--exclude",
    "2026-01-01T00:01:40Z/2026-01-01T00:02:00Z",
    "--exclude",
    f"{FIRST + 900}/{FIRST + 950}",
)


def run(*words: str | Path) -> tuple[str, str]:
    """What the command prints on both streams; its error is raised."""
    result = CliRunner().invoke(app, ["prepare", *map(str, words), "--gap", "0"])
    if isinstance(result.exception, EdgeDetectError):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.stdout, result.stderr


def tables(folder: Path) -> list[bytes]:
    return [(folder / f"{name}.csv").read_bytes() for name in ("train", "val", "test")]


def csv(path: Path, frame: pd.DataFrame) -> Path:
    frame.to_csv(path, index=False)
    return path


def words(normal: object, bad: object) -> list[object]:
    return [bad if is_bad else normal for is_bad in BAD.tolist()]


@pytest.fixture
def expected(tmp_path: Path) -> list[bytes]:
    run(
        "--csv",
        csv(tmp_path / "canonical.csv", PLAIN.assign(anomaly=BAD.astype(int))),
        "-o",
        tmp_path / "canonical",
    )
    return tables(tmp_path / "canonical")


@pytest.mark.parametrize(
    ("column", "values", "options"),
    [
        ("label", words("normal", "anomaly"), ()),
        ("anomaly", words("ok", "Fault"), ()),
        ("anomaly", BAD, ()),
        ("is_anomaly", BAD.astype(int), ()),
        ("Anomaly", BAD.astype(float), ()),
        ("anomaly", words(1, -1), ()),
        ("machine_status", words("NORMAL", "BROKEN"), ()),
        ("label", words("fine", "leak"), ("--normal-value", "fine")),
        ("label", words(3, -1), ("--normal-value", "3")),
    ],
)
def test_labels_in_any_form_give_the_same_tables(
    column: str, values: Any, options: tuple[str, ...], expected: list[bytes], tmp_path: Path
) -> None:
    path = csv(tmp_path / "rows.csv", PLAIN.assign(**{column: values}))
    line = " ".join(("--label-column", column, *options))
    with pytest.raises(EdgeDetectError, match=f"looks like labels.* add {line};") as refused:
        run("--csv", path, "-o", tmp_path / "out")
    assert refused.value.exit_code == 2
    assert not (tmp_path / "out").exists()
    run("--csv", path, "-o", tmp_path / "out", "--label-column", column, *options)
    assert tables(tmp_path / "out") == expected


def test_the_column_of_kinds_may_hold_the_labels(expected: list[bytes], tmp_path: Path) -> None:
    path = csv(tmp_path / "rows.csv", PLAIN.assign(kind=np.where(BAD, "leak", "")))
    run("--csv", path, "-o", tmp_path / "out", "--label-column", "kind", "--normal-value", "")
    assert tables(tmp_path / "out") == expected


def test_bool_of_parquet_and_rows_in_any_order_give_them_too(expected: list[bytes], tmp_path: Path) -> None:
    frame = PLAIN.assign(anomaly=BAD).sample(frac=1, random_state=0)
    frame.to_parquet(tmp_path / "rows.parquet")
    _, said = run("--parquet", tmp_path / "rows.parquet", "-o", tmp_path / "out", "--label-column", "anomaly")
    assert tables(tmp_path / "out") == expected
    assert said == "edge-train: labels are in column 'anomaly': false is normal; true is anomalous\n"
    metadata = json.loads((tmp_path / "out" / "metadata.json").read_text())
    assert metadata["labels"] == {
        "method": "events",
        "from": "the files' own column 'anomaly'",
        "remark": "labels are in column 'anomaly': false is normal; true is anomalous",
    }
    _, said = run(
        *("--parquet", tmp_path / "rows.parquet", "-o", tmp_path / "none"),
        *("--label-column", "anomaly", "--labels", "none"),
    )
    assert said == "edge-train: the tables are unlabelled: they have no column 'anomaly'\n"


def test_values_to_ignore_leave_the_label_empty(tmp_path: Path) -> None:
    values = np.array(words("RUN", "BROKEN"), object)
    values[10:20], values[30] = "maintenance", ""
    path = csv(tmp_path / "rows.csv", PLAIN.assign(machine_status=values))
    options = ("--label-column", "machine_status", "--normal-value", "run", "--ignore-value", "MAINTENANCE")
    _, said = run("--csv", path, "-o", tmp_path / "out", *options)
    train = pd.read_csv(tmp_path / "out" / "train.csv", dtype=str, keep_default_na=False)
    assert np.flatnonzero(train["anomaly"] == "").tolist() == [*range(10, 20), 30]
    first, second = said.splitlines()
    assert first.endswith("RUN is normal; BROKEN is anomalous; maintenance, empty cells are to be ignored")
    assert second == "edge-train: 11 rows without a label are ignored: their cell of 'anomaly' is empty"


def test_labels_of_one_file_alone_are_refused(tmp_path: Path) -> None:
    one = csv(tmp_path / "1.csv", PLAIN.iloc[:500].assign(anomaly=0))
    other = csv(tmp_path / "2.csv", PLAIN.iloc[500:])
    with pytest.raises(EdgeDetectError, match=r"2\.csv: no column 'anomaly'.* with --drop anomaly"):
        run("--csv", one, "--csv", other, "-o", tmp_path / "out")
    run("--csv", one, "--csv", other, "-o", tmp_path / "out", "--drop", "anomaly")
    assert tables(tmp_path / "out")[0].startswith(b"time,machine_id,power\n")


def test_unlabelled_history_has_no_column_of_labels(tmp_path: Path) -> None:
    text, said = run("--csv", csv(tmp_path / "rows.csv", PLAIN), "-o", tmp_path / "out")
    assert tables(tmp_path / "out")[0].startswith(b"time,machine_id,power\n2026-01-01T00:00:00Z,b,")
    assert text.splitlines()[0].split() == ["split", "machine", "rows"]
    assert said == "edge-train: the tables are unlabelled: they have no column 'anomaly'\n"


@pytest.mark.parametrize("order", ["rising", "shuffled"])
def test_excluded_rows_have_an_empty_label(order: str, tmp_path: Path) -> None:
    frame = PLAIN.assign(anomaly=np.where(np.arange(ROWS) == 300, "", BAD.astype(int)))
    frame = frame.sample(frac=1, random_state=0) if order == "shuffled" else frame
    _, said = run("--csv", csv(tmp_path / "rows.csv", frame), "-o", tmp_path / "out", *EXCLUDED)
    train = pd.read_csv(tmp_path / "out" / "train.csv", dtype=str, keep_default_na=False)
    # Rows 100 to 119 are of the range; 300 had no label before.
    assert np.flatnonzero(train["anomaly"] == "").tolist() == [*range(100, 120), 300]
    assert (train["anomaly"] == "1").sum() == BAD[:700].sum() - 1
    assert len(train) == 700
    metadata = json.loads((tmp_path / "out" / "metadata.json").read_text())
    assert metadata["excluded"] == {
        "ranges": [
            {"start": "2026-01-01T00:01:40Z", "stop": "2026-01-01T00:02:00Z"},
            {"start": "2026-01-01T00:15:00Z", "stop": "2026-01-01T00:15:50Z"},
        ],
        "rows": 70,
    }
    assert [metadata["splits"][name]["ignored"] for name in ("train", "val", "test")] == [21, 0, 50]
    assert "70 rows lie in them and are ignored" in said


def test_excluded_rows_are_left_out_where_nothing_is_labelled(tmp_path: Path) -> None:
    _, said = run("--csv", csv(tmp_path / "rows.csv", PLAIN), "-o", tmp_path / "out", *EXCLUDED)
    train = pd.read_csv(tmp_path / "out" / "train.csv")
    assert len(train) == 680
    assert not train["time"].between("2026-01-01T00:01:40Z", "2026-01-01T00:01:59Z").any()
    metadata = json.loads((tmp_path / "out" / "metadata.json").read_text())
    assert metadata["excluded"]["rows"] == 70
    assert metadata["rows"] == 930
    assert metadata["rows_left_out_between_splits"] == 0
    assert "70 rows lie in them and are left out of the unlabelled tables" in said


def test_statistics_learn_nothing_from_excluded_rows(tmp_path: Path) -> None:
    frame = PLAIN.copy()
    frame.loc[100:119, "power"] = 1e6
    path = csv(tmp_path / "rows.csv", frame)
    run("--csv", path, "-o", tmp_path / "out", "--labels", "statistical", *EXCLUDED)
    metadata = json.loads((tmp_path / "out" / "metadata.json").read_text())
    usual = frame["power"].drop(range(100, 120))[:680]
    assert metadata["labels"]["mean"]["power"] == pytest.approx(usual.mean())


def test_a_range_without_rows_is_said(tmp_path: Path) -> None:
    path = csv(tmp_path / "rows.csv", PLAIN.assign(anomaly=0))
    _, said = run("--csv", path, "-o", tmp_path / "out", "--exclude", "2020-01-01/2020-01-02")
    assert said == "edge-train: --exclude: no row lies in the ranges\n"
