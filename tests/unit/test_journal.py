"""Once a minute at most one line, and only when something changed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from support.bundles import normal_rows

from edge_runtime import Engine, Readings, load_bundle
from edge_runtime.gateway.journal import Journal
from edge_runtime.gateway.pipeline import Pipeline
from edge_runtime.sources.base import Batch

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edge_runtime import Results
    from edge_runtime.checkpoint import Checkpoint

SECOND = 1_000_000_000


class Told:
    """A journal, and what it said."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.journal = Journal(self.lines.append)
        self.counters: dict[str, int] = {}

    def minute(self, machines: int = 1, waiting: dict[str, int] | None = None, **counted: int) -> list[str]:
        for key, number in counted.items():
            name = key.replace("__", ".").replace("_", " ")
            self.counters[name] = self.counters.get(name, 0) + number
        before = len(self.lines)
        self.journal.minute(self.counters, machines, waiting or {}, lambda _, number: f"{number:,} rows wait")
        return self.lines[before:]


def test_the_first_minute_is_told_and_then_only_what_changed() -> None:
    told = Told()
    assert told.minute(read=60, normal=60) == ["60 rows came in the last minute, 1 machine so far"]
    assert told.minute(read=58, normal=58) == []
    assert told.minute(read=1200, normal=1200, machines=20) == [
        "1,200 rows came in the last minute, 20 machines so far"
    ]
    assert told.minute(machines=20) == ["no row came in the last minute, 20 machines so far"]
    assert told.minute(machines=20) == []
    assert told.minute(machines=20, read=3, normal=3) == [
        "3 rows came in the last minute, 20 machines so far"
    ]


def test_reasons_and_waiting_results_are_told_when_they_begin_and_when_they_end() -> None:
    told = Told()
    told.minute(read=60, normal=60)
    assert told.minute(read=60, normal=50, unknown__out_of_range=4, skipped__too_late=6) == [
        "60 rows came in the last minute, 1 machine so far, 4 unknown (out of range), 6 skipped (too late)"
    ]
    assert told.minute(read=60, normal=52, unknown__out_of_range=2, skipped__too_late=6) == []
    # On their way is not waiting: they have to be there at two minutes' ends.
    assert told.minute(read=60, normal=60, waiting={"influx": 1500, "jsonl": 7}) == [
        "60 rows came in the last minute, 1 machine so far"
    ]
    assert told.minute(read=60, normal=60, waiting={"influx": 2500, "jsonl": 0}) == [
        "60 rows came in the last minute, 1 machine so far, 2,500 rows wait for influx"
    ]
    assert told.minute(read=60, normal=60, waiting={"influx": 3500}) == []
    assert told.minute(read=60, normal=60) == ["60 rows came in the last minute, 1 machine so far"]


@pytest.fixture(scope="module")
def results(bundle: Path) -> Results:
    """Seven machines, each with a normal row and then an anomaly."""
    values = np.concatenate([normal_rows(7, seed=1), normal_rows(7, seed=1) * 3])
    machines = np.array([f"m{i}" for i in range(7)] * 2)
    times = np.repeat(np.arange(2, dtype=np.int64), 7) * SECOND
    return Engine(load_bundle(bundle)).feed(Readings(machines, times, values)).results


def test_machines_with_anomalies_are_named_and_a_further_one_is_a_change(results: Results) -> None:
    told = Told()
    first = results.take(results.readings.machines == "m3")
    told.journal.anomalous(first)
    assert told.minute(read=2, anomaly=1) == [
        "2 rows came in the last minute, 1 machine so far, 1 anomalous (m3)"
    ]
    told.journal.anomalous(first)
    assert told.minute(read=2, anomaly=1) == []
    told.journal.anomalous(results)
    assert told.minute(read=14, anomaly=7) == [
        "14 rows came in the last minute, 1 machine so far, 7 anomalous (m0, m1, m2, m3, m4 and 2 more)"
    ]


class Steady:
    """A source with a row a second of one machine; the third minute has an anomaly in it."""

    name = "steady"
    live = False

    def __init__(self, clock: list[float]) -> None:
        self.clock = clock

    def check(self) -> None: ...

    def batches(self, checkpoint: Checkpoint | None) -> Iterator[Batch]:
        assert checkpoint is None
        for second in range(300):
            self.clock[0] += 1.0
            values = normal_rows(1, seed=1) * (3 if 125 <= second < 130 else 1)
            yield Batch(Readings(np.array(["m1"]), np.array([second * SECOND]), values), None, {})

    def what_came(self) -> None: ...

    def acknowledge(self) -> None: ...

    def close(self) -> None: ...


def test_a_pipeline_tells_each_minute_that_differs(bundle: Path) -> None:
    lines: list[str] = []
    now = [0.0]
    pipeline = Pipeline(Steady(now), Engine(load_bundle(bundle)), report=lines.append, clock=lambda: now[0])
    pipeline.run()
    assert lines == [
        "60 rows came in the last minute, 1 machine so far",
        "60 rows came in the last minute, 1 machine so far, 5 anomalous (m1)",
        "60 rows came in the last minute, 1 machine so far",
    ]
