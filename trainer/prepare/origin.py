"""Where history comes from: pages of rows in the order of time, in bounded memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from trainer.data.rows import LabelledRows

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from numpy.typing import NDArray

    from edge_runtime.records import Readings


__all__ = ["LABEL_NAMES", "ONE_MACHINE", "PAGE_ROWS", "Origin", "distinct", "labelled_rows", "whole_times"]

PAGE_ROWS = 50_000
# Columns that label a row and are no sensors.
LABEL_NAMES = ("anomaly", "kind", "label", "changepoint", "is_anomaly")
# The machine of rows that name none.
ONE_MACHINE = "machine"


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

    def warnings(self) -> list[str]:
        """What could not be used of the rows on the pages, in sentences for people."""
        ...


def distinct(rows: LabelledRows) -> tuple[LabelledRows, int, int]:
    """The rows by time and machine, the first of each pair alone; and how many were dropped.

    Those are counted apart that have other readings than the first of their time and machine.
    """
    names, codes = np.unique(rows.machines, return_inverse=True)
    if len(rows) and not _rising(rows.times, codes):
        rows = rows.take(np.lexsort((codes, rows.times)))
        codes = np.searchsorted(names, rows.machines)
    repeats = np.zeros(len(rows), np.bool_)
    repeats[1:] = (rows.times[1:] == rows.times[:-1]) & (codes[1:] == codes[:-1])
    dropped = int(repeats.sum())
    if not dropped:
        return rows, 0, 0
    # Each row's first one of its time and machine is the last that is no repeat.
    first = np.maximum.accumulate(np.where(repeats, 0, np.arange(len(rows))))
    these, others = rows.values[repeats], rows.values[first[repeats]]
    alike = ((these == others) | (np.isnan(these) & np.isnan(others))).all(1)
    conflicting = int((~alike).sum())
    return rows.take(~repeats), dropped - conflicting, conflicting


def labelled_rows(block: Readings) -> LabelledRows:
    """Readings as rows without a label yet."""
    return LabelledRows(
        times=block.times,
        machines=block.machines,
        values=block.values,
        anomaly=np.zeros(len(block), np.bool_),
        kinds=np.full(len(block), ""),
    )


def whole_times(pages: Iterable[LabelledRows]) -> Iterator[LabelledRows]:
    """The same rows on pages of about `PAGE_ROWS` that end between two times; rows must rise in time."""
    held: list[LabelledRows] = []
    rows = 0
    for page in pages:
        if not len(page):
            continue
        held.append(page)
        rows += len(page)
        if rows < PAGE_ROWS:
            continue
        joined = _joined(held)
        # More rows of the last time may be on the next page.
        cut = int(np.searchsorted(joined.times, joined.times[-1]))
        if cut:
            yield joined.take(slice(cut))
        held, rows = [joined.take(slice(cut, None))], len(joined) - cut
    if rows:
        yield _joined(held)


def _joined(pages: list[LabelledRows]) -> LabelledRows:
    if len(pages) == 1:
        return pages[0]
    ignored = [np.zeros(len(p), np.bool_) if p.ignored is None else p.ignored for p in pages]
    return LabelledRows(
        times=np.concatenate([page.times for page in pages]),
        machines=np.concatenate([page.machines for page in pages]),
        values=np.concatenate([page.values for page in pages]),
        anomaly=np.concatenate([page.anomaly for page in pages]),
        kinds=np.concatenate([page.kinds for page in pages]),
        ignored=np.concatenate(ignored) if any(part.any() for part in ignored) else None,
    )


def _rising(times: NDArray[np.int64], codes: NDArray[np.intp]) -> bool:
    later = times[1:] > times[:-1]
    return bool((later | ((times[1:] == times[:-1]) & (codes[1:] >= codes[:-1]))).all())
