"""A checkpoint to one bundle on disk, written only when everything about it was proved."""

from __future__ import annotations

from dataclasses import dataclass, replace
from importlib.metadata import version
from typing import TYPE_CHECKING

import onnx

from edge_runtime.bundle.digest import UNSTAMPED, stamp
from edge_runtime.bundle.metadata import Limits, Metadata, Model, Scaler
from edge_runtime.errors import BundleError, ExportError
from edge_runtime.files import unwritable, write_whole
from edge_runtime.loading.load import load_bytes
from export.golden import make_golden, prove_degraded
from export.graph import build_model
from export.parity import Parity, check_parity, random_rows
from export.provable import provable
from trainer.experiment.checkpoint import Checkpoint

if TYPE_CHECKING:
    from pathlib import Path

    from trainer.detector import Detector

__all__ = ["Exported", "export_bundle", "export_checkpoint"]

PACKAGES = ("edge-detect", "onnx", "onnxruntime")


@dataclass(frozen=True, slots=True)
class Exported:
    """What was written.

    Attributes:
        path: The bundle.
        size: In bytes.
        digest: "sha256:" and 64 digits over the whole file.
        golden: How far ONNX Runtime and PyTorch are apart on the golden rows.
        random: The same on random rows, as in training and far beyond.
    """

    path: Path
    size: int
    digest: str
    golden: Parity
    random: Parity


def export_checkpoint(
    folder: Path, output: Path, *, created: str | None = None, mlflow_run_id: str | None = None
) -> str:
    """Writes a checkpoint as a bundle.

    `edge-train fit` finds it as the entry point `checkpoint` of the group `edge_detect.export`.

    Args:
        folder: What `Checkpoint.save` wrote.
        output: The bundle to write; one that is there is replaced.
        created: When the model was trained, ISO 8601 UTC, for the provenance; None keeps the checkpoint's.
        mlflow_run_id: The MLflow run it comes from, for the provenance; None keeps the checkpoint's.

    Returns:
        The bundle's digest, "sha256:" and 64 digits over the whole file.

    Raises:
        TrainingError: The folder is not a checkpoint.
        ExportError: The bundle would not compute what PyTorch computes, or the runtime would refuse it.
        UsageError: The output cannot be written.
    """
    return export_bundle(folder, output, created=created, mlflow_run_id=mlflow_run_id).digest


def export_bundle(
    folder: Path, output: Path, *, created: str | None = None, mlflow_run_id: str | None = None
) -> Exported:
    """The same, and returns what was found on the way."""
    checkpoint = Checkpoint.load(folder)
    if created is not None or mlflow_run_id is not None:
        old = checkpoint.provenance
        provenance = replace(
            old, created=created or old.created, mlflow_run_id=mlflow_run_id or old.mlflow_run_id
        )
        checkpoint = replace(checkpoint, provenance=provenance)
    detector = checkpoint.detector
    data = _bytes(checkpoint, detector)
    try:
        bundle = load_bytes(data, output.name)
    except BundleError as error:
        raise ExportError(
            f"the runtime would refuse this bundle: {error.what}", where=error.where, hint=error.hint
        ) from None
    golden = check_parity(bundle.session, detector, checkpoint.golden, "golden")
    random = check_parity(bundle.session, detector, random_rows(checkpoint.sensors, seed=0), "random")
    _write(output, data)
    return Exported(output, len(data), bundle.digest, golden, random)


def _bytes(checkpoint: Checkpoint, detector: Detector) -> bytes:
    """The bundle's bytes: equal checkpoints give equal ones."""
    network = checkpoint.parts.network
    provenance, degraded = checkpoint.provenance, checkpoint.degraded
    metadata = Metadata(
        sensors=checkpoint.sensors,
        model=Model(
            network.architecture.kind,
            network.parameter_count,
            detector.state_shape,
            detector.asks_for_time,
        ),
        scaler=Scaler(checkpoint.parts.scaler.kind),
        cadence_seconds=checkpoint.cadence_seconds,
        warm_up_rows=0,
        threshold=checkpoint.threshold,
        metrics=checkpoint.metrics,
        provenance=replace(
            provenance, versions={**provenance.versions, **{name: version(name) for name in PACKAGES}}
        ),
        limits=Limits(),
        golden=make_golden(detector, checkpoint.golden),
        content_digest=UNSTAMPED,
        alarms=checkpoint.alarms,
        baseline=detector.baseline,
        degraded=degraded and prove_degraded(detector, degraded, checkpoint.sensors, checkpoint.golden),
        sensor_status=checkpoint.sensor_status,
    )
    metadata = replace(metadata, golden=provable(metadata, detector, checkpoint.golden))
    try:
        document = metadata.to_json()
    except ValueError:
        raise ExportError("a metric or range is not a finite number", where="training.json") from None
    model = build_model(detector, document)
    try:
        onnx.checker.check_model(model, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise ExportError(f"the ONNX checker refuses the graph ({error})", where="graph") from None
    return stamp(model.SerializeToString(deterministic=True))


def _write(output: Path, data: bytes) -> None:
    """Writes the whole file or nothing, and keeps it through a power cut."""
    try:
        write_whole(output, data)
    except OSError as error:
        raise unwritable(error, output, "cannot write the bundle") from None
