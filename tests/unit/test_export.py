from __future__ import annotations

import json
import os
import stat
from dataclasses import replace
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import pytest
from support.bundles import make_checkpoint, normal_rows
from torch import nn

from edge_runtime.errors import ExportError, TrainingError, UsageError
from edge_runtime.loading.load import load_bundle
from export.graph import build_model
from export.write import export_bundle, export_checkpoint
from trainer.detector import Detector
from trainer.detector.parts import DetectorParts
from trainer.experiment.checkpoint import Checkpoint

if TYPE_CHECKING:
    from pathlib import Path


def test_equal_checkpoints_give_equal_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        export_checkpoint(make_checkpoint(tmp_path / name), tmp_path / f"{name}.onnx")
    assert (tmp_path / "a.onnx").read_bytes() == (tmp_path / "b.onnx").read_bytes()
    export_checkpoint(make_checkpoint(tmp_path / "c", seed=1), tmp_path / "c.onnx")
    assert (tmp_path / "a.onnx").read_bytes() != (tmp_path / "c.onnx").read_bytes()


def test_the_digest_returned_is_that_of_the_file(tmp_path: Path) -> None:
    digest = export_checkpoint(make_checkpoint(tmp_path / "c"), tmp_path / "b.onnx")
    assert load_bundle(tmp_path / "b.onnx").digest == digest


def test_one_file_is_written_readable_by_all_and_nothing_beside_it(tmp_path: Path) -> None:
    output = tmp_path / "new" / "folder" / "b.onnx"
    export_checkpoint(make_checkpoint(tmp_path / "c"), output)
    assert os.listdir(output.parent) == ["b.onnx"]  # noqa: PTH208
    assert stat.S_IMODE(output.stat().st_mode) == 0o644


def test_an_older_bundle_is_replaced(tmp_path: Path) -> None:
    output = tmp_path / "b.onnx"
    output.write_bytes(b"old")
    digest = export_checkpoint(make_checkpoint(tmp_path / "c"), output)
    assert load_bundle(output).digest == digest


def test_the_bundle_says_what_the_checkpoint_says(tmp_path: Path) -> None:
    checkpoint = Checkpoint.load(make_checkpoint(tmp_path / "c", per_machine={"press-1": 2.5}))
    export_checkpoint(tmp_path / "c", tmp_path / "b.onnx")
    metadata = load_bundle(tmp_path / "b.onnx").metadata
    assert metadata.sensors == checkpoint.sensors
    assert metadata.threshold == checkpoint.threshold
    assert metadata.metrics == checkpoint.metrics
    assert (metadata.model.kind, metadata.model.parameters) == ("autoencoder", 5064)
    assert (metadata.scaler.kind, metadata.cadence_seconds, metadata.warm_up_rows) == ("minmax", 1.0, 0)
    assert metadata.provenance.created is None
    assert {"edge-detect", "onnx", "onnxruntime", "torch"} <= metadata.provenance.versions.keys()
    np.testing.assert_array_equal(
        np.asarray(metadata.golden.readings, np.float32), checkpoint.golden.readings
    )
    score, _, _ = checkpoint.detector.score(checkpoint.golden.readings)
    assert metadata.golden.scores == tuple(score.tolist())
    assert metadata.golden.relative_tolerance == 1e-4
    assert 0 < metadata.golden.absolute_tolerance < 1e-5


def test_the_run_and_its_time_enter_the_provenance(tmp_path: Path) -> None:
    folder = make_checkpoint(tmp_path / "c")
    export_checkpoint(folder, tmp_path / "b.onnx", created="2026-03-01T12:00:00Z", mlflow_run_id="0123abcd")
    provenance = load_bundle(tmp_path / "b.onnx").metadata.provenance
    assert (provenance.created, provenance.mlflow_run_id) == ("2026-03-01T12:00:00Z", "0123abcd")


def test_the_graph_is_named_and_minimal(tmp_path: Path) -> None:
    checkpoint = Checkpoint.load(make_checkpoint(tmp_path / "c", widths=(8, 2, 8)))
    model = build_model(checkpoint.detector, "{}")
    assert [node.name for node in model.graph.node] == [
        "centred", "scaled", "layer0", "layer1", "layer2", "layer3", "layer4", "layer5", "layer6",
        "residual", "residual_about_centre", "white", "squared", "errors", "score", "unscaled", "expected",
    ]  # fmt: skip
    assert sum(node.op_type == "Gemm" for node in model.graph.node) == 4
    assert (model.ir_version, model.opset_import[0].version) == (8, 17)
    onnx.checker.check_model(model, full_check=True)


