"""The options that say where a run is recorded, shared by the commands that record one."""

from __future__ import annotations

from typing import Annotated

import typer

__all__ = ["Experiment", "Mlflow", "TrackingUri"]

Mlflow = Annotated[bool, typer.Option("--mlflow/--no-mlflow", help="Record the run with MLflow.")]
TrackingUri = Annotated[
    str | None,
    typer.Option(
        envvar="MLFLOW_TRACKING_URI",
        help="URI of the MLflow server or store. [default: sqlite:///mlflow.db]",
        show_default=False,
    ),
]
Experiment = Annotated[str, typer.Option(help="Name of the MLflow experiment.")]
