"""What a bundle says of itself: the JSON document in `metadata_props["edge_detect"]`.

The dataclasses below are the schema of format version 1. Reading is strict: a missing field, an unknown
one or one of a wrong type is a `BundleFormatError` that names it by its path, such as `sensors[2].unit`. The
one field that may be absent, `threshold.debounce`, is marked as such.
"""

from __future__ import annotations

import dataclasses
import json
import math
from dataclasses import dataclass, field

from edge_runtime.bundle.document import MAY_BE_ABSENT, parse, read_as, shown
from edge_runtime.errors import BundleFormatError

__all__ = [
    "FORMAT_VERSION",
    "LONGEST_HOLD",
    "METADATA_KEY",
    "Debounce",
    "Golden",
    "Hold",
    "Limits",
    "Metadata",
    "Metrics",
    "Model",
    "Provenance",
    "Scaler",
    "Sensor",
    "Threshold",
]

FORMAT_VERSION = 1
METADATA_KEY = "edge_detect"

Range = tuple[float, float]
LONGEST_DEBOUNCE = 1024
# Rows for which a hold may go on after the last one above, and that it may take to begin: a day of seconds.
LONGEST_HOLD = 100_000


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
class Hold:
    """The adaptive hold of the verdict, a counter for each machine.

    The counter rises by `rise` on a row above the threshold, falls by `fall` on one that is not, and stays
    within 0 and `cap`. A row is anomalous when its score is above the threshold, or while the counter is
    above `level`: an oscillation is held through its zero crossings, and a short spike is let go at once. The
    defaults hold nothing.
    """

    rise: float = 1.0
    fall: float = 1.0
    cap: float = 1.0
    level: float = 0.0

    def __post_init__(self) -> None:
        if not (self.rise > 0 and self.fall > 0 and math.inf > self.cap > self.level >= 0):
            raise BundleFormatError(
                "a hold needs rise > 0, fall > 0 and a finite cap > level >= 0",
                where="metadata: threshold.hold",
            )
        if (self.cap - self.level) / self.fall > LONGEST_HOLD or self.level / self.rise > LONGEST_HOLD:
            raise BundleFormatError(
                f"such a hold would begin or end only after more than {LONGEST_HOLD:,} rows",
                where="metadata: threshold.hold",
            )


@dataclass(frozen=True, slots=True)
class Debounce:
    """How many of a machine's last rows must be above the threshold for its newest row to count as above.

    At least `k` of its last `n` scored rows, the newest among them; rows before its first are not above.
    """

    k: int
    n: int

    def __post_init__(self) -> None:
        if not 1 <= self.k <= self.n <= LONGEST_DEBOUNCE:
            raise BundleFormatError(
                f"a debounce needs 1 <= k <= n <= {LONGEST_DEBOUNCE}, not {self.k} of {self.n}",
                where="metadata: threshold.debounce",
            )

    def __str__(self) -> str:
        return f"{self.k} of {self.n}"


@dataclass(frozen=True, slots=True)
class Threshold:
    """Above which score a row counts as anomalous.

    Attributes:
        value: The score; finite and positive.
        method: How it was chosen: "percentile", "best_f1" or "false_alarms".
        quantile: For "percentile", which one, 0 to 1.
        metric: For "best_f1", "f1"; for "false_alarms", the budget of a machine, such as "1/week".
        rows: Number of rows that it was chosen on.
        hold: The verdict's adaptive hold.
        per_machine: Machine id to the score that replaces `value` for that machine.
        debounce: How many rows must be above it, before the hold; None for 1 of 1.
    """

    value: float
    method: str
    quantile: float | None
    metric: str | None
    rows: int
    hold: Hold = field(default_factory=Hold)
    per_machine: dict[str, float] = field(default_factory=dict)
    debounce: Debounce | None = field(default=None, metadata={MAY_BE_ABSENT: True})

    def __post_init__(self) -> None:
        for where, value in [
            ("value", self.value),
            *((f"per_machine.{m}", v) for m, v in self.per_machine.items()),
        ]:
            if not (math.isfinite(value) and value > 0):
                raise BundleFormatError(
                    f"a threshold must be finite and positive, not {value}",
                    where=f"metadata: threshold.{where}",
                )


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
    """

    readings: tuple[tuple[float, ...], ...]
    scores: tuple[float, ...]
    relative_tolerance: float
    absolute_tolerance: float
    time_of_day: tuple[float, ...] | None = None


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
        format_version: Always `FORMAT_VERSION`.
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
    format_version: int = FORMAT_VERSION

    @property
    def sensor_names(self) -> tuple[str, ...]:
        """The input columns' names, in order."""
        return tuple(sensor.name for sensor in self.sensors)

    def to_json(self) -> str:
        """The document as it stands in the bundle: sorted keys, ASCII, no NaN."""
        document = dataclasses.asdict(self)
        if self.threshold.debounce is None:
            del document["threshold"]["debounce"]
        return json.dumps(document, sort_keys=True, allow_nan=False, separators=(",", ":"))

    @staticmethod
    def from_json(text: str | bytes) -> Metadata:
        """Reads and checks a document.

        Raises:
            BundleFormatError: It is not JSON, of another format version, or a field is missing, unknown or
                of a wrong type.
        """
        document = parse(text)
        version = document.get("format_version")
        if version != FORMAT_VERSION or type(version) is not int:
            raise BundleFormatError(
                f"bundle format version {shown(version)}, but this edge-detect reads "
                f"version {FORMAT_VERSION}",
                where="metadata: format_version",
                hint="install a newer edge-detect, or export again with this one",
            )
        return read_as(Metadata, document)
