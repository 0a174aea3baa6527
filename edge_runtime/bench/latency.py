"""How long calls take: one at a time, each measured by itself, compared within the same moments.

The garbage collector stays on, as it is in a running gateway, so that its pauses are in the tail. Contestants
take turns in short slices, so that whatever else the machine does meets them all alike and their ratio holds.
"""

from __future__ import annotations

import gc
import time
from array import array
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

__all__ = ["Latency", "Rounds", "durations_in_turns", "measure_in_turns"]

SLICE = 50
WARM_UP_CALLS = 500
WARM_UP_S = 0.1
NS_PER_US = 1e3


@dataclass(frozen=True, slots=True)
class Rounds:
    """How long to measure: until the first of the two is reached, but one slice at least.

    Attributes:
        seconds: Time for all contestants together.
        calls: Number of calls of each; None for as many as the time allows.
        slice_calls: Number of calls that one contestant makes before the next has its turn.
        warm_up_s: Longest warm-up of each.
    """

    seconds: float
    calls: int | None = None
    slice_calls: int = SLICE
    warm_up_s: float = WARM_UP_S

    def __post_init__(self) -> None:
        if self.seconds <= 0 or self.slice_calls < 1 or (self.calls is not None and self.calls < 1):
            raise ValueError(f"a measurement needs some time and some calls, not {self}")


@dataclass(frozen=True, slots=True)
class Latency:
    """The distribution of single calls' durations, in microseconds."""

    calls: int
    mean: float
    p50: float
    p90: float
    p99: float
    p99_9: float
    max: float

    @classmethod
    def of(cls, nanoseconds: NDArray[np.int64]) -> Latency:
        """Summarises durations."""
        figures = [nanoseconds.mean(), *np.quantile(nanoseconds, (0.5, 0.9, 0.99, 0.999, 1.0))]
        return cls(len(nanoseconds), *(round(float(figure) / NS_PER_US, 3) for figure in figures))


def measure_in_turns(contestants: Sequence[Callable[[int], object]], rounds: Rounds) -> list[Latency]:
    """Measures several calls in turns, as `durations_in_turns` does.

    Returns:
        One latency for each contestant, in the same order.
    """
    return [Latency.of(found) for found in durations_in_turns(contestants, rounds)]


def durations_in_turns(
    contestants: Sequence[Callable[[int], object]], rounds: Rounds
) -> list[NDArray[np.int64]]:
    """Measures several calls in turns, after a warm-up that is not counted.

    Args:
        contestants: Each is called with 0, 1, 2, … so that it can take another row each time.
        rounds: How long.

    Returns:
        [calls] nanoseconds for each contestant, in the same order.
    """
    durations = [array("q") for _ in contestants]
    clock = time.perf_counter_ns
    for call in contestants:
        enough = clock() + int(rounds.warm_up_s * 1e9)
        for i in range(WARM_UP_CALLS):
            call(i)
            if clock() > enough:
                break
    gc.collect()
    until = clock() + int(rounds.seconds * 1e9)
    calls = 0
    while calls == 0 or (clock() < until and (rounds.calls is None or calls < rounds.calls)):
        take = rounds.slice_calls if rounds.calls is None else min(rounds.slice_calls, rounds.calls - calls)
        for call, found in zip(contestants, durations, strict=True):
            for i in range(calls, calls + take):
                start = clock()
                call(i)
                found.append(clock() - start)
        calls += take
    return [np.asarray(found, np.int64) for found in durations]
