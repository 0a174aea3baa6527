"""The exporter refuses a graph that does not compute what PyTorch computes."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import pytest
import torch
from onnx import helper, numpy_helper
from support.bundles import SENSORS, make_checkpoint, normal_rows

import export.write
from edge_runtime.errors import ExportError
from edge_runtime.scoring.session import make_session
from export.graph import build_model
from export.parity import check_parity, random_rows
from trainer.detector import Detector
from trainer.experiment.checkpoint import Checkpoint
from trainer.experiment.golden import GoldenRows

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

PRESSURE_IN_PASCAL = (("pressure", "Pa", 101_325.0, 50.0, None), ("vibration", "mm/s", 0.5, 0.05, None))


def load(folder: Path) -> tuple[Checkpoint, Detector]:
    checkpoint = Checkpoint.load(folder)
    return checkpoint, checkpoint.detector


def constant(model: onnx.ModelProto, name: str) -> onnx.TensorProto:
    found: onnx.TensorProto = next(t for t in model.graph.initializer if t.name == name)
    return found


def _weight_off_by_a_thousandth(model: onnx.ModelProto) -> None:
    tensor = constant(model, "layer4.weight")
    tensor.raw_data = (numpy_helper.to_array(tensor) * np.float32(1.001)).tobytes()


def _scaler_shifted(model: onnx.ModelProto) -> None:
    tensor = constant(model, "scaler.offset")
    tensor.raw_data = (numpy_helper.to_array(tensor) + np.float32(0.01)).tobytes()


def _share_forgotten(model: onnx.ModelProto) -> None:
    constant(model, "share").raw_data = np.float32(1.0).tobytes()


def _absolute_for_squared(model: onnx.ModelProto) -> None:
    node = next(n for n in model.graph.node if n.name == "squared")
    node.CopyFrom(helper.make_node("Abs", ["residual"], ["squared"], name="squared"))


def _expected_left_scaled(model: onnx.ModelProto) -> None:
    next(n for n in model.graph.node if n.name == "expected").input[1] = "share"


@pytest.mark.parametrize(
    "change",
    [
        _weight_off_by_a_thousandth,
        _scaler_shifted,
        _share_forgotten,
        _absolute_for_squared,
        _expected_left_scaled,
    ],
)
def test_a_graph_that_computes_something_else_is_not_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: Callable[[onnx.ModelProto], None]
) -> None:
    folder = make_checkpoint(tmp_path / "checkpoint", train=200)

    def wrong(detector: Detector, metadata: str) -> onnx.ModelProto:
        model = build_model(detector, metadata)
        change(model)
        return model

    monkeypatch.setattr(export.write, "build_model", wrong)
    with pytest.raises(ExportError, match=r"differ|golden rows do not give the scores"):
        export.write.export_checkpoint(folder, tmp_path / "out" / "b.onnx")
    assert not (tmp_path / "out").exists()


def folded(detector: Detector) -> Any:
    """The tempting mistake: the scaler multiplied into the first layer, which saves two nodes."""
    network: Any = detector.network
    first, copy = network.layers[0], type(network)(len(detector.scaler.offset))
    copy.load_state_dict(network.state_dict())
    with torch.no_grad():
        weight = first.weight / detector.scale
        copy.layers[0].weight.copy_(weight)
        copy.layers[0].bias.copy_(first.bias - weight @ detector.offset)
    model = build_model(Detector(replace(detector.parts, network=copy)), "{}")
    next(n for n in model.graph.node if n.name == "layer0").input[0] = "readings"
    return make_session(model.SerializeToString())


def test_a_scaler_folded_into_the_first_layer_is_found_out_by_large_offsets(tmp_path: Path) -> None:
    checkpoint, detector = load(make_checkpoint(tmp_path / "pascal", sensors=PRESSURE_IN_PASCAL, train=200))
    with pytest.raises(ExportError, match="differ on"):
        check_parity(folded(detector), detector, random_rows(checkpoint.sensors, 0), "random")


@pytest.mark.parametrize("sensors", [SENSORS, PRESSURE_IN_PASCAL], ids=["four", "pascal"])
def test_the_graph_as_it_is_uses_less_than_half_of_its_tolerance(tmp_path: Path, sensors: Any) -> None:
    folder = make_checkpoint(tmp_path / "checkpoint", sensors=sensors, train=200)
    written = export.write.export_bundle(folder, tmp_path / "b.onnx")
    assert written.golden.rows == 32
    assert written.random.rows >= 4000
    assert 0 < written.golden.allowance_used < 0.5
    assert 0 < written.random.allowance_used < 0.5
    assert written.golden.relative_difference < 1e-3


def test_random_rows_reach_far_beyond_training_and_are_the_same_each_time(tmp_path: Path) -> None:
    checkpoint, _ = load(make_checkpoint(tmp_path / "pascal", sensors=PRESSURE_IN_PASCAL))
    rows = random_rows(checkpoint.sensors, 3).readings
    np.testing.assert_array_equal(rows, random_rows(checkpoint.sensors, 3).readings)
    low, high = np.asarray([s.training_range for s in checkpoint.sensors]).T
    width = high - low
    inside = ((rows >= low) & (rows <= high)).all(1)
    far = ((rows < low - 100 * width) | (rows > high + 100 * width)).any(1)
    assert inside.mean() > 0.3
    assert far.mean() > 0.2


def test_a_nan_from_the_runtime_is_a_difference(tmp_path: Path) -> None:
    _, detector = load(make_checkpoint(tmp_path / "checkpoint"))

    class Broken:
        def run(self, names: list[str], feed: dict[str, Any], _options: Any) -> list[Any]:
            rows = feed["readings"]
            return [np.full(len(rows), np.nan, np.float32), rows, rows][: len(names)]

    with pytest.raises(ExportError, match="values of 'score'"):
        check_parity(Broken(), detector, GoldenRows(normal_rows(8), np.arange(8)), "golden")
