"""Training, validation and test as three stretches of time, in this order, with a gap between them.

Or as the rows of different machines over all the time: see `by_machine.py`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from edge_runtime.errors import InputError, UsageError

if TYPE_CHECKING:
    from trainer.data.rows import LabelledRows

__all__ = ["BY_MACHINE", "SPLITS", "Shares", "Stretch", "cut"]

SPLITS = ("train", "val", "test")
BY_MACHINE = "machine"
USUAL = "70/15/15"


@dataclass(frozen=True, slots=True)
class Shares:
    """Parts of the whole, summing to 1.

    Attributes:
        train: Of the stretch of time, or of the rows.
        val: As well.
        test: As well.
        by_machine: Whether each split has machines of its own, over all the time.
    """

    train: float
    val: float
    test: float
    by_machine: bool = False

    @staticmethod
    def parse(text: str) -> Shares:
        """Reads three percentages such as "70/15/15", or "machine" or "machine:70/15/15" for whole machines.

        Raises:
            UsageError: Not three positive numbers that sum to 100.
        """
        way, colon, rest = text.partition(":")
        by_machine = way.strip() == BY_MACHINE
        percentages = (rest if colon else USUAL) if by_machine else text
        try:
            parts = [float(part) for part in percentages.split("/")]
        except ValueError:
            parts = []
        if len(parts) != len(SPLITS) or min(parts) <= 0 or abs(sum(parts) - 100.0) > 1e-6:  # noqa: PLR2004
            raise UsageError(
                f"'{text}' is not a split",
                where="--split",
                hint="give three positive percentages that sum to 100, such as 70/15/15; or machine, or "
                "machine:70/15/15",
            )
        train, val, test = (part / 100.0 for part in parts)
        return Shares(train, val, test, by_machine)


@dataclass(frozen=True, slots=True)
class Stretch:
    """A split's rows: those with `start_ns` <= time < `stop_ns`.

    Attributes:
        name: Of the split.
        start_ns: Its first time.
        stop_ns: The first time after it.
        only: Its machines; None for those of all others.
        without: Machines that are of other splits.
    """

    name: str
    start_ns: int
    stop_ns: int
    only: frozenset[str] | None = None
    without: frozenset[str] = frozenset()

    def take(self, rows: LabelledRows) -> LabelledRows:
        """Those of some rows, which rise in time, that are in the split."""
        low, high = rows.times.searchsorted((self.start_ns, self.stop_ns))
        inside = rows.take(slice(int(low), int(high)))
        if self.only is not None:
            return inside.take(np.isin(inside.machines, list(self.only)))
        return inside.take(~np.isin(inside.machines, list(self.without))) if self.without else inside


def cut(first_ns: int, last_ns: int, shares: Shares, gap_ns: int) -> tuple[Stretch, Stretch, Stretch]:
    """Cuts a stretch of time; each gap is taken from the split that follows it.

    Args:
        first_ns: Time of the first row.
        last_ns: Time of the last row.
        shares: How long each split is.
        gap_ns: Time left out between two splits.

    Raises:
        UsageError: The gap is negative.
        InputError: A split would be no longer than the gap before it.
    """
    if gap_ns < 0:
        raise UsageError("the gap is negative", where="--gap")
    whole = last_ns + 1 - first_ns
    val = first_ns + int(whole * shares.train)
    test = first_ns + int(whole * (shares.train + shares.val))
    stretches = (
        Stretch("train", first_ns, val),
        Stretch("val", val + gap_ns, test),
        Stretch("test", test + gap_ns, last_ns + 1),
    )
    for stretch in stretches:
        if stretch.start_ns >= stretch.stop_ns:
            raise InputError(
                f"{whole / 1e9:.0f} s of rows are too short for a {stretch.name} split",
                hint="take a longer range, another --split or a shorter --gap",
            )
    return stretches
