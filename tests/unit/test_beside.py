"""The quality benchmark gives the simple detectors what ours has, on files that nothing was chosen on."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import beside
import numpy as np
import page
import pytest
import real_plants
import simulated
from beside import fitted_judge, held_against, of_rows, simple_judges, spread
from support.history import write_history

from edge_runtime.simulation import Simulator
from trainer.calibration.assess import assess, choose_threshold
from trainer.calibration.debounce import ScoredRows
from trainer.calibration.treatment import ALIKE, Treatment
from trainer.data.choice import Columns
from trainer.data.training_data import TrainingData, read_training_data
from trainer.evaluation.baselines import FITTED
from trainer.fitting.fit import Settings, fit
from trainer.fitting.recipes import DEFAULT_HOLD

if TYPE_CHECKING:
    from pathlib import Path

QUICK = Settings(epochs=1, smooth=5)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> TrainingData:
    folder = write_history(tmp_path_factory.mktemp("history"), train=1200, val=1200, test=1200)
    return read_training_data(folder, Columns())


def test_our_figures_are_those_of_the_threshold_that_fit_gives(data: TrainingData) -> None:
    fitted = fit(data, QUICK)
    judged, treatment = fitted_judge(data, fitted, 99.0)
    assert treatment == Treatment(smooth=5, hold=DEFAULT_HOLD)
    threshold = choose_threshold(
        data.val,
        fitted.detector,
        "percentile",
        percentile=99.0,
        margin=None,
        training=ScoredRows.of(data.train, fitted.detector),
        hold=DEFAULT_HOLD,
    )
    wanted = assess(data.test, fitted.detector, threshold).metrics
    found = of_rows(data.test, *judged(data.test))
    for name in ("f1", "precision", "recall", "roc_auc"):
        assert found[name] == pytest.approx(wanted[name])
    assert found["far"] == pytest.approx(wanted["fp"] / (wanted["fp"] + wanted["tn"]))


def test_each_simple_detector_is_there_as_it_is_and_treated_alike(data: TrainingData) -> None:
    judges = simple_judges(data, 99.0, Treatment(smooth=5, hold=DEFAULT_HOLD))
    assert list(judges) == [f"{kind.name}{what}" for kind in FITTED for what in ("", ALIKE)]
    for kind in FITTED:
        scores, plain = judges[kind.name](data.test)
        smoothed, _ = judges[kind.name + ALIKE](data.test)
        detector = kind.fit(data.train, data.val, 0.99)
        np.testing.assert_array_equal(plain, scores > detector.threshold)
        assert (smoothed >= scores - 1e-9 * np.abs(scores)).all()
        assert (smoothed > scores * 1.01).any()


def test_the_figures_of_a_single_run_deviate_as_those_of_many_would(data: TrainingData) -> None:
    runs, spreads = [], []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        truth = rng.random(len(data.test)) < 0.2
        scores = truth + rng.normal(size=len(truth))
        test = replace(data.test, labels=truth)
        runs.append(of_rows(test, scores, scores > 1))
        spreads.append(spread(test, scores, scores > 1))
    for name in runs[0]:
        found, wanted = np.mean([each[name] for each in spreads]), np.std([run[name] for run in runs])
        assert found == pytest.approx(wanted, rel=0.35)


def test_where_ours_stands_is_counted_against_equals_and_against_the_plain_ones() -> None:
    ours = {"a": 0.5, "b": 0.2, "c": 0.1}
    simple = {
        "a": {"one": 0.6, f"one{ALIKE}": 0.51, "two": 0.5, f"two{ALIKE}": 0.3},
        "b": {"one": 0.1, f"one{ALIKE}": 0.3, "two": 0.1, f"two{ALIKE}": 0.25},
        "c": {"one": 0.0, f"one{ALIKE}": 0.2},
    }
    alike, mean, plain, _ = held_against(ours, simple)
    assert alike == (
        "Beside simple ones treated alike: best or within 0.02 of the best on 1 (a) of 3, worst on 2 (b, c)."
    )
    assert mean.startswith(f"Mean F1 0.267, to 0.337 of one{ALIKE}, which has the highest of them; 90 % ")
    assert plain == (
        "Beside simple ones as they are: best or within 0.02 of the best on 2 (b, c) of 3, worst on 0."
    )


def test_a_plant_is_measured_with_every_method(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(beside, "FITTED", FITTED[:2])
    write_history(tmp_path / "plant", train=600, val=600, test=600)
    said: list[str] = []
    found = real_plants.measure_plants(tmp_path, [QUICK, Settings(epochs=1, seed=1)], 99.0, said.append)
    assert said == ["plants: plant"]
    names = [f"plant: {kind.name}{what}" for kind in FITTED[:2] for what in ("", ALIKE)]
    assert list(found) == ["plant", *names]
    assert found["plant"]["parameters"]["mean"] > 0
    assert found["plant"]["f1"]["sd"] >= 0
    assert found[names[0]]["f1"]["sd"] > 0  # of a single run, from blocks of time
    assert len(real_plants.standing(found)) == 4
    json.dumps(found, allow_nan=False)


def test_the_unseen_files_are_of_the_seeds_that_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, rows in (("TRAIN", 400), ("VAL", 200), ("TEST", 3600)):
        monkeypatch.setattr(simulated, name, rows)
    assert simulated.UNSEEN == (111, 112, 113, 114, 115)
    for seed in simulated.UNSEEN[:2]:
        folder = tmp_path / str(seed)
        simulated.simulate_unseen(folder, seed)
        assert len(list(folder.iterdir())) == 2 + 3
        for severity in simulated.SEVERITIES:
            (file,) = simulated.read_simulated(folder, severity)
            assert file.test.path.name == f"test-severity-{severity}-{seed}.csv.gz"
            for split, strength in ((file.train, 0.0), (file.test, float(severity))):
                start = int(split.times[0])
                made = Simulator("press-1", seed=seed, severity=strength, start_ns=start).block(len(split))
                np.testing.assert_allclose(split.values, made.values, atol=1e-4)
                assert split.labels is not None
                assert split.labels.tolist() == made.anomaly.tolist()
            assert (len(file.train), len(file.val), len(file.test)) == (400, 200, 3600)


def test_new_figures_replace_the_tables_of_the_page_and_nothing_else() -> None:
    def figures(f1: float) -> dict[str, dict[str, float]]:
        names = ("f1", "precision", "recall", "roc_auc", "far", "parameters", "grey_f1")
        found = {
            name: {"mean": 0.25, "sd": 0.5} for name in (*names, *(f"recall_{k}" for k in simulated.KINDS))
        }
        return {**found, "f1": {"mean": f1, "sd": 0.0125}}

    rows = [f"{kind.name}{what}" for kind in FITTED for what in ("", ALIKE)]
    of_plants = {
        "pump": figures(0.7),
        **{f"pump: {name}": figures(0.1 + i / 100) for i, name in enumerate(rows)},
    }
    sets = [f"{files}, severity {severity} " for files in page.SETS for severity in page.SEVERITIES]
    of_machines = {f"{place}{name}": figures(0.9) for place in sets for name in ("ours", *rows)}
    made = page.plants_tables(of_plants) | page.simulated_tables(of_machines)
    written = page.PAGE.read_text(encoding="utf-8")
    new = page.filled(written, made)
    first = (
        "| `pump` | .700 ± .013 | 25.0 % ± 50.0 | .250 ± .500 | 0 | .250 ± .013, 25.0 % (autoregression) | "
    )
    assert first + ".110 ± .013 (largest z-score) |" in new
    assert "best or within 0.02 of the best on 1 (pump) of 1, worst on 0." in new
    assert "| `best` | .900 ± .013 | .900 ± .013 |" in new
    assert page.filled(new, page.plants_tables(of_plants)) == new
    headings = [line for line in written.splitlines() if line.startswith("## ")]
    assert [line for line in new.splitlines() if line.startswith("## ")] == headings
    with pytest.raises(ValueError, match="no place for plants in the page"):
        page.filled("nothing", made)
