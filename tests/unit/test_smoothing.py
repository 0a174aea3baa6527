"""The smoothing of scores: by its definition, row by row, in PyTorch as in plain numpy."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from support.bundles import make_checkpoint, normal_rows

from edge_runtime.errors import GateError, TrainingError
from export.graph import build_model
from trainer.detector import Detector
from trainer.detector.smoothing import ScoreSmoothing
from trainer.experiment.checkpoint import Checkpoint

if TYPE_CHECKING:
    from pathlib import Path


def test_pytorch_computes_the_definition(tmp_path: Path) -> None:
    checkpoint = Checkpoint.load(make_checkpoint(tmp_path / "c", smooth=4))
    values = normal_rows(60, seed=2)
    values[20:30] *= 2
    values[45] *= 3
    own = Detector(replace(checkpoint.parts, smoothing=None)).score(values)[1].astype(float)
    smoothing = checkpoint.parts.smoothing
    assert smoothing is not None
    capped = own * np.minimum(1, smoothing.cap / own.sum(1))[:, None]
    padded = np.vstack([np.zeros((smoothing.rows - 1, 4)), capped])
    means = np.array([padded[i : i + smoothing.rows].mean(0) for i in range(len(own))])
    wanted = np.maximum(own, means)
    held = (means > own).sum(1)
    assert set(held) == {0, 1, 2, 3, 4}  # each sensor is held up by itself
    score, errors, _ = checkpoint.detector.score(values, block=7)
    np.testing.assert_allclose(errors, wanted, rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(score, wanted.sum(1), rtol=1e-3)
    assert (score >= own.sum(1) * (1 - 1e-5)).all()


def test_machines_in_a_table_are_scored_apart_and_in_time_order(tmp_path: Path) -> None:
    detector = Checkpoint.load(make_checkpoint(tmp_path / "c", smooth=4)).detector
    values = normal_rows(100, seed=3)
    values[10:20] *= 2
    machines, times = np.repeat(["a", "b"], 50), np.tile(np.arange(50), 2)
    wanted = np.concatenate([detector.score(values[:50])[0], detector.score(values[50:])[0]])
    mixed = np.random.default_rng(0).permutation(100)
    found = detector.score_table(values[mixed], times[mixed], machines[mixed])
    np.testing.assert_allclose(found, wanted[mixed], rtol=1e-5)


def test_a_checkpoint_keeps_the_smoothing_and_one_without_forgets_it(tmp_path: Path) -> None:
    kept = Checkpoint.load(make_checkpoint(tmp_path / "c", smooth=4)).parts.smoothing
    assert kept is not None
    assert kept == ScoreSmoothing.from_dict(kept.to_dict())
    assert Checkpoint.load(make_checkpoint(tmp_path / "c", smooth=1)).parts.smoothing is None


@pytest.mark.parametrize(
    "wrong", [{}, {"rows": 1, "cap": 2.0}, {"rows": 4, "cap": 0.0}, {"rows": 4, "cap": "x"}]
)
def test_what_is_no_smoothing_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(TrainingError, match="not the description of a smoothing"):
        ScoreSmoothing.from_dict(wrong)


@pytest.mark.parametrize("break_it", ["no output", "another shape", "no fixed shape"])
def test_a_state_that_does_not_come_back_is_refused(tmp_path: Path, break_it: str) -> None:
    from edge_runtime.bundle.gate import check_graph  # noqa: PLC0415
    from edge_runtime.bundle.outline import read_outline  # noqa: PLC0415

    model = build_model(Checkpoint.load(make_checkpoint(tmp_path / "c", smooth=4)).detector, "{}")
    check_graph(data := model.SerializeToString(), read_outline(data).graph)
    if break_it == "no output":
        model.graph.output.pop()
    elif break_it == "another shape":
        model.graph.output[-1].type.tensor_type.shape.dim[0].dim_value = 7
    else:
        for value in (model.graph.input[-1], model.graph.output[-1]):
            value.type.tensor_type.shape.dim[0].dim_param = "k"
    with pytest.raises(GateError, match="one fixed shape, the same for input and output"):
        check_graph(data := model.SerializeToString(), read_outline(data).graph)
