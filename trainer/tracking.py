"""Training runs in MLflow: recorded, registered and fetched again. The only file that imports mlflow."""

from __future__ import annotations

import logging
import os
import re
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from edge_runtime.errors import EdgeDetectError, MissingExtraError, TrainingError, UsageError
from trainer.tracking_names import Source, Store

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path
    from types import TracebackType

__all__ = ["FetchedRun", "NoTracker", "Tracker", "fetch_checkpoint"]

CHECKPOINT = "checkpoint"
FLUSH_SECONDS = 5.0
# Of one request to the store.
MAX_BATCH = 1000
MAX_PARAMS = 100
MAX_TEXT = 5000
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

    def set_tag(self, key: str, value: str) -> None:
        """Nothing."""

    def log_folder(self, path: Path, artifact_path: str) -> None:
        """Nothing."""

    def log_file(self, path: Path, artifact_path: str | None = None) -> None:
        """Nothing."""

    def register(self, name: str, artifact_path: str = CHECKPOINT) -> str:  # noqa: ARG002 - as the tracker
        """Nothing can be registered.

        Raises:
            UsageError: Always.
        """
        raise UsageError("a model is registered with MLflow, which is off", where=name)


class Tracker:
    """One MLflow run, started on entering and ended on leaving: FAILED when by an exception.

    Args:
        tracking_uri: A server or store; None for MLFLOW_TRACKING_URI, else mlflow.db in the current folder.
        experiment: Made when it is not there.
        run_name: None for one of MLflow's.
        clock: Monotonic seconds.

    Raises:
        UsageError: On entering: the address or the experiment cannot be used.
        TrainingError: The store does not answer, or refuses.
    """

    def __init__(
        self,
        tracking_uri: str | None,
        experiment: str,
        run_name: str | None,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = Store.named(tracking_uri)
        self._experiment = experiment
        self._run_name = run_name
        self._clock = clock
        self._client: Any = None
        self._pending: list[Any] = []
        self._flushed = clock()
        self._lost = False
        self.run_id: str | None = None

    def __enter__(self) -> Tracker:  # noqa: PYI034 - final in effect
        self._client = _client(self._store)
        with _answering(self._store):
            run = self._client.create_run(self._experiment_id(), run_name=self._run_name)
            self.run_id = run.info.run_id
        self._flushed = self._clock()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        if kind is None:
            self._flush()
            with _answering(self._store):
                self._client.set_terminated(self.run_id, "FINISHED")
            return
        # What ended the run is what the user must hear of, not that its end could not be told.
        with suppress(Exception):
            self._flush()
        with suppress(Exception):
            self._client.set_terminated(self.run_id, "FAILED" if issubclass(kind, Exception) else "KILLED")

    def log_params(self, params: Mapping[str, Any]) -> None:
        """Records what the run was started with."""
        from mlflow.entities import Param  # noqa: PLC0415

        listed = [Param(key, str(value)[:MAX_TEXT]) for key, value in params.items()]
        with _answering(self._store):
            for start in range(0, len(listed), MAX_PARAMS):
                self._client.log_batch(self.run_id, params=listed[start : start + MAX_PARAMS])

    def log_epoch(self, epoch: int, metrics: Mapping[str, float]) -> None:
        """Records an epoch's figures, some seconds late.

        A store that stops answering costs no training: the figures wait, and the end of the run complains.
        """
        self._add(metrics, epoch)
        if not self._lost and self._clock() - self._flushed >= FLUSH_SECONDS:
            try:
                self._flush()
            except TrainingError:
                self._lost = True

    def log_metrics(self, metrics: Mapping[str, float]) -> None:
        """Records the run's figures."""
        self._add(metrics, 0)
        self._flush()

    def set_tag(self, key: str, value: str) -> None:
        """Records a word on the run."""
        with _answering(self._store):
            self._client.set_tag(self.run_id, key, value[:MAX_TEXT])

    def log_folder(self, path: Path, artifact_path: str) -> None:
        """Keeps what a folder holds, under this path of the run's artifacts."""
        with _answering(self._store):
            self._client.log_artifacts(self.run_id, str(path), artifact_path)

    def log_file(self, path: Path, artifact_path: str | None = None) -> None:
        """Keeps a file, in this folder of the run's artifacts or among the first."""
        with _answering(self._store):
            self._client.log_artifact(self.run_id, str(path), artifact_path)

    def register(self, name: str, artifact_path: str = CHECKPOINT) -> str:
        """Makes the run the newest version of a registered model, made when it is not there.

        Args:
            name: The model's.
            artifact_path: What of the run's artifacts the version stands for.

        Returns:
            The version's number, from "1".
        """
        from mlflow.exceptions import MlflowException  # noqa: PLC0415

        with _answering(self._store):
            try:
                self._client.create_registered_model(name)
            except MlflowException as error:
                if error.error_code != "RESOURCE_ALREADY_EXISTS":
                    raise
            source = f"{self._client.get_run(self.run_id).info.artifact_uri}/{artifact_path}"
            version = self._client.create_model_version(name, source, run_id=self.run_id)
        return str(version.version)

    def _experiment_id(self) -> str:
        from mlflow.exceptions import MlflowException  # noqa: PLC0415

        found = self._client.get_experiment_by_name(self._experiment)
        if found is None:
            try:
                return str(
                    self._client.create_experiment(
                        self._experiment, artifact_location=self._store.artifact_location
                    )
                )
            except MlflowException as error:
                # Another run has made it in between.
                if error.error_code != "RESOURCE_ALREADY_EXISTS":
                    raise
                found = self._client.get_experiment_by_name(self._experiment)
        if found is None or found.lifecycle_stage != "active":
            raise UsageError(
                f"the experiment '{self._experiment}' is deleted",
                where=self._store.shown,
                mend="restore it, or choose another with --experiment",
            )
        return str(found.experiment_id)

    def _add(self, metrics: Mapping[str, float], step: int) -> None:
        from mlflow.entities import Metric  # noqa: PLC0415

        now = int(time.time() * 1000)
        self._pending += [
            Metric(re.sub(r"[^/\w.\- :]", "_", key), float(value), now, step)
            for key, value in metrics.items()
        ]

    def _flush(self) -> None:
        with _answering(self._store):
            while self._pending:
                self._client.log_batch(self.run_id, metrics=self._pending[:MAX_BATCH])
                del self._pending[:MAX_BATCH]
        self._flushed = self._clock()


@dataclass(frozen=True, slots=True)
class FetchedRun:
    """A run's checkpoint on this disk.

    Attributes:
        folder: What `Checkpoint.save` wrote.
        run_id: The MLflow run.
        created: When the run started, ISO 8601 UTC.
    """

    folder: Path
    run_id: str
    created: str


def fetch_checkpoint(source: str, tracking_uri: str | None, into: Path) -> FetchedRun:
    """Brings a run's checkpoint here.

    Args:
        source: A run id, runs:/ID, models:/NAME/VERSION, models:/NAME@ALIAS, or a registered model's name for
            its newest version.
        tracking_uri: As for `Tracker`.
        into: A folder to write into.

    Raises:
        UsageError: The source names nothing.
        TrainingError: The run holds no checkpoint, or the store does not answer.
    """
    wanted, store = Source.parse(source), Store.named(tracking_uri)
    if store.database is not None and not store.database.is_file():
        # MLflow would make an empty one.
        raise UsageError(
            f"no MLflow run is kept here, so not '{source}'",
            where=store.shown,
            mend="name the store with --tracking-uri",
        )
    client = _client(store)
    with _answering(store):
        run = _run(client, wanted, store)
        run_id = str(run.info.run_id)
        if not client.list_artifacts(run_id, CHECKPOINT):
            raise TrainingError(
                f"run {run_id} holds no checkpoint", where=source, mend="name a run of 'edge-train fit'"
            )
        folder = into / CHECKPOINT
        client.download_artifacts(run_id, CHECKPOINT, str(into))
    created = datetime.fromtimestamp(run.info.start_time / 1000, UTC)
    return FetchedRun(folder, run_id, created.isoformat(timespec="milliseconds").replace("+00:00", "Z"))


def _run(client: Any, wanted: Source, store: Store) -> Any:
    """The run that is meant."""
    from mlflow.exceptions import MlflowException  # noqa: PLC0415

    try:
        if wanted.run_id is not None:
            return client.get_run(wanted.run_id)
        if wanted.alias is not None:
            version = client.get_model_version_by_alias(wanted.model, wanted.alias)
        elif wanted.version is not None:
            version = client.get_model_version(wanted.model, wanted.version)
        else:
            client.get_registered_model(wanted.model)
            versions = client.search_model_versions(f"name = '{wanted.model}'")
            version = max(versions, key=lambda found: int(found.version), default=None)
        if version is not None and version.run_id:
            return client.get_run(version.run_id)
    except MlflowException as error:
        if error.error_code not in UNKNOWN:
            raise
    raise UsageError(
        "MLflow knows no such run or model version",
        where=f"{wanted.text} in {store.shown}",
        mend="look it up with 'mlflow ui', or name another store with --tracking-uri",
    )


def _client(store: Store) -> Any:
    """MLflow's client, which says nothing of itself to anybody."""
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    for name in ("alembic", "sqlalchemy", "mlflow"):
        logging.getLogger(name).setLevel(logging.WARNING)
    try:
        from mlflow import MlflowClient  # noqa: PLC0415
    except ImportError:
        raise MissingExtraError("recording runs with MLflow", "workstation") from None
    with _answering(store):
        return MlflowClient(store.uri, store.uri)


@contextmanager
def _answering(store: Store) -> Iterator[None]:
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
            mend="see that it is running and let you in, or train with --no-mlflow",
        ) from None
