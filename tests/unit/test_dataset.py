"""Reading training data, the scaler's rows, and batches."""

from __future__ import annotations

import gzip
import json
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest
import torch
from support.history import write_history

from edge_runtime.errors import InputError, TrainingError
from edge_runtime.mapping.form import Form, TimeForm
from trainer.data.choice import Columns
from trainer.data.training_data import read_training_data
from trainer.experiment.golden import golden_rows
from trainer.fitting.dataset import SensorDataset, create_dataloaders
from trainer.fitting.rows import fit_scaler, fitting_batch_size, training_rows

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

SENSORS = ("temperature", "vibration", "pressure", "power")


def edit(path: Path, change: Callable[[pd.DataFrame], pd.DataFrame]) -> None:
    change(pd.read_csv(path)).to_csv(path, index=False)


def test_reads_what_prepare_writes(tmp_path: Path) -> None:
    folder = write_history(tmp_path)
    (folder / "metadata.json").write_text(
        json.dumps({"sensors": [{"name": "temperature", "unit": "°C"}], "cadence_seconds": 2.0})
    )
    data = read_training_data(folder, Columns())
    frame = pd.read_csv(folder / "test.csv")
    assert data.sensors == SENSORS
    assert data.units == {"temperature": "°C"}
    assert data.cadence_seconds == 2.0
    assert (len(data.train), len(data.val), len(data.test)) == (4000, 2000, 2000)
    np.testing.assert_allclose(data.test.values, frame[list(SENSORS)].to_numpy(), rtol=1e-6)
    assert data.test.labels is not None
    assert data.test.labels.tolist() == (frame["anomaly"] == 1).tolist()
    assert data.test.kinds is not None
    assert data.test.kinds.tolist() == frame["kind"].fillna("").tolist()
    assert sorted(set(data.test.machines.tolist())) == ["press-1", "press-2"]
    assert np.diff(data.test.times[:1000]).tolist() == [10**9] * 999


