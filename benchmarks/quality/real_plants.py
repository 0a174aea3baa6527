"""Real machines and plants: fitted on train, threshold from val, tested on later rows that chose nothing.

The folder holds a folder for each plant, with train, val and test as `edge-train prepare` writes them, or
such as `data/plants` has. Beside the detector stand the simple ones, fitted on the same rows, each twice:
with the percentile of validation alone, and with the same smoothing, margin and hold, so that what is left is
what the score is worth.

The deviation of the detector's figures is that over training seeds; a simple one has a single run, and its
figures' deviation is from resampled blocks of time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from beside import fitted_judge, held_against, of_rows, simple_judges, spread
from tables import summary

from edge_runtime.errors import InputError
from trainer.data.choice import Columns
from trainer.data.training_data import read_training_data
from trainer.fitting.fit import Settings, fit

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

__all__ = ["measure_plants", "standing"]


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
        runs = []
        for each in settings:
            fitted = fit(data, each)
            judged, treatment = fitted_judge(data, fitted, percentile)
            parameters = float(fitted.parts.network.parameter_count)
            runs.append({**of_rows(data.test, *judged(data.test)), "parameters": parameters})
        found[plant.name] = summary(runs)
        for name, judged in simple_judges(data, percentile, treatment).items():
            scores, flagged = judged(data.test)
            deviations = spread(data.test, scores, flagged)
            found[f"{plant.name}: {name}"] = {
                **{
                    figure: {"mean": mean, "sd": deviations[figure]}
                    for figure, mean in of_rows(data.test, scores, flagged).items()
                },
                "parameters": {"mean": 0.0, "sd": 0.0},
            }
        say(f"plants: {plant.name}")
    return found


def standing(found: dict[str, dict[str, dict[str, float]]]) -> list[str]:
    """On how many plants the detector is the best one, or the worst."""
    ours = {name: figures["f1"]["mean"] for name, figures in found.items() if ": " not in name}
    simple = {
        plant: {
            name.removeprefix(f"{plant}: "): figures["f1"]["mean"]
            for name, figures in found.items()
            if name.startswith(f"{plant}: ")
        }
        for plant in ours
    }
    return held_against(ours, simple)
