"""`edge-train prepare` on files: labels by conditions on their own columns or on those of another table."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from edge_runtime.errors import EdgeDetectError
from trainer.cli import app
from trainer.data.label_words import MAX_CELLS, Cells
from trainer.prepare.label_keys import KeyCells

if TYPE_CHECKING:
    from pathlib import Path

VERY_MANY = 200_000 if os.environ.get("EDGE_DETECT_SOAK") else 50_000
ROWS, BATCH = 1000, 20
FIRST = 1_767_225_600  # 2026-01-01
BATCHES = ROWS // BATCH
COOLER = np.where(np.arange(BATCHES) % 5 == 2, 20, 100)
VALVE = np.where(np.arange(BATCHES) % 7 == 3, 73, 100)
BAD = (COOLER != 100) | (VALVE != 100)
READINGS = pd.DataFrame(
    {
        "time": np.arange(ROWS) + FIRST,
        "batch": np.repeat(np.arange(BATCHES), BATCH),
        "power": np.random.default_rng(0).normal(5, 1, ROWS).round(3),
    }
)
TABLE = pd.DataFrame({"batch": np.arange(BATCHES), "cooler": COOLER, "valve": VALVE})
CONDITIONS = ("--normal-where", "cooler=100", "--normal-where", "valve=100")


def csv(path: Path, frame: pd.DataFrame) -> Path:
    frame.to_csv(path, index=False)
    return path


def run(folder: Path, frame: pd.DataFrame, *words: str | Path) -> tuple[str, str]:
    """What the command prints on both streams for these readings; its error is raised."""
    files = ("--csv", csv(folder / "readings.csv", frame), "-o", folder / "out", "--gap", "0")
    result = CliRunner().invoke(app, ["prepare", *map(str, (*files, *words))])
    if isinstance(result.exception, EdgeDetectError):
        assert not (folder / "out").exists()
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.stdout, result.stderr


def joined(folder: Path, frame: pd.DataFrame, table: pd.DataFrame, *words: str) -> tuple[str, str]:
    """The same with labels from another table."""
    return run(
        folder, frame, "--labels-file", csv(folder / "batches.csv", table), "--labels-key", "batch", *words
    )


def labels(folder: Path) -> list[str]:
    """The labels of all rows, as they are written."""
    parts = [
        pd.read_csv(folder / "out" / f"{name}.csv", dtype=str, keep_default_na=False)
        for name in ("train", "val", "test")
    ]
    return pd.concat(parts)["anomaly"].tolist()


def metadata(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "out" / "metadata.json").read_text())
    return found


EXPECTED = [str(int(bad)) for bad in np.repeat(BAD, BATCH)]


def test_a_row_is_normal_if_all_conditions_hold_in_the_other_table(tmp_path: Path) -> None:
    text, said = joined(tmp_path, READINGS, TABLE, *CONDITIONS)
    assert labels(tmp_path) == EXPECTED
    assert ["batch", "key of the labels", "it finds the labels in batches.csv"] in [
        [cell.strip() for cell in line.split("  ") if cell] for line in text.splitlines()
    ]
    remark = (
        "labels are in batches.csv, found by batch: a row is normal if cooler is 100 and valve is 100 "
        f"(50 keys: {int((~BAD).sum())} normal, {int(BAD.sum())} anomalous)"
    )
    assert said == f"edge-train: {remark}\n"
    assert metadata(tmp_path)["labels"] == {
        "method": "events",
        "from": str(tmp_path / "batches.csv"),
        "key": ["batch"],
        "normal_where": {"cooler": ["100"], "valve": ["100"]},
        "remark": remark,
    }
    assert metadata(tmp_path)["sensors"] == [{"name": "power", "unit": ""}]


def test_the_same_conditions_may_be_on_the_files_own_columns(tmp_path: Path) -> None:
    joined(tmp_path, READINGS, TABLE, *CONDITIONS)
    tables = [(tmp_path / "out" / f"{name}.csv").read_bytes() for name in ("train", "val", "test")]
    text, said = run(tmp_path, READINGS.merge(TABLE, on="batch"), *CONDITIONS, "--drop", "batch")
    assert [(tmp_path / "out" / f"{name}.csv").read_bytes() for name in ("train", "val", "test")] == tables
    assert [line.split()[:2] for line in text.splitlines() if line.startswith(("cooler", "valve"))] == [
        ["cooler", "label"],
        ["valve", "label"],
    ]
    assert said == "edge-train: a row is normal if cooler is 100 and valve is 100\n"
    assert metadata(tmp_path)["labels"]["from"] == "the files' own columns"
    assert metadata(tmp_path)["labels"]["normal_where"] == {"cooler": ["100"], "valve": ["100"]}


def test_rows_in_any_order_and_of_parquet_have_the_same_labels(tmp_path: Path) -> None:
    shuffled = READINGS.sample(frac=1, random_state=0)
    joined(tmp_path, shuffled, TABLE.sample(frac=1, random_state=1), *CONDITIONS)
    assert labels(tmp_path) == EXPECTED
    READINGS.astype({"batch": float}).to_parquet(tmp_path / "readings.parquet")
    TABLE.to_parquet(tmp_path / "batches.parquet")
    words = ("--labels-file", tmp_path / "batches.parquet", "--labels-key", "batch", *CONDITIONS)
    files = ("--parquet", tmp_path / "readings.parquet", "-o", tmp_path / "out", "--gap", "0")
    assert CliRunner().invoke(app, ["prepare", *map(str, (*files, *words))]).exit_code == 0
    assert labels(tmp_path) == EXPECTED


@pytest.mark.parametrize(
    ("own", "other"),
    [
        ("{:d}", "{:.1f}"),
        ("{:.2f}", "{:d}"),
        ("{:03d}", "{:d}"),
        ("{:d}", "{:03d}"),
        ("12345678901234567{:03d}", "12345678901234567{:03d}.0"),
        ("A{:d}", " A{:d} "),
    ],
)
def test_a_key_is_the_same_however_it_is_written(own: str, other: str, tmp_path: Path) -> None:
    frame = READINGS.assign(batch=[own.format(n) for n in READINGS["batch"]])
    joined(tmp_path, frame, TABLE.assign(batch=[other.format(n) for n in TABLE["batch"]]), *CONDITIONS)
    assert labels(tmp_path) == EXPECTED


def test_keys_that_may_be_two_are_not_taken_for_one(tmp_path: Path) -> None:
    # Batch 07 is another one than batch 7, of which the table knows nothing.
    batch = np.where(np.arange(ROWS) < 400, "7", np.where(np.arange(ROWS) < 600, "07", "8"))
    table = pd.DataFrame({"batch": ["7", "8"], "cooler": [100, 20]})
    _, said = joined(tmp_path, READINGS.assign(batch=batch), table, "--normal-where", "cooler=100")
    assert labels(tmp_path) == ["0"] * 400 + [""] * 200 + ["1"] * 400
    assert "200 rows have no label in batches.csv and are ignored: it has no batch 07\n" in said


def test_the_key_may_be_several_columns_one_of_them_the_machine(tmp_path: Path) -> None:
    machine = np.where(np.arange(ROWS) % 2, "b", "a")
    table = pd.concat([TABLE.assign(machine_id="a"), TABLE.assign(machine_id="b", cooler=100, valve=100)])
    text, _ = joined(
        tmp_path, READINGS.assign(machine_id=machine), table, *CONDITIONS, "--labels-key", "machine_id"
    )
    expected = np.where(machine == "a", np.repeat(BAD, BATCH), False)
    assert labels(tmp_path) == [str(int(bad)) for bad in expected]
    assert any(line.split() == ["machine_id", "machine", "by", "its", "name"] for line in text.splitlines())
    assert metadata(tmp_path)["labels"]["key"] == ["batch", "machine_id"]


def test_rows_without_a_label_are_ignored_and_counted(tmp_path: Path) -> None:
    table = TABLE.astype({"valve": object})
    table.loc[11, "valve"] = ""
    _, said = joined(tmp_path, READINGS, table.drop(index=[4, 9]), *CONDITIONS)
    unknown = np.isin(READINGS["batch"], [4, 9, 11])
    assert labels(tmp_path) == ["" if gone else label for gone, label in zip(unknown, EXPECTED, strict=True)]
    assert "40 rows have no label in batches.csv and are ignored: it has no batch 4, 9\n" in said
    assert "60 rows without a label are ignored: their cell of 'anomaly' is empty" in said
    assert "(48 keys: " in said
    assert " 1 to be ignored)" in said


def test_only_rows_that_are_asked_for_count_as_unknown(tmp_path: Path) -> None:
    # Of the whole file, most have no label.
    start = FIRST + 700
    table = TABLE[TABLE["batch"] >= 700 // BATCH]
    _, said = joined(tmp_path, READINGS, table, *CONDITIONS, "--start", str(start))
    assert labels(tmp_path) == EXPECTED[700:]
    assert "no label" not in said


def test_several_values_of_one_column_are_all_normal(tmp_path: Path) -> None:
    state = np.resize(["idle", "RUN", "fault", ""], ROWS)
    words = ("--normal-where", "state=run", "--normal-where", "state=idle")
    _, said = run(tmp_path, READINGS.assign(state=state), *words, "--drop", "batch")
    assert labels(tmp_path) == np.resize(["0", "0", "1", ""], ROWS).tolist()
    assert "a row is normal if state is run or idle\n" in said
    run(tmp_path, READINGS.assign(state=state), "--normal-where", "state=", "--drop", "batch")
    assert labels(tmp_path) == np.resize(["1", "1", "1", "0"], ROWS).tolist()


def test_a_value_that_is_rare_among_very_many_is_found(tmp_path: Path) -> None:
    speed = np.arange(VERY_MANY) / 7 + 1
    speed[-1] = 0.5
    frame = pd.DataFrame({"time": np.arange(VERY_MANY) + FIRST, "power": np.sin(speed), "speed": speed})
    run(tmp_path, frame, "--normal-where", "speed=.50")
    assert labels(tmp_path) == ["1"] * (VERY_MANY - 1) + ["0"]


def test_the_other_table_may_hold_the_labels_and_kinds_themselves(tmp_path: Path) -> None:
    state = np.where(BAD, "worn", np.where(np.arange(BATCHES) == 1, "setup", "good"))
    table = pd.DataFrame({"batch": TABLE["batch"], "state": state, "kind": np.where(BAD, "wear", "")})
    words = ("--label-column", "state", "--normal-value", "good", "--ignore-value", "setup")
    _, said = joined(tmp_path, READINGS, table, *words)
    assert labels(tmp_path) == ["" if i // BATCH == 1 else label for i, label in enumerate(EXPECTED)]
    train = pd.read_csv(tmp_path / "out" / "train.csv", dtype=str, keep_default_na=False)
    assert train["kind"].tolist() == np.where(train["anomaly"] == "1", "wear", "").tolist()
    assert metadata(tmp_path)["labels"]["column"] == "state"
    assert "found by batch: column 'state' tells normal rows from others (good is normal; worn is" in said
    _, said = joined(tmp_path, READINGS, TABLE.assign(anomaly=BAD.astype(int)))
    assert labels(tmp_path) == EXPECTED


@pytest.mark.parametrize(
    ("table", "words", "said"),
    [
        (
            TABLE,
            ("--normal-where", "coolr=100"),
            r"batches.csv: no column 'coolr'; it has batch, cooler, valv",
        ),
        (TABLE, ("--normal-where", "cooler=1"), "no cell of column 'cooler' is 1; it holds 100, 20"),
        (TABLE, ("--normal-where", "cooler"), "'cooler' is not a condition; write COLUMN=VALUE"),
        (TABLE, (), "nothing says which of its rows are normal; add --label-column NAME.* has cooler, valve"),
        (TABLE.drop(columns="batch"), CONDITIONS, "batches.csv: no column 'batch'; it has cooler, valve"),
        (TABLE, (*CONDITIONS, "--labels-key", "power"), "batches.csv: no column 'power'; it has batch"),
        (
            TABLE.assign(line=1),
            (*CONDITIONS, "--labels-key", "line"),
            "readings.csv: no column 'line'; it has",
        ),
        (TABLE, (*CONDITIONS, "--labels-key", "batch"), "--labels-key: a column is named twice"),
        (
            TABLE,
            (*CONDITIONS, "--label-column", "valve"),
            "--normal-where: cannot be combined with --label-c",
        ),
        (
            TABLE,
            (*CONDITIONS, "--events-file", "e.csv"),
            "--labels-file: cannot be combined with --events-fi",
        ),
        (
            TABLE,
            (*CONDITIONS, "--labels", "statistical"),
            "--labels-file: cannot be combined with --labels s",
        ),
        (TABLE, (*CONDITIONS, "--sensor", "batch"), "--labels-key: 'batch' is named with --sensor as well"),
        (TABLE, (*CONDITIONS, "--drop", "batch"), "--labels-key: 'batch' is named with --drop as well"),
        (
            TABLE.drop(index=17),
            ("--normal-where", "cooler=20", "--normal-where", "valve=73"),
            "no row is normal, where a row",
        ),
        (
            pd.concat([TABLE, TABLE.iloc[2:3].assign(cooler=100)]),
            CONDITIONS,
            "batches.csv, line 4: batch 2 is there twice: anomalous, and normal in line 52; keep one of",
        ),
        (
            TABLE.assign(batch=TABLE["batch"] + 40),
            CONDITIONS,
            "no label for 800 of 1,000 rows: .*'batch' holds 0, 1, 2 in the files and 40, 41, 42 in the t",
        ),
        (
            TABLE.assign(batch=[f"B{n}" for n in TABLE["batch"]]),
            CONDITIONS,
            "no label for 1,000 of 1,000 rows: .* B0, B1, B2 in the table, compared as texts",
        ),
    ],
)
def test_what_cannot_be_joined_is_one_clear_error(
    table: pd.DataFrame, words: tuple[str, ...], said: str, tmp_path: Path
) -> None:
    with pytest.raises(EdgeDetectError, match=said) as caught:
        joined(tmp_path, READINGS, table, *words)
    assert "\n" not in str(caught.value)


def test_alike_rows_of_one_key_are_one(tmp_path: Path) -> None:
    joined(tmp_path, READINGS, pd.concat([TABLE, TABLE.iloc[:5]]), *CONDITIONS)
    assert labels(tmp_path) == EXPECTED


@pytest.mark.parametrize(
    ("frame", "words", "said"),
    [
        (READINGS, ("--labels-key", "batch"), "--labels-key: requires --labels-file"),
        (READINGS, ("--labels-file", "{table}"), "--labels-file: requires --labels-key; both have batch"),
        (READINGS, ("--labels-file", "no.csv", "--labels-key", "batch"), "no.csv: no such file"),
        (READINGS, CONDITIONS, "readings.csv: no column 'cooler'; it has time, batch, power"),
        (
            READINGS,
            (*CONDITIONS, "--events-file", "e"),
            "--normal-where: cannot be combined with --events-file",
        ),
        (
            READINGS.assign(cooler=100, valve=100),
            (*CONDITIONS, "--sensor", "cooler"),
            "--normal-where: 'cooler' is named with --sensor as well",
        ),
        (
            READINGS.assign(cooler=100, valve=100, anomaly=0),
            CONDITIONS,
            r"'anomaly' looks like labels beside --normal-where \(0\); to leave it out, add --drop anomaly",
        ),
    ],
)
def test_labels_are_asked_for_in_one_way(
    frame: pd.DataFrame, words: tuple[str, ...], said: str, tmp_path: Path
) -> None:
    table = csv(tmp_path / "batches.csv", TABLE)
    with pytest.raises(EdgeDetectError, match=said):
        run(tmp_path, frame, *(word.format(table=table) for word in words))


def test_each_file_needs_the_columns_that_labels_are_found_by(tmp_path: Path) -> None:
    other = csv(tmp_path / "other.csv", READINGS.drop(columns="batch"))
    with pytest.raises(
        EdgeDetectError, match="other.csv: no column 'batch', which tells the labels of another"
    ):
        joined(tmp_path, READINGS, TABLE, *CONDITIONS, "--csv", str(other))


def test_an_influxdb_has_no_such_tables(tmp_path: Path) -> None:
    words = ["prepare", "--database", "x", "-o", str(tmp_path / "out"), *CONDITIONS]
    result = CliRunner().invoke(app, words)
    assert "only files have such columns" in str(result.exception)


def test_one_row_is_said_as_one(tmp_path: Path) -> None:
    frame = READINGS.assign(batch=READINGS["batch"].where(READINGS.index != 30, 99))
    frame = pd.concat([frame, frame.iloc[[5]]])
    _, said = joined(tmp_path, frame, TABLE, *CONDITIONS, "--exclude", f"{FIRST + 40}/{FIRST + 41}")
    assert said.splitlines()[:1] == [
        "edge-train: 1 row has no label in batches.csv and is ignored: it has no batch 99"
    ]
    assert "edge-train: 1 row repeats another row and is left out\n" in said
    assert (
        "edge-train: --exclude: 1 row lies in them and is ignored: the cell of 'anomaly' is empty\n" in said
    )


def test_memory_does_not_grow_with_the_different_cells() -> None:
    cells, keys = Cells(sought=frozenset({"9000.5"})), KeyCells()
    for page in range(10):
        column = pd.Series(np.arange(1000) + 1000 * page + 0.5)
        cells.add(column)
        keys.add(column)
    assert cells.many
    assert len(cells.counts) <= MAX_CELLS + 2
    assert cells.counts["9000.5"] == 1
    assert keys.samples == ["0.5", "1.5", "2.5"]
    assert keys.are_numbers
