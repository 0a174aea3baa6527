"""A trained detector on disk: what `edge-train fit` keeps and `edge-export` turns into a bundle.

model.safetensors   the network's weights
model.json          its architecture
scaler.json         offset and scale of every sensor
whitening.json      how residuals are weighed; not there where they are not
smoothing.json      how scores are smoothed; not there where they are not
average.json        how residuals are averaged; not there where they are not
features.json       what the network is shown; not there where it is the row alone
channels.json       how two channels are judged; not there where there is one
baseline.json       how the levels of a machine are followed; not there where they are not
degraded.json       how rows are judged that lack one sensor; not there where they are unknown
alarms.json         when alarms are raised and return; not there where the bundle does not say so
sensor_status.json  how sensors that stand still or jump are found; not there where they are not
threshold.json      when a row is anomalous
training.json       sensors, cadence, metrics, provenance
golden.npy          rows for the self-test, [rows, sensors] float32, raw units
golden_times.npy    when they were, [rows] int64 ns
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from edge_runtime.bundle.document import read_as
from edge_runtime.bundle.judging import Alarms, Baseline, Degraded, SensorStatus
from edge_runtime.bundle.metadata import Debounce, Hold, Metrics, Provenance, Sensor, Threshold
from edge_runtime.errors import BundleFormatError, TrainingError
from trainer.detector import Detector
from trainer.detector.averaging import ResidualAverage
from trainer.detector.channels import Channels
from trainer.detector.features import InputFeatures
from trainer.detector.parts import DetectorParts
from trainer.detector.scaler import SensorScaler
from trainer.detector.smoothing import ScoreSmoothing
from trainer.detector.whitening import ResidualWhitening
from trainer.experiment.golden import GoldenRows
from trainer.models.base import Architecture
from trainer.models.registry import build

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

__all__ = ["Checkpoint"]

Part = TypeVar("Part")
WHITENING, SMOOTHING, AVERAGE = "whitening.json", "smoothing.json", "average.json"
FEATURES = "features.json"
CHANNELS = "channels.json"
BASELINE, DEGRADED, STATUS = "baseline.json", "degraded.json", "sensor_status.json"
ALARMS = "alarms.json"


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A trained detector with all that its bundle will say of it.

    Attributes:
        parts: What scores readings.
        sensors: The input columns.
        threshold: When a row is anomalous.
        cadence_seconds: Time between two rows of one machine.
        metrics: Quality on validation and test.
        provenance: Where it comes from.
        golden: Consecutive rows of one machine.
        degraded: How rows are judged that lack one sensor, but for the golden scores; None for not at all.
        sensor_status: How sensors that stand still or jump are found; None where they are not.
        alarms: When alarms are raised and return; None where the bundle does not say so.
    """

    parts: DetectorParts
    sensors: tuple[Sensor, ...]
    threshold: Threshold
    cadence_seconds: float
    metrics: Metrics
    provenance: Provenance
    golden: GoldenRows
    degraded: Degraded | None = None
    sensor_status: SensorStatus | None = None
    alarms: Alarms | None = None

    @property
    def detector(self) -> Detector:
        """What scores readings."""
        return Detector(self.parts)

    def save(self, folder: Path) -> None:
        """Writes the folder, made when missing."""
        from safetensors.torch import save_file  # noqa: PLC0415

        folder.mkdir(parents=True, exist_ok=True)
        save_file(
            {k: v.contiguous() for k, v in self.parts.network.state_dict().items()},
            folder / "model.safetensors",
        )
        _write(folder / "model.json", self.parts.network.architecture.to_dict())
        _write(folder / "scaler.json", self.parts.scaler.to_dict())
        optional = {
            WHITENING: self.parts.whitening,
            SMOOTHING: self.parts.smoothing,
            AVERAGE: self.parts.average,
            FEATURES: self.parts.features,
            CHANNELS: self.parts.channels,
        }
        for name, part in optional.items():
            (folder / name).unlink(missing_ok=True)
            if part is not None:
                _write(folder / name, part.to_dict())
        documents = {
            ALARMS: self.alarms,
            BASELINE: self.parts.baseline,
            DEGRADED: self.degraded,
            STATUS: self.sensor_status,
        }
        for name, document in documents.items():
            (folder / name).unlink(missing_ok=True)
            if document is not None:
                _write(folder / name, asdict(document))
        _write(folder / "threshold.json", asdict(self.threshold))
        _write(
            folder / "training.json",
            {
                "sensors": [asdict(sensor) for sensor in self.sensors],
                "cadence_seconds": self.cadence_seconds,
                "metrics": asdict(self.metrics),
                "provenance": asdict(self.provenance),
            },
        )
        np.save(folder / "golden.npy", self.golden.readings, allow_pickle=False)
        np.save(folder / "golden_times.npy", self.golden.times, allow_pickle=False)

    @staticmethod
    def load(folder: Path) -> Checkpoint:
        """Reads a folder that `save` wrote.

        Raises:
            TrainingError: A file is missing or does not hold what it should.
        """
        from safetensors import SafetensorError  # noqa: PLC0415
        from safetensors.torch import load_file  # noqa: PLC0415

        try:
            network = build(Architecture.from_dict(_read(folder / "model.json")))
            network.load_state_dict(load_file(folder / "model.safetensors"))
            network.eval()
            training = _read(folder / "training.json")
            provenance = training["provenance"]
            return Checkpoint(
                DetectorParts(
                    network=network,
                    scaler=SensorScaler.from_dict(_read(folder / "scaler.json")),
                    features=_optional(folder / FEATURES, InputFeatures.from_dict),
                    average=_optional(folder / AVERAGE, ResidualAverage.from_dict),
                    whitening=_optional(folder / WHITENING, ResidualWhitening.from_dict),
                    smoothing=_optional(folder / SMOOTHING, ScoreSmoothing.from_dict),
                    channels=_optional(folder / CHANNELS, Channels.from_dict),
                    baseline=_optional(folder / BASELINE, partial(read_as, Baseline)),
                ),
                sensors=tuple(
                    Sensor(
                        s["name"],
                        s["unit"],
                        None
                        if s["physical_range"] is None
                        else (s["physical_range"][0], s["physical_range"][1]),
                        (s["training_range"][0], s["training_range"][1]),
                    )
                    for s in training["sensors"]
                ),
                threshold=_threshold(_read(folder / "threshold.json")),
                cadence_seconds=float(training["cadence_seconds"]),
                metrics=Metrics(**training["metrics"]),
                provenance=Provenance(**{**provenance, "machines": tuple(provenance.get("machines") or ())}),
                golden=GoldenRows(
                    np.load(folder / "golden.npy", allow_pickle=False),
                    np.load(folder / "golden_times.npy", allow_pickle=False),
                ),
                degraded=_optional(folder / DEGRADED, partial(read_as, Degraded)),
                sensor_status=_optional(folder / STATUS, partial(read_as, SensorStatus)),
                alarms=_optional(folder / ALARMS, partial(read_as, Alarms)),
            )
        except FileNotFoundError as error:
            raise TrainingError(
                "not a checkpoint: a file is missing",
                where=str(error.filename),
                hint="name the folder that 'edge-train fit' wrote",
            ) from None
        except (SafetensorError, BundleFormatError, KeyError, TypeError, ValueError, RuntimeError) as error:
            raise TrainingError(f"the checkpoint is damaged ({error})", where=str(folder)) from None


def _write(path: Path, document: dict[str, Any]) -> None:
    path.write_text(json.dumps(document, indent=2, sort_keys=True, allow_nan=False) + "\n", encoding="utf-8")


def _threshold(document: dict[str, Any]) -> Threshold:
    debounce = document.get("debounce")
    parts = {"hold": Hold(**document["hold"]), "debounce": debounce and Debounce(**debounce)}
    return Threshold(**{**document, **parts})


def _optional(path: Path, from_dict: Callable[[dict[str, Any]], Part]) -> Part | None:
    return from_dict(_read(path)) if path.exists() else None


def _read(path: Path) -> dict[str, Any]:
    document = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(document, dict):
        raise TrainingError("not a JSON object", where=str(path))
    return document
