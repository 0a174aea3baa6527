"""Limits that figures have to keep: `--assert p99_us=200,rss_mb=90`, or what the bundle itself declares."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from edge_runtime.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["DECLARED", "NAMES", "Check", "Limit", "check", "declared_limits", "figure", "parse_limits"]

DECLARED = "declared"
OPTION = "--assert"
# Short name to the keys of the JSON document that lead to the figure.
NAMES: dict[str, tuple[str, ...]] = {
    "mean_us": ("latency_us", "mean"),
    "p50_us": ("latency_us", "p50"),
    "p90_us": ("latency_us", "p90"),
    "p99_us": ("latency_us", "p99"),
    "p99_9_us": ("latency_us", "p99_9"),
    "max_us": ("latency_us", "max"),
    "floor_p50_us": ("floor", "latency_us", "p50"),
    "raw_p50_us": ("raw", "latency_us", "p50"),
    "floor_ratio": ("floor_ratio",),
    "ratio_to_raw": ("ratio_to_raw",),
    "rows_per_s": ("throughput", "4096"),
    "wake_p99_us": ("jitter", "idle", "wake_us", "p99"),
    "wake_p99_9_us": ("jitter", "idle", "wake_us", "p99_9"),
    "idle_p99_us": ("jitter", "idle", "latency_us", "p99"),
    "idle_p99_9_us": ("jitter", "idle", "latency_us", "p99_9"),
    "busy_p99_us": ("jitter", "busy", "latency_us", "p99"),
    "busy_p99_9_us": ("jitter", "busy", "latency_us", "p99_9"),
    "stdout_p50_us": ("end_to_end", "stdin-stdout", "latency_us", "p50"),
    "stdout_p99_us": ("end_to_end", "stdin-stdout", "latency_us", "p99"),
    "stdout_p99_9_us": ("end_to_end", "stdin-stdout", "latency_us", "p99_9"),
    "jsonl_p99_us": ("end_to_end", "stdin-jsonl", "latency_us", "p99"),
    "simulate_p99_us": ("end_to_end", "simulate-stdout", "latency_us", "p99"),
    "influx_p99_us": ("end_to_end", "influx-stdout", "latency_us", "p99"),
    "mqtt_p99_us": ("end_to_end", "mqtt-stdout", "latency_us", "p99"),
    "influx_sink_p99_us": ("end_to_end", "stdin-influx", "latency_us", "p99"),
    "csv_rows_per_s": ("end_to_end", "csv-stdout", "rows_per_s"),
    "cpu_1": ("cpu_percent", "1"),
    "cpu_10": ("cpu_percent", "10"),
    "cpu_100": ("cpu_percent", "100"),
    "run_rss_mb": ("run_rss_mb",),
    "load_ms": ("load_ms",),
    "cold_start_ms": ("cold_start_ms",),
    "rss_mb": ("rss_mb",),
}
MORE_IS_BETTER = frozenset({"rows_per_s", "csv_rows_per_s"})
DECLARED_NAMES = {"p99_latency_us": "p99_us", "memory_mb": "rss_mb"}


@dataclass(frozen=True, slots=True)
class Limit:
    """The most that a figure may be; for rows a second, the fewest.

    Attributes:
        name: One of `NAMES`.
        value: In the figure's unit.
    """

    name: str
    value: float


@dataclass(frozen=True, slots=True)
class Check:
    """A limit and what was measured.

    Attributes:
        name: One of `NAMES`.
        measured: None where it was not measured, which keeps no limit.
        limit: In the figure's unit.
        kept: Whether the limit was kept.
    """

    name: str
    measured: float | None
    limit: float
    kept: bool

    def __str__(self) -> str:
        if self.measured is None:
            return f"{self.name} was not measured, the limit is {self.limit:g}"
        side = "at least" if self.name in MORE_IS_BETTER else "at most"
        return f"{self.name} is {self.measured:g}, to be {side} {self.limit:g}"


def parse_limits(text: str) -> tuple[list[Limit], bool]:
    """Reads `name=value,name=value`; the word `declared` among them asks for the bundle's own.

    Returns:
        The limits, and whether the bundle's own have to be kept.

    Raises:
        UsageError: A name is unknown, or a value no number above 0.
    """
    found, declared = [], False
    for part in filter(None, (one.strip() for one in text.split(","))):
        name, sign, value = (piece.strip() for piece in part.partition("="))
        if name == DECLARED and not sign:
            declared = True
            continue
        if name not in NAMES:
            known = ", ".join([*NAMES, DECLARED])
            raise UsageError(f"nothing is called '{name}'", where=OPTION, hint=f"use {known}")
        found.append(Limit(name, _number(name, value)))
    if not found and not declared:
        raise UsageError("there is no limit in it", where=OPTION, hint="write for instance p99_us=200")
    return found, declared


def _number(name: str, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value < math.inf:
        raise UsageError(
            f"'{text}' is not a limit for {name}", where=OPTION, hint=f"write a number above 0: {name}=200"
        )
    return value


def declared_limits(document: Mapping[str, Any]) -> list[Limit]:
    """What the bundle declares to need, of a document of `as_json`."""
    declared = document["declared"]
    return [Limit(name, declared[key]) for key, name in DECLARED_NAMES.items() if declared[key] is not None]


def check(document: Mapping[str, Any], limits: list[Limit]) -> list[Check]:
    """Each limit against a document of `as_json`."""
    found = []
    for limit in limits:
        measured = figure(document, limit.name)
        if measured is None:
            kept = False
        elif limit.name in MORE_IS_BETTER:
            kept = measured >= limit.value
        else:
            kept = measured <= limit.value
        found.append(Check(limit.name, measured, limit.value, kept))
    return found


def figure(document: Mapping[str, Any], name: str) -> float | None:
    """The figure of a short name; None where this document has none."""
    found: Any = document
    for key in NAMES[name]:
        found = found.get(key) if isinstance(found, dict) else None
    return float(found) if isinstance(found, int | float) else None
