"""Public data sets as they are published, by options alone, against what a script makes of them.

The real ones are read from the folder that EDGE_DETECT_DATA names, where there is one.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from trainer.cli import app

DATA = Path(os.environ.get("EDGE_DETECT_DATA") or "/nonexistent")
SENSORS = ("temperature", "vibration", "pressure", "power")
CONDITIONS = {"cooler": 100, "valve": 100, "pump_leak": 0}


def run(*words: str | Path) -> None:
    result = CliRunner().invoke(app, list(map(str, words)))
    assert result.exit_code == 0, f"{result.output}\n{result.exception!r}"


def same(one: Path, other: Path) -> None:
    """Both folders hold the same rows with the same labels, between the same bounds."""
    for name in ("train.csv", "val.csv", "test.csv"):
        assert (one / name).read_bytes() == (other / name).read_bytes(), name
    first, second = (json.loads((folder / "metadata.json").read_text()) for folder in (one, other))
    assert first["splits"] == second["splits"]
    assert first["rows"] == second["rows"]


def rig(folder: Path) -> None:
    """A rig's cycles of 20 s at 1 Hz, as resampled; the state of each cycle is in a table of its own."""
    rng = np.random.default_rng(0)
    cycles, seconds = 60, 20
    states = {
        "cooler": rng.choice([3, 20, 100], cycles, p=[0.1, 0.1, 0.8]),
        "valve": rng.choice([73, 100], cycles, p=[0.1, 0.9]),
        "pump_leak": rng.choice([0, 1, 2], cycles, p=[0.8, 0.1, 0.1]),
        "accumulator": rng.choice([90, 130], cycles),
    }
    pd.DataFrame({"cycle": np.arange(cycles), **states}).to_csv(folder / "cycles.csv", index=False)
    rows = cycles * seconds
    time = pd.Timestamp("2024-01-01") + pd.to_timedelta(np.arange(rows), unit="s")
    readings = {name: rng.normal(40 + 10 * i, 2, rows).round(3) for i, name in enumerate(SENSORS)}
    frame = pd.DataFrame(
        {"time": time.strftime("%Y-%m-%dT%H:%M:%SZ"), "cycle": np.arange(rows) // seconds, **readings}
    )
    frame.to_csv(folder / "readings.csv.gz", index=False)


def circuit(folder: Path) -> None:
    """A water circuit's experiments, a file each, one after another, as SKAB has them."""
    rng = np.random.default_rng(1)
    for number, name in enumerate(
        ("valve2/0", "valve1/0", "other/1", "valve1/1", "anomaly-free/anomaly-free")
    ):
        path = folder / f"{name}.csv"
        path.parent.mkdir(exist_ok=True)
        # Seconds are left out now and then.
        seconds = np.flatnonzero(rng.random(600) > 0.05)
        time = pd.Timestamp("2020-03-09 10:14:33") + pd.to_timedelta(number * 600 + seconds, unit="s")
        frame = pd.DataFrame(
            {
                "datetime": time.strftime("%Y-%m-%d %H:%M:%S"),
                "Current": rng.normal(1.3, 0.1, len(time)).round(5),
                "Volume Flow RateRMS": rng.normal(32, 1, len(time)).round(4),
            }
        )
        if name != "anomaly-free/anomaly-free":
            frame["anomaly"] = ((seconds > 300) & (seconds < 400)).astype(float)
            frame["changepoint"] = (np.diff(frame["anomaly"], prepend=0) != 0).astype(float)
        frame.to_csv(path, sep=";", index=False)


def of_rig(folder: Path, out: Path) -> None:
    """Prepares a rig both ways, into `raw` and `made`."""
    readings = pd.read_csv(folder / "readings.csv.gz")
    made = readings.merge(pd.read_csv(folder / "cycles.csv"), on="cycle")
    made["anomaly"] = (made[list(CONDITIONS)] != pd.Series(CONDITIONS)).any(axis=1).astype(int)
    made["machine_id"] = "rig"
    made[["time", "machine_id", *SENSORS, "anomaly"]].to_csv(out / "made.csv", index=False)
    run("prepare", "--csv", out / "made.csv", "-o", out / "made")
    words = [word for name, value in CONDITIONS.items() for word in ("--normal-where", f"{name}={value}")]
    files = ("--csv", folder / "readings.csv.gz", "--labels-file", folder / "cycles.csv")
    run("prepare", *files, "--labels-key", "cycle", *words, "--machine-tag", "=rig", "-o", out / "raw")


def of_circuit(folder: Path, out: Path) -> None:
    """Prepares a circuit both ways, into `raw` and `made`."""
    frames = []
    for path in sorted(folder.glob("*/*.csv")):
        if path.parent.name != "anomaly-free":
            frame = pd.read_csv(path, sep=";")
            frames.append(frame.assign(machine_id=f"{path.parent.name}-{path.stem}"))
    pd.concat(frames).to_csv(out / "made.csv", index=False)
    run("prepare", "--csv", out / "made.csv", "--drop", "changepoint", "-o", out / "made")
    folders = [word for name in ("valve1", "valve2", "other") for word in ("--csv", folder / name)]
    options = ("--machine-per-file", "--label-column", "anomaly", "--drop", "changepoint")
    run("prepare", *folders, *options, "-o", out / "raw")


def test_a_rig_whose_states_are_in_another_table_needs_no_script(tmp_path: Path) -> None:
    rig(tmp_path)
    of_rig(tmp_path, tmp_path)
    same(tmp_path / "raw", tmp_path / "made")
    train = pd.read_csv(tmp_path / "raw" / "train.csv")
    assert set(train["anomaly"]) == {0, 1}
    assert list(train.columns) == ["time", "machine_id", *SENSORS, "anomaly", "kind"]
    run("fit", "--data", tmp_path / "raw", "-o", tmp_path / "model", "--no-mlflow", "--epochs", "1")
    assert (tmp_path / "model" / "bundle.onnx").is_file()


def test_a_circuit_with_a_file_for_each_experiment_needs_no_script(tmp_path: Path) -> None:
    circuit(tmp_path)
    of_circuit(tmp_path, tmp_path)
    same(tmp_path / "raw", tmp_path / "made")
    parts = [pd.read_csv(tmp_path / "raw" / f"{name}.csv") for name in ("train", "val", "test")]
    assert set(pd.concat(parts)["machine_id"]) == {"valve1-0", "valve1-1", "valve2-0", "other-1"}
    run("fit", "--data", tmp_path / "raw", "-o", tmp_path / "model", "--no-mlflow", "--epochs", "1")
    assert (tmp_path / "model" / "bundle.onnx").is_file()


@pytest.mark.skipif(
    not (DATA / "hydraulic").is_dir(), reason="EDGE_DETECT_DATA names no folder with hydraulic/"
)
def test_the_real_hydraulic_rig_needs_no_script(tmp_path: Path) -> None:
    of_rig(DATA / "hydraulic", tmp_path)
    same(tmp_path / "raw", tmp_path / "made")
    metadata = json.loads((tmp_path / "raw" / "metadata.json").read_text())
    # 132,300 rows, less two gaps of a minute.
    assert metadata["rows"] == 132_180
    assert "(2,205 keys: 293 normal, 1,912 anomalous)" in metadata["labels"]["remark"]


@pytest.mark.skipif(not (DATA / "skab").is_dir(), reason="EDGE_DETECT_DATA names no folder with skab/")
def test_the_real_skab_needs_no_script(tmp_path: Path) -> None:
    of_circuit(DATA / "skab", tmp_path)
    same(tmp_path / "raw", tmp_path / "made")
    metadata = json.loads((tmp_path / "raw" / "metadata.json").read_text())
    assert metadata["rows"] == 37_401
    assert len({name for split in metadata["splits"].values() for name in split["machines"]}) == 34
