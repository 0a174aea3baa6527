"""Sorting more rows than fit in memory: dealt into stretches of time on disk, and read back in turn."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from trainer.data.rows import LabelledRows

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from numpy.typing import NDArray

__all__ = ["sorted_by_time"]


def sorted_by_time(
    pages: Iterable[LabelledRows], edges: NDArray[np.int64], sensors: int
) -> Iterator[LabelledRows]:
    """The same rows in the order of time, one page a stretch; the files are gone when the iterator is.

    Args:
        pages: In any order.
        edges: Rising times at which one stretch ends and the next begins.
        sensors: Number of the rows' columns.
    """
    names: dict[str, int] = {"": 0}
    layout = np.dtype(
        [
            ("time", "i8"),
            ("machine", "i4"),
            ("values", "f8", (sensors,)),
            ("anomaly", "?"),
            ("kind", "i4"),
            ("ignored", "?"),
        ]
    )
    with tempfile.TemporaryDirectory(prefix="edge-train-") as folder:
        buckets = [Path(folder) / str(i) for i in range(len(edges) + 1)]
        for page in pages:
            records = np.empty(len(page), layout)
            records["time"], records["anomaly"] = page.times, page.anomaly
            records["values"] = page.values
            records["ignored"] = False if page.ignored is None else page.ignored
            records["machine"], records["kind"] = _codes(page.machines, names), _codes(page.kinds, names)
            bucket = np.searchsorted(edges, page.times, side="right")
            for i in np.unique(bucket):
                with buckets[i].open("ab") as stream:
                    stream.write(records[bucket == i].tobytes())
        texts = np.array(list(names))
        for path in buckets:
            if not path.exists():
                continue
            records = np.frombuffer(path.read_bytes(), layout)
            records = records[np.argsort(records["time"], kind="stable")]
            yield LabelledRows(
                times=records["time"].copy(),
                machines=texts[records["machine"]],
                values=records["values"].copy(),
                anomaly=records["anomaly"].copy(),
                kinds=texts[records["kind"]],
                ignored=records["ignored"].copy() if records["ignored"].any() else None,
            )


def _codes(texts: NDArray[np.str_], names: dict[str, int]) -> NDArray[np.int32]:
    """Texts as numbers, new ones numbered as they come."""
    values, index = np.unique(texts, return_inverse=True)
    return np.array([names.setdefault(str(value), len(names)) for value in values], np.int32)[index]
