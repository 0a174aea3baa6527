"""Training, validation and test as three stretches of time, in this order, with a gap between them."""

from __future__ import annotations

from dataclasses import dataclass

from edge_runtime.errors import InputError, UsageError

__all__ = ["SPLITS", "Shares", "Stretch", "cut"]

SPLITS = ("train", "val", "test")


@dataclass(frozen=True, slots=True)
class Shares:
    """Parts of the whole stretch of time, summing to 1."""

    train: float
    val: float
    test: float

    @staticmethod
    def parse(text: str) -> Shares:
        """Reads three percentages such as "70/15/15".

        Raises:
            UsageError: Not three positive numbers that sum to 100.
        """
        try:
            parts = [float(part) for part in text.split("/")]
        except ValueError:
            parts = []
        if len(parts) != len(SPLITS) or min(parts) <= 0 or abs(sum(parts) - 100.0) > 1e-6:  # noqa: PLR2004
            raise UsageError(
                f"'{text}' is not a split",
                where="--split",
                hint="give three positive percentages that sum to 100, such as 70/15/15",
            )
        return Shares(*(part / 100.0 for part in parts))


@dataclass(frozen=True, slots=True)
class Stretch:
    """A split's rows: those with `start_ns` <= time < `stop_ns`."""

    name: str
    start_ns: int
    stop_ns: int


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
