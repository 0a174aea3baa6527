"""Histories as a feed leaves them: rows that an engine judged, commit by commit, with restarts between."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

import numpy as np

from edge_runtime import Engine, Readings
from edge_runtime.history import opened, packing
from edge_runtime.history.history import History
from edge_runtime.history.recent import by_machine, recent_of
from edge_runtime.history.rows import Rows
from edge_runtime.simulation import Simulator

if TYPE_CHECKING:
    from pathlib import Path

    import pytest
    from numpy.typing import NDArray

    from edge_runtime import Bundle
    from edge_runtime.engine.alarms import Change
    from edge_runtime.engine.stage import StageState
    from edge_runtime.history.bounds import Bounds
    from edge_runtime.history.reading import HistoryReader
    from edge_runtime.records import Results

__all__ = [
    "EVER",
    "SECOND",
    "START",
    "Past",
    "assert_same_rows",
    "rows_of",
    "simulated",
    "small_blocks",
    "some_past",
]

SECOND = 10**9
EVER = 2**62
START = 1_795_000_000 * SECOND  # no whole hour


def small_blocks(monkeypatch: pytest.MonkeyPatch, rows: int = 256, commits: int = 6) -> None:
    """Blocks of few rows, packed after few commits, so that small histories have many."""
    monkeypatch.setattr(packing, "BLOCK_ROWS", rows)
    monkeypatch.setattr(opened, "PACK_COMMITS", commits)
    monkeypatch.setattr(opened, "STATE_ROWS", rows + rows // 3)


def simulated(
    machines: int,
    rows: int,
    *,
    seed: int = 0,
    missing: float = 0.0,
    severity: float = 2.0,
    start: int = START,
) -> Readings:
    """So many rows of each machine, one a second, mixed.

    With missing readings, one sensor of each also stands still for a while.
    """
    random = np.random.default_rng(seed)
    names, times, values = [], [], []
    for number in range(machines):
        name = f"press-{number + 1}"
        block = Simulator(name, seed=seed, severity=severity, rate=12, start_ns=start).block(rows)
        own = block.values.copy()
        if missing:
            own[random.random(own.shape) < missing] = np.nan
            still = slice(rows // 3, rows // 3 + 400)
            own[still, number % own.shape[1]] = own[rows // 3 - 1, number % own.shape[1]]
        names.append(np.full(rows, name))
        times.append(block.times + number * SECOND // 10)
        values.append(own)
    order = np.argsort(np.concatenate(times), kind="stable")
    return Readings(np.concatenate(names)[order], np.concatenate(times)[order], np.concatenate(values)[order])


class Past:
    """A feed with its history, and with what its ledger would have.

    Args:
        path: The history's file.
        bundle: What judges.
        bounds: How large the history may get.

    Attributes:
        judged: All that was committed, in order.
        changes: What changed in alarms.
    """

    def __init__(self, path: Path, bundle: Bundle, bounds: Bounds | None = None) -> None:
        self.path = path
        self.judged: list[Results] = []
        self.changes: list[Change] = []
        self.said: list[str] = []
        self._bundle, self._bounds = bundle, bounds
        self._mark: str | None = None
        self._states: dict[tuple[str, str, str], StageState] = {}
        self._begin()

    def _begin(self) -> None:
        self.engine = Engine(self._bundle, alarms=True)
        assert self.engine.restore(self._states.values()) == []
        self.history = History(
            self.path,
            self.engine,
            self._mark,
            report=self.said.append,
            tell=self._tell,
            bounds=self._bounds,
            now=lambda: EVER,
        )

    def _tell(self, mark: str) -> None:
        self._mark = mark

    def take(self, readings: Readings, *, crash: bool = False, lost: bool = False) -> None:
        """Judges rows and commits them.

        Args:
            readings: The rows.
            crash: After the history has them, and before the ledger.
            lost: A power cut takes them from the history, and not from the ledger.
        """
        judged = self.engine.feed(readings)
        results, _ = judged.split()
        mark = None if lost else self.history.append(results, judged.alarms)
        if crash:
            self.restart()
            self.take(readings)
            return
        self._mark = mark or self._mark
        self._states |= {(one.owner, one.stage, one.machine): one for one in self.engine.changes()}
        self.changes += judged.alarms
        if lost:
            self.restart()
        else:
            self.judged.append(results)

    def restart(self, bundle: Bundle | None = None) -> None:
        """Ends the process, and begins another one, with another bundle where one is given."""
        self.history.close()
        self._bundle = bundle or self._bundle
        self._begin()

    def forget(self) -> None:
        """The same without what the ledger had; the history stays."""
        self._states, self._mark = {}, None
        self.restart()

    def rows(self) -> dict[str, Rows]:
        """What was judged, machine by machine."""
        found: dict[str, list[Rows]] = defaultdict(list)
        for results in self.judged:
            names, codes = results.readings.dictionary
            for machine, rows in by_machine([recent_of(results, codes.astype(np.int32), 0)]):
                found[names[machine]].append(rows)
        return {name: Rows.joined(some) for name, some in found.items()}


def _column(rows: Rows, name: str) -> NDArray[np.generic]:
    column: NDArray[np.generic] = getattr(rows, name)
    return column


def assert_same_rows(found: Rows, wanted: Rows, severity_error: float = 0.0) -> None:
    """The same rows, in the same order; severities to this relative error."""
    for name in ("times", "values", "verdicts", "reasons", "degraded", "faults"):
        np.testing.assert_array_equal(_column(found, name), _column(wanted, name), name)
    np.testing.assert_allclose(found.severity, wanted.severity, rtol=severity_error, atol=0)


def some_past(path: Path, bundle: Bundle) -> Past:
    """Three machines with 2,000 rows each, some packed and some not, still open."""
    past, readings = Past(path, bundle), simulated(3, 2000, missing=0.01)
    for start in range(0, len(readings), 90):
        past.take(readings.take(slice(start, start + 90)))
    return past


def rows_of(reader: HistoryReader, machine: str, start: int = 0, stop: int = EVER) -> Rows:
    """A machine's rows; at least one."""
    return Rows.joined([part.rows for part in reader.rows(machine, start, stop)])
