"""Simple detectors to compare with: what a detector with training has to beat.

`limits.py` needs no data, those of `by_row.py` look at a row alone, and those of `in_order.py` at the rows
before it as well. `base.py` is what they have in common.
"""

from __future__ import annotations

from trainer.evaluation.baselines.base import Baseline, FittedBaseline
from trainer.evaluation.baselines.by_row import IsolationForest, Mahalanobis, MaxZ, PcaQ, PcaT2, SumZ
from trainer.evaluation.baselines.in_order import Autoregression, Mewma
from trainer.evaluation.baselines.limits import FixedLimits

__all__ = [
    "FITTED",
    "Autoregression",
    "Baseline",
    "FittedBaseline",
    "FixedLimits",
    "IsolationForest",
    "Mahalanobis",
    "MaxZ",
    "Mewma",
    "PcaQ",
    "PcaT2",
    "SumZ",
]

FITTED: tuple[type[FittedBaseline], ...] = (
    MaxZ,
    SumZ,
    PcaT2,
    PcaQ,
    Mahalanobis,
    IsolationForest,
    Mewma,
    Autoregression,
)
