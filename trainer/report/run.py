"""What `edge-train fit` left in its folder, as far as the report needs it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from edge_runtime.errors import InputError, UsageError
from trainer.experiment.checkpoint import Checkpoint

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Run"]


@dataclass(frozen=True, slots=True)
class Run:
    """A finished run.

    Attributes:
        name: The folder's.
        checkpoint: The trained detector.
        metrics: What metrics.json holds; empty where there is none.
    """

    name: str
    checkpoint: Checkpoint
    metrics: dict[str, Any]

    @staticmethod
    def load(folder: Path) -> Run:
        """Reads the folder of a fit, or its checkpoint alone.

        Raises:
            UsageError: There is no such folder.
            TrainingError: It holds no checkpoint, or a damaged one.
            InputError: metrics.json cannot be read.
        """
        if not folder.is_dir():
            raise UsageError(
                "no such folder", where=f"--fit {folder}", hint="create it with 'edge-train fit'"
            )
        inner = folder / "checkpoint"
        checkpoint = Checkpoint.load(inner if inner.is_dir() else folder)
        return Run(folder.resolve().name, checkpoint, _metrics(folder / "metrics.json"))


def _metrics(path: Path) -> dict[str, Any]:
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise InputError(f"cannot be read ({error})", where=str(path)) from None
    if not isinstance(document, dict):
        raise InputError("not a JSON object", where=str(path), hint="run 'edge-train fit' again")
    return document
