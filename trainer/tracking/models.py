"""Runs and registered models: fetched again, and promoted."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from edge_runtime.errors import TrainingError, UsageError
from trainer.tracking.client import UNKNOWN, answering, make_client
from trainer.tracking.names import Source, Store
from trainer.tracking.run import CHAMPION, CHECKPOINT

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["FetchedRun", "Promoted", "fetch_checkpoint", "promote"]


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
    wanted, store = Source.parse(source), _existing(tracking_uri, source)
    client = make_client(store)
    with answering(store):
        run = _run(client, wanted, store)
        run_id = str(run.info.run_id)
        if not client.list_artifacts(run_id, CHECKPOINT):
            raise TrainingError(
                f"run {run_id} holds no checkpoint", where=source, hint="name a run of 'edge-train fit'"
            )
        folder = into / CHECKPOINT
        client.download_artifacts(run_id, CHECKPOINT, str(into))
    created = datetime.fromtimestamp(run.info.start_time / 1000, UTC)
    return FetchedRun(folder, run_id, created.isoformat(timespec="milliseconds").replace("+00:00", "Z"))


@dataclass(frozen=True, slots=True)
class Promoted:
    """A version that has the alias now.

    Attributes:
        version: Its number.
        before: The number of the one that had it; None where none had.
    """

    version: str
    before: str | None


def promote(name: str, version: str | None, tracking_uri: str | None) -> Promoted:
    """Gives the alias `champion` to a version of a registered model.

    Args:
        name: The model's.
        version: Its number; None for the newest.
        tracking_uri: As for `Tracker`.

    Raises:
        UsageError: There is no such model or version.
        TrainingError: The store does not answer.
    """
    wanted = Source.parse(f"models:/{name}" + ("" if version is None else f"/{version}"))
    if wanted.model != name:
        raise UsageError("not the name of a registered model", where=repr(name), hint="give the name alone")
    store = _existing(tracking_uri, name)
    client = make_client(store)
    from mlflow.exceptions import MlflowException  # noqa: PLC0415 - after it has been made quiet

    with answering(store):
        found = _version(client, wanted)
        if found is None:
            raise _unknown(wanted.text, store)
        try:
            before = str(client.get_model_version_by_alias(name, CHAMPION).version)
        except MlflowException as error:
            if error.error_code not in UNKNOWN:
                raise
            before = None
        client.set_registered_model_alias(name, CHAMPION, found.version)
    return Promoted(str(found.version), before)


def _existing(tracking_uri: str | None, wanted: str) -> Store:
    """The store, which must be there: MLflow would make an empty one."""
    store = Store.named(tracking_uri)
    if store.database is not None and not store.database.is_file():
        raise UsageError(
            f"no MLflow run is kept here, so there is no '{wanted}'",
            where=store.shown,
            hint="name the store with --tracking-uri",
        )
    return store


def _run(client: Any, wanted: Source, store: Store) -> Any:
    """The run that is meant."""
    from mlflow.exceptions import MlflowException  # noqa: PLC0415

    try:
        if wanted.run_id is not None:
            return client.get_run(wanted.run_id)
        version = _version(client, wanted)
        if version is not None and version.run_id:
            return client.get_run(version.run_id)
    except MlflowException as error:
        if error.error_code not in UNKNOWN:
            raise
    raise _unknown(wanted.text, store)


def _version(client: Any, wanted: Source) -> Any:
    """The registered version that is meant; None where there is none."""
    from mlflow.exceptions import MlflowException  # noqa: PLC0415

    try:
        if wanted.alias is not None:
            return client.get_model_version_by_alias(wanted.model, wanted.alias)
        if wanted.version is not None:
            return client.get_model_version(wanted.model, wanted.version)
        client.get_registered_model(wanted.model)
        versions = client.search_model_versions(f"name = '{wanted.model}'")
        return max(versions, key=lambda found: int(found.version), default=None)
    except MlflowException as error:
        if error.error_code not in UNKNOWN:
            raise
        return None


def _unknown(wanted: str, store: Store) -> UsageError:
    return UsageError(
        "MLflow knows no such run or model version",
        where=f"{wanted} in {store.shown}",
        hint="look it up with 'mlflow ui', or name another store with --tracking-uri",
    )
