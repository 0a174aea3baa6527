"""Columns of labels: the same rows in any form give the same bundle, and what is not clear is refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest
from support.history import machine_rows
from typer.testing import CliRunner

from edge_runtime.errors import InputError, UsageError
from edge_runtime.mapping.form import Form, TimeForm
from trainer.cli import app
from trainer.data.choice import Columns
from trainer.data.training_data import TrainingData, read_training_data
from trainer.experiment.plan import Plan
from trainer.experiment.provenance import data_digest
from trainer.experiment.run import run_fit
from trainer.fitting.fit import Settings
from trainer.tracking import NoTracker

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

SENSORS = ("temperature", "vibration", "pressure", "power")
ROWS = {"train": 500, "val": 300, "test": 300}
FRAME = machine_rows(sum(ROWS.values()), severity=3.0).drop(columns="kind").assign(machine_id="press-1")
BAD = FRAME["anomaly"].to_numpy() == 1


def write(folder: Path, frame: pd.DataFrame, suffix: str = ".csv") -> Path:
    """The frame as three tables, in its order."""
    folder.mkdir(parents=True, exist_ok=True)
    start = 0
    for name, rows in ROWS.items():
        part, start = frame.iloc[start : start + rows], start + rows
        if suffix == ".csv":
            part.to_csv(folder / f"{name}.csv", index=False)
        else:
            part.to_parquet(folder / f"{name}.parquet", index=False)
    return folder


def labelled(column: str, values: Any) -> pd.DataFrame:
    """The frame with these labels in this column, in place of its own."""
    return FRAME.drop(columns="anomaly").assign(**{column: values})


def words(normal: object, bad: object) -> list[object]:
    return [bad if is_bad else normal for is_bad in BAD.tolist()]


# Name: the frame, the suffix, the options, and the line that the refusal has to give.
FORMS: dict[str, tuple[pd.DataFrame, str, list[str], str]] = {
    "words": (labelled("label", words("normal", "anomaly")), ".csv", [], "--label-column label"),
    "words of anomaly": (labelled("anomaly", words("ok", "Fault")), ".csv", [], "--label-column anomaly"),
    "true and false": (labelled("anomaly", BAD), ".csv", [], "--label-column anomaly"),
    "bool of Parquet": (labelled("anomaly", BAD), ".parquet", [], "--label-column anomaly"),
    "is_anomaly": (labelled("is_anomaly", BAD.astype(int)), ".csv", [], "--label-column is_anomaly"),
    "label": (labelled("label", BAD.astype(float)), ".csv", [], "--label-column label"),
    "upper case": (labelled("Anomaly", BAD.astype(int)), ".csv", [], "--label-column Anomaly"),
    "scikit-learn": (labelled("anomaly", words(1, -1)), ".csv", [], "--label-column anomaly"),
    "status": (
        labelled("machine_status", words("NORMAL", "BROKEN")), ".csv", [], "--label-column machine_status"
    ),
    "other words": (
        labelled("Is Anomaly", words("fine", "leak")), ".csv", ["fine"],
        "--label-column 'Is Anomaly' --normal-value fine",
    ),
    "codes": (
        labelled("fault", words("", "E7")), ".csv", [""],
        "--label-column fault --normal-value ''",
    ),
}  # fmt: skip


def chosen(frame: pd.DataFrame, normal: Sequence[str]) -> Columns:
    return Columns(label=str(frame.columns[-1]), normal=tuple(normal))


@pytest.fixture(scope="module")
def canonical(tmp_path_factory: pytest.TempPathFactory) -> TrainingData:
    return read_training_data(write(tmp_path_factory.mktemp("canonical"), FRAME), Columns())


@pytest.mark.parametrize("form", FORMS)
def test_the_same_rows_are_the_same_in_every_form(form: str, canonical: TrainingData, tmp_path: Path) -> None:
    frame, suffix, normal, line = FORMS[form]
    folder = write(tmp_path, frame, suffix)
    with pytest.raises(UsageError) as refused:
        read_training_data(folder, Columns())
    assert line in str(refused.value)
    data = read_training_data(folder, chosen(frame, normal))
    assert data.sensors == SENSORS
    for ours, theirs in zip((data.train, data.val, data.test), splits(canonical), strict=True):
        assert ours.labels is not None
        np.testing.assert_array_equal(ours.labels, theirs.labels)
        assert ours.ignored is None
        assert ours.labels.any()
    assert data_digest(splits(data)) == data_digest(splits(canonical))


def splits(data: TrainingData) -> tuple[Any, ...]:
    return data.train, data.val, data.test


@pytest.fixture(scope="module")
def bundle_digest(canonical: TrainingData, tmp_path_factory: pytest.TempPathFactory) -> str:
    return fitted_digest(canonical, tmp_path_factory.mktemp("fit"))


def fitted_digest(data: TrainingData, folder: Path) -> str:
    plan = Plan(output=folder, settings=Settings(epochs=1), plots=False)
    return run_fit(data, plan, NoTracker()).digest


@pytest.mark.parametrize("form", FORMS)
def test_the_bundle_is_the_same_too(form: str, bundle_digest: str, tmp_path: Path) -> None:
    frame, suffix, normal, _ = FORMS[form]
    data = read_training_data(write(tmp_path / "data", frame, suffix), chosen(frame, normal))
    assert fitted_digest(data, tmp_path / "fit") == bundle_digest


def test_other_labels_give_another_bundle(
    canonical: TrainingData, bundle_digest: str, tmp_path: Path
) -> None:
    test = replace(canonical.test, labels=~BAD[-ROWS["test"] :])
    assert fitted_digest(replace(canonical, test=test), tmp_path) != bundle_digest


@pytest.mark.parametrize("change", ["times", "machines", "values", "labels", "ignored", "unlabelled", "rows"])
def test_the_digest_covers_all_that_is_read(change: str, canonical: TrainingData) -> None:
    test = canonical.test
    values = test.values.copy()
    values[7, 2] += 0.001
    one = np.arange(len(test)) == 3
    assert test.labels is not None
    other = {
        "times": replace(test, times=test.times + one),
        "machines": replace(test, machines=np.where(one, "press-2", test.machines)),
        "values": replace(test, values=values),
        "labels": replace(test, labels=test.labels ^ one),
        "ignored": replace(test, ignored=one),
        "unlabelled": replace(test, labels=None),
        "rows": test.take(~one),
    }[change]
    assert data_digest([other]) != data_digest([test])
    assert data_digest([test]) == data_digest([replace(test, path=Path("elsewhere"))])


def test_the_form_is_decided_over_all_tables_and_said(tmp_path: Path) -> None:
    frame = labelled("anomaly", words(1, -1))
    frame.loc[: ROWS["train"] - 1, "anomaly"] = 1
    data = read_training_data(write(tmp_path, frame), Columns(label="anomaly"))
    assert data.train.labels is not None
    assert not data.train.labels.any()
    assert data.remarks == ("labels are in column 'anomaly': 1 is normal; -1 is anomalous",)


def test_only_ones_are_ambiguous(tmp_path: Path) -> None:
    folder = write(tmp_path, labelled("anomaly", 1))
    with pytest.raises(
        UsageError, match=r"if so, add --label-column anomaly --normal-value 1; if not, add --drop"
    ):
        read_training_data(folder, Columns())
    with pytest.raises(UsageError, match="not clear which rows are normal.* add --normal-value 1"):
        read_training_data(folder, Columns(label="anomaly"))
    data = read_training_data(folder, Columns(label="anomaly", normal=("1",)))
    assert data.train.labels is not None
    assert not data.train.labels.any()


@pytest.mark.parametrize(
    ("column", "values", "message"),
    [
        ("label", words("NORMAL", "RECOVERING"), "if NORMAL is normal, add --normal-value NORMAL"),
        ("label", words(0, 7), "add --normal-value 0"),
        ("label", words("broken", "fault"), "not clear which rows are normal"),
        ("label", words("", "fault"), "if an empty cell is normal, add --normal-value ''"),
        ("label", [""] * len(BAD), "every cell of column 'label' is empty"),
        ("is_normal", words(1, 0), "not clear which rows are normal"),
    ],
)
def test_what_is_not_clear_is_refused_with_the_line_to_type(
    column: str, values: list[object], message: str, tmp_path: Path
) -> None:
    with pytest.raises(UsageError) as refused:
        read_training_data(write(tmp_path, labelled(column, values)), Columns(label=column))
    assert message in str(refused.value)


def test_every_other_value_is_anomalous_but_those_to_ignore(tmp_path: Path) -> None:
    values = np.array(words("NORMAL", "BROKEN"), object)
    values[10:20], values[20:40], values[40:45] = "RECOVERING", "maintenance", ""
    folder = write(tmp_path, labelled("machine_status", values))
    columns = Columns(label="machine_status", normal=("normal",), ignore=("Maintenance",))
    data = read_training_data(folder, columns)
    train = data.train
    assert train.labels is not None
    assert train.ignored is not None
    assert train.labels[10:20].all()
    assert np.flatnonzero(train.ignored).tolist() == list(range(20, 45))
    assert not train.labels[20:45].any()
    assert not train.normal[10:45].any()
    assert (
        data.remarks[1] == "25 rows are ignored: their cell of 'machine_status' is empty or a value to ignore"
    )
    with pytest.raises(UsageError, match="no cell of column 'machine_status' is 'norml'; it holds NORMAL, "):
        read_training_data(folder, replace(columns, normal=("norml",)))


def test_an_empty_cell_is_ignored_in_the_usual_column_too(tmp_path: Path) -> None:
    frame = FRAME.assign(anomaly=pd.array(BAD.astype(int), "Int64"))
    frame.loc[5:9, "anomaly"] = pd.NA
    data = read_training_data(write(tmp_path, frame), Columns())
    assert data.train.ignored is not None
    assert np.flatnonzero(data.train.ignored).tolist() == [5, 6, 7, 8, 9]
    assert data.test.ignored is None


def test_what_looks_like_labels_can_be_a_sensor_or_be_left_out(tmp_path: Path) -> None:
    folder = write(tmp_path, FRAME.assign(fault=BAD.astype(int), anomaly=BAD.astype(int)))
    with pytest.raises(
        UsageError,
        match=r"'fault' looks like labels beside 'anomaly' \(0, 1\); to leave it out, add --drop f",
    ):
        read_training_data(folder, Columns())
    assert read_training_data(folder, Columns(drop=("fault",))).sensors == SENSORS
    assert read_training_data(folder, Columns(sensors=("power", "fault"))).sensors == ("power", "fault")
    unlabelled = read_training_data(folder, Columns(drop=("fault", "anomaly")))
    assert unlabelled.sensors == SENSORS
    assert unlabelled.test.labels is None
    as_sensor = read_training_data(folder, Columns(sensors=("power", "anomaly"), drop=("fault",)))
    assert as_sensor.test.labels is None


@pytest.mark.parametrize(
    "column",
    [
        "Label",
        "IS-ANOMALY",
        "Machine failure",
        "Failure Type",
        "fault_code",
        "Normal/Attack",
        "ATT_FLAG",
        "class",
    ],
)
def test_a_column_is_known_by_its_name_however_it_is_written(column: str, tmp_path: Path) -> None:
    folder = write(tmp_path, labelled(column, BAD.astype(int)))
    with pytest.raises(UsageError, match=f"'{column}' looks like labels"):
        read_training_data(folder, Columns())


@pytest.mark.parametrize(
    ("column", "values"),
    [
        ("target", np.linspace(0, 1, len(BAD))),
        ("class", np.arange(len(BAD)) % 40),
    ],
)
def test_a_column_of_numbers_is_a_sensor_where_it_does_not_look_like_labels(
    column: str, values: np.ndarray[Any, Any], tmp_path: Path
) -> None:
    data = read_training_data(write(tmp_path, labelled(column, values)), Columns())
    assert data.sensors == (*SENSORS, column)
    assert data.test.labels is None


@pytest.mark.parametrize(
    ("column", "values", "why"),
    [("machine_status", np.arange(len(BAD)) % 4, "a code of quality"), ("mode", BAD.astype(int), "0 or 1")],
)
def test_a_code_is_neither_labels_nor_a_sensor_unless_it_is_named(
    column: str, values: np.ndarray[Any, Any], why: str, tmp_path: Path
) -> None:
    folder = write(tmp_path, labelled(column, values))
    data = read_training_data(folder, Columns())
    assert data.sensors == SENSORS
    assert data.test.labels is None
    assert why in next(one.why for one in data.roles if one.name == column)
    assert read_training_data(folder, Columns((*SENSORS, column))).sensors == (*SENSORS, column)


def test_a_table_without_the_column_is_unlabelled(tmp_path: Path) -> None:
    write(tmp_path, labelled("label", BAD.astype(int)))
    train = pd.read_csv(tmp_path / "train.csv").drop(columns="label")
    train.to_csv(tmp_path / "train.csv", index=False)
    with pytest.raises(UsageError, match="--label-column label"):
        read_training_data(tmp_path, Columns())
    data = read_training_data(tmp_path, Columns(label="label"))
    assert data.train.labels is None
    assert data.test.labels is not None
    assert data.remarks == ("train.csv has no column 'label' and is unlabelled",)
    with pytest.raises(InputError, match="no column 'labels'"):
        read_training_data(tmp_path, Columns(label="labels"))


TIME_T = Form(TimeForm(from_=("t",)))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Columns(normal=("0",)), "--normal-value: requires --label-column"),
        (lambda: Columns(label="a", normal=("x",), ignore=("X",)), "'X' is named as normal as well"),
        (lambda: Columns(label="a", drop=("a",)), "--drop: 'a' is named as the label as well"),
        (lambda: Columns(label="a", sensors=("a",)), "--label-column: 'a' is named with --sensor as well"),
        (
            lambda: Columns(drop=("t",), form=Form(TimeForm(from_=("t",)))),
            "--drop: 't' is named with --time-column as well",
        ),
    ],
)
def test_choices_that_contradict_one_another_are_refused(make: Callable[[], Columns], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        make()


@pytest.mark.parametrize("command", ["fit", "fleet", "sweep", "compare"])
def test_every_command_takes_the_same_options(command: str, tmp_path: Path) -> None:
    folder = write(tmp_path / "data", labelled("label", words("fine", "leak")))
    refused = CliRunner().invoke(app, [command, "--data", str(folder)])
    assert isinstance(refused.exception, UsageError)
    assert "--label-column label --normal-value fine" in str(refused.exception)
    for value in ("leaks", "-1"):
        options = [
            "--label-column",
            "label",
            "--normal-value",
            value,
            "--ignore-value",
            "x",
            "--drop",
            "power",
        ]
        refused = CliRunner().invoke(app, [command, "--data", str(folder), *options])
        assert f"no cell of column 'label' is '{value}'; it holds fine, leak" in str(refused.exception)
