"""`edge-train compare`: every method on the same test rows, in a table and as JSON."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest
from support.bundles import SENSORS, make_checkpoint, normal_rows
from support.commands import assert_one_clear_line

from edge_runtime.bundle.metadata import Hold
from edge_runtime.errors import TrainingError
from trainer.calibration.treatment import ALIKE, Treated, Treatment
from trainer.data.choice import Columns
from trainer.data.training_data import read_training_data
from trainer.detector.smoothing import ScoreSmoothing
from trainer.evaluation.baselines import FITTED, PcaQ
from trainer.experiment.checkpoint import Checkpoint
from trainer.experiment.compare import compare, record
from trainer.experiment.comparison import Added, comparison_figures, comparison_table
from trainer.tracking import Tracker

if TYPE_CHECKING:
    from support.commands import Here

    from trainer.data.training_data import TrainingData

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


@pytest.fixture
def data(folder: Path) -> TrainingData:
    return read_training_data(folder, Columns(sensors=NAMES))


@pytest.fixture
def ours(folder: Path) -> Checkpoint:
    return Checkpoint.load(make_checkpoint(folder / "c", train=100))


def test_every_method_is_there_twice_and_finds_what_is_far_off(data: TrainingData, ours: Checkpoint) -> None:
    compared = compare(data, {"ours": ours}, 99.0)
    # Of sensors that have nothing to do with one another, principal components leave nothing over.
    found, simple = compared.methods, [kind.name for kind in FITTED if kind is not PcaQ]
    assert list(found) == ["ours", *(f"{name}{what}" for name in simple for what in ("", ALIKE))]
    for name in ("ours", "largest z-score", "Mahalanobis distance", f"Mahalanobis distance{ALIKE}"):
        assert found[name].roc_auc == pytest.approx(1, abs=0.02)
    rows, alarms, notes = (part.splitlines() for part in comparison_table(compared).split("\n\n"))
    for part, title in ((rows, "Rows"), (alarms, "Alarms and events")):
        assert (part[0], part[1].split()[0]) == (title, "method")
        assert [line.split("  ")[0] for line in part[2:]] == list(found)
        assert len({len(line) for line in part[1:]}) == 1
    assert "VUS-PR" in rows[1]
    # A detector that calls every row anomalous is no competitor, but a measure of the data.
    assert notes[-1] == (
        "Every row called anomalous: F1 0.182, precision 0.100, but no event found, since that alarm never "
        "begins."
    )


def test_every_figure_that_can_be_resampled_has_its_plus_and_minus(
    data: TrainingData, ours: Checkpoint
) -> None:
    found = compare(data, {"ours": ours}, 99.0)
    of_rows, of_events = comparison_figures(found)
    for name, one in found.methods.items():
        cells = dict(zip(of_rows.columns, of_rows.rows[name], strict=True))
        for column, figure in (("F1", "f1"), ("recall", "recall"), ("ROC AUC", "roc_auc")):
            low, high = one.intervals[figure]
            assert cells[column] == f"{getattr(one, figure):.3f} ± {(high - low) / 2:.3f}"
        flagged = one.metrics()["false_alarm_rate"]
        low, high = one.intervals.get("false_alarm_rate", (0.0, 0.0))
        assert low <= flagged <= high
        assert of_events.rows[name][0] == f"{flagged:.2%}" + f" ± {50 * (high - low):.2f}" * (one.fp > 0)
    assert any(one.fp > 0 for one in found.methods.values())
    assert any(
        line.startswith("±: half of the 90 % interval") for line in comparison_table(found).splitlines()
    )


def test_the_simple_ones_are_treated_as_the_first_detector(data: TrainingData, ours: Checkpoint) -> None:
    hold = Hold(1.0, 1.0, 10.0, 5.5)
    treated = replace(
        ours,
        parts=replace(ours.parts, smoothing=ScoreSmoothing(7, 3.0)),
        threshold=replace(ours.threshold, hold=hold),
    )
    found = compare(data, {"a": treated, "b": ours}, 99.0)
    assert "treated alike: as a, with the mean of the last 7 rows, a margin by the same rule, the hold" in (
        comparison_table(found)
    )
    for kind in [kind for kind in FITTED if kind is not PcaQ]:
        by_hand = Treated.fit(kind, data.train, data.val, 99.0, Treatment(smooth=7, hold=hold))
        one = found.methods[by_hand.name]
        assert one.flagged == by_hand.judge(data.test)[1].sum()
        plain = kind.fit(data.train, data.val, 0.99)
        assert found.methods[kind.name].flagged == (plain.score(data.test) > plain.threshold).sum()
    bare = compare(data, {"b": ours, "a": treated}, 99.0)
    assert "treated alike: as b, with a margin by the same rule\n" in comparison_table(bare)
    none = comparison_table(compare(data, {}, 99.0))
    assert "treated alike: as the default recipe, with the mean of the last 11 rows, a margin by" in none


def test_fixed_limits_are_there_where_they_are_given_alone(data: TrainingData) -> None:
    assert "fixed limits" not in comparison_table(compare(data, {}, 99.0))
    found = compare(data, {}, 99.0, {"vibration": (-np.inf, 3.0)}).methods
    assert list(found)[:2] == ["fixed limits", f"fixed limits{ALIKE}"]
    beyond = data.test.values[:, NAMES.index("vibration")] > 3
    assert found["fixed limits"].flagged == beyond.sum()
    assert found[f"fixed limits{ALIKE}"].flagged >= beyond.sum()


def test_one_sentence_says_what_the_detector_adds(data: TrainingData, ours: Checkpoint) -> None:
    high = replace(ours, threshold=replace(ours.threshold, value=1e9))
    found = compare(data, {"ours": ours, "deaf": high}, 99.0)
    alike = {name: one.f1 or 0.0 for name, one in found.methods.items() if name.endswith(ALIKE)}
    best = max(alike, key=lambda name: alike[name])
    own, deaf = found.added
    assert (own.name, own.simple, deaf.name, deaf.simple) == ("ours", best, "deaf", best)
    assert own.f1 == pytest.approx((found.methods["ours"].f1 or 0.0) - alike[best])
    assert own.low <= own.f1 <= own.high
    assert deaf.f1 == pytest.approx(-alike[best])
    notes = comparison_table(found).split("\n\n")[-1].splitlines()
    assert notes[:2] == [str(own), str(deaf)]
    assert notes[1].startswith(
        f"To {best}, the best of the simple detectors on these very rows, deaf adds nothing: its F1 is "
        f"{alike[best]:.3f} lower (90 % interval -"
    )


@pytest.mark.parametrize(
    ("f1", "low", "high", "wanted"),
    [
        (0.0412, 0.02, 0.0633, "adds 0.041 of F1 (90 % interval +0.020 to +0.063)."),
        (0.01, -0.02, 0.04, "its F1 differs by +0.010 (90 % interval -0.020 to +0.040)."),
        (-0.05, -0.09, -0.01, "adds nothing: its F1 is 0.050 lower (90 % interval -0.090 to -0.010)."),
        (0.05, math.nan, math.nan, "its F1 differs by +0.050 (too few anomalies for an interval)."),
    ],
)
def test_the_sentence_claims_no_more_than_the_interval(
    f1: float, low: float, high: float, wanted: str
) -> None:
    said = str(Added("best", "PCA Q treated alike", f1, low, high))
    assert said.startswith(
        "To PCA Q treated alike, the best of the simple detectors on these very rows, best"
    )
    assert said.endswith(wanted)
    assert ("adds nothing that these rows can show: " in said) is not (low > 0 or high < 0)


def test_a_simple_detector_that_the_rows_do_not_allow_is_named(folder: Path) -> None:
    data = read_training_data(folder, Columns(sensors=("vibration",)))
    found = compare(data, {}, 99.0)
    assert not any(name.startswith("PCA Q") for name in found.methods)
    assert f"PCA T²{ALIKE}" in found.methods
    assert (
        "left out is PCA Q: all of the principal components are needed for 95% of the variance, and leave "
        "nothing over" in comparison_table(found).splitlines()
    )
    nothing = replace(data, val=replace(data.val, values=np.full_like(data.val.values, np.nan)))
    with pytest.raises(TrainingError, match="at least two normal rows"):
        compare(nothing, {}, 99.0)


def test_a_detector_that_is_always_on_is_seen_through(data: TrainingData, ours: Checkpoint) -> None:
    low = replace(ours, threshold=replace(ours.threshold, value=1e-9))
    found = compare(data, {"ours": ours, "low": low}, 99.0)
    events = found.methods["low"].events
    assert events is not None
    assert (events.injected, events.found, events.alarm_minutes_per_day) == (1, 0, 1440.0)
    first, alarms = comparison_figures(found)
    shown = dict(zip(alarms.columns, alarms.rows["low"], strict=True))
    assert shown == {
        "normal flagged": "100.00% ± 0.00",
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
    assert (by_chance["F1"].split()[0], by_chance["random F1"]) == ("0.182", "0.182")


def test_without_labels_it_shows_how_much_each_flags(data: TrainingData, ours: Checkpoint) -> None:
    labelled = compare(data, {"ours": ours}, 99.0).methods
    compared = compare(replace(data, test=replace(data.test, labels=None)), {"ours": ours}, 99.0)
    found = compared.methods
    assert compared.added == []
    assert list(found) == list(labelled)
    assert {name: one.flagged for name, one in found.items()} == {
        name: one.flagged for name, one in labelled.items()
    }
    assert all(one.metrics() == {} for one in found.values())
    lines = comparison_table(compared).splitlines()
    assert lines[0].split() == ["method", "flagged"]
    assert lines[1].split() == ["ours", f"{labelled['ours'].flagged / 1000:.2%}"]
    assert lines[-1] == "unlabelled: only the rate of alarms is known"


def test_without_anomalies_it_shows_false_alarms(data: TrainingData) -> None:
    none = replace(data.test, labels=np.zeros(len(data.test), np.bool_))
    found = compare(replace(data, test=none), {}, 99.0)
    lines = comparison_table(found).splitlines()
    assert lines[0].split() == ["method", "flagged", "minutes", "a", "day", "alarms", "false", "a", "day"]
    one = found.methods["largest z-score"]
    assert one.events is not None
    low, high = one.intervals["false_alarm_rate"]
    few, many = one.intervals["false_alarms_per_day"]
    cells = [f"{one.alarm_rate:.2%}", "±", f"{50 * (high - low):.2f}", f"{1440 * one.alarm_rate:.1f}"]
    cells += [
        str(one.events.alarms),
        f"{one.events.false_alarms_per_day:.1f}",
        "±",
        f"{(many - few) / 2:.1f}",
    ]
    assert lines[1].split() == ["largest", "z-score", *cells]
    assert "no row is labelled anomalous: only the rate of false alarms is known" in lines


def test_the_command_prints_the_table_and_writes_the_figures(folder: Path, here: Here) -> None:
    make_checkpoint(folder / "fit" / "checkpoint", train=100)
    fit, output = folder / "fit", folder / "c.json"
    run = ("edge-train", "compare", "--data", folder, "--no-mlflow")
    done = here(*run, "--fit", fit, "-o", output, "--limit", "vibration=:3")
    assert done.returncode == 0, done.stderr
    shown = done.stdout.decode()
    assert "Isolation Forest treated alike" in shown
    assert "\nfixed limits" in shown
    document = json.loads(output.read_text())
    assert document["fit"]["recall"] > 0.9
    adds = document["fit"]["adds"]
    assert adds["f1"] == pytest.approx(document["fit"]["f1"] - document[adds["to"]]["f1"])
    assert f"To {adds['to']}, the best of the simple detectors on these very rows, fit adds" in shown


def test_the_command_refuses_what_it_cannot_use(folder: Path, here: Here) -> None:
    run = ("edge-train", "compare", "--data", folder, "--no-mlflow")
    assert_one_clear_line(here(*run, "--percentile", "0"), 2, "--percentile", "between 0 and 100")
    assert_one_clear_line(here(*run, "--limit", "vibration"), 2, "--limit", "is not a limit")
    assert_one_clear_line(here(*run, "--limit", "speed=:3"), 2, "--limit", "no sensor 'speed'")


def test_a_comparison_is_a_run_of_its_own_with_its_table(data: TrainingData, tmp_path: Path) -> None:
    from mlflow import MlflowClient  # noqa: PLC0415

    compared = compare(data, {}, 99.0)
    found = compared.methods
    store = f"sqlite:///{tmp_path}/mlflow.db"
    with Tracker(store, "trials", "compare") as tracker:
        record(compared, tracker, data=data, percentile=99.0)
    assert tracker.run_id is not None
    client = MlflowClient(store, store)
    run = client.get_run(tracker.run_id)
    assert run.info.status == "FINISHED"
    assert run.data.params["percentile"] == "99.0"
    assert run.data.params["data_digest"].startswith("sha256:")
    assert run.data.metrics["Mahalanobis distance.f1"] == pytest.approx(found["Mahalanobis distance"].f1)
    alike = f"PCA T²{ALIKE}"
    assert run.data.metrics[f"{alike}.f1"] == pytest.approx(found[alike].f1)
    assert run.data.metrics["PCA T².vus_pr"] == pytest.approx(found["PCA T²"].vus_pr)
    assert run.data.metrics["PCA T².alarm_minutes_per_day"] == pytest.approx(
        found["PCA T²"].metrics()["alarm_minutes_per_day"]
    )
    assert run.data.metrics["PCA T².precision_always_anomalous"] == pytest.approx(0.1)
    names = {artifact.path for artifact in client.list_artifacts(tracker.run_id)}
    assert names == {"comparison.txt", "comparison.json", "params.json"}
    table = client.download_artifacts(tracker.run_id, "comparison.txt", str(tmp_path))
    assert Path(table).read_text(encoding="utf-8") == comparison_table(compared) + "\n"
