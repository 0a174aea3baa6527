"""Histories to try rules on, and what their alarms are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from support.pasts import EVER, START, Past, simulated

from edge_runtime import Readings
from edge_runtime.engine.rules import Rule
from edge_runtime.history.reading import reading_history
from edge_runtime.history.trying import tried
from edge_runtime.records import Verdict
from edge_runtime.simulation import SENSORS, Simulator

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from edge_runtime import Bundle
    from edge_runtime.history.matching import Match
    from edge_runtime.history.rows import Rows
    from edge_runtime.history.trying import Tried

__all__ = ["faulty", "found", "recorded", "restless", "rule", "runs", "tried_on"]

RECORDED = ("event_id", "machine_id", "kind", "subject", "raised", "returned", "priority", "rows", "bundle")


def rule(**settings: Any) -> Rule:
    """A rule that asks for this."""
    return Rule(name="tried", why="to see what it does", **settings)


def tried_on(
    path: Path,
    bundle: Bundle,
    before: Sequence[Rule],
    after: Sequence[Rule],
    *,
    start: int = 0,
    stop: int = EVER,
) -> Tried:
    """Of all machines of a history."""
    with reading_history(path) as reader:
        machines = [one.machine_id for one in reader.machines()]
        return tried(reader, bundle, machines, start, stop, before, after)


def recorded(path: Path) -> list[dict[str, Any]]:
    """The alarms of a history, by their beginning."""
    with reading_history(path) as reader:
        return _by_time(reader.alarms(0, EVER))


def found(matches: Sequence[Match], side: str) -> list[dict[str, Any]]:
    """Those of one side, by their beginning."""
    return _by_time([one.fields for match in matches for one in getattr(match, side)])


def _by_time(alarms: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    own = [{name: one[name] for name in RECORDED} for one in alarms]
    return sorted(own, key=lambda one: (one["raised"], one["event_id"]))


def restless(path: Path, bundle: Bundle, rules: Sequence[Rule] = (), rows: int = 2000) -> Past:
    """Three machines with anomalies and faulty sensors, restarts and crashes; under rules."""
    past, random = Past(path, bundle), np.random.default_rng(7)
    readings, place = simulated(3, rows, missing=0.004), 0
    past.engine.narrow(rules)
    while place < len(readings):
        count = int(random.integers(1, 400))
        past.take(readings.take(slice(place, place + count)), crash=not rules and random.random() < 0.1)
        place += count
        if not rules and random.random() < 0.1:
            past.restart()
    past.history.close()
    return past


def faulty(path: Path, bundle: Bundle, faults: Sequence[tuple[int, int, float]], rows: int = 600) -> Past:
    """One machine whose pressure is so much off, from one row until before another."""
    block = Simulator("press-1", seed=1, rate=0.0, start_ns=START).block(rows)
    values = block.values.copy()
    for first, stop, by in faults:
        values[first:stop, SENSORS.index("pressure")] += by
    past = Past(path, bundle)
    past.take(Readings(np.full(rows, "press-1"), block.times, values))
    past.history.close()
    return past


def runs(rows: Rows) -> list[tuple[int, float]]:
    """Of each run of anomalous rows, its first time and its greatest severity; unknown rows say nothing."""
    ends: list[tuple[int, float]] = []
    before = Verdict.NORMAL
    for time, verdict, severity in zip(
        rows.times.tolist(), rows.verdicts.tolist(), rows.severity.tolist(), strict=True
    ):
        if verdict == Verdict.ANOMALY:
            if before != Verdict.ANOMALY:
                ends.append((time, severity))
            ends[-1] = ends[-1][0], max(ends[-1][1], severity)
        before = before if verdict == Verdict.UNKNOWN else verdict
    return ends
