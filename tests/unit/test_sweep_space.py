"""What a sweep tries, and what its trials are judged by."""

from __future__ import annotations

from dataclasses import replace
from typing import cast

import numpy as np
import optuna
import pytest
from optuna.trial import FixedTrial
from sklearn.metrics import f1_score
from support.fitoptions import as_fit_reads, fit_parameters
from support.history import write_history

from edge_runtime.bundle.metadata import Hold
from edge_runtime.errors import TrainingError
from trainer.cli.choices import ModelChoice
from trainer.cli.pairs import parse_hold
from trainer.data.choice import Columns
from trainer.data.split import Split
from trainer.data.training_data import TrainingData, read_training_data
from trainer.fitting.fit import Settings, fit
from trainer.fitting.recipes import RECIPES, own_recipe
from trainer.sweep.objective import HeldOutF1, InjectedFaults, choose_objective
from trainer.sweep.results import Tried, options_of
from trainer.sweep.space import (
    HOLDS,
    SPACE,
    Candidate,
    candidate,
    default_recipe,
    recipe_candidate,
    starts,
    suggest,
)

EVERY = [choice.value for choice in ModelChoice]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> TrainingData:
    folder = write_history(tmp_path_factory.mktemp("history"), train=1600, val=1600, test=800)
    return read_training_data(folder, Columns())


def unlabelled(data: TrainingData) -> TrainingData:
    val = data.val
    return replace(data, val=Split(val.path, val.times, val.machines, val.values, None, None))


def test_each_half_of_the_blocks_of_time_is_judged_with_the_threshold_of_the_other(
    data: TrainingData,
) -> None:
    objective = HeldOutF1.of(data.val)
    assert objective is not None
    odd, split = objective.odd, objective.split
    assert 0.4 < odd.mean() < 0.6
    for machine in ("press-1", "press-2"):
        own = odd[split.machines == machine]
        assert (np.diff(split.times[split.machines == machine]) > 0).all()
        assert 4 <= np.abs(np.diff(own.astype(int))).sum() <= 20  # blocks of time, not single rows
    detector = fit(data, Settings(model="linear")).detector
    scores = detector.score_table(split.values, split.times, split.machines)
    thresholds = [np.percentile(scores[half & ~objective.labels].astype(float), 97) for half in (odd, ~odd)]
    assert thresholds[0] != pytest.approx(thresholds[1], rel=0.01)
    wanted = f1_score(objective.labels, scores > np.where(odd, thresholds[1], thresholds[0]))
    way = Candidate(Settings(), percentile=97, hold=Hold())
    measured = objective.measure(detector, way)
    assert measured.figure == pytest.approx(wanted)
    assert np.nanstd(measured.draws) > 0
    assert np.nanmean(measured.draws) == pytest.approx(wanted, abs=2 * float(np.nanstd(measured.draws)))
    assert objective.measure(detector, replace(way, percentile=50.0)).figure < wanted


def test_without_labels_faults_are_put_into_validation(data: TrainingData) -> None:
    objective = choose_objective(unlabelled(data), "auto")
    assert isinstance(objective, InjectedFaults)
    share = objective.labels.mean()
    assert 0.2 < share < 0.4
    way = Candidate(Settings())
    good = objective.measure(fit(data, Settings(model="linear")).detector, way)
    blind = objective.measure(fit(data, Settings(model="linear", whiten=False, average=0.02)).detector, way)
    assert 2 * share < good.figure <= 1
    assert blind.figure < good.figure
    # The draws are of the same time, so that they can be compared one by one.
    assert np.nanmean(blind.draws < good.draws) > 0.95
    labelled = choose_objective(data, "faults")
    assert isinstance(labelled, InjectedFaults)
    assert data.val.labels is not None
    assert len(labelled.split) == (~data.val.labels).sum()
    with pytest.raises(TrainingError, match="both halves of validation need labelled anomalies"):
        choose_objective(unlabelled(data), "f1")


def test_what_is_tried_can_be_trained_by_the_fit_command() -> None:
    options = {option for each in fit_parameters() for option in each.opts + each.secondary_opts}
    for start in starts(EVERY, calibrated=True):
        point = start.parameters
        words = options_of(Tried(1, 0.5, point, 1.0))
        assert {word for word in words if word.startswith("--")} <= options
        assert words[:2] == ["--model", point["model"]]
        assert options_of(Tried(1, 0.5, point, 1.0, recipe=start.recipe)) == ["--recipe", start.recipe]
        for dimension in SPACE if start.inside else ():
            if dimension.options and dimension.name in point:
                assert point[dimension.name] in dimension.options
    assert {text: parse_hold(text) for text in HOLDS} == HOLDS
    way = candidate({"model": "autoencoder", "widths": "9,2,9", "average": None}, Settings(epochs=3))
    assert way.settings == Settings(epochs=3, widths=(9, 2, 9))


def test_a_sweep_begins_with_all_recipes_and_the_default_first() -> None:
    found = starts(EVERY, calibrated=True)
    assert [start.recipe for start in found] == list(RECIPES)
    assert found[0].recipe == default_recipe(EVERY) == own_recipe(None)
    for start in found:
        recipe = RECIPES[start.recipe]
        way = recipe_candidate(start.recipe, Settings(epochs=3))
        assert way == Candidate(Settings(**recipe.settings, epochs=3), recipe.percentile, recipe.hold)
        if start.inside:  # as a sweep draws it: no choice is left out or added
            assert candidate(start.parameters, Settings(epochs=3)) == way
            drawn = suggest(cast("optuna.Trial", FixedTrial(dict(start.parameters))), EVERY, calibrated=True)
            assert drawn == start.parameters
    assert sum(start.inside for start in found) >= 9
    assert {start.recipe for start in starts(EVERY, calibrated=False)} == set(RECIPES)


def test_of_some_kinds_of_model_the_recipe_of_the_first_is_the_default() -> None:
    assert [start.recipe for start in starts(["pca", "linear"], calibrated=True)] == [
        "pca",
        "linear",
        "mewma",
        "autoregression",
    ]
    assert default_recipe(["linear", "autoencoder"]) == "best"


def test_a_recipe_that_no_trial_could_draw_is_tried_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    odd = replace(RECIPES["linear"], settings={**RECIPES["linear"].settings, "smooth": 33})
    monkeypatch.setitem(RECIPES, "odd", odd)
    (start,) = (start for start in starts(EVERY, calibrated=True) if start.recipe == "odd")
    assert not start.inside
    assert start.parameters == {"model": "linear", "scaler": "standard", "smooth": 33}
    assert recipe_candidate("odd", Settings()).settings.smooth == 33


@pytest.mark.parametrize("model", EVERY)
def test_whatever_is_drawn_goes_together_and_fit_trains_the_same(model: str) -> None:
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=5))
    asked = set()
    for _ in range(50):
        drawn = suggest(study.ask(), [model], calibrated=True)
        asked |= {name for name, value in drawn.items() if name in {"two_channels", "clamp"} and value}
        settings = candidate(drawn, Settings(epochs=2)).settings
        assert as_fit_reads("--epochs", "2", *options_of(Tried(1, 0.5, drawn, 1.0))) == settings
    assert asked == {
        "autoencoder": {"two_channels", "clamp"},
        "variational": {"two_channels", "clamp"},
        "convolutional": {"two_channels"},
    }.get(model, set())
