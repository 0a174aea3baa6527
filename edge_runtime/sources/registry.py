"""The sources: each is a file of this folder, or an entry point of another package."""

from __future__ import annotations

from edge_runtime.connector import Registry
from edge_runtime.sources.base import SourceKind

__all__ = ["SOURCES"]

SOURCES: Registry[SourceKind] = Registry(
    "source",
    SourceKind,
    {
        "simulate": "edge_runtime.sources.simulate:SIMULATE",
        "csv": "edge_runtime.sources.csv:CSV",
        "stdin": "edge_runtime.sources.stdin:STDIN",
        "influx": "edge_runtime.sources.influx:INFLUX",
        "mqtt": "edge_runtime.sources.mqtt:MQTT",
    },
    "edge_detect.sources",
)
