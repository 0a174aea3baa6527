"""How MLflow's stores, runs and models are named: all of tracking that needs no MLflow."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from edge_runtime.errors import UsageError

__all__ = ["Source", "Store"]

SQLITE = "sqlite:///"
DEFAULT_URI = f"{SQLITE}mlflow.db"
RUN_ID = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True, slots=True)
class Store:
    """Where runs are kept.

    Attributes:
        uri: Of a server or a database, as MLflow takes it.
    """

    uri: str

    @staticmethod
    def named(uri: str | None) -> Store:
        """The one that was named, else that of the environment, else mlflow.db in the current folder.

        Raises:
            UsageError: The folder of a SQLite file is not there.
        """
        store = Store(uri or os.environ.get("MLFLOW_TRACKING_URI") or DEFAULT_URI)
        if store.database is not None and not store.database.parent.is_dir():
            raise UsageError(
                "the folder of the database does not exist",
                where=store.shown,
                hint=f"create {store.database.parent}, or name another place with --tracking-uri",
            )
        return store

    @property
    def database(self) -> Path | None:
        """The SQLite file; None for every other store."""
        path = self.uri.removeprefix(SQLITE).partition("?")[0]
        return Path(path).absolute() if self.uri.startswith(SQLITE) and path not in {"", ":memory:"} else None

    @property
    def artifact_location(self) -> str | None:
        """Beside a SQLite file, wherever it is used from; None where the store itself knows."""
        return None if self.database is None else (self.database.parent / "mlruns").as_uri()

    @property
    def shown(self) -> str:
        """The address without a login, for messages."""
        parts = urlsplit(self.uri)
        if "@" not in parts.netloc:
            return self.uri
        return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


@dataclass(frozen=True, slots=True)
class Source:
    """What names a checkpoint: a run, or a registered model by version, by alias, or the newest.

    Attributes:
        text: As it was given.
        run_id: The run; None for a model.
        model: The registered model's name; None for a run.
        version: Of the model.
        alias: Of the model.
    """

    text: str
    run_id: str | None = None
    model: str | None = None
    version: str | None = None
    alias: str | None = None

    @staticmethod
    def parse(text: str) -> Source:
        """From a run id, runs:/ID, models:/NAME, models:/NAME/VERSION, models:/NAME@ALIAS or a model's name.

        Raises:
            UsageError: It is none of these.
        """
        if text.startswith("runs:/"):
            run_id, _, below = text.removeprefix("runs:/").strip("/").partition("/")
            if run_id and below in {"", "checkpoint"}:
                return Source(text, run_id=run_id)
        elif text.startswith("models:/"):
            name, _, version = text.removeprefix("models:/").strip("/").partition("/")
            name, at, alias = name.partition("@")
            if name and not version and bool(at) == bool(alias):
                return Source(text, model=name, alias=alias or None)
            if name and not at and (version == "latest" or version.isdecimal()):
                return Source(text, model=name, version=None if version == "latest" else version)
        elif RUN_ID.fullmatch(text):
            return Source(text, run_id=text)
        elif text and "/" not in text and ":" not in text:
            return Source(text, model=text)
        raise UsageError(
            "names neither an MLflow run nor a registered model",
            where=repr(text),
            hint="give a run id, runs:/ID, models:/NAME/VERSION, models:/NAME@ALIAS or a model's name",
        )
