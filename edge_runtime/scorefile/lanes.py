"""Blocks through one engine, or through several at once: a machine is always in the same one's hands."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

import numpy as np

from edge_runtime.engine.engine import Engine
from edge_runtime.engine.stage import STATE_MB
from edge_runtime.errors import BundleError
from edge_runtime.records import COMPLETE, Reason, Results, Scores

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from numpy.typing import NDArray

    from edge_runtime.engine.stage import StageState
    from edge_runtime.loading.load import Bundle
    from edge_runtime.records import Readings
    from edge_runtime.scorefile.blocks import Block

__all__ = ["Lanes"]

# Blocks that are under way at once: one is written while the next is scored and a third one is read.
AHEAD = 2


def _threads(count: int) -> list[Any]:
    from concurrent.futures import ThreadPoolExecutor  # noqa: PLC0415 - takes 3 ms of a first score

    return [ThreadPoolExecutor(1, f"lane {i}") for i in range(count)]


class Lanes:
    """Engines side by side. ONNX Runtime leaves Python's lock alone, so threads use all cores.

    Args:
        bundle: What judges.
        count: How many; with one, everything happens in the caller's thread.
        with_expected: Whether what the model expected is of use; else it may be left out.
        state_mb: Memory for the machines' states in all of them.

    Raises:
        BundleError: The state of a single machine may take more.
    """

    def __init__(
        self, bundle: Bundle, count: int, *, with_expected: bool, state_mb: float = STATE_MB
    ) -> None:
        self._with_expected = with_expected
        self._state_mb = state_mb
        self._engines = [Engine(bundle, state_mb=state_mb, engines=count) for _ in range(count)]
        self._pools = _threads(count) if count > 1 else []
        self._lane_of: dict[str, int] = {}
        self._states: dict[tuple[str, ...], StageState] = {}

    def score(self, blocks: Iterable[Block]) -> Iterator[tuple[Block, Results]]:
        """Scores blocks, in their order.

        Raises:
            BundleError: They are of more machines than there is memory for: half a history would be misread.
        """
        under_way: deque[tuple[Block, Any]] = deque()
        for block in blocks:
            under_way.append((block, self._begin(block.readings)))
            while len(under_way) > (AHEAD if self._pools else 0):
                yield self._complete(*self._finish(*under_way.popleft()))
        while under_way:
            yield self._complete(*self._finish(*under_way.popleft()))

    def states(self) -> list[StageState]:
        """All machines' states after the blocks that were given back."""
        for engine in self._engines:
            self._states.update((state[:3], state) for state in engine.changes())
        return list(self._states.values())

    def restore(self, states: Iterable[StageState]) -> None:
        """Goes on from what `states` gave, with as many engines as there are now.

        Raises:
            ValueError: A state cannot be used.
            BundleError: They are of more machines than there is memory for.
        """
        self._states = {state[:3]: state for state in states}
        if len({state.machine for state in self._states.values()}) > self._most:
            raise self._too_many()
        for number, engine in enumerate(self._engines):
            dropped = engine.restore(
                state for state in self._states.values() if self._engine_of(state.machine) == number
            )
            if dropped:
                raise ValueError(dropped[0])

    def close(self) -> None:
        """Ends the threads."""
        for pool in self._pools:
            pool.shutdown(cancel_futures=True)

    @property
    def _most(self) -> int:
        """The machines that there is room for."""
        return sum(engine.max_machines for engine in self._engines)

    def _complete(self, block: Block, results: Results) -> tuple[Block, Results]:
        if (results.reasons == Reason.TOO_MANY_MACHINES).any():
            raise self._too_many()
        return block, results

    def _too_many(self) -> BundleError:
        first = self._engines[0]
        return BundleError(
            f"there are rows of more than {self._most:,} machines, and memory for the states of no more",
            where=first.bundle.name,
            hint=f"raise --state-mb above {first.more_than_mb(self._state_mb):,g}, or score fewer at a time",
        )

    def _engine_of(self, machine: str) -> int:
        """The number of the engine that has this machine."""
        return self._lane_of.setdefault(machine, len(self._lane_of) % len(self._engines))

    def _begin(self, readings: Readings) -> list[tuple[Any, Any]]:
        """Each engine's rows and its results, or their future."""
        if not self._pools:
            return [(None, self._engines[0].feed(readings).results)]
        groups = readings.groups
        rows: dict[int, list[Any]] = {}
        for machine, part in groups:
            mine = np.arange(part.start, part.stop) if groups.order is None else groups.order[part]
            rows.setdefault(self._engine_of(machine), []).append(mine)
        begun: list[tuple[Any, Any]] = []
        for lane, parts in rows.items():
            index = None if len(rows) == 1 and groups.order is None else np.concatenate(parts)
            block = readings if index is None else readings.take(index)
            begun.append((index, self._pools[lane].submit(self._engines[lane].feed, block)))
        return begun

    def _finish(
        self, block: Block, begun: list[tuple[NDArray[np.intp] | None, Any]]
    ) -> tuple[Block, Results]:
        """The lanes' results in the block's own order."""
        found = [(index, part.result().results if self._pools else part) for index, part in begun]
        if len(found) == 1 and found[0][0] is None:
            return block, found[0][1]
        rows, sensors = block.readings.values.shape
        expected = np.empty((rows if self._with_expected else 0, sensors), np.float32)
        score, severity = np.empty((2, rows), np.float32)
        errors = np.empty((rows, sensors), np.float32)
        verdicts, reasons = np.empty((2, rows), np.int8)
        some = any(part.degraded is not None for _, part in found)
        degraded = np.full(rows, COMPLETE, np.int16) if some else None
        faulty = any(part.faults is not None for _, part in found)
        faults = np.zeros((rows, sensors), np.int8) if faulty else None
        for index, part in found:
            score[index], severity[index], errors[index] = (
                part.scores.score,
                part.severity,
                part.scores.errors,
            )
            verdicts[index], reasons[index] = part.verdicts, part.reasons
            if self._with_expected:
                expected[index] = part.scores.expected
            if degraded is not None and part.degraded is not None:
                degraded[index] = part.degraded
            if faults is not None and part.faults is not None:
                faults[index] = part.faults
        scores = Scores(score, errors, expected)
        return block, Results(block.readings, scores, severity, verdicts, reasons, degraded, faults)
