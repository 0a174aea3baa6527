"""Where a model to export lies: a checkpoint folder, an MLflow run, or a name in the model registry."""

from __future__ import annotations

import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from edge_runtime.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Resolved", "resolve"]

SCHEMES = ("runs:/", "models:/")


@dataclass(frozen=True, slots=True)
class Resolved:
    """A checkpoint on this disk.

    Attributes:
        folder: What `Checkpoint.save` wrote.
        run_id: The MLflow run it comes from; None for a folder that was named itself.
        created: When that run started, ISO 8601 UTC.
    """

    folder: Path
    run_id: str | None = None
    created: str | None = None


@contextmanager
def resolve(source: str, tracking_uri: str | None = None) -> Iterator[Resolved]:
    """The checkpoint that a source names; what had to be downloaded is removed afterwards.

    Args:
        source: A folder; else a run id, `runs:/ID`, `models:/NAME/VERSION`, `models:/NAME@ALIAS` or a name.
        tracking_uri: Of MLflow; None for the trainer's default.

    Raises:
        UsageError: It names nothing.
        TrainingError: The run holds no checkpoint.
    """
    folder = Path(source)
    if folder.is_dir():
        yield Resolved(folder)
        return
    if folder.is_file() or ("/" in source and not source.startswith(SCHEMES)):
        raise UsageError(
            "no such folder",
            where=source,
            hint="name a checkpoint folder, an MLflow run or models:/NAME/VERSION",
        )
    from trainer.tracking import fetch_checkpoint  # noqa: PLC0415 - imports mlflow, which takes seconds

    with tempfile.TemporaryDirectory(prefix="edge-export-") as scratch:
        fetched = fetch_checkpoint(source, tracking_uri, Path(scratch))
        yield Resolved(fetched.folder, fetched.run_id, fetched.created)
