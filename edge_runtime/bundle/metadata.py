"""What a bundle says of itself: the JSON document in `metadata_props["edge_detect"]`.

The dataclasses below are the schema of format version 1. Reading is strict: a missing field, an unknown
one or one of a wrong type is a `BundleFormatError` that names it by its path, such as `sensors[2].unit`. The
one field that may be absent, `threshold.debounce`, is marked as such.
"""

from __future__ import annotations

import dataclasses
import json
import math
import types
import typing
from dataclasses import dataclass, field
from typing import Any, TypeVar

from edge_runtime.errors import BundleFormatError

__all__ = [
    "FORMAT_VERSION",
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
# In a field's metadata: the document may leave it out, which says the same as its default.
MAY_BE_ABSENT = "may be absent"
LONGEST_DEBOUNCE = 1024


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
        machines: Ids of the machines in the training data.
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
        try:
            document = json.loads(text, object_pairs_hook=_object)
        except (ValueError, RecursionError) as error:
            raise BundleFormatError(f"the metadata is not JSON ({error})", where="metadata") from None
        if not isinstance(document, dict):
            raise BundleFormatError("the metadata is not a JSON object", where="metadata")
        version = document.get("format_version")
        if version != FORMAT_VERSION:
            raise BundleFormatError(
                f"bundle format version {version!r}, but this edge-detect reads version {FORMAT_VERSION}",
                where="metadata: format_version",
                mend="install a newer edge-detect, or export again with this one",
            )
        return _read(Metadata, document, "")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object; a field twice would let two readers of one file see different ones."""
    fields = dict(pairs)
    if len(fields) != len(pairs):
        names = [name for name, _ in pairs]
        raise BundleFormatError(
            "a field is there twice", where=f"metadata: {next(n for n in names if names.count(n) > 1)}"
        )
    return fields


T = TypeVar("T")


def _read(kind: type[T], value: Any, path: str) -> T:
    """A dataclass from a JSON object, field by field."""
    if not isinstance(value, dict):
        raise _wrong(path, "an object", value)
    hints = typing.get_type_hints(kind)
    schema = dataclasses.fields(kind)  # type: ignore[arg-type]
    fields = {f.name for f in schema if f.name in value or MAY_BE_ABSENT not in f.metadata}
    for name in sorted(fields - value.keys()):
        raise BundleFormatError("a field is missing", where=f"metadata: {_join(path, name)}")
    for name in sorted(value.keys() - fields):
        raise BundleFormatError("an unknown field", where=f"metadata: {_join(path, name)}")
    return kind(**{name: _value(hints[name], value[name], _join(path, name)) for name in sorted(fields)})


def _value(hint: Any, value: Any, path: str) -> Any:  # noqa: C901, PLR0911
    """A JSON value checked against a type hint of the schema above."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (types.UnionType, typing.Union):
        return None if value is None else _value(arguments[0], value, path)
    if dataclasses.is_dataclass(hint):
        return _read(typing.cast("type[Any]", hint), value, path)
    if origin is tuple:
        if not isinstance(value, list):
            raise _wrong(path, "a list", value)
        if arguments[-1] is Ellipsis:
            return tuple(_value(arguments[0], item, f"{path}[{i}]") for i, item in enumerate(value))
        if len(value) != len(arguments):
            raise _wrong(path, f"{len(arguments)} values", value)
        return tuple(
            _value(a, item, f"{path}[{i}]") for i, (a, item) in enumerate(zip(arguments, value, strict=True))
        )
    if origin is dict:
        if not isinstance(value, dict):
            raise _wrong(path, "an object", value)
        return {key: _value(arguments[1], item, f"{path}.{key}") for key, item in value.items()}
    if hint is float:
        try:
            number = (
                math.nan if isinstance(value, bool) or not isinstance(value, int | float) else float(value)
            )
        except OverflowError:  # a whole number beyond any float
            number = math.inf
        if not math.isfinite(number):
            raise _wrong(path, "a finite number", value)
        return number
    if type(value) is not hint:
        raise _wrong(
            path, {"str": "text", "int": "a whole number", "bool": "true or false"}[hint.__name__], value
        )
    return value


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _wrong(path: str, wanted: str, value: Any) -> BundleFormatError:
    shown = json.dumps(value)
    return BundleFormatError(
        f"expected {wanted}, found {shown[:40]}{'…' if len(shown) > 40 else ''}",  # noqa: PLR2004
        where=f"metadata: {path}",
    )
