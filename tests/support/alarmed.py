"""A gateway with alarms, as far as the ledger goes: simulated machines, an engine, and a ledger."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from edge_runtime.bundle.judging import Alarms
from edge_runtime.delivery.ledger import Ledger
from edge_runtime.delivery.operator import OperatorFile, feed_of, operator_file
from edge_runtime.engine.alarms import RULE
from edge_runtime.engine.engine import Engine
from edge_runtime.gateway.ruling import Ruling
from edge_runtime.loading.load import load_bundle
from edge_runtime.simulation import SENSORS, Simulator

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from edge_runtime.engine.rules import Rule
    from edge_runtime.loading.load import Bundle

__all__ = ["HIGH", "LOW", "MEDIUM", "START", "Gateway"]

START, SECOND = 1_790_000_000_000_000_000, 1_000_000_000
ROWS = 120
# Which sensor of a machine is how much off, from which row until before which.
FAULTS = {
    "press-1": ("vibration", 3.0, 100, ROWS),
    "press-2": ("pressure", 12.0, 90, 110),
    "press-3": ("power", np.nan, 100, ROWS),
    "press-4": ("power", 0.0, 0, 0),
}
# The alarms that these lead to: one that is up and high, one that has returned, and one of a sensor.
HIGH, MEDIUM, LOW = "e1ca427dd2aedc41", "c1683c508e499121", "d92b303254671268"


@cache
def bundle() -> Bundle:
    """The bundle that comes along, with delays."""
    loaded = load_bundle()
    return replace(loaded, metadata=replace(loaded.metadata, alarms=Alarms(3.0, 5.0, 20.0, 1)))


class Gateway:
    """Has the ledger open until it is closed, as `run` has.

    Args:
        path: The ledger's file.
        rules: Those of the configuration.
    """

    def __init__(self, path: Path, rules: Sequence[Rule] = ()) -> None:
        self._path = path
        self._ledger = Ledger(path, "simulate")
        self._engine = Engine(bundle(), alarms=True)
        self._engine.restore(self._ledger.states())
        self._ruling = Ruling(self._engine, lambda _line: None, lambda: START, rules)
        self._ruling.go_on(self._ledger.rules())
        self._rows: dict[str, int] = {}

    def watch_the_machines(self) -> None:
        """Two minutes of four machines, three of which have a fault."""
        for machine, (sensor, by, first, stop) in FAULTS.items():
            block = Simulator(machine, seed=1, rate=0.0, start_ns=START).block(ROWS)
            values = block.values.copy()
            values[first:stop, SENSORS.index(sensor)] += by
            self._engine.feed(values, machine_id=machine, time=block.times)
        self.commit()

    def go_on(self, machine: str, sensor: str, by: float) -> None:
        """Twenty further rows of a machine, with one sensor so much off."""
        rows = self._rows.get(machine, ROWS)
        self._rows[machine] = rows + 20
        block = Simulator(machine, seed=1, rate=0.0, start_ns=START + rows * SECOND).block(20)
        values = block.values.copy()
        values[:, SENSORS.index(sensor)] += by
        self._engine.feed(values, machine_id=machine, time=block.times)
        self.commit()

    def take_up_words(self, _seconds: float = 0.0) -> list[str]:
        """What `run` does once a second; returns why words changed nothing."""
        words, mark = OperatorFile(operator_file(self._path)).after(self._ledger.words(), feed_of(self._path))
        _, refused = self._engine.tell([word for word in words if word.kind != RULE])
        self._ruling.tell([word for word in words if word.kind == RULE])
        self.commit(mark)
        return refused

    def commit(self, words: str | None = None) -> None:
        """Stores what changed."""
        self._ledger.commit(
            checkpoint=None,
            states=self._engine.changes(),
            payloads=[],
            counters={},
            words=words,
            rules=self._ruling.unstored(),
        )

    def close(self) -> None:
        """Lets go of the ledger."""
        self._ledger.close()
