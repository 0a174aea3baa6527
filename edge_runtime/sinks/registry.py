"""The sinks: each is a file of this folder, or an entry point of another package."""

from __future__ import annotations

from edge_runtime.connector import Registry
from edge_runtime.sinks.base import SinkKind

__all__ = ["SINKS"]

SINKS: Registry[SinkKind] = Registry(
    "sink",
    SinkKind,
    {
        "stdout": "edge_runtime.sinks.stdout:STDOUT",
        "jsonl": "edge_runtime.sinks.jsonl:JSONL",
        "alarmlog": "edge_runtime.sinks.alarmlog:ALARMLOG",
        "influx": "edge_runtime.sinks.influx:INFLUX",
        "mqtt": "edge_runtime.sinks.mqtt:MQTT",
        "webhook": "edge_runtime.sinks.webhook:WEBHOOK",
        "alertmanager": "edge_runtime.sinks.alertmanager:ALERTMANAGER",
        "ntfy": "edge_runtime.sinks.ntfy:NTFY",
        "slack": "edge_runtime.sinks.slack:SLACK",
        "teams": "edge_runtime.sinks.teams:TEAMS",
        "email": "edge_runtime.sinks.mail:EMAIL",
    },
    "edge_detect.sinks",
)
