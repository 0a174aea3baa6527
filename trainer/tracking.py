"""MLflow, and the only file that imports it: recording a run, and finding one again for `edge-export`.

A run holds the parameters, the losses of every epoch, the metrics on validation and test, and the files:
bundle.onnx, metrics.json, checkpoint/ (weights as safetensors, scaler and threshold as JSON) and plots/.
Its tag `bundle_digest` leads from a bundle to its run: the bundle itself holds no run id, so that the same
data and seed give the same file.
"""

from __future__ import annotations

import os
import re
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import unquote

from edge_runtime.errors import MissingExtraError, TrainingError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from types import TracebackType

__all__ = ["DEFAULT_TRACKING_URI", "FetchedRun", "NoTracker", "Tracker", "fetch_checkpoint"]

DEFAULT_TRACKING_URI = "sqlite:///mlflow.db"
ARTIFACTS = "mlruns"
CHECKPOINT = "checkpoint"
# Each write is a transaction or a request: epochs are sent together.
FLUSH_SECONDS = 5.0
RUN_ID = re.compile(r"[0-9a-f]{32}")
# A metric's or tag's name may hold no other characters.
NOT_IN_A_NAME = re.compile(r"[^\w./ -]")
QUIET = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "MLFLOW_LOGGING_LEVEL": "ERROR",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "GIT_PYTHON_REFRESH": "quiet",
    # MLflow's own defaults would hold a wrong address for minutes.
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
}


class NoTracker:
    """Records nothing: what `--no-mlflow` uses."""

    run_id: str | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        """Nothing was opened."""

    def log_params(self, params: Mapping[str, object]) -> None:
        """Settings."""

    def log_epoch(self, number: int, metrics: Mapping[str, float]) -> None:
        """Losses of an epoch."""

    def log_metrics(self, metrics: Mapping[str, float]) -> None:
        """Figures of the whole run."""

    def set_tag(self, name: str, value: str) -> None:
        """A word about the run."""

    def log_folder(self, folder: Path, name: str) -> None:
        """A folder of files."""

    def log_file(self, path: Path) -> None:
        """One file."""

    def register(self, name: str) -> None:
        """The run as the newest version of a model."""


