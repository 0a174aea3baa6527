"""What a bundle says of itself: the JSON document in `metadata_props["edge_detect"]`.

The dataclasses below are the schema of format versions 1 and 2. Reading is strict: a missing field, an
unknown one or one of a wrong type is a `BundleFormatError` that names it by its path, such as
`sensors[2].unit`. The fields that may be absent are marked as such.

Version 2 adds `needs`, the features that change a verdict and that a reader must therefore know, an object of
its own for each of them, and `notes`, which no verdict depends on. A bundle without any of these is written
as version 1.
"""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass, field
from typing import Any

from edge_runtime.bundle.document import MAY_BE_ABSENT, parse, read_as, shown
from edge_runtime.bundle.judging import (
    LONGEST_ALARM_DELAY_S,
    LONGEST_DEBOUNCE,
    LONGEST_HOLD,
    Absence,
    Alarms,
    Baseline,
    BaselineState,
    Debounce,
    Degraded,
    Hold,
    SensorLimit,
    SensorStatus,
    Threshold,
)
from edge_runtime.errors import BundleFormatError

__all__ = [
    "FORMAT_VERSIONS",
    "LONGEST_ALARM_DELAY_S",
    "LONGEST_DEBOUNCE",
    "LONGEST_HOLD",
    "METADATA_KEY",
    "NEEDS",
    "OF_VERSION_2",
    "Absence",
    "Alarms",
    "Baseline",
    "BaselineState",
    "Debounce",
    "Degraded",
    "Golden",
    "Hold",
    "Limits",
    "Metadata",
    "Metrics",
    "Model",
    "Provenance",
    "Scaler",
    "Sensor",
    "SensorLimit",
    "SensorStatus",
    "Threshold",
]

FORMAT_VERSIONS = (1, 2)
# What a bundle of version 2 may need, in order of the alphabet: the fields that hold these features.
NEEDS = ("alarms", "baseline", "degraded", "sensor_status")
OF_VERSION_2 = ("needs", *NEEDS, "notes")
METADATA_KEY = "edge_detect"
NEWER = "install a newer edge-detect, or export again with this one"

Range = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Sensor:
    """One input column.

    Attributes:
        name: The column's name in every source and sink.
        unit: The unit of its readings, such as "°C"; empty when unknown.
        physical_range: Lowest and highest reading that the sensor can give; None when unknown. Outside it
            the verdict is unknown.
        training_range: Lowest and highest reading among the rows it was trained on.
    """

    name: str
    unit: str
    physical_range: Range | None
    training_range: Range


@dataclass(frozen=True, slots=True)
class Model:
    """What computes the score.

    Attributes:
        kind: The model's name in the trainer, such as "autoencoder".
        parameters: Number of trained weights.
        state_shape: Shape of the `state` input of a model with memory; None for a model without.
        time_of_day: Whether the graph asks for the input `time_of_day`.
    """

    kind: str
    parameters: int
    state_shape: tuple[int, ...] | None = None
    time_of_day: bool = False


@dataclass(frozen=True, slots=True)
class Scaler:
    """How the graph scales readings: "minmax" or "standard"."""

    kind: str


@dataclass(frozen=True, slots=True)
class Metrics:
    """Quality as the trainer measured it, by name; empty where no labels were."""

    validation: dict[str, float] = field(default_factory=dict)
    test: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Provenance:
    """Where the bundle comes from.

    Attributes:
        data_digest: "sha256:" and 64 hex digits over the training, validation and test files.
        time_start: First training row, ISO 8601 UTC.
        time_stop: Last training row, ISO 8601 UTC.
        machines: Ids of the machines with normal, complete rows in the training data.
        seed: Seed of every random choice.
        versions: Package name to the version that trained and exported.
        git_revision: Revision of the training code; None outside a checkout.
        mlflow_run_id: The MLflow run; None when the training was not tracked.
        created: When the model was trained, ISO 8601 UTC; None when left out so that two runs give one file.
    """

    data_digest: str
    time_start: str
    time_stop: str
    machines: tuple[str, ...]
    seed: int
    versions: dict[str, str]
    git_revision: str | None
    mlflow_run_id: str | None
    created: str | None


@dataclass(frozen=True, slots=True)
class Limits:
    """What the bundle declares to need; None where nothing is declared."""

    p99_latency_us: float | None = None
    memory_mb: float | None = None


@dataclass(frozen=True, slots=True)
class Golden:
    """Rows with the scores that the trainer got for them in PyTorch, replayed before the bundle is used.

    Attributes:
        readings: [rows][sensors] raw units, one run of consecutive rows of one machine.
        scores: [rows].
        relative_tolerance: Part of the expected score by which a replayed one may differ.
        absolute_tolerance: Difference that is always allowed.
        time_of_day: [rows] seconds since midnight UTC; None for a model that does not ask.
        baseline_after: Where the slow baseline stands after the last row; None for a bundle without one.
    """

    readings: tuple[tuple[float, ...], ...]
    scores: tuple[float, ...]
    relative_tolerance: float
    absolute_tolerance: float
    time_of_day: tuple[float, ...] | None = None
    baseline_after: BaselineState | None = field(default=None, metadata={MAY_BE_ABSENT: True})


