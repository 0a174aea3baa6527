"""`edge-train compare`: every method on the same test rows, in a table and as JSON."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest
from support.bundles import SENSORS, make_checkpoint, normal_rows
from support.commands import assert_one_clear_line

from trainer.data.choice import Columns
from trainer.data.training_data import read_training_data
from trainer.evaluation.baselines import FITTED
from trainer.experiment.checkpoint import Checkpoint
from trainer.experiment.compare import compare, comparison_table, record
from trainer.tracking import Tracker

if TYPE_CHECKING:
    from support.commands import Command

NAMES = tuple(sensor[0] for sensor in SENSORS)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Tables of normal rows; a tenth of the test's are far off in one sensor."""
    for seed, name in enumerate(("train", "val", "test")):
        rows = pd.DataFrame(normal_rows(1000, seed=seed), columns=list(NAMES))
        rows.insert(0, "time", np.arange(1000) + 1_700_000_000 + 10_000 * seed)
        rows["anomaly"] = 0
        if name == "test":
            rows.loc[100:199, "vibration"] *= 4
            rows.loc[100:199, "anomaly"] = 1
        rows.to_csv(tmp_path / f"{name}.csv", index=False)
    return tmp_path


def test_every_method_is_there_and_finds_what_is_far_off(folder: Path) -> None:
    data = read_training_data(folder, Columns(sensors=NAMES))
    checkpoint = Checkpoint.load(make_checkpoint(folder / "c", train=100))
    found = compare(data, {"ours": checkpoint}, 0.99)
    assert list(found) == ["ours", "always anomaly", "fixed limits", *(kind.name for kind in FITTED)]
    assert found["always anomaly"].recall == 1
    assert found["always anomaly"].precision == pytest.approx(0.1)
    for name in ("ours", "largest z-score", "Mahalanobis distance"):
        assert found[name].roc_auc == pytest.approx(1, abs=0.02)
    table = comparison_table(found)
    assert len(table.splitlines()) == 1 + len(found)
    assert "VUS-PR" in table
    low, high = found["ours"].intervals["f1"]
    assert f"{low:.3f} to {high:.3f}" in table


def test_without_labels_it_shows_how_much_each_flags(folder: Path) -> None:
    data = read_training_data(folder, Columns(sensors=NAMES))
    checkpoint = Checkpoint.load(make_checkpoint(folder / "c", train=100))
    labelled = compare(data, {"ours": checkpoint}, 0.99)
    found = compare(replace(data, test=replace(data.test, labels=None)), {"ours": checkpoint}, 0.99)
    assert list(found) == list(labelled)
    assert {name: one.flagged for name, one in found.items()} == {
        name: one.flagged for name, one in labelled.items()
    }
    assert all(one.metrics() == {} for one in found.values())
    lines = comparison_table(found).splitlines()
    assert lines[0].split() == ["method", "flagged"]
    assert lines[1].split() == ["ours", f"{labelled['ours'].flagged / 1000:.2%}"]
    assert lines[-1] == "unlabelled: only the rate of alarms is known"


def test_without_anomalies_it_shows_false_alarms(folder: Path) -> None:
    data = read_training_data(folder, Columns(sensors=NAMES))
    none = replace(data.test, labels=np.zeros(len(data.test), np.bool_))
    found = compare(replace(data, test=none), {}, 0.99)
    lines = comparison_table(found).splitlines()
    assert lines[0].split("  ")[0] == "method"
    assert lines[0].split() == ["method", "flagged", "false", "a", "day"]
    assert lines[1].startswith("always anomaly")
    assert "100.00%" in lines[1]
    assert lines[-1] == "no row is labelled anomalous: only the rate of false alarms is known"


def test_the_command_prints_the_table_and_writes_the_figures(folder: Path, command: Command) -> None:
    make_checkpoint(folder / "fit" / "checkpoint", train=100)
    fit, output = folder / "fit", folder / "c.json"
    done = command("edge-train", "compare", "--data", folder, "--fit", fit, "-o", output, "--no-mlflow")
    assert done.returncode == 0, done.stderr
    assert b"Isolation Forest" in done.stdout
    assert json.loads(output.read_text())["fit"]["recall"] > 0.9
    done = command("edge-train", "compare", "--data", folder, "--percentile", "0", "--no-mlflow")
    assert_one_clear_line(done, 2, "--percentile", "between 0 and 100")


def test_a_comparison_is_a_run_of_its_own_with_its_table(folder: Path, tmp_path: Path) -> None:
    from mlflow import MlflowClient  # noqa: PLC0415

    data = read_training_data(folder, Columns(sensors=NAMES))
    found = compare(data, {}, 0.99)
    store = f"sqlite:///{tmp_path}/mlflow.db"
    with Tracker(store, "trials", "compare") as tracker:
        record(found, tracker, data=data, percentile=99.0)
    assert tracker.run_id is not None
    client = MlflowClient(store, store)
    run = client.get_run(tracker.run_id)
    assert run.info.status == "FINISHED"
    assert run.data.params["percentile"] == "99.0"
    assert run.data.params["data_digest"].startswith("sha256:")
    assert run.data.metrics["Mahalanobis distance.f1"] == pytest.approx(found["Mahalanobis distance"].f1)
    assert run.data.metrics["PCA T².vus_pr"] == pytest.approx(found["PCA T²"].vus_pr)
    assert run.data.metrics["always anomaly.recall"] == 1
    names = {artifact.path for artifact in client.list_artifacts(tracker.run_id)}
    assert names == {"comparison.txt", "comparison.json", "params.json"}
    table = client.download_artifacts(tracker.run_id, "comparison.txt", str(tmp_path))
    assert Path(table).read_text(encoding="utf-8") == comparison_table(found) + "\n"
