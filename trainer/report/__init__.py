"""One HTML page for a training run: what it found, what it missed, and what its threshold is worth."""

from __future__ import annotations

from trainer.report.page import build_page
from trainer.report.run import Run

__all__ = ["Run", "build_page"]
