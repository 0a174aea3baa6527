"""What speaks against a training, told before and after it; and the option that makes it an error."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from edge_runtime.cli.guard import say

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from trainer.data.training_data import TrainingData

__all__ = ["Strict", "look_at_splits", "warn"]

MOST = 20

Strict = Annotated[
    bool,
    typer.Option(
        "--strict", help="End before training if the tables give reason for a warning, with code 1."
    ),
]


def look_at_splits(
    tables: TrainingData, folder: Path, *, strict: bool, percentile: float | None
) -> tuple[str, ...]:
    """Compares train, val and test, warns of what is implausible on standard error, and returns it.

    Args:
        tables: The splits.
        folder: Where they come from, for the error.
        strict: Whether a warning ends the command.
        percentile: By which the threshold is to be chosen; None for another way.

    Raises:
        TrainingError: There is a warning, and `strict`.
    """
    from edge_runtime.errors import TrainingError
    from trainer.data.plausible import doubts_about_splits
    from trainer.data.redundant import doubts_about_sensors

    found = [*doubts_about_sensors(tables.train, tables.sensors), *doubts_about_splits(tables, percentile)]
    warn(found)
    if found and strict:
        raise TrainingError(
            f"the tables are not plausible: {len(found)} warning{'s' * (len(found) > 1)} above",
            where=str(folder),
            hint="choose another period, leave out sensors with --sensor, or train without --strict",
        )
    return tuple(found)


def warn(doubts: Sequence[str]) -> None:
    """A line each on standard error, of the first few."""
    for doubt in doubts[:MOST]:
        say(f"WARNING: {doubt}")
    if len(doubts) > MOST:
        say(f"WARNING: and {len(doubts) - MOST:,} more")
