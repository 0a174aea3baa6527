"""Faults that a detector barely finds, put into calm time: what a delay of alarms would lose first.

They are those of `trainer.evaluation.injected` at full strength, a half and a quarter of it, five minutes of
rows apart, so that an alarm about one of them has the time to return before the next. One that begins where
the same rows are not calm without it is left out: no accident counts as a finding.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from edge_runtime.errors import TrainingError
from trainer.calibration.alarm_counts import judged_machines
from trainer.data.stretches import Stretch
from trainer.evaluation.injected import FAULTS, LENGTH, inject

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from edge_runtime.bundle.metadata import Threshold
    from trainer.calibration.alarm_counts import JudgedMachine
    from trainer.data.split import Split
    from trainer.detector import Detector
    from trainer.evaluation.injected import Injected

__all__ = ["weak_faults"]

STRENGTHS = (1.0, 0.5, 0.25)
# With less room than for so many, each place gets every kind of fault, one after the other.
ENOUGH = 60


def weak_faults(
    split: Split,
    normal_values: NDArray[np.float32],
    detector: Detector,
    threshold: Threshold,
    calm: Sequence[JudgedMachine],
    reach: int,
) -> list[JudgedMachine]:
    """The machines with faults, judged, once for each way to break them; none where there is no room.

    Args:
        split: Rows to break; those that are labelled or ignored stay as they are.
        normal_values: [rows, sensors] of training, for each sensor's standard deviation.
        detector: What scores them.
        threshold: When a row is anomalous.
        calm: The same rows, judged as they are.
        reach: For how long before a fault they must be calm, ns.
    """
    try:
        mixed = inject(split, normal_values, None)
    except TrainingError:  # no minute of normal rows in a row
        return []
    ways = [mixed]
    if len(mixed.starts) < ENOUGH:
        ways = [inject(split, normal_values, fault) for fault in FAULTS]
    order = np.lexsort((split.times, split.machines))
    values, without = split.values[order], {machine.name: machine for machine in calm}
    found = []
    for injected in ways:
        for turn in range(min(2, len(injected.starts))):
            starts = injected.starts[turn::2]
            broken = np.zeros(len(values), np.bool_)
            broken[(starts[:, None] + np.arange(LENGTH)).ravel()] = True
            faults = _faults(injected, starts)
            for strength in STRENGTHS:
                change = (injected.split.values - values) * np.float32(strength)
                rows = replace(injected.split, values=np.where(broken[:, None], values + change, values))
                found += [
                    replace(
                        machine, faults=_in_calm(faults.get(machine.name, []), without[machine.name], reach)
                    )
                    for machine in judged_machines(rows, detector, threshold)
                ]
    return found


def _faults(injected: Injected, starts: NDArray[np.intp]) -> dict[str, list[Stretch]]:
    """Machine to its faults."""
    split, found = injected.split, dict[str, list[Stretch]]()
    for first in starts.tolist():
        machine = str(split.machines[first])
        fault = Stretch(machine, int(split.times[first]), int(split.times[first + LENGTH - 1]))
        found.setdefault(machine, []).append(fault)
    return found


def _in_calm(faults: Sequence[Stretch], calm: JudgedMachine, reach: int) -> tuple[Stretch, ...]:
    """The faults in which, and up to `reach` before which, no row is anomalous without them."""
    flagged = calm.runs.times[calm.runs.anomalous]
    starts = np.array([fault.start for fault in faults], np.int64)
    stops = np.array([fault.stop for fault in faults], np.int64)
    quiet = np.searchsorted(flagged, starts - reach) == np.searchsorted(flagged, stops, "right")
    return tuple(fault for fault, fine in zip(faults, quiet.tolist(), strict=True) if fine)
