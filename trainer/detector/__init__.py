"""What computes scores: the scaler, what the network is shown, and what becomes of its residuals."""

from __future__ import annotations

from trainer.detector.fusion import TINY
from trainer.detector.module import BLOCK, Detector

__all__ = ["BLOCK", "TINY", "Detector"]
