"""Columns of an answer to rows of readings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from edge_runtime.errors import SourceError
from edge_runtime.records import Readings

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from numpy.typing import NDArray

__all__ = ["numbers", "sensor_values", "whole_rows"]

_NUMBERS = {float, int, type(None)}


def sensor_values(columns: Sequence[Sequence[Any]], names: Sequence[str], where: str) -> NDArray[np.float32]:
    """[rows, sensors] out of one column a sensor; NaN where there is no value.

    Raises:
        SourceError: A value is not a number.
    """
    wide = np.stack(
        [numbers(column, name, where) for column, name in zip(columns, names, strict=True)], axis=1
    )
    with np.errstate(over="ignore"):  # what float32 cannot hold is infinite, and found to be not finite later
        return wide.astype(np.float32)


def numbers(column: Sequence[Any], sensor: str, where: str) -> NDArray[np.float64]:
    """A column of JSON values; NaN where there is none. numpy alone would take "1.5" and true for numbers.

    Raises:
        SourceError: A value is not a number.
    """
    strangers = set(map(type, column)) - _NUMBERS
    if strangers:
        kind = {str: "text", bool: "booleans"}.get(strangers.pop(), "something else")
        raise SourceError(f"field '{sensor}' holds {kind}, not numbers", where=where)
    return np.asarray(column, np.float64)


def whole_rows(blocks: Iterable[Readings]) -> Iterator[Readings]:
    """The same rows, one for each machine and time.

    A measurement with more tags than the machine's gives several rows for one machine and time, each with
    gaps where the others have values. They become one; where two have a value, the first one stays. Blocks
    end between two times, so that the rows of one time are always in one block.
    """
    pending: Readings | None = None
    for block in blocks:
        if pending is None:
            pending = block
            continue
        cut = int(np.searchsorted(pending.times, pending.times[-1]))
        if cut:
            yield _merged(pending.take(slice(0, cut)))
        pending = Readings.joined([pending.take(slice(cut, None)), block])
    if pending is not None:
        yield _merged(pending)


def _merged(block: Readings) -> Readings:
    if (np.diff(block.times) > 0).all():
        return block
    codes = block.dictionary[1]
    order = np.lexsort((codes, block.times))
    repeats = (np.diff(block.times[order]) == 0) & (np.diff(codes[order]) == 0)
    if not repeats.any():
        return block
    rows = block.take(order)
    starts = np.flatnonzero(np.concatenate([[True], ~repeats]))
    values = rows.values[starts]
    row = np.cumsum(np.concatenate([[0], ~repeats]))
    for repeat in (np.flatnonzero(repeats) + 1).tolist():
        kept = values[row[repeat]]
        gaps = np.isnan(kept)
        kept[gaps] = rows.values[repeat][gaps]
    kept = rows.take(starts)
    return Readings.coded(*kept.dictionary, kept.times, values)
