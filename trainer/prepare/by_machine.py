"""Which machines go to training, which to validation and which to test, where whole machines are split."""

from __future__ import annotations

import hashlib
from collections import Counter
from typing import TYPE_CHECKING

import numpy as np

from edge_runtime.errors import InputError, listed
from trainer.prepare.origin import distinct
from trainer.prepare.splits import SPLITS, Shares, Stretch

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    from trainer.prepare.excluded import Excluded
    from trainer.prepare.origin import Origin

__all__ = ["complete_rows", "deal", "stretches_of"]

# The circle of machines is begun at so many of them at most.
MAX_STARTS = 64
# A later start must bring the shares nearer by this part of all rows.
WORTH = 0.05


def complete_rows(
    origin: Origin, extent: tuple[int, int], excluded: Excluded, progress: Callable[[int], None]
) -> Counter[str]:
    """Reads an origin once for the number of each machine's rows that something can be learnt from.

    Those are the rows with a reading of every sensor that are neither anomalous, as far as they carry labels
    themselves, nor ignored. Nothing else is kept of a page.

    Args:
        origin: Where the rows come from.
        extent: Times of the origin's first and last row, nanoseconds.
        excluded: Rows that are ignored.
        progress: Called with the nanoseconds of history just covered.
    """
    counts: Counter[str] = Counter()
    covered = extent[0]
    for page in origin.pages(extent[0], extent[1] + 1):
        rows, _, _ = distinct(page)
        useful = np.isfinite(rows.values).all(1) & ~excluded.rows(rows.times) & ~rows.anomaly
        if rows.ignored is not None:
            useful &= ~rows.ignored
        names, codes = np.unique(rows.machines, return_inverse=True)
        number = np.bincount(codes[useful], minlength=len(names))
        for name, count in zip(names.tolist(), number.tolist(), strict=True):
            counts[name] += count
        progress(int(rows.times[-1]) - covered)
        covered = int(rows.times[-1])
    return counts


def deal(rows: Mapping[str, int], shares: Shares) -> dict[str, frozenset[str]]:
    """Split to its machines, at least one each, so that the splits' shares of the rows come near the wanted.

    The machines stand in a circle in the order of the SHA-256 of their ids. From one of them on, the first
    are training's, the next validation's and the last the test's; the two cuts are where the shares are
    nearest. So the choice has nothing to do with how ids, readings or times are ordered, and stays as it is
    when all machines go on to bring rows: a machine changes its split only near a cut, where the shares of
    others moved or a machine came in. The circle begins at the first machine, unless the shares come nearer
    by more than 5 % of the rows from another one on, as where one machine has half of the rows.

    Args:
        rows: Machine to its rows that something can be learnt from. Those without one are left out.
        shares: The wanted parts of the rows.

    Raises:
        InputError: Fewer than three machines have such rows.
    """
    names = sorted((name for name, count in rows.items() if count), key=_place)
    if len(names) < len(SPLITS):
        there = f" ({listed(sorted(names))})" if names else ""
        raise InputError(
            f"{len(names)} of {len(rows)} machines{there} have rows with a reading of every sensor, and a "
            "split by machine needs at least 3",
            hint="take more machines, leave out sensors that they lack, or split by time: --split 70/15/15",
        )
    parts = np.array([rows[name] for name in names], np.float64)
    parts /= parts.sum()
    starts = range(min(len(names), MAX_STARTS))
    cuts = [_cuts(np.roll(parts, -start), shares) for start in starts]
    nearest = min(away for away, _, _ in cuts)
    start = next(start for start in starts if cuts[start][0] <= nearest + WORTH)
    _, val, test = cuts[start]
    circle = names[start:] + names[:start]
    groups = (circle[:val], circle[val:test], circle[test:])
    return {split: frozenset(group) for split, group in zip(SPLITS, groups, strict=True)}


def stretches_of(
    groups: Mapping[str, frozenset[str]], extent: tuple[int, int]
) -> tuple[Stretch, Stretch, Stretch]:
    """The splits over the whole range: training has every machine that is of neither of the others.

    Args:
        groups: As `deal` gave them.
        extent: Times of the first and the last row, nanoseconds.
    """
    first, stop = extent[0], extent[1] + 1
    return (
        Stretch("train", first, stop, without=groups["val"] | groups["test"]),
        Stretch("val", first, stop, only=groups["val"]),
        Stretch("test", first, stop, only=groups["test"]),
    )


def _place(name: str) -> bytes:
    """Where a machine stands in the circle."""
    return hashlib.sha256(name.encode("utf-8", "surrogatepass")).digest()


def _cuts(parts: NDArray[np.float64], shares: Shares) -> tuple[float, int, int]:
    """Where validation and test begin, and by how much the share is off that is furthest off."""
    ends = np.append(0.0, np.cumsum(parts))
    last = len(parts)
    val = 1 + int(np.argmin(np.abs(ends[1 : last - 1] - shares.train)))
    test = val + 1 + int(np.argmin(np.abs(ends[val + 1 : last] - shares.train - shares.val)))
    found = np.diff(ends[[0, val, test, last]])
    return float(np.abs(found - (shares.train, shares.val, shares.test)).max()), val, test
