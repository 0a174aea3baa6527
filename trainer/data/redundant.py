"""Sensors that say nothing, or nothing of their own: what never moves, and what repeats another."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edge_runtime.errors import listed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from trainer.data.split import Split

__all__ = ["doubts_about_sensors", "moving"]

# Rows that are looked at; of more, every second, third and so on.
MAX_ROWS = 50_000
MIN_ROWS = 32
# Of a sensor's variance: what another one leaves unexplained of a copy.
COPY = 1e-4
NEVER_MOVE = ("never move", "them", "they move")


def moving(rows: NDArray[np.floating]) -> NDArray[np.bool_]:
    """[sensors] which of them move in [rows, sensors] readings."""
    found: NDArray[np.bool_] = np.ptp(rows, axis=0) > 0
    return found


def doubts_about_sensors(train: Split, sensors: Sequence[str]) -> list[str]:
    """Sentences on the sensors that never move in the normal training rows, and on copies of others.

    Args:
        train: What is learnt from.
        sensors: Their names.
    """
    rows = train.normal_values[:: 1 + len(train.normal_values) // MAX_ROWS].astype(np.float64)
    if len(rows) < MIN_ROWS:
        return []
    moves = moving(train.normal_values)
    named = np.asarray(sensors)
    found = []
    if len(still := named[~moves].tolist()):
        never, them, they = ("never moves", "it", "it moves") if len(still) == 1 else NEVER_MOVE
        found.append(
            f"{listed(still)} {never} in training and will have no part in the score: leave {them} out with "
            f"--sensor, or train on a history in which {they}"
        )
    if copies := _copies(rows[:, moves], named[moves].tolist()):
        pairs = listed(f"{copy} repeats {first}" for copy, first in copies)
        found.append(f"{pairs} but for scale and offset, so small differences between them say nothing")
    return found


def _copies(rows: NDArray[np.float64], sensors: Sequence[str]) -> list[tuple[str, str]]:
    """Pairs of a copy and the first sensor that it repeats."""
    spread = rows.std(0)
    usable = spread > 0
    scaled = np.where(usable, (rows - rows.mean(0)) / np.where(usable, spread, 1.0), 0.0)
    alike = (scaled.T @ scaled / len(rows)) ** 2
    found = []
    for place, name in enumerate(sensors):
        firsts = np.flatnonzero(alike[place, :place] >= 1 - COPY)
        if len(firsts):
            found.append((name, sensors[int(firsts[0])]))
    return found
