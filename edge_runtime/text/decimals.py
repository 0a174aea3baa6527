"""float32 as the shortest decimals that give the very float32 back: one by one, or thousands at once.

numpy's `str` finds them one by one (Dragon4). Columns are tried with 6 significant digits, then with 7, 8 and
9 where that does not give the number back: 10^d is exact as a float64 for every d in use, and so is the
number of d decimals, so that a reader makes their quotient of the text. Both ways give the same text.
"""

from __future__ import annotations

from functools import cache
from math import isfinite
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

__all__ = ["WORDS", "decimal_words", "decimals"]

# One number: sign, 8 digits, point, 12 decimals, as words of four bytes, with NUL where there is none.
WORDS = 7
# Beyond these, a number may be written with an exponent.
SMALLEST, LARGEST = 1e-4, 1e6
MAX_DECIMALS = 12
FIRST_DIGITS = 6
# Up to so many numbers, one by one is faster.
FEW = 96
TENS = 10.0 ** np.arange(-4, 7)
POWERS = 10.0 ** np.arange(MAX_DECIMALS + 1)
GROUP = 10_000


class _Tables(NamedTuple):
    """A word for each four digits: [GROUP], or [2 GROUP] with a second half for zeros only on the far side.

    Attributes:
        leading: Before the point, the first group: without zeros in front.
        whole: The last one before the point: never empty.
        first: The first one after the point: never empty.
        middle: After the point: without zeros at the end where nothing follows.
        trailing: The last one: without zeros at the end.
    """

    leading: NDArray[np.uint32]
    whole: NDArray[np.uint32]
    first: NDArray[np.uint32]
    middle: NDArray[np.uint32]
    trailing: NDArray[np.uint32]


@cache
def _tables() -> _Tables:
    """Made when first used."""
    digits = np.arange(GROUP)[:, None] // [1000, 100, 10, 1] % 10
    since, until = (np.maximum.accumulate(part != 0, axis=1) for part in (digits, digits[:, ::-1]))
    last, first = np.array([False, False, False, True]), np.array([True, False, False, False])

    def words(shown: NDArray[np.bool_]) -> NDArray[np.uint32]:
        return np.where(shown, digits + ord("0"), 0).astype(np.uint8).view(np.uint32)[:, 0]

    full, trailing = words(digits >= 0), words(until[:, ::-1])
    return _Tables(
        words(since),
        np.concatenate([full, words(since | last)]),
        np.concatenate([full, words(until[:, ::-1] | first)]),
        np.concatenate([full, trailing]),
        trailing,
    )


def _words(texts: Sequence[bytes]) -> NDArray[np.uint32]:
    return np.frombuffer(b"".join([text.ljust(4, b"\0") for text in texts]), np.uint32)


MINUS, POINT = _words([b"-", b"."]).tolist()


def decimals(numbers: NDArray[np.float32], missing: str = "") -> list[str]:
    """[n] numbers one by one; for a few, the faster way.

    Args:
        numbers: [n] float32.
        missing: What is written where a number is not finite.
    """
    return [str(number) if isfinite(number) else missing for number in numbers]


def decimal_words(numbers: NDArray[np.float32], missing: str = "") -> NDArray[np.uint32]:
    """The same for [n] numbers: [n, WORDS] words of text and NULs.

    Args:
        numbers: [n] float32.
        missing: What is written where a number is not finite, at most 28 letters.
    """
    if len(numbers) <= FEW:
        return _one_by_one(numbers, missing)
    tables = _tables()
    words = np.empty((len(numbers), WORDS), np.uint32)
    size = np.abs(numbers)
    exact = size.astype(np.float64)
    # Zero, too, and what is not a number.
    odd = ~((exact > SMALLEST) & (exact < LARGEST))
    if any_odd := bool(odd.any()):
        exact[odd] = 1.0
        size = exact.astype(np.float32)
    whole, places = _digits(exact, size)
    power = POWERS[places]
    before = np.floor(whole / power)
    after = (whole - before * power) * POWERS[MAX_DECIMALS - places]
    high, low = _split(before, GROUP)
    first, rest = _split(after, GROUP**2)
    second, third = _split(rest, GROUP)
    words[:, 0] = np.where(numbers < 0, MINUS, 0)
    words[:, 1] = tables.leading[high.astype(np.intp)]
    words[:, 2] = tables.whole[(low + GROUP * (high == 0)).astype(np.intp)]
    words[:, 3] = POINT
    words[:, 4] = tables.first[(first + GROUP * (rest == 0)).astype(np.intp)]
    words[:, 5] = tables.middle[(second + GROUP * (third == 0)).astype(np.intp)]
    words[:, 6] = tables.trailing[third.astype(np.intp)]
    if any_odd:
        words[odd] = _one_by_one(numbers[odd], missing)
    return words


def _one_by_one(numbers: NDArray[np.float32], missing: str) -> NDArray[np.uint32]:
    texts = [text.encode().ljust(4 * WORDS, b"\0") for text in decimals(numbers, missing)]
    return np.frombuffer(b"".join(texts), np.uint32).reshape(-1, WORDS)


def _digits(
    exact: NDArray[np.float64], size: NDArray[np.float32]
) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
    """Each number times a power of ten, whole, and that power."""
    places = np.maximum(FIRST_DIGITS + 4 - np.searchsorted(TENS, exact, side="right"), 0)
    power = POWERS[places]
    whole = np.rint(exact * power)
    wrong = np.flatnonzero(((whole / power).astype(np.float32) != size) & (places < MAX_DECIMALS))
    while len(wrong):
        more = places[wrong] + 1
        power = POWERS[more]
        better = np.rint(exact[wrong] * power)
        places[wrong], whole[wrong] = more, better
        wrong = wrong[((better / power).astype(np.float32) != size[wrong]) & (more < MAX_DECIMALS)]
    return whole, places


def _split(numbers: NDArray[np.float64], unit: int) -> tuple[NDArray[np.float64], NDArray[Any]]:
    """Whole numbers by a unit, and what is left."""
    found = np.floor(numbers / unit)
    return found, numbers - found * unit
