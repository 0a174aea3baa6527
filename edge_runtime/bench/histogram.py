"""A histogram with buckets that grow evenly on a logarithmic scale, twenty to a decade."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Histogram"]

PER_DECADE = 20


@dataclass(frozen=True, slots=True)
class Histogram:
    """How often durations fell into each bucket.

    Attributes:
        edges_us: [buckets + 1] microseconds; a bucket has its lower edge and not its upper one.
        counts: [buckets].
    """

    edges_us: list[float]
    counts: list[int]

    @classmethod
    def of(cls, nanoseconds: NDArray[np.int64]) -> Histogram:
        """Counts [calls] durations; the edges are the same on every machine, and end with what was seen."""
        bucket = np.floor(PER_DECADE * np.log10(np.maximum(nanoseconds, 1) / 1e3)).astype(np.int64)
        first, last = int(bucket.min()), int(bucket.max())
        edges = [_edge(step) for step in range(first, last + 2)]
        return cls(edges, np.bincount(bucket - first, minlength=last - first + 1).tolist())


def _edge(step: int) -> float:
    """Four significant digits, so that the edges read the same in every file."""
    value = 10 ** (step / PER_DECADE)
    return round(value, 3 - math.floor(math.log10(value)))
