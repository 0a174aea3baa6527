"""Whether the errors point at the sensor that is broken.

One sensor at a time is broken, as `trainer.evaluation.injected` does it, in rows that are normal otherwise.
Of the faults with a flagged row, it counts whether the sensor with the largest error, summed over the flagged
rows, is the broken one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from simulated import read_simulated
from tables import summary

from trainer.calibration.assess import choose_threshold
from trainer.calibration.calibrate import verdicts
from trainer.evaluation.injected import FAULTS, LENGTH, inject
from trainer.fitting.fit import Settings, fit
from trainer.fitting.recipes import DEFAULT_HOLD

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

__all__ = ["measure_attribution"]


def measure_attribution(
    folder: Path, settings: list[Settings], percentile: float, say: Callable[[str], None]
) -> dict[str, dict[str, dict[str, float]]]:
    """Fault to the parts flagged and rightly attributed: mean and standard deviation over the settings.

    Args:
        folder: As for the simulated files, of which train and val are used.
        settings: One for each training seed.
        percentile: Of the normal validation rows' scores: the threshold.
        say: Told how far it is.

    Raises:
        InputError: A file is missing.
    """
    data = read_simulated(folder, "2")[0]
    normal = data.train.normal_values
    runs: dict[str, list[dict[str, float]]] = {fault: [] for fault in (*FAULTS, "all")}
    for each in settings:
        detector = fit(data, each).detector
        threshold = choose_threshold(
            data.val, detector, "percentile", percentile=percentile, hold=DEFAULT_HOLD
        )
        total = np.zeros(3)
        for fault in FAULTS:
            broken = inject(data.val, normal, fault)
            rows = broken.split
            score, errors, _ = detector.score_rows(rows.values, rows.times, rows.machines)
            flagged = verdicts(score, threshold, rows.times, rows.machines)
            counts = np.zeros(3)
            for start, sensor in zip(broken.starts, broken.sensors, strict=True):
                own = np.arange(start, start + LENGTH)
                own = own[flagged[own]]
                top = -1 if not len(own) else int(np.argmax(errors[own].sum(0)))
                counts += (1, len(own) > 0, top == sensor)
            runs[fault].append(_parts(counts))
            total += counts
        runs["all"].append(_parts(total))
        say(f"attribution: seed {each.seed}")
    return {fault: summary(found) for fault, found in runs.items()}


def _parts(counts: NDArray[np.float64]) -> dict[str, float]:
    faults, flagged, right = counts
    return {
        "faults": float(faults),
        "flagged": flagged / faults,
        "top_sensor_right": right / max(flagged, 1.0),
    }
