"""MLflow's client, quiet, and with this project's errors."""

from __future__ import annotations

import logging
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from edge_runtime.errors import EdgeDetectError, MissingExtraError, TrainingError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trainer.tracking.names import Store

__all__ = ["UNKNOWN", "answering", "make_client"]

# MLflow's error codes of what is not there.
UNKNOWN = {"RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE", "NOT_FOUND"}
QUIET = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_LOGGING_LEVEL": "WARNING",
    # A server that does not answer is told of within a minute, not within MLflow's quarter of an hour.
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "15",
}


def make_client(store: Store) -> Any:
    """MLflow's client, which says nothing of itself to anybody."""
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    for name in ("alembic", "sqlalchemy", "mlflow"):
        logging.getLogger(name).setLevel(logging.WARNING)
    try:
        from mlflow import MlflowClient  # noqa: PLC0415
    except ImportError:
        raise MissingExtraError("recording runs with MLflow", "workstation") from None
    with answering(store):
        return MlflowClient(store.uri, store.uri)


@contextmanager
def answering(store: Store) -> Iterator[None]:
    """Turns what MLflow raises into this project's errors."""
    from mlflow.exceptions import MlflowException  # noqa: PLC0415

    try:
        yield
    except EdgeDetectError:
        raise
    except MlflowException as error:
        reason = str(error).splitlines()[0].replace(store.uri, store.shown)
        raise TrainingError(
            f"MLflow failed ({reason[:300]})",
            where=store.shown,
            hint="see that it is running and let you in, or train with --no-mlflow",
        ) from None
