"""MLflow: runs recorded, models registered, fetched and promoted. The only folder that imports mlflow."""

from __future__ import annotations

from trainer.tracking.models import FetchedRun, Promoted, fetch_checkpoint, promote
from trainer.tracking.run import Tracker
from trainer.tracking.untracked import NoTracker

__all__ = ["FetchedRun", "NoTracker", "Promoted", "Tracker", "fetch_checkpoint", "promote"]