class Tracker:
    """One MLflow run, begun by `with` and ended with it: finished, failed or, on Ctrl-C, killed.

    Args:
        tracking_uri: A server or store; None for `DEFAULT_TRACKING_URI`. An SQLite store keeps its files in
            the folder mlruns beside the database.
        experiment: Made when it is not there.
        run_name: None for one of MLflow's inventions.

    Attributes:
        run_id: Of the run; None before `with`.

    Raises:
        MissingExtraError: MLflow is not installed.
        TrainingError: The server or store does not answer as it should.
    """

    def __init__(self, tracking_uri: str | None, experiment: str, run_name: str | None) -> None:
        self.run_id: str | None = None
        self._uri = tracking_uri or DEFAULT_TRACKING_URI
        self._experiment = experiment
        self._run_name = run_name
        self._artifacts = ""
        self._tags: dict[str, str] = {}
        self._waiting: list[Any] = []
        self._flushed = time.monotonic()

    def __enter__(self) -> Self:
        self._client = _client(self._uri)
        with _explained(self._uri):
            info = self._client.create_run(self._experiment_id(), run_name=self._run_name).info
        self.run_id, self._artifacts = info.run_id, info.artifact_uri
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        status = "FINISHED" if kind is None else "FAILED" if issubclass(kind, Exception) else "KILLED"
        if kind is None:
            self._flush()
            with _explained(self._uri):
                self._client.set_terminated(self.run_id, status)
            return
        # What went wrong first is what the reader has to know.
        with suppress(Exception):
            self._flush()
            self._client.set_terminated(self.run_id, status)

    def log_params(self, params: Mapping[str, object]) -> None:
        """Records settings."""
        from mlflow.entities import Param  # noqa: PLC0415

        with _explained(self._uri):
            self._client.log_batch(self.run_id, params=[Param(k, str(v)) for k, v in params.items()])

    def log_epoch(self, number: int, metrics: Mapping[str, float]) -> None:
        """Records the losses of an epoch, with those of others: every few seconds.

        A server that does not answer now is asked again later: it must not cost the training.
        """
        self._wait(metrics, number)
        if time.monotonic() - self._flushed >= FLUSH_SECONDS:
            with suppress(TrainingError):
                self._flush()
            self._flushed = time.monotonic()

    def log_metrics(self, metrics: Mapping[str, float]) -> None:
        """Records figures of the whole run."""
        self._wait(metrics, 0)
        self._flush()

    def set_tag(self, name: str, value: str) -> None:
        """Tags the run, and the model version that `register` makes."""
        self._tags[name] = value
        with _explained(self._uri):
            self._client.set_tag(self.run_id, name, value)

    def log_folder(self, folder: Path, name: str) -> None:
        """Stores a folder's files under a name."""
        with _explained(self._uri):
            self._client.log_artifacts(self.run_id, str(folder), name)

    def log_file(self, path: Path) -> None:
        """Stores one file under its own name."""
        with _explained(self._uri):
            self._client.log_artifact(self.run_id, str(path))

    def register(self, name: str) -> None:
        """Makes the run's files the newest version of a registered model, with the run's tags."""
        with _explained(self._uri):
            with _unless(self._client, "RESOURCE_ALREADY_EXISTS"):
                self._client.create_registered_model(name)
            self._client.create_model_version(name, source=self._artifacts, run_id=self.run_id, tags=self._tags)

    def _experiment_id(self) -> str:
        found = self._client.get_experiment_by_name(self._experiment)
        if found is None:
            with _unless(self._client, "RESOURCE_ALREADY_EXISTS"):  # another run was quicker
                return str(self._client.create_experiment(self._experiment, _beside(self._uri)))
            found = self._client.get_experiment_by_name(self._experiment)
        if found.lifecycle_stage != "active":
            raise UsageError(
                "the experiment was deleted", where=f"--experiment {self._experiment}", mend="name another, or restore it"
            )
        return str(found.experiment_id)

    def _wait(self, metrics: Mapping[str, float], step: int) -> None:
        from mlflow.entities import Metric  # noqa: PLC0415

        now = int(time.time() * 1000)
        self._waiting += [Metric(NOT_IN_A_NAME.sub("_", k), v, now, step) for k, v in metrics.items()]

    def _flush(self) -> None:
        # A server takes at most 1,000 metrics at once.
        while self._waiting:
            with _explained(self._uri):
                self._client.log_batch(self.run_id, metrics=self._waiting[:1000])
            del self._waiting[:1000]


@dataclass(frozen=True, slots=True)
class FetchedRun:
    """A run's checkpoint on this disk.

    Attributes:
        folder: What `Checkpoint.save` wrote.
        run_id: Of the run.
        created: When the run started, ISO 8601 UTC.
    """

    folder: Path
    run_id: str
    created: str


