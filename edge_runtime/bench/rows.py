"""The rows that are measured with: made up within what the bundle was trained on, the same every time."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edge_runtime.records import Readings

if TYPE_CHECKING:
    from edge_runtime.bundle.metadata import Metadata

__all__ = ["make_rows"]

SEED = 0


def make_rows(metadata: Metadata, rows: int) -> Readings:
    """Consecutive readings of one machine, each sensor spread evenly over its training range."""
    low, high = np.array([sensor.training_range for sensor in metadata.sensors], np.float64).T
    values = np.random.default_rng(SEED).uniform(low, high, (rows, len(low))).astype(np.float32)
    times = np.arange(rows, dtype=np.int64) * int(metadata.cadence_seconds * 1e9)
    return Readings(np.full(rows, "machine-1"), times, values)
