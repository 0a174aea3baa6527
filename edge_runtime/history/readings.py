"""A column of float32 as integers, exactly, in the way that takes fewest bits.

As decimals, if there is a number of places that gives nearly all readings bit for bit; as the numbers' own
bits, in the order of the numbers; or as places in a table of all that occur, which suits the readings of a
converter of few bits after any calibration. Readings that the chosen way does not give, such as NaN, are
stored whole beside a mask.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from edge_runtime.history.plan import Plan, planned

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from edge_runtime.history.integers import Reader, Writer

__all__ = ["read_column", "write_column"]

# Ways of a column: up to this, decimals of so many places.
MOST_PLACES = 6
BITS, TABLE = 7, 8
POWERS = np.array([10**places for places in range(MOST_PLACES + 1)], np.float64)
# Of so many readings, one may be stored whole.
ODD = 16
# A table has at most one of so many readings, else it saves nothing.
REPEATS = 4
# Bits a reading from which a table is tried.
WORTH_A_TABLE = 6
# Readings by which numbers of places are ruled out.
SAMPLE = 64
# From here on, decimals are closer than float32 are, and the bits may take less.
FLOAT_STEPS = 2.0**23
# Greater integers are not exact as float64.
EXACT = 2.0**52
NAN = 0x7FC00000


class _Column(NamedTuple):
    """A way to store a column of float32."""

    bits: int
    way: int
    odd: NDArray[np.bool_]
    plans: tuple[Plan, ...]
    table: int = 0


def write_column(writer: Writer, values: NDArray[np.float32]) -> None:
    """[rows] float32, of which a NaN is the usual NaN."""
    missing = np.isnan(values)
    bits = np.where(missing, np.uint32(NAN), values.view(np.uint32))
    best = min(_columns(values, bits, missing), key=lambda column: column.bits)
    odd = int(np.count_nonzero(best.odd))
    writer.number(best.way)
    writer.number(odd)
    if odd:
        writer.data(np.packbits(best.odd).tobytes())
        writer.data(bits[best.odd].astype("<u4").tobytes())
    if best.way == TABLE:
        writer.number(best.table)
    for plan in best.plans:
        writer.integers(plan)


def _columns(
    values: NDArray[np.float32], bits: NDArray[np.uint32], missing: NDArray[np.bool_]
) -> Iterator[_Column]:
    """The ways worth a comparison; at least one."""
    decimals, largest = _decimals(values, bits, missing)
    least = 32 * len(values)
    if decimals is not None:
        yield decimals
        least = decimals.bits
    ordered = _ordered(bits.view(np.int32)[~missing])
    if decimals is None or largest >= FLOAT_STEPS:
        plan = planned(ordered)
        yield _Column(plan.bits, BITS, missing, (plan,))
    if least >= WORTH_A_TABLE * len(values):
        table = np.unique(ordered)
        if REPEATS * len(table) <= len(ordered):
            plans = planned(table), planned(np.searchsorted(table, ordered).astype(np.int64))
            yield _Column(plans[0].bits + plans[1].bits, TABLE, missing, plans, len(table))


def _decimals(
    values: NDArray[np.float32], bits: NDArray[np.uint32], missing: NDArray[np.bool_]
) -> tuple[_Column | None, float]:
    """The column as decimals and its largest integer; None if more than a few readings have more places."""
    some = slice(None, None, max(1, len(values) // SAMPLE))
    few = len(values[some]) // ODD
    with np.errstate(invalid="ignore"):
        exact = values.astype(np.float64)
        _, odd = _whole(exact[some], bits[some], POWERS[:, None])
        odd &= ~missing[some]
        for places in np.flatnonzero(np.count_nonzero(odd, axis=1) <= few).tolist():
            numbers, odd = _whole(exact, bits, POWERS[places])
            more = int(np.count_nonzero(odd & ~missing))
            if ODD * more <= len(values):
                numbers = numbers[~odd]
                plan = planned(numbers.astype(np.int64))
                cost = plan.bits + 32 * more + len(values) * bool(more)
                return _Column(cost, places, odd, (plan,)), float(np.abs(numbers).max(initial=0.0))
    return None, 0.0


def _whole(
    exact: NDArray[np.float64], bits: NDArray[np.uint32], power: NDArray[np.float64] | np.float64
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """The readings times a power of ten, whole, and which are odd: the quotient is not the same float32."""
    numbers = np.rint(exact * power) + 0.0  # 0.0 in place of -0.0, which no integer gives
    again = (numbers / power).astype(np.float32).view(np.uint32)
    return numbers, (again != bits) | ~(np.abs(numbers) < EXACT)


def read_column(reader: Reader, count: int) -> NDArray[np.float32]:
    """[count] readings.

    Raises:
        ValueError: The data is not what `write_column` writes.
    """
    way, odd = reader.count(TABLE), reader.count(count)
    if odd:
        mask = np.unpackbits(reader.data(-(-count // 8)), count=count).view(np.bool_)
        whole = reader.data(4 * odd).view("<u4").view(np.float32)
        if np.count_nonzero(mask) != odd:
            raise ValueError("readings are missing")
    if way == TABLE:
        size = reader.count(count)
        table, places = reader.integers(size), reader.integers(count - odd)
        if len(places) and not 0 <= places.min() <= places.max() < size:
            raise ValueError("a reading is not in the table")
        numbers = table[places]
    else:
        numbers = reader.integers(count - odd)
    if way <= MOST_PLACES:
        values: NDArray[np.float32] = (numbers / POWERS[way]).astype(np.float32)
    else:
        values = _ordered(numbers.astype(np.int32)).astype(np.int32).view(np.float32)
    if not odd:
        return values
    column = np.empty(count, np.float32)
    column[mask] = whole
    column[~mask] = values
    return column


def _ordered(bits: NDArray[np.int32]) -> NDArray[np.int64]:
    """The bits of float32 as integers in the numbers' order, and such integers as bits."""
    ordered: NDArray[np.int32] = bits ^ (bits >> 31 & 0x7FFFFFFF)
    return ordered.astype(np.int64)
