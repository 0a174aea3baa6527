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
from trainer.sweep.results import options_of
from trainer.sweep.space import HOLDS, SPACE, Candidate, candidate, starts, suggest

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
    assert objective.figure(detector, way) == pytest.approx(wanted)
    assert objective.figure(detector, replace(way, percentile=50.0)) < wanted


def test_without_labels_faults_are_put_into_validation(data: TrainingData) -> None:
    objective = choose_objective(unlabelled(data), "auto")
    assert isinstance(objective, InjectedFaults)
    share = objective.labels.mean()
    assert 0.2 < share < 0.4
    way = Candidate(Settings())
    good = objective.figure(fit(data, Settings(model="linear")).detector, way)
    blind = objective.figure(fit(data, Settings(model="linear", whiten=False, average=0.02)).detector, way)
    assert 2 * share < good <= 1
    assert blind < good
    labelled = choose_objective(data, "faults")
    assert isinstance(labelled, InjectedFaults)
    assert data.val.labels is not None
    assert len(labelled.split) == (~data.val.labels).sum()
    with pytest.raises(TrainingError, match="both halves of validation need labelled anomalies"):
        choose_objective(unlabelled(data), "f1")


def test_what_is_tried_can_be_trained_by_the_fit_command() -> None:
    options = {option for each in fit_parameters() for option in each.opts + each.secondary_opts}
    for point in starts(EVERY, calibrated=True):
        words = options_of(point)
        assert {word for word in words if word.startswith("--")} <= options
        assert words[:2] == ["--model", point["model"]]
        for dimension in SPACE:
            if dimension.options and dimension.name in point:
                assert point[dimension.name] in dimension.options
    assert {text: parse_hold(text) for text in HOLDS} == HOLDS
    way = candidate({"model": "autoencoder", "widths": "9,2,9", "average": None}, Settings(epochs=3))
    assert way.settings == Settings(epochs=3, widths=(9, 2, 9))


@pytest.mark.parametrize("model", EVERY)
def test_a_sweep_begins_with_each_models_recipe(model: str) -> None:
    (point,) = starts([model], calibrated=True)
    recipe = RECIPES[own_recipe(model)]
    way = candidate(point, Settings())
    assert (way.settings, way.percentile) == (Settings(**recipe.settings), recipe.percentile)
    # As a sweep draws it: no choice is left out or added.
    assert suggest(cast("optuna.Trial", FixedTrial(point)), [model], calibrated=True) == point


@pytest.mark.parametrize("model", EVERY)
def test_whatever_is_drawn_goes_together_and_fit_trains_the_same(model: str) -> None:
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=5))
    asked = set()
    for _ in range(50):
        drawn = suggest(study.ask(), [model], calibrated=True)
        asked |= {name for name, value in drawn.items() if name in {"two_channels", "clamp"} and value}
        settings = candidate(drawn, Settings(epochs=2)).settings
        assert as_fit_reads("--epochs", "2", *options_of(drawn)) == settings
    assert asked == {
        "autoencoder": {"two_channels", "clamp"},
        "variational": {"two_channels", "clamp"},
        "convolutional": {"two_channels"},
    }.get(model, set())