@pytest.mark.parametrize(("sensors", "widths"), [(1, (3,)), (2, (16, 1, 16)), (40, (64, 8, 64))])
def test_any_number_of_sensors_and_widths(tmp_path: Path, sensors: int, widths: tuple[int, ...]) -> None:
    rows = tuple((f"s{i}", "", 10.0 * i, 1.0 + i, None) for i in range(sensors))
    export_checkpoint(make_checkpoint(tmp_path / "c", sensors=rows, widths=widths), tmp_path / "b.onnx")
    assert load_bundle(tmp_path / "b.onnx").graph.sensors == sensors


def test_the_trainer_finds_the_exporter_by_its_entry_point() -> None:
    (found,) = entry_points(group="edge_detect.export")
    assert found.load() is export_checkpoint


def test_what_is_not_a_checkpoint_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="not a checkpoint"):
        export_checkpoint(tmp_path, tmp_path / "b.onnx")
    folder = make_checkpoint(tmp_path / "c")
    (folder / "model.safetensors").write_bytes(b"damaged")
    with pytest.raises(TrainingError, match="damaged"):
        export_checkpoint(folder, tmp_path / "b.onnx")
    assert not (tmp_path / "b.onnx").exists()


@pytest.mark.parametrize(
    "golden",
    [np.empty((0, 4), np.float32), np.full((2, 4), np.nan, np.float32), np.zeros((3, 2), np.float32)],
)
def test_golden_rows_that_prove_nothing_are_refused(tmp_path: Path, golden: np.ndarray) -> None:
    folder = make_checkpoint(tmp_path / "c", golden=golden)
    with pytest.raises(ExportError, match="golden rows must be"):
        export_checkpoint(folder, tmp_path / "b.onnx")


def test_weights_that_are_not_finite_are_refused(tmp_path: Path) -> None:
    folder = make_checkpoint(tmp_path / "c")
    checkpoint = Checkpoint.load(folder)
    next(checkpoint.parts.network.parameters()).data[0] = float("nan")
    checkpoint.save(folder)
    with pytest.raises(ExportError, match="not finite"):
        export_checkpoint(folder, tmp_path / "b.onnx")


def test_a_layer_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    checkpoint = Checkpoint.load(make_checkpoint(tmp_path / "c"))
    network: Any = checkpoint.parts.network
    network.layers[1] = nn.GELU()
    bare: Any = nn.Linear(4, 4)
    bare.history = 0
    with pytest.raises(ExportError, match="cannot write a layer of type GELU"):
        build_model(checkpoint.detector, "{}")
    with pytest.raises(ExportError, match="cannot write a network of type Linear"):
        build_model(Detector(DetectorParts(bare, checkpoint.parts.scaler)), "{}")


def test_an_output_that_cannot_be_written_is_a_usage_error(tmp_path: Path) -> None:
    folder = make_checkpoint(tmp_path / "c")
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(UsageError, match="cannot write the bundle"):
        export_checkpoint(folder, tmp_path / "file" / "b.onnx")
    (tmp_path / "b.onnx").mkdir()
    with pytest.raises(UsageError, match="cannot write the bundle"):
        export_checkpoint(folder, tmp_path / "b.onnx")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["b.onnx", "c", "file"]


def test_what_the_runtime_would_refuse_is_not_written(tmp_path: Path) -> None:
    folder = make_checkpoint(tmp_path / "c")
    checkpoint = Checkpoint.load(folder)
    twice = tuple(replace(sensor, name="same") for sensor in checkpoint.sensors)
    replace(checkpoint, sensors=twice).save(folder)
    with pytest.raises(ExportError, match=r"the runtime would refuse this bundle: .*twice"):
        export_checkpoint(folder, tmp_path / "b.onnx")
    assert not (tmp_path / "b.onnx").exists()


def test_a_golden_row_far_off_is_still_proved(tmp_path: Path) -> None:
    golden = normal_rows(8)
    golden[3] *= 1000
    written = export_bundle(make_checkpoint(tmp_path / "c", golden=golden, train=100), tmp_path / "b.onnx")
    assert written.golden.allowance_used < 0.5
    assert json.loads(load_bundle(written.path).metadata.to_json())["golden"]["scores"][3] > 1000
