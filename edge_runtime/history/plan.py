"""The way in which a column of int64 takes fewest bits, for numbers that are noise in their last digits.

A column is its first number and multiples of a common divisor; of these, the distances from their median,
from the median of their frame of 64, or from the number before. A distance is a Rice code (Rice and Plaunt,
1971): its low bits as they are, the rest in unary. That needs no table, and for normal noise takes a quarter
of a bit more than its entropy at most. A distance far beyond the others is stored whole. Arithmetic is modulo
2**64, so any int64 comes back.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["ESCAPE", "FRAME", "LARGEST", "WORD", "Plan", "Way", "planned", "spread"]

FRAME = 64
# Unary codes of so much or more stand for a distance that is stored whole, in a word.
ESCAPE = 24
WORD = 64
LEAST, LARGEST = -(1 << (WORD - 1)), (1 << (WORD - 1)) - 1
# The choice is made by so many numbers, or up to twice as many.
SAMPLE = 1024


class Way(IntEnum):
    """What is stored of the multiples."""

    LINE = 0  # nothing: each is one more than the one before, or the divisor is 0
    MEDIAN = 1
    STEPS = 2
    FRAMES = 3


@dataclass(frozen=True, slots=True)
class Plan:
    """How a column would be stored.

    Attributes:
        bits: How many it takes, about.
        way: What is stored of the multiples.
        first: The first number.
        divisor: Of all numbers less the first.
        centre: What the distances are from, unless there are frames.
        low: How many low bits of a distance are stored as they are.
        distances: [n] with the sign as last bit; None for a line.
        bases: How the medians of the frames would be stored.
    """

    bits: int
    way: Way
    first: int
    divisor: int
    centre: int = 0
    low: int = 0
    distances: NDArray[np.uint64] | None = None
    bases: Plan | None = None


def planned(numbers: NDArray[np.int64]) -> Plan:
    """The way that takes fewest bits for [n] numbers."""
    if not len(numbers):
        return Plan(0, Way.LINE, 0, 0)
    first = int(numbers[0])
    multiples = numbers - numbers[0]
    divisor = 1 if multiples.min() == LEAST else int(np.gcd.reduce(multiples))
    if divisor > 1:
        multiples //= divisor
    steps = multiples.copy()
    steps[1:] -= multiples[:-1]
    if divisor == 0 or (steps[1:] == 1).all():
        return Plan(WORD, Way.LINE, first, divisor)
    step, middle = _median(steps), _median(multiples)
    plans = [
        _with_distances(Plan(WORD, Way.STEPS, first, divisor, step), steps - step),
        _with_distances(Plan(WORD, Way.MEDIAN, first, divisor, middle), multiples - middle),
    ]
    if len(numbers) >= 2 * FRAME:
        whole = len(numbers) // FRAME * FRAME
        medians = np.sort(multiples[:whole].reshape(-1, FRAME), axis=1)[:, FRAME // 2]
        bases = planned(medians)
        frames = Plan(WORD + bases.bits, Way.FRAMES, first, divisor, bases=bases)
        plans.append(_with_distances(frames, multiples - spread(medians, len(numbers))))
    return min(plans, key=lambda plan: plan.bits)


def _median(numbers: NDArray[np.int64]) -> int:
    return int(np.partition(numbers, len(numbers) // 2)[len(numbers) // 2])


def spread(bases: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """The base of each of `count` numbers; an incomplete frame at the end has that of the one before."""
    repeats = np.full(len(bases), FRAME)
    repeats[-1] += count - FRAME * len(bases)
    return np.repeat(bases, repeats)


def _with_distances(plan: Plan, signed: NDArray[np.int64]) -> Plan:
    """The plan with these distances, and with the number of low bits that suits them."""
    distances = ((signed << 1) ^ (signed >> (WORD - 1))).view(np.uint64)
    most = int(distances.max()).bit_length()
    # An odd stride, so that no short period hides from it.
    some = distances[:: len(distances) // SAMPLE | 1]
    count, (half, tenth) = len(some), (len(some) // 2, len(some) * 9 // 10)
    places = np.partition(some, (half, tenth))
    middle, high = int(places[half]).bit_length(), int(places[tenth]).bit_length()
    least, low = count * (most + 1), most
    for bits in {max(0, place - 1) for place in (middle, (middle + high) // 2, high)}:
        unary = some >> np.uint64(bits)
        cost = count * (bits + 1)
        if most - bits >= ESCAPE.bit_length():
            cost += WORD * int(np.count_nonzero(unary >= ESCAPE))
            np.minimum(unary, ESCAPE, out=unary)
        cost += int(unary.sum())
        if cost < least:
            least, low = cost, bits
    total = plan.bits + least * len(distances) // count
    return Plan(total, plan.way, plan.first, plan.divisor, plan.centre, low, distances, plan.bases)