def fetch_checkpoint(source: str, tracking_uri: str | None, into: Path) -> FetchedRun:
    """Downloads the checkpoint of a run.

    Args:
        source: A run id, `runs:/ID`, `models:/NAME/VERSION`, `models:/NAME@ALIAS`, or the name of a registered
            model for its newest version.
        tracking_uri: A server or store; None for `DEFAULT_TRACKING_URI`.
        into: An existing folder.

    Raises:
        MissingExtraError: MLflow is not installed.
        UsageError: There is no such store, run or model.
        TrainingError: The run holds no checkpoint, or the server does not answer.
    """
    uri = tracking_uri or DEFAULT_TRACKING_URI
    database = _database(uri)
    if database is not None and not database.is_file():  # MLflow would make an empty one
        raise UsageError(
            f"'{source}' is no folder here, and there is no MLflow store at {database}",
            mend="name a checkpoint folder, or the store with --tracking-uri",
        )
    client = _client(uri)
    with _explained(uri):
        run = _run(client, source, uri)
        listed = {artifact.path for artifact in client.list_artifacts(run.info.run_id)}
        if CHECKPOINT not in listed:
            raise TrainingError(
                f"run {run.info.run_id} holds no checkpoint", where=source, mend="name a run of 'edge-train fit'"
            )
        folder = Path(client.download_artifacts(run.info.run_id, CHECKPOINT, str(into)))
    started = datetime.fromtimestamp(run.info.start_time // 1000, UTC)
    return FetchedRun(folder, run.info.run_id, started.strftime("%Y-%m-%dT%H:%M:%SZ"))


def _run(client: Any, source: str, uri: str) -> Any:
    """The run that a source names."""
    if source.startswith("models:/"):
        return client.get_run(_version(client, source.removeprefix("models:/"), source, uri))
    run_id = source.removeprefix("runs:/").partition("/")[0]
    if source.startswith("runs:/") or RUN_ID.fullmatch(source):
        with _unless(client, "RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
            return client.get_run(run_id)
        raise UsageError("no such run", where=source, mend=f"see the runs in {_shown(uri)}")
    return client.get_run(_version(client, source, source, uri))


def _version(client: Any, name: str, source: str, uri: str) -> str:
    """The run id of a registered model: NAME, NAME/VERSION or NAME@ALIAS."""
    model, slash, number = name.rpartition("/")
    aliased, at, alias = name.rpartition("@")
    found = None
    with _unless(client, "RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
        if slash:
            found = client.get_model_version(model, number)
        elif at:
            found = client.get_model_version_by_alias(aliased, alias)
        else:
            quoted = name.replace("'", "''")
            versions = client.search_model_versions(f"name='{quoted}'")
            found = max(versions, key=lambda version: int(version.version), default=None)
    if found is None or not found.run_id:
        raise UsageError(
            "no such run, model or version", where=source, mend=f"see the models and runs in {_shown(uri)}"
        )
    return str(found.run_id)


def _client(uri: str) -> Any:
    """A client that keeps quiet."""
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    try:
        from mlflow import MlflowClient  # noqa: PLC0415 - takes seconds
    except ImportError:
        raise MissingExtraError("tracking with MLflow", "workstation") from None
    with _explained(uri):
        return MlflowClient(uri)


@contextmanager
def _explained(uri: str) -> Iterator[None]:
    """Turns MLflow's errors into one line."""
    from mlflow.exceptions import MlflowException  # noqa: PLC0415

    try:
        yield
    except (MlflowException, OSError) as error:
        said = str(error).strip().splitlines() or [type(error).__name__]
        what = "does not answer" if "Max retries exceeded" in said[0] else f"refuses ({said[0]})"
        raise TrainingError(
            f"MLflow {what}", where=_shown(uri), mend="check --tracking-uri, or leave tracking out with --no-mlflow"
        ) from None


@contextmanager
def _unless(_client_of_mlflow: Any, *codes: str) -> Iterator[None]:
    """Passes over MLflow's errors of these codes."""
    from mlflow.exceptions import MlflowException  # noqa: PLC0415

    try:
        yield
    except MlflowException as error:
        if error.error_code not in codes:
            raise


def _database(uri: str) -> Path | None:
    """The file of an SQLite store; None for any other."""
    scheme, _, path = uri.partition(":///")
    return Path(unquote(path.partition("?")[0])) if scheme.split("+")[0] == "sqlite" and path else None


def _beside(uri: str) -> str | None:
    """Where an SQLite store's files go; None where the server decides."""
    database = _database(uri)
    return None if database is None else (database.resolve().parent / ARTIFACTS).as_uri()


def _shown(uri: str) -> str:
    """The address without a login."""
    return re.sub(r"//[^/@]*@", "//", uri)
