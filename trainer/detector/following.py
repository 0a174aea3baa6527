"""The baseline that each row of one machine is judged with, as the runtime moves it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch

from edge_runtime.scoring.baseline import MachineBaseline

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edge_runtime.bundle.judging import Baseline, BaselineState

__all__ = ["Following", "Levels"]


class Levels(NamedTuple):
    """What rows are judged with.

    Attributes:
        baseline: [1 or rows, columns].
        bound: [1 or rows, columns].
    """

    baseline: torch.Tensor
    bound: torch.Tensor


class Following:
    """Follows the levels of one machine, block after block.

    Args:
        baseline: How.
        start: Where it stands before the first row; None for where every machine begins.
    """

    def __init__(self, baseline: Baseline, start: BaselineState | None = None) -> None:
        self._machine = MachineBaseline(baseline)
        if start is not None:
            self._machine.go_on(start)

    def state(self) -> BaselineState:
        """Where the baseline stands."""
        return self._machine.state()

    def follow(self, residuals: NDArray[np.float32]) -> Levels:
        """What each of the next rows, [rows, columns], all finite, is judged with."""
        found = np.empty_like(residuals), np.empty_like(residuals)
        first = 0
        while first < len(residuals):
            stop = min(len(residuals), first + self._machine.room)
            for column, value in zip(found, self._machine.given, strict=True):
                column[first:stop] = value
            self._machine.add(residuals[first:stop])
            first = stop
        return Levels(*map(torch.from_numpy, found))
