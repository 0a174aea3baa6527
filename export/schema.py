"""The bundle's metadata as a JSON Schema, drawn from the dataclasses that read it.

`python -m export.schema` writes edge_runtime/data/bundle.schema.json, which comes with the wheel.
"""

from __future__ import annotations

import dataclasses
import inspect
import json
import re
import sys
import types
import typing
from pathlib import Path
from typing import Any

from edge_runtime.bundle.caps import LONGEST_BASELINE_STEP, MAX_BASELINE, MAX_NAME, MAX_SENSORS, RESERVED
from edge_runtime.bundle.document import MAY_BE_ABSENT
from edge_runtime.bundle.metadata import (
    FORMAT_VERSIONS,
    LONGEST_ALARM_DELAY_S,
    LONGEST_DEBOUNCE,
    NEEDS,
    OF_VERSION_2,
    Metadata,
)
from edge_runtime.bundle.needs import FEWEST_FLAT_ROWS, FEWEST_SENSORS, INJECTED, LABELS

__all__ = ["SCHEMA_FILE", "metadata_schema"]

SCHEMA_FILE = Path(__file__).resolve().parents[1] / "edge_runtime" / "data" / "bundle.schema.json"
ADDRESS = "https://json-schema.org/draft/2020-12/schema"
# What the types do not say, and the reader checks.
FURTHER: dict[tuple[str, str], dict[str, Any]] = {
    ("Metadata", "format_version"): {"enum": list(FORMAT_VERSIONS)},
    ("Metadata", "sensors"): {"minItems": 1, "maxItems": MAX_SENSORS},
    ("Metadata", "cadence_seconds"): {"exclusiveMinimum": 0},
    ("Metadata", "content_digest"): {"pattern": "^sha256:[0-9a-f]{64}$"},
    ("Metadata", "needs"): {"items": {"enum": list(NEEDS)}, "uniqueItems": True},
    ("Alarms", "on_delay_s"): {"minimum": 0, "maximum": LONGEST_ALARM_DELAY_S},
    ("Alarms", "off_delay_s"): {"minimum": 0, "maximum": LONGEST_ALARM_DELAY_S},
    ("Alarms", "high_severity"): {"exclusiveMinimum": 1},
    ("Alarms", "rows"): {"minimum": 0},
    ("Baseline", "rows"): {"minimum": 1, "maximum": LONGEST_BASELINE_STEP},
    ("Baseline", "spread"): {"minItems": 1, "maxItems": MAX_BASELINE},
    ("Baseline", "near"): {"exclusiveMinimum": 0},
    ("Baseline", "gain"): {"exclusiveMinimum": 0},
    ("Baseline", "persistent"): {"minimum": 0, "maximum": 1},
    ("Baseline", "doubtful"): {"minimum": 0, "maximum": 1},
    ("Baseline", "bound"): {"exclusiveMinimum": 0},
    ("BaselineState", "rows"): {"minimum": 0},
    ("Degraded", "absent"): {"minItems": FEWEST_SENSORS, "maxItems": MAX_SENSORS},
    ("Degraded", "rows"): {"minimum": 0},
    ("Degraded", "auc"): {"minimum": 0, "maximum": 1},
    ("Degraded", "measured_on"): {"enum": [LABELS, INJECTED, None]},
    ("Degraded", "golden"): {"minItems": FEWEST_SENSORS},
    ("Degraded", "absolute_tolerance"): {"minimum": 0},
    ("Absence", "coefficients"): {"minItems": FEWEST_SENSORS, "maxItems": MAX_SENSORS},
    ("Absence", "threshold"): {"exclusiveMinimum": 0},
    ("Absence", "auc_loss"): {"minimum": -1, "maximum": 1},
    ("SensorStatus", "limits"): {"minItems": 1, "maxItems": MAX_SENSORS},
    ("SensorStatus", "rows"): {"minimum": 0},
    ("SensorLimit", "flat_rows"): {"minimum": FEWEST_FLAT_ROWS},
    ("SensorLimit", "within"): {"minimum": 0},
    ("SensorLimit", "max_rate"): {"exclusiveMinimum": 0},
    ("Sensor", "name"): {"minLength": 1, "maxLength": MAX_NAME, "not": {"enum": sorted(RESERVED)}},
    ("Model", "parameters"): {"minimum": 0},
    ("Threshold", "value"): {"exclusiveMinimum": 0},
    ("Threshold", "per_machine"): {"additionalProperties": {"type": "number", "exclusiveMinimum": 0}},
    ("Threshold", "quantile"): {"minimum": 0, "maximum": 1},
    ("Threshold", "rows"): {"minimum": 0},
    ("Provenance", "seed"): {"minimum": 0},
    ("Hold", "rise"): {"exclusiveMinimum": 0},
    ("Hold", "fall"): {"exclusiveMinimum": 0},
    ("Hold", "cap"): {"exclusiveMinimum": 0},
    ("Hold", "level"): {"minimum": 0},
    ("Debounce", "k"): {"minimum": 1},
    ("Debounce", "n"): {"minimum": 1, "maximum": LONGEST_DEBOUNCE},
    ("Golden", "readings"): {"minItems": 1},
    ("Golden", "scores"): {"minItems": 1},
    ("Golden", "relative_tolerance"): {"minimum": 0, "maximum": 0.01},
    ("Golden", "absolute_tolerance"): {"minimum": 0},
}
NAMES = {str: "string", int: "integer", float: "number", bool: "boolean"}


