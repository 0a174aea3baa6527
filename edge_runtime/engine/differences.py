"""What differs between two bundles: field by field, and in the scores of one's golden rows."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from edge_runtime.engine.engine import Engine
from edge_runtime.records import Readings

if TYPE_CHECKING:
    from edge_runtime.loading.load import Bundle

__all__ = ["Differences", "Scored", "compare_bundles"]

DAY_S = 86_400


@dataclass(frozen=True, slots=True)
class Scored:
    """The first bundle's golden rows through both.

    Attributes:
        rows: How many.
        largest_difference: Of a severity, which is a score in parts of its bundle's threshold.
        verdicts: Rows whose verdicts differ.
    """

    rows: int
    largest_difference: float
    verdicts: int


@dataclass(frozen=True, slots=True)
class Differences:
    """What was found.

    Attributes:
        fields: Path of a field, such as "threshold.value", to its values in both; "-" where it is missing.
        scored: None where their sensors are not the same.
    """

    fields: dict[str, tuple[Any, Any]]
    scored: Scored | None


def compare_bundles(first: Bundle, second: Bundle) -> Differences:
    """Compares two bundles that were loaded; of golden rows only what they lead to."""
    ours, theirs = _facts(first), _facts(second)
    fields = {
        path: (ours.get(path, "-"), theirs.get(path, "-"))
        for path in sorted(ours.keys() | theirs.keys())
        if ours.get(path, "-") != theirs.get(path, "-")
    }
    same_sensors = first.metadata.sensor_names == second.metadata.sensor_names
    return Differences(fields, _scored(first, second) if same_sensors else None)


def _facts(bundle: Bundle) -> dict[str, Any]:
    metadata = dataclasses.asdict(bundle.metadata)
    del metadata["golden"]
    if metadata["alarms"] is None:
        del metadata["alarms"]
    if metadata["baseline"] is None:
        del metadata["baseline"]
    else:
        del metadata["baseline"]["golden"]
    if metadata["degraded"] is None:
        del metadata["degraded"]
    else:
        del metadata["degraded"]["golden"]
        absent = zip(bundle.metadata.sensor_names, metadata["degraded"]["absent"], strict=True)
        metadata["degraded"]["absent"] = dict(absent)
    if metadata["sensor_status"] is None:
        del metadata["sensor_status"]
    else:
        limits = zip(bundle.metadata.sensor_names, metadata["sensor_status"]["limits"], strict=True)
        metadata["sensor_status"]["limits"] = dict(limits)
    metadata["sensors"] = {sensor.pop("name"): sensor for sensor in metadata["sensors"]}
    graph = {
        "opset": bundle.outline.opset,
        "ir_version": bundle.outline.ir_version,
        "operators": bundle.graph.operators,
        "weight_bytes": bundle.graph.initializer_bytes,
    }
    return _flat({**metadata, "graph": graph, "digest": bundle.digest, "bytes": bundle.size}, "")


def _flat(value: Any, path: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        return {path: value}
    found: dict[str, Any] = {}
    for name, part in value.items():
        found |= _flat(part, f"{path}.{name}" if path else name)
    return found


def _scored(first: Bundle, second: Bundle) -> Scored:
    golden = first.metadata.golden
    values = np.asarray(golden.readings, np.float32)
    seconds = np.arange(len(values), dtype=np.float64) * first.metadata.cadence_seconds
    if golden.time_of_day is not None:
        seconds = np.asarray(golden.time_of_day, np.float64)
    days = np.cumsum(np.diff(seconds, prepend=seconds[0]) < 0)
    times = ((seconds + days * DAY_S) * 1e9).astype(np.int64) + np.arange(len(values))  # that rise, always
    readings = Readings(np.full(len(values), "golden"), times, values)
    ours, theirs = (Engine(bundle).feed(readings).results for bundle in (first, second))
    largest = float(np.nan_to_num(np.abs(ours.severity - theirs.severity)).max())
    return Scored(len(values), largest, int((ours.verdicts != theirs.verdicts).sum()))
