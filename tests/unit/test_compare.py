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
from trainer.experiment.compare import compare, comparison_figures, comparison_table, record
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
    assert list(found) == ["ours", "fixed limits", *(kind.name for kind in FITTED)]
    for name in ("ours", "largest z-score", "Mahalanobis distance"):
        assert found[name].roc_auc == pytest.approx(1, abs=0.02)
    rows, alarms, notes = (part.splitlines() for part in comparison_table(found).split("\n\n"))
    for part, title in ((rows, "Rows"), (alarms, "Alarms and events")):
        assert (part[0], part[1].split()[0]) == (title, "method")
        assert [line.split("  ")[0] for line in part[2:]] == list(found)
        assert len({len(line) for line in part[1:]}) == 1
    assert "VUS-PR" in rows[1]
    low, high = found["ours"].intervals["f1"]
    assert f"{low:.3f} to {high:.3f}" in rows[2]
    # A detector that calls every row anomalous is no competitor, but a measure of the data.
    assert notes[-1] == (
        "Every row called anomalous: F1 0.182, precision 0.100, but no event found, since that alarm never "
        "begins."
    )


def test_a_detector_that_is_always_on_is_seen_through(folder: Path) -> None:
    data = read_training_data(folder, Columns(sensors=NAMES))
    checkpoint = Checkpoint.load(make_checkpoint(folder / "c", train=100))
    low = replace(checkpoint, threshold=replace(checkpoint.threshold, value=1e-9))
    found = compare(data, {"ours": checkpoint, "low": low}, 0.99)
    events = found["low"].events
    assert events is not None
    assert (events.injected, events.found, events.alarm_minutes_per_day) == (1, 0, 1440.0)
    first, alarms = comparison_figures(found)
    shown = dict(zip(alarms.columns, alarms.rows["low"], strict=True))
    assert shown == {
        "normal flagged": "100.00%",
        "minutes a day": "1,440.0",
        "alarms": "1",
        "precision": "1.000",
        "false a day": "0.0",
        "events": "0/1",
        "random": "0.0",
        "up before": "1",
        "delay": "-",
    }
    assert dict(zip(alarms.columns, alarms.rows["ours"], strict=True))["events"] == "1/1"
    by_chance = dict(zip(first.columns, first.rows["low"], strict=True))
    assert (by_chance["F1"], by_chance["random F1"]) == ("0.182", "0.182")


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
    assert lines[0].split() == ["method", "flagged", "minutes", "a", "day", "alarms", "false", "a", "day"]
    one = found["fixed limits"]
    assert one.events is not None
    cells = [f"{one.alarm_rate:.2%}", f"{1440 * one.alarm_rate:.1f}", str(one.events.alarms)]
    assert lines[1].split() == ["fixed", "limits", *cells, f"{one.events.false_alarms_per_day:.1f}"]
    assert "no row is labelled anomalous: only the rate of false alarms is known" in lines


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
    assert run.data.metrics["PCA T².alarm_minutes_per_day"] == pytest.approx(
        found["PCA T²"].metrics()["alarm_minutes_per_day"]
    )
    assert run.data.metrics["PCA T².precision_always_anomalous"] == pytest.approx(0.1)
    names = {artifact.path for artifact in client.list_artifacts(tracker.run_id)}
    assert names == {"comparison.txt", "comparison.json", "params.json"}
    table = client.download_artifacts(tracker.run_id, "comparison.txt", str(tmp_path))
    assert Path(table).read_text(encoding="utf-8") == comparison_table(found) + "\n"
