"""One training run in MLflow."""

from __future__ import annotations

import re
import time
import uuid
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from edge_runtime.errors import TrainingError, UsageError
from trainer.tracking.client import UNKNOWN, answering, make_client
from trainer.tracking.names import Store

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path
    from types import TracebackType

__all__ = ["CHAMPION", "CHECKPOINT", "Tracker"]

CHECKPOINT = "checkpoint"
CHAMPION = "champion"
PARENT = "mlflow.parentRunId"
# By which a run is found whose start was broken off before its id was known.
START = "edge-train.start"
FLUSH_SECONDS = 5.0
# Of one request to the store.
MAX_BATCH = 1000
MAX_PARAMS = 100
MAX_TEXT = 5000


class Tracker:
    """One MLflow run, started on entering and ended on leaving: FAILED by an error, KILLED by a signal.

    Args:
        tracking_uri: A server or store; None for MLFLOW_TRACKING_URI, else mlflow.db in the current folder.
        experiment: Made when it is not there.
        run_name: None for one of MLflow's.
        parent: The run that this one is shown under; None for none.
        again: An ended run of the same store to go on with; a new one is started where that is gone.
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
        parent: str | None = None,
        again: str | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = Store.named(tracking_uri)
        self._experiment = experiment
        self._run_name = run_name
        self._parent = parent
        self._again = again
        self._clock = clock
        self._client: Any = None
        self._pending: list[Any] = []
        self._flushed = clock()
        self._lost = False
        self._start = uuid.uuid4().hex
        self.run_id: str | None = None

    def __enter__(self) -> Tracker:  # noqa: PYI034 - final in effect
        self._client = make_client(self._store)
        try:
            with answering(self._store):
                self.run_id = self._reopened() or self._created()
        except Exception:
            raise
        except BaseException:  # a signal, between two steps of these
            self._end_begun()
            raise
        self._flushed = self._clock()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        if kind is not None:
            self._break_off("FAILED" if issubclass(kind, Exception) else "KILLED")
            return
        try:
            self._flush()
            with answering(self._store):
                self._client.set_terminated(self.run_id, "FINISHED")
        except Exception:
            raise
        except BaseException:  # a signal, before the end was told
            self._break_off("KILLED")
            raise

    def _break_off(self, status: str) -> None:
        """What ended the run is what the user must hear of, not that its end could not be told."""
        with suppress(Exception):
            self._flush()
        with suppress(Exception):
            self._client.set_terminated(self.run_id, status)

    def log_params(self, params: Mapping[str, Any]) -> None:
        """Records what the run was started with, and keeps all of it in params.json.

        That file comes first of all artifacts, so a place that takes none is known of before the training.
        """
        from mlflow.entities import Param  # noqa: PLC0415

        whole = {key: str(value) for key, value in params.items()}
        listed = [Param(key, value[:MAX_TEXT]) for key, value in whole.items()]
        with answering(self._store):
            for start in range(0, len(listed), MAX_PARAMS):
                self._client.log_batch(self.run_id, params=listed[start : start + MAX_PARAMS])
            self._client.log_dict(self.run_id, whole, "params.json")

    def expect(self, name: str) -> None:
        """Asks whether a model can be registered by this name, before it is trained.

        Raises:
            UsageError: No model can be called so.
            TrainingError: The store keeps no models, or does not answer.
        """
        from mlflow.exceptions import MlflowException  # noqa: PLC0415

        with answering(self._store):
            try:
                self._client.get_registered_model(name)
            except MlflowException as error:
                if error.error_code == "INVALID_PARAMETER_VALUE":
                    raise UsageError(
                        "no registered model can be called so",
                        where=f"--register {name!r}",
                        hint="choose a name without '/' and ':'",
                    ) from None
                if error.error_code not in UNKNOWN:
                    raise

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
        with answering(self._store):
            self._client.set_tag(self.run_id, key, value[:MAX_TEXT])

    def log_folder(self, path: Path, artifact_path: str) -> None:
        """Keeps what a folder holds, under this path of the run's artifacts."""
        with answering(self._store):
            self._client.log_artifacts(self.run_id, str(path), artifact_path)

    def log_file(self, path: Path, artifact_path: str | None = None) -> None:
        """Keeps a file, in this folder of the run's artifacts or among the first."""
        with answering(self._store):
            self._client.log_artifact(self.run_id, str(path), artifact_path)

    def register(self, name: str, *, champion: bool = False) -> str:
        """Makes the run the newest version of a registered model, made when it is not there.

        Args:
            name: The model's.
            champion: Whether it gets the alias `champion`.

        Returns:
            The version's number, from "1".
        """
        from mlflow.exceptions import MlflowException  # noqa: PLC0415

        with answering(self._store):
            try:
                self._client.create_registered_model(name)
            except MlflowException as error:
                if error.error_code != "RESOURCE_ALREADY_EXISTS":
                    raise
            source = f"{self._client.get_run(self.run_id).info.artifact_uri}/{CHECKPOINT}"
            version = self._client.create_model_version(name, source, run_id=self.run_id)
            if champion:
                self._client.set_registered_model_alias(name, CHAMPION, version.version)
        return str(version.version)

    def _reopened(self) -> str | None:
        from mlflow.exceptions import MlflowException  # noqa: PLC0415

        if self._again is None:
            return None
        try:
            self._client.update_run(self._again, status="RUNNING")
        except MlflowException as error:
            if error.error_code not in UNKNOWN:
                raise
            return None
        return self._again

    def _created(self) -> str:
        tags = {START: self._start, **({} if self._parent is None else {PARENT: self._parent})}
        run = self._client.create_run(self._experiment_id(), run_name=self._run_name, tags=tags)
        return str(run.info.run_id)

    def _end_begun(self) -> None:
        """Ends the run that may have been started before a signal came."""
        with suppress(Exception):
            found = self._client.get_experiment_by_name(self._experiment)
            mine = f"tags.`{START}` = '{self._start}'"
            runs = [run.info.run_id for run in self._client.search_runs([found.experiment_id], mine)]
            for run_id in runs or [self._again] * (self._again is not None):
                self._client.set_terminated(run_id, "KILLED")

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
                hint="restore it, or choose another with --experiment",
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
        with answering(self._store):
            while self._pending:
                self._client.log_batch(self.run_id, metrics=self._pending[:MAX_BATCH])
                del self._pending[:MAX_BATCH]
        self._flushed = self._clock()
