"""What computes scores: the scaler, what the network is shown, and what becomes of its residuals."""

from __future__ import annotations

from trainer.detector.module import BLOCK, TINY, Detector

__all__ = ["BLOCK", "TINY", "Detector"]
