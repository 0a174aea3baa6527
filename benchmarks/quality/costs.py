"""What a row costs on a gateway, each recipe beside the plain autoencoder.

Every recipe is trained for an epoch, which decides nothing about its time, exported, and run one row a call,
in turns with the others, on the same rows; a ratio is of the medians. The first column is ONNX Runtime alone,
the second the whole scoring path.
"""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from hydraulic import CYCLE
from simulated import read_simulated

from edge_runtime import Engine, Readings, load_bundle
from edge_runtime.bench.latency import Rounds, measure_in_turns
from edge_runtime.bench.rows import rising
from edge_runtime.scoring.baseline import no_baseline
from edge_runtime.scoring.inference import infer, initial_state, seconds_of_day
from trainer.experiment.plan import Plan
from trainer.experiment.run import run_fit
from trainer.fitting.fit import Settings
from trainer.fitting.recipes import RECIPES
from trainer.tracking import NoTracker

if TYPE_CHECKING:
    from collections.abc import Callable

    from trainer.data.training_data import TrainingData

__all__ = ["measure_costs"]

SECONDS = 60.0
ROWS = 64


def measure_costs(
    folder: Path, _settings: list[Settings], _percentile: float, say: Callable[[str], None]
) -> dict[str, dict[str, dict[str, float]]]:
    """Recipe to its time per row, in parts of the plain one's.

    Args:
        folder: As for the simulated files, of which train and val are used.
        say: Told how far it is.

    Raises:
        InputError: A file is missing.
    """
    data = read_simulated(folder, "2")[0]
    kinds = {name: Settings(epochs=1, **recipe.settings) for name, recipe in RECIPES.items()}
    kinds["phase and row before"] = replace(CYCLE, epochs=1)
    calls: list[Callable[[int], Any]] = []
    for name, settings in kinds.items():
        calls += _calls(data, settings)
        say(f"costs: {name}")
    medians = [found.p50 for found in measure_in_turns(calls, Rounds(SECONDS, None))]
    plain = list(kinds).index("plain")
    return {
        name: {
            figure: {"mean": medians[2 * i + j] / medians[2 * plain + j], "sd": 0.0}
            for j, figure in enumerate(("onnx_runtime", "scorer"))
        }
        for i, name in enumerate(kinds)
    }


def _calls(data: TrainingData, settings: Settings) -> list[Callable[[int], Any]]:
    """One row through ONNX Runtime alone, and through the engine."""
    with tempfile.TemporaryDirectory() as scratch:
        plan = Plan(output=Path(scratch), settings=settings, plots=False)
        bundle = load_bundle(run_fit(data, plan, NoTracker()).bundle)
    values, times = data.val.values[:ROWS], data.val.times[:ROWS]
    model = bundle.metadata.model
    blocks = [Readings(np.array(["m"]), times[i : i + 1], values[i : i + 1]) for i in range(ROWS)]
    seconds = seconds_of_day(times)
    state, slow = initial_state(model), bundle.metadata.baseline
    baseline = None if slow is None else no_baseline(len(slow.spread))

    def alone(i: int) -> Any:
        row = slice(i % ROWS, i % ROWS + 1)
        moment = seconds[row] if model.time_of_day else None
        return infer(bundle.session, values[row], state, moment, baseline)

    return [alone, rising(Engine(bundle).feed, blocks)]
