"""Where history comes from: pages of rows in the order of time, in bounded memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from trainer.rows import LabelledRows

__all__ = ["PAGE_ROWS", "Origin", "distinct"]

PAGE_ROWS = 50_000


class Origin(Protocol):
    """History of some machines.

    Attributes:
        sensors: The sensors' names, in the order of the columns.
        labelled: Whether its rows carry labels of their own.
    """

    sensors: tuple[str, ...]
    labelled: bool

    def extent(self) -> tuple[int, int]:
        """Times of the first and the last row, nanoseconds.

        Raises:
            InputError: There is no row.
        """
        ...

    def pages(self, start_ns: int, stop_ns: int) -> Iterator[LabelledRows]:
        """The rows with `start_ns` <= time < `stop_ns`, ordered by time and then machine.

        A page ends between two times: rows of one time never come on two pages.
        """
        ...

    def describe(self) -> dict[str, Any]:
        """What was asked of which origin, as JSON-ready values."""
        ...


def distinct(rows: LabelledRows) -> tuple[LabelledRows, int]:
    """The rows by time and machine, the first of each pair alone; and how many were dropped."""
    names, codes = np.unique(rows.machines, return_inverse=True)
    if len(rows) and not _rising(rows.times, codes):
        rows = rows.take(np.lexsort((codes, rows.times)))
        codes = np.searchsorted(names, rows.machines)
    repeats = np.zeros(len(rows), np.bool_)
    repeats[1:] = (rows.times[1:] == rows.times[:-1]) & (codes[1:] == codes[:-1])
    dropped = int(repeats.sum())
    return (rows.take(~repeats) if dropped else rows), dropped


def _rising(times: NDArray[np.int64], codes: NDArray[np.intp]) -> bool:
    later = times[1:] > times[:-1]
    return bool((later | ((times[1:] == times[:-1]) & (codes[1:] >= codes[:-1]))).all())
