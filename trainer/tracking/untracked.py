"""The run that is recorded nowhere."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from edge_runtime.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

__all__ = ["NoTracker"]


class NoTracker:
    """A tracker that records nothing: for a run without MLflow."""

    run_id: str | None = None

    def __enter__(self) -> NoTracker:  # noqa: PYI034 - as the tracker
        """Starts nothing."""
        return self

    def __exit__(self, *_: object) -> None:
        """Ends nothing."""

    def log_params(self, params: Mapping[str, Any]) -> None:
        """Nothing."""

    def log_epoch(self, epoch: int, metrics: Mapping[str, float]) -> None:
        """Nothing."""

    def log_metrics(self, metrics: Mapping[str, float]) -> None:
        """Nothing."""

    def expect(self, name: str) -> None:
        """As `register`."""
        self.register(name)

    def set_tag(self, key: str, value: str) -> None:
        """Nothing."""

    def log_folder(self, path: Path, artifact_path: str) -> None:
        """Nothing."""

    def log_file(self, path: Path, artifact_path: str | None = None) -> None:
        """Nothing."""

    def register(self, name: str, *, champion: bool = False) -> str:  # noqa: ARG002 - as the tracker
        """Nothing can be registered.

        Raises:
            UsageError: Always.
        """
        raise UsageError("registering a model requires MLflow, which is off", where=name)
