"""MLflow: runs recorded, models registered, fetched and promoted. The only folder that imports mlflow."""

from __future__ import annotations

from trainer.tracking.models import FetchedRun, fetch_checkpoint, promote
from trainer.tracking.registry import Registered
from trainer.tracking.run import NoTracker, Tracker

__all__ = ["FetchedRun", "NoTracker", "Registered", "Tracker", "fetch_checkpoint", "promote"]
