"""The workstation's side: from a machine's history to a detector, a threshold and a bundle.

    from pathlib import Path
    from trainer import Columns, NoTracker, Plan, Settings, read_training_data, run_fit

    data = read_training_data(Path("prepared"), Columns())
    results = run_fit(data, Plan(output=Path("fit"), settings=Settings(seed=1)), NoTracker())
    print(results.table())

The names below are the public interface. They are imported when first used, so that `edge-train --help`
starts without PyTorch and pandas.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from trainer.data.choice import Columns
    from trainer.data.split import Split
    from trainer.data.training_data import TrainingData, read_training_data
    from trainer.detector import Detector
    from trainer.experiment.checkpoint import Checkpoint
    from trainer.experiment.plan import Plan
    from trainer.experiment.results import Results
    from trainer.experiment.run import run_fit
    from trainer.fitting.settings import Settings
    from trainer.tracking import NoTracker, Tracker

__all__ = [
    "Checkpoint",
    "Columns",
    "Detector",
    "NoTracker",
    "Plan",
    "Results",
    "Settings",
    "Split",
    "Tracker",
    "TrainingData",
    "read_training_data",
    "run_fit",
]

_HOMES = {
    "Checkpoint": "trainer.experiment.checkpoint",
    "Columns": "trainer.data.choice",
    "Detector": "trainer.detector",
    "NoTracker": "trainer.tracking",
    "Plan": "trainer.experiment.plan",
    "Results": "trainer.experiment.results",
    "Settings": "trainer.fitting.settings",
    "Split": "trainer.data.split",
    "Tracker": "trainer.tracking",
    "TrainingData": "trainer.data.training_data",
    "read_training_data": "trainer.data.training_data",
    "run_fit": "trainer.experiment.run",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return __all__
