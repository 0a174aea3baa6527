"""Sweeps: recipes and other ways to train, tried on validation; the best or the default trained for good."""

from __future__ import annotations

from trainer.sweep.objective import GoalName
from trainer.sweep.results import SweepResults, Tried
from trainer.sweep.run import SweepPlan, Watcher, run_sweep

__all__ = ["GoalName", "SweepPlan", "SweepResults", "Tried", "Watcher", "run_sweep"]