def metadata_schema() -> dict[str, Any]:
    """The schema of `metadata_props["edge_detect"]`, as draft 2020-12 has it."""
    return {
        "$schema": ADDRESS,
        "title": "edge-detect bundle metadata, format versions 1 and 2",
        **_object(Metadata),
        "if": {"properties": {"format_version": {"const": 1}}},
        "then": {"not": {"anyOf": [{"required": [name]} for name in OF_VERSION_2]}},
        "else": {"required": ["needs"], "allOf": [_needed(name) for name in NEEDS]},
    }


def _needed(name: str) -> dict[str, Any]:
    """A feature is named in `needs` if, and only if, the field of this name is there."""
    named = {"required": ["needs"], "properties": {"needs": {"contains": {"const": name}}}}
    there = {"required": [name], "properties": {name: {"type": "object"}}}
    return {"if": {"anyOf": [named, {"required": [name]}]}, "then": {"allOf": [named, there]}}


def _object(kind: type[Any]) -> dict[str, Any]:
    hints, described = typing.get_type_hints(kind), _described(kind)
    properties = {}
    for field in dataclasses.fields(kind):
        schema = _type(hints[field.name]) | FURTHER.get((kind.__name__, field.name), {})
        if field.name in described:
            schema["description"] = described[field.name]
        properties[field.name] = schema
    found = {
        "type": "object",
        "properties": properties,
        "required": sorted(f.name for f in dataclasses.fields(kind) if MAY_BE_ABSENT not in f.metadata),
        "additionalProperties": False,
    }
    summary = (inspect.getdoc(kind) or "").partition("\n\n")[0]
    return {"description": " ".join(summary.split()), **found}


def _type(hint: Any) -> dict[str, Any]:
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (types.UnionType, typing.Union):
        return {"anyOf": [_type(arguments[0]), {"type": "null"}]}
    if dataclasses.is_dataclass(hint):
        return _object(typing.cast("type[Any]", hint))
    if origin is tuple and arguments[-1] is Ellipsis:
        return {"type": "array", "items": _type(arguments[0])}
    if origin is tuple:
        return {
            "type": "array",
            "prefixItems": [_type(argument) for argument in arguments],
            "minItems": len(arguments),
            "maxItems": len(arguments),
        }
    if origin is dict:
        return {"type": "object", "additionalProperties": _type(arguments[1])}
    return {"type": NAMES[hint]}


def _described(kind: type[Any]) -> dict[str, str]:
    """Field to what the class's docstring says of it."""
    _, _, attributes = (inspect.getdoc(kind) or "").partition("Attributes:\n")
    found: dict[str, str] = {}
    name = ""
    for line in attributes.splitlines():
        if begun := re.fullmatch(r" {4}(\w+): (.*)", line):
            name, found[begun[1]] = begun[1], begun[2]
        elif line.startswith(" " * 8) and name:
            found[name] += f" {line.strip()}"
    return found


def main() -> int:
    """Writes the file; returns the exit code."""
    text = json.dumps(metadata_schema(), indent=2, ensure_ascii=False)
    SCHEMA_FILE.write_text(f"{text}\n", encoding="utf-8")
    sys.stdout.write(f"{SCHEMA_FILE.name}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
