"""Real machines and plants: fitted on train, threshold from val, tested on later rows that chose nothing.

The folder holds a folder for each plant, with train, val and test as `edge-train prepare` writes them, or
such as `data/plants` has. Beside the detector stand the simple ones, fitted on the same rows, each twice:
with the percentile of validation alone, and with the same smoothing, margin and hold, so that what is left is
what the score is worth.

Deviations are those of resampled blocks of time and, for the detector, of training seeds as well.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from beside import fitted_judge, held_against, simple_judges, with_spread
from tables import summary

from edge_runtime.errors import InputError
from trainer.data.choice import Columns
from trainer.data.training_data import read_training_data
from trainer.fitting.fit import Settings, fit

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

__all__ = ["by_plant", "measure_plants", "standing"]


def measure_plants(
    folder: Path, settings: list[Settings], percentile: float, say: Callable[[str], None]
) -> dict[str, dict[str, dict[str, float]]]:
    """Plant, and plant and simple detector, to figure to mean and standard deviation.

    Args:
        folder: With a folder for each plant.
        settings: One for each training seed.
        percentile: Of the normal validation rows' scores: the threshold.
        say: Told how far it is.

    Raises:
        InputError: There is no plant.
    """
    plants = sorted(path for path in folder.glob("*/") if any(path.glob("train.*")))
    if not plants:
        raise InputError("no folder with train, val and test in it", where=str(folder))
    found = {}
    for plant in plants:
        data = read_training_data(plant, Columns())
        runs, parameters = [], []
        for each in settings:
            fitted = fit(data, each)
            judged, treatment = fitted_judge(data, fitted, percentile)
            runs.append(judged(data.test))
            parameters.append(float(fitted.parts.network.parameter_count))
        found[plant.name] = with_spread(data.test, runs) | summary(
            [{"parameters": one} for one in parameters]
        )
        for name, judged in simple_judges(data, percentile, treatment).items():
            figures = with_spread(data.test, [judged(data.test)])
            found[f"{plant.name}: {name}"] = figures | summary([{"parameters": 0.0}])
        say(f"plants: {plant.name}")
    return found


def standing(found: dict[str, dict[str, dict[str, float]]]) -> list[str]:
    """On how many plants the detector is the best one, or the worst."""
    return held_against(*by_plant(found))


def by_plant(
    found: dict[str, dict[str, dict[str, float]]],
) -> tuple[dict[str, float], dict[str, dict[str, float]]]:
    """Plant to the F1 of the detector, and to that of each simple one."""
    ours = {name: figures["f1"]["mean"] for name, figures in found.items() if ": " not in name}
    simple: dict[str, dict[str, float]] = {plant: {} for plant in ours}
    for name, figures in found.items():
        plant, colon, method = name.partition(": ")
        if colon:
            simple[plant][method] = figures["f1"]["mean"]
    return ours, simple