def test_reads_anybodys_tables(tmp_path: Path) -> None:
    frame = pd.DataFrame(
        {
            "timestamp": range(1_767_225_600, 1_767_227_600, 5),
            "state": "on",
            "b": 1.5,
            "a": np.arange(400) % 7,
        }
    )
    for name in ("train", "val", "test"):
        with gzip.open(tmp_path / f"{name}.csv.gz", "wt") as stream:
            frame.to_csv(stream, index=False, sep=";")
    data = read_training_data(tmp_path, Columns())
    assert data.sensors == ("a",)  # b is always the same
    assert data.cadence_seconds == 5.0
    assert data.train.labels is None
    assert data.train.kinds is None
    assert set(data.train.machines.tolist()) == {"machine"}
    assert read_training_data(tmp_path, Columns(sensors=("a",))).train.values[:3].tolist() == [[0], [1], [2]]


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (Columns(sensors=("heat",)), "no column 'heat'"),
        (Columns(form=Form(TimeForm(from_=("when",)))), "no column 'when'"),
        (Columns(form=Form(machine="press")), "no column 'press'"),
        (Columns(label="bad"), "no column 'bad'"),
        (Columns(sensors=("kind",)), "in column 'kind' is not a number"),
    ],
)
def test_a_chosen_column_must_be_there(tmp_path: Path, columns: Columns, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_training_data(write_history(tmp_path), columns)


def test_a_cell_of_text_in_a_sensors_column_is_named(tmp_path: Path) -> None:
    path = write_history(tmp_path) / "train.csv"
    lines = path.read_text().splitlines()
    lines[7] = ",".join([*lines[7].split(",")[:2], "hot", *lines[7].split(",")[3:]])
    path.write_text("\n".join(lines))
    with pytest.raises(
        InputError, match=r"column 'temperature' holds numbers, and 'hot' in .* line 8; add --missing \"hot\""
    ):
        read_training_data(tmp_path, Columns())


def test_a_column_without_a_reading_is_named(tmp_path: Path) -> None:
    edit(write_history(tmp_path) / "train.csv", lambda frame: frame.assign(pressure=np.nan))
    with pytest.raises(InputError, match="column 'pressure' has no reading"):
        read_training_data(tmp_path, Columns())


def test_a_missing_table_is_named(tmp_path: Path) -> None:
    (write_history(tmp_path) / "val.csv").unlink()
    with pytest.raises(InputError, match=r"no val\.csv or val\.csv\.gz"):
        read_training_data(tmp_path, Columns())


def test_the_scaler_sees_normal_and_whole_rows_alone(tmp_path: Path) -> None:
    folder = write_history(tmp_path)
    before = fit_scaler("minmax", read_training_data(folder, Columns()).train)
    frame = pd.read_csv(folder / "train.csv")
    frame.loc[frame["anomaly"] == 1, "temperature"] = 9999.0
    extra = frame.iloc[:2].assign(anomaly=0, power=[np.nan, 1.0], temperature=[-9999.0, np.inf])
    pd.concat([frame, extra]).to_csv(folder / "train.csv", index=False)
    after = fit_scaler("minmax", read_training_data(folder, Columns()).train)
    assert after.to_dict() == before.to_dict()
    normal = frame.loc[frame["anomaly"] == 0, "temperature"]
    assert after.offset[0] == np.float32(normal.min())
    assert after.scale[0] == np.float32(np.float64(np.float32(normal.max())) - np.float32(normal.min()))


def test_loaders_yield_every_row_once(tmp_path: Path) -> None:
    data = read_training_data(write_history(tmp_path), Columns())
    scaler = fit_scaler("standard", data.train)
    loaders = create_dataloaders(data, scaler, batch_size=300, seed=4)
    batches = list(loaders.train)
    expected = scaler.transform(data.train.normal_values)
    assert {len(batch) for batch in batches[:-1]} == {300}
    assert len(batches) == len(loaders.train) == -(-len(expected) // 300)
    drawn = torch.cat(batches).numpy()
    assert not np.array_equal(drawn, expected)
    np.testing.assert_array_equal(np.sort(drawn, axis=0), np.sort(expected, axis=0))
    assert not torch.equal(torch.cat(list(loaders.train)), torch.cat(batches))
    again = create_dataloaders(data, scaler, batch_size=300, seed=4)
    assert torch.equal(torch.cat(list(again.train)), torch.cat(batches))
    np.testing.assert_array_equal(torch.cat(list(loaders.val)), scaler.transform(data.val.normal_values))
    np.testing.assert_array_equal(torch.cat(list(loaders.test)), scaler.transform(data.test.values))


def test_a_dataset_gives_rows_and_batches(tmp_path: Path) -> None:
    data = read_training_data(write_history(tmp_path), Columns())
    dataset = SensorDataset(data.train.normal_values, fit_scaler("minmax", data.train))
    assert dataset.rows.min() == 0.0
    assert dataset.rows.max() == 1.0
    assert torch.equal(dataset.__getitems__(torch.tensor([5, 2])), torch.stack([dataset[5], dataset[2]]))


@pytest.mark.parametrize(
    ("split", "change", "message"),
    [
        ("train", lambda frame: frame.assign(anomaly=1), "no normal rows"),
        ("val", lambda frame: frame.assign(anomaly=1), "no normal rows"),
        ("train", lambda frame: frame[frame["anomaly"] == 0].head(99), "too few rows: 99 normal ones"),
        ("val", lambda frame: frame.assign(power=np.nan), "every row lacks at least one reading"),
    ],
)
def test_what_cannot_be_trained_on_is_said(
    tmp_path: Path, split: str, change: Callable[[pd.DataFrame], pd.DataFrame], message: str
) -> None:
    edit(write_history(tmp_path) / f"{split}.csv", change)
    data = read_training_data(tmp_path, Columns(sensors=SENSORS))
    with pytest.raises(TrainingError, match=message):
        create_dataloaders(data, fit_scaler("minmax", data.train), batch_size=64, seed=0)


@pytest.mark.parametrize(
    ("rows", "size"), [(1, 256), (51_200, 256), (51_201, 512), (600_000, 4096), (5_000_000, 32_768)]
)
def test_an_epoch_has_two_hundred_steps_at_most(rows: int, size: int) -> None:
    assert fitting_batch_size(rows) == size


def test_golden_rows_are_consecutive_rows_of_one_machine(tmp_path: Path) -> None:
    folder = write_history(tmp_path)
    frame = pd.read_csv(folder / "val.csv")
    frame.loc[20, "power"] = np.nan
    # Machines in turns, as prepare writes them.
    frame.sort_values("time", kind="stable").to_csv(folder / "val.csv", index=False)
    golden = golden_rows(read_training_data(folder, Columns()).val)
    np.testing.assert_allclose(golden.readings, frame.iloc[21:53][list(SENSORS)].to_numpy(), rtol=1e-6)


def test_a_stride_takes_each_so_many_th_normal_row_of_a_machine_in_time_order(tmp_path: Path) -> None:
    folder = write_history(tmp_path)
    edit(folder / "train.csv", lambda frame: frame.assign(anomaly=0).sample(frac=1.0, random_state=3))
    train = read_training_data(folder, Columns()).train
    assert training_rows(train, 1).all()
    rows = training_rows(train, 7)
    for machine in ("press-1", "press-2"):
        own = train.machines == machine
        times = np.sort(train.times[own])
        assert np.sort(train.times[own & rows]).tolist() == times[::7].tolist()


def test_rows_that_are_not_normal_do_not_count_in_a_stride(tmp_path: Path) -> None:
    folder = write_history(tmp_path)
    edit(folder / "train.csv", lambda frame: frame.assign(anomaly=(np.arange(len(frame)) % 2)))
    train = read_training_data(folder, Columns()).train
    rows = training_rows(train, 3)
    assert not (rows & ~train.normal).any()
    assert rows.sum() == sum(
        -(-(train.normal & (train.machines == m)).sum() // 3) for m in set(train.machines)
    )


def test_windows_are_drawn_at_the_stride_and_look_back_on_every_row(tmp_path: Path) -> None:
    data = read_training_data(write_history(tmp_path), Columns())
    scaler = fit_scaler("minmax", data.train)
    loaders = create_dataloaders(data, scaler, batch_size=64, seed=0, stride=10, history=2)
    drawn = torch.cat(list(loaders.train))
    rows = np.flatnonzero(training_rows(data.train, 10))
    assert len(drawn) == len(rows)
    scaled = torch.from_numpy(scaler.transform(data.train.values))
    windows = {tuple(window.flatten().tolist()) for window in drawn}
    inner = next(row for row in rows if data.train.normal[row - 2 : row + 1].all() and row > 10)
    assert tuple(scaled[inner - 2 : inner + 1].flatten().tolist()) in windows
    assert len(torch.cat(list(loaders.val))) == data.val.normal.sum()


def test_a_stride_that_leaves_too_few_rows_is_an_error_that_names_it(tmp_path: Path) -> None:
    train = read_training_data(write_history(tmp_path), Columns()).train
    with pytest.raises(TrainingError, match="4 at this stride, at least 100 are needed") as caught:
        training_rows(train, 1000)
    assert "--stride" in str(caught.value)
