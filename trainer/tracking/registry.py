"""The model registry: a run becomes a version of a model, and one version of it the champion."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from trainer.tracking.client import UNKNOWN

__all__ = ["CHAMPION", "Registered", "register_run", "set_champion"]

CHAMPION = "champion"


@dataclass(frozen=True, slots=True)
class Registered:
    """A version of a registered model.

    Attributes:
        name: The model's.
        version: The version's number, from "1".
        champion: Whether it has been given the alias `champion`.
        before: The number of the version that had the alias; None where none had.
    """

    name: str
    version: str
    champion: bool = False
    before: str | None = None

    def __str__(self) -> str:
        if not self.champion:
            return f"{self.name}, version {self.version}"
        if self.before == self.version:
            how = "is still the champion"
        else:
            how = "is the champion" + ("" if self.before is None else f" in place of version {self.before}")
        return f"{self.name}, version {self.version}, {how}"


def register_run(client: Any, name: str, run_id: str, artifact_path: str) -> Registered:
    """Makes a run the newest version of a registered model, made when it is not there.

    Args:
        client: MLflow's.
        name: The model's.
        run_id: The run.
        artifact_path: What of the run's artifacts the version stands for.
    """
    from mlflow.exceptions import MlflowException  # noqa: PLC0415

    try:
        client.create_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    source = f"{client.get_run(run_id).info.artifact_uri}/{artifact_path}"
    made = client.create_model_version(name, source, run_id=run_id)
    return Registered(name, str(made.version))


def set_champion(client: Any, name: str, version: str) -> Registered:
    """Gives the alias `champion` to a version, which takes it from the one that had it."""
    from mlflow.exceptions import MlflowException  # noqa: PLC0415

    before = None
    try:
        before = str(client.get_model_version_by_alias(name, CHAMPION).version)
    except MlflowException as error:
        if error.error_code not in UNKNOWN:
            raise
    client.set_registered_model_alias(name, CHAMPION, version)
    return Registered(name, version, champion=True, before=before)
