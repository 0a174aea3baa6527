"""Every recipe trains, exports, and judges rows on a gateway as it did in training."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np
import pytest
from support.fitoptions import as_fit_reads, fit_parameters
from support.history import write_history

from edge_runtime import Engine, Readings, load_bundle
from trainer.calibration.calibrate import short_margin, verdicts
from trainer.calibration.debounce import ScoredRows
from trainer.calibration.margin import MOST, TrainingScores
from trainer.cli.choices import ModelChoice, RecipeChoice
from trainer.data.choice import Columns
from trainer.data.training_data import TrainingData, read_training_data
from trainer.experiment.checkpoint import Checkpoint
from trainer.experiment.plan import Plan
from trainer.experiment.run import run_fit
from trainer.fitting.fit import Settings
from trainer.fitting.recipes import RECIPES, own_recipe
from trainer.tracking import NoTracker

if TYPE_CHECKING:
    from pathlib import Path

    from support.commands import Command, Here


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_history(tmp_path_factory.mktemp("history"))


@pytest.fixture(scope="module")
def data(folder: Path) -> TrainingData:
    return read_training_data(folder, Columns())


def test_the_command_knows_them_all() -> None:
    assert [choice.value for choice in RecipeChoice] == list(RECIPES)


def test_a_model_named_alone_brings_its_own_recipe() -> None:
    for model in ModelChoice:
        recipe = RECIPES[own_recipe(model.value)]
        assert Settings(**recipe.settings).model == model.value


def test_the_help_states_what_the_recipe_best_sets() -> None:
    best, words = Settings(**RECIPES["best"].settings), {True: "yes", False: "no", None: "auto"}
    stated = 0
    for option in fit_parameters():
        found = re.search(r"\[recipe best: ([^]]+)\]", getattr(option, "help", None) or "")
        if found is None or option.name not in Settings.__dataclass_fields__:
            continue
        value = getattr(best, option.name)
        if option.name == "two_channels":
            wanted = "two channels" if value else "one channel"
        elif value is None or isinstance(value, bool):
            wanted = words[value]
        else:
            wanted = str(value)
        assert found[1] == wanted, option.name
        stated += 1
    assert stated >= 12


def test_options_give_the_default_of_before() -> None:
    words = ("--one-channel", "--clamp", "none", "--members", "2", "--differences")
    found = as_fit_reads(*words, "--widths", "64,32,4,32,64", "--noise", "0.15")
    assert found == Settings(members=2, differences=True)
    assert as_fit_reads() == Settings(**RECIPES["best"].settings)
    found = as_fit_reads("--model", "variational", "--widths", "auto", "--two-channels", "--floor", "0.1")
    assert (found.widths, found.two_channels, found.floor, found.adapt) == (None, True, 0.1, "off")
    found = as_fit_reads("--adapt", "4096", "--clamp", "0")
    assert (found.horizon_rows(7.0), found.clamp) == (4096, 0)
    assert as_fit_reads().horizon_rows(60.0) == 1440


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_gateway_judges_as_training_did(recipe: str, data: TrainingData, tmp_path: Path) -> None:
    how = RECIPES[recipe]
    plan = Plan(
        output=tmp_path,
        settings=Settings(epochs=2, **how.settings),
        percentile=how.percentile,
        hold=how.hold,
        plots=False,
    )
    results = run_fit(data, plan, NoTracker())
    checkpoint, bundle = Checkpoint.load(tmp_path / "checkpoint"), load_bundle(results.bundle)
    test = data.test
    rows = np.flatnonzero(test.finite)
    rows = rows[np.argsort(test.times[rows], kind="stable")]
    values, times, machines = test.values[rows], test.times[rows], test.machines[rows]
    scores = checkpoint.detector.score_table(values, times, machines)
    found = Engine(bundle).feed(Readings(machines, times, values)).results
    np.testing.assert_allclose(found.scores.score, scores, rtol=2e-3, atol=1e-5)
    wanted = verdicts(scores, checkpoint.threshold, times, machines)
    close = np.abs(scores / checkpoint.threshold.value - 1) < 1e-3
    # A score within rounding of the threshold may fall to either side, and its hold with it.
    assert (found.verdicts.astype(bool) == wanted).all() or close.any()


def test_a_phase_goes_all_the_way_from_options_to_plots_report_and_gateway(
    folder: Path, tmp_path: Path, here: Here, command: Command
) -> None:
    options = ("--model", "linear", "--window", 2, "--period", 60, "--harmonics", 5, "--average", 0.5)
    done = here("edge-train", "fit", "--data", folder, "-o", tmp_path / "fit", *options, "--no-mlflow")
    assert done.returncode == 0, done.stderr
    plots = tmp_path / "fit" / "plots"
    assert {path.name for path in plots.iterdir()} == {"scores.png", "curves.png", "stretch.png"}
    assert f"plots           {plots}" in done.stdout.decode()
    page = tmp_path / "page.html"
    report = here("edge-train", "report", "--data", folder, "--fit", tmp_path / "fit", "-o", page)
    assert report.returncode == 0, report.stderr
    assert page.stat().st_size > 10_000
    bundle = tmp_path / "fit" / "bundle.onnx"
    assert load_bundle(bundle).metadata.model.time_of_day
    scored = command(
        "edge-detect", "score", folder / "test.csv", "-o", tmp_path / "s.csv", "--bundle", bundle
    )
    assert scored.returncode == 0, scored.stderr


def test_machines_with_rows_enough_get_thresholds_of_their_own(tmp_path: Path, here: Here) -> None:
    folder = write_history(tmp_path / "history", val=8000)
    plots = tmp_path / "fit" / "plots"
    plots.mkdir(parents=True)
    (plots / "curves.png").write_bytes(b"of an earlier fit")
    words = ("edge-train", "fit", "--data", folder, "-o", tmp_path / "fit", "--no-mlflow", "--no-plots")
    done = here(*words, "--model", "linear", "--per-machine", "--percentile", 99)
    assert done.returncode == 0, done.stderr
    threshold = load_bundle(tmp_path / "fit" / "bundle.onnx").metadata.threshold
    assert set(threshold.per_machine) == {"press-1", "press-2"}
    assert b"per machine" in done.stdout
    assert b"plots           not drawn" in done.stdout
    assert not list(plots.iterdir())
    data = read_training_data(folder, Columns())
    checkpoint = Checkpoint.load(tmp_path / "fit" / "checkpoint")
    val, before = data.val, TrainingScores.of(ScoredRows.of(data.train, checkpoint.detector))
    scores = checkpoint.detector.score_table(val.values, val.times, val.machines)
    for machine, value in threshold.per_machine.items():
        rows = (val.machines == machine) & val.normal
        own = np.percentile(scores[rows].astype(float), 99)
        margin = before.margin(machine)(scores[rows], 99)
        assert short_margin(int(rows.sum()), 99) <= margin <= MOST
        assert value == pytest.approx(own * margin)
