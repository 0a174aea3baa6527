"""MLflow's client, quiet, and with this project's errors."""

from __future__ import annotations

import logging
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from edge_runtime.errors import EdgeDetectError, MissingExtraError
from trainer.tracking.failures import failed
from trainer.tracking.making import make_whole

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
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_LOGGING_LEVEL": "CRITICAL",  # what it logs, it raises as well
    # A server that does not answer is told of within a minute, not within MLflow's quarter of an hour.
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "15",
}


def make_client(store: Store) -> Any:
    """MLflow's client, which says nothing of itself to anybody.

    A SQLite store that is not there, or only half, is made.

    Raises:
        TrainingError: The store cannot be used.
    """
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    for name in ("alembic", "sqlalchemy"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    try:
        from mlflow import MlflowClient  # noqa: PLC0415
    except ImportError:
        raise MissingExtraError("recording runs with MLflow", "workstation") from None
    make_whole(store)
    with answering(store):
        return MlflowClient(store.uri, store.uri)


@contextmanager
def answering(store: Store) -> Iterator[None]:
    """Turns whatever MLflow raises into this project's errors."""
    try:
        yield
    except EdgeDetectError:
        raise
    except Exception as error:  # noqa: BLE001 - a driver's, a file system's, a server's: all of them end in a line
        raise failed(store, error) from None
