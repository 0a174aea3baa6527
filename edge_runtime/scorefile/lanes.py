"""Blocks through one scorer, or through several at once: a machine is always in the same one's hands."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

import numpy as np

from edge_runtime.quality import QualityCheck
from edge_runtime.records import Results, Scores
from edge_runtime.scoring.scorer import Scorer

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from numpy.typing import NDArray

    from edge_runtime.bundle.load import Bundle
    from edge_runtime.records import Readings
    from edge_runtime.scorefile.blocks import Block

__all__ = ["Lanes"]

# Blocks that are under way at once: one is written while the next is scored and a third one is read.
AHEAD = 2
COUNTERS = ("quality", "debounce", "hold")


class _Lane:
    """Scores some machines' rows."""

    def __init__(self, bundle: Bundle) -> None:
        self._scorer = Scorer(bundle)
        self._quality = QualityCheck(bundle.metadata)

    def score(self, readings: Readings) -> Results:
        return self._scorer.score(readings, reasons=self._quality.check(readings))

    def state(self) -> dict[str, Any]:
        return {"quality": self._quality.state(), **self._scorer.changes()}

    def restore(self, state: dict[str, Any]) -> None:
        self._quality.restore(state["quality"])
        self._scorer.restore(state)


def _threads(count: int) -> list[Any]:
    from concurrent.futures import ThreadPoolExecutor  # noqa: PLC0415 - takes 3 ms of a first score

    return [ThreadPoolExecutor(1, f"lane {i}") for i in range(count)]


class Lanes:
    """Scorers side by side. ONNX Runtime leaves Python's lock alone, so threads use all cores.

    Args:
        bundle: What scores.
        count: How many; with one, everything happens in the caller's thread.
        with_expected: Whether what the model expected is of use; else it may be left out.
    """

    def __init__(self, bundle: Bundle, count: int, *, with_expected: bool) -> None:
        self._with_expected = with_expected
        self._lanes = [_Lane(bundle) for _ in range(count)]
        self._pools = _threads(count) if count > 1 else []
        self._lane_of: dict[str, int] = {}
        self._kept: dict[str, Any] = {}

    def score(self, blocks: Iterable[Block]) -> Iterator[tuple[Block, Results]]:
        """Scores blocks, in their order."""
        under_way: deque[tuple[Block, Any]] = deque()
        for block in blocks:
            under_way.append((block, self._begin(block.readings)))
            while len(under_way) > (AHEAD if self._pools else 0):
                yield self._finish(*under_way.popleft())
        while under_way:
            yield self._finish(*under_way.popleft())

    def state(self) -> dict[str, Any]:
        """All machines' states, JSON-ready, after the blocks that were given back."""
        found = [lane.state() for lane in self._lanes]
        for state in found:
            self._kept.update(state)
        # Counters are given whole each time: a lane's own machines, and nobody else's.
        for name in COUNTERS:
            self._kept[name] = {machine: part for state in found for machine, part in state[name].items()}
        return self._kept

    def restore(self, state: dict[str, Any]) -> None:
        """Goes on from what `state` gave, with as many lanes as there are now."""
        self._kept = dict(state)
        for machine in state["quality"]:
            self._lane_of.setdefault(machine, len(self._lane_of) % len(self._lanes))
        for number, lane in enumerate(self._lanes):
            lane.restore({name: self._of(number, name, value) for name, value in state.items()})

    def _of(self, lane: int, name: str, value: Any) -> Any:
        """A lane's part of a counter by machine; the rest is of use to all."""
        if name not in COUNTERS:
            return value
        return {machine: part for machine, part in value.items() if self._lane_of.get(machine) == lane}

    def close(self) -> None:
        """Ends the threads."""
        for pool in self._pools:
            pool.shutdown(cancel_futures=True)

    def _begin(self, readings: Readings) -> list[tuple[Any, Any]]:
        """Each lane's rows and its results, or their future."""
        if not self._pools:
            return [(None, self._lanes[0].score(readings))]
        groups = readings.groups
        rows: dict[int, list[Any]] = {}
        for machine, part in groups:
            lane = self._lane_of.setdefault(machine, len(self._lane_of) % len(self._lanes))
            rows.setdefault(lane, []).append(None if groups.order is None else groups.order[part])
        begun: list[tuple[Any, Any]] = []
        for lane, parts in rows.items():
            index = None if parts[0] is None else np.concatenate(parts)
            mine = readings if index is None else readings.take(index)
            begun.append((index, self._pools[lane].submit(self._lanes[lane].score, mine)))
        return begun

    def _finish(
        self, block: Block, begun: list[tuple[NDArray[np.intp] | None, Any]]
    ) -> tuple[Block, Results]:
        """The lanes' results in the block's own order."""
        found = [(index, part.result() if self._pools else part) for index, part in begun]
        if len(found) == 1 and found[0][0] is None:
            return block, found[0][1]
        rows, sensors = block.readings.values.shape
        expected = np.empty((rows if self._with_expected else 0, sensors), np.float32)
        score, severity = np.empty((2, rows), np.float32)
        errors = np.empty((rows, sensors), np.float32)
        verdicts, reasons = np.empty((2, rows), np.int8)
        for index, part in found:
            score[index], severity[index], errors[index] = (
                part.scores.score,
                part.severity,
                part.scores.errors,
            )
            verdicts[index], reasons[index] = part.verdicts, part.reasons
            if self._with_expected:
                expected[index] = part.scores.expected
        return block, Results(block.readings, Scores(score, errors, expected), severity, verdicts, reasons)