@dataclass(frozen=True, slots=True)
class Metadata:
    """The whole document.

    Attributes:
        sensors: The input columns, in the order of the graph's input.
        model: What computes the score.
        scaler: How readings are scaled.
        cadence_seconds: Time between two rows of one machine in training.
        warm_up_rows: Rows of a machine before its first verdict; 0 for a model without memory.
        threshold: When a row is anomalous.
        metrics: Quality, as measured by the trainer.
        provenance: Where the bundle comes from.
        limits: What it declares to need.
        golden: Its self-test.
        content_digest: "sha256:" and 64 hex digits over the file with these 64 digits set to zero.
        needs: The features that change a verdict, each of which has a field of this name.
        alarms: When an alarm is raised and returns; None where the bundle leaves that to the gateway.
        baseline: How each machine's levels are followed; None for a bundle without a baseline.
        degraded: How rows are judged that lack one sensor; None where they are unknown.
        sensor_status: How sensors that stand still or jump are found; None where they are not.
        notes: What readers may ignore, by name.
        format_version: 2 where one of the six fields above is there; else 1.
    """

    sensors: tuple[Sensor, ...]
    model: Model
    scaler: Scaler
    cadence_seconds: float
    warm_up_rows: int
    threshold: Threshold
    metrics: Metrics
    provenance: Provenance
    limits: Limits
    golden: Golden
    content_digest: str
    needs: tuple[str, ...] = field(default=(), metadata={MAY_BE_ABSENT: True})
    alarms: Alarms | None = field(default=None, metadata={MAY_BE_ABSENT: True})
    baseline: Baseline | None = field(default=None, metadata={MAY_BE_ABSENT: True})
    degraded: Degraded | None = field(default=None, metadata={MAY_BE_ABSENT: True})
    sensor_status: SensorStatus | None = field(default=None, metadata={MAY_BE_ABSENT: True})
    notes: dict[str, str] = field(default_factory=dict, metadata={MAY_BE_ABSENT: True})
    format_version: int = 1

    @property
    def sensor_names(self) -> tuple[str, ...]:
        """The input columns' names, in order."""
        return tuple(sensor.name for sensor in self.sensors)

    def to_json(self) -> str:
        """The document as it stands in the bundle: sorted keys, ASCII, no NaN.

        What a bundle does not have is left out, and so is the version that has room for it.
        """
        document = dataclasses.asdict(self)
        if self.threshold.debounce is None:
            del document["threshold"]["debounce"]
        if self.golden.baseline_after is None:
            del document["golden"]["baseline_after"]
        document["needs"] = [name for name in NEEDS if document[name] is not None]
        for name in OF_VERSION_2:
            if not document[name]:
                del document[name]
        if any(name in document for name in OF_VERSION_2):
            document["format_version"] = 2
            document.setdefault("needs", [])
        return json.dumps(document, sort_keys=True, allow_nan=False, separators=(",", ":"))

    @staticmethod
    def from_json(text: str | bytes) -> Metadata:
        """Reads and checks a document.

        Raises:
            BundleFormatError: It is not JSON, of another format version, needs a feature that is not known
                here, or a field is missing, unknown or of a wrong type.
        """
        document = parse(text)
        version = document.get("format_version")
        if version not in FORMAT_VERSIONS or type(version) is not int:
            known = " and ".join(map(str, FORMAT_VERSIONS))
            raise BundleFormatError(
                f"bundle format version {shown(version)}, but this edge-detect reads versions {known}",
                where="metadata: format_version",
                hint=NEWER,
            )
        if version == 1:
            for name in OF_VERSION_2:
                if name in document:
                    raise BundleFormatError("an unknown field", where=f"metadata: {name}")
        else:
            _check_needs(document)
        return read_as(Metadata, document)


def _check_needs(document: dict[str, Any]) -> None:
    """What the bundle needs must be known here, and be there; and what is there must be named.

    Raises:
        BundleFormatError: It is not so.
    """
    needs = document.get("needs")
    if not isinstance(needs, list) or not all(isinstance(name, str) for name in needs):
        raise BundleFormatError("is not a list of names", where="metadata: needs")
    for name in needs:
        if name not in NEEDS:
            raise BundleFormatError(
                f"the bundle needs {shown(name)}, which this edge-detect does not know",
                where="metadata: needs",
                hint=NEWER,
            )
    there = [name for name in NEEDS if name in document]
    for name in there:
        if document[name] is None:
            raise BundleFormatError("expected an object, found null", where=f"metadata: {name}")
    if sorted(needs) != there:
        raise BundleFormatError(
            f"names {shown(', '.join(needs))}, but the bundle has {shown(', '.join(there))}",
            where="metadata: needs",
        )
