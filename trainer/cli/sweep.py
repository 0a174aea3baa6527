"""`edge-train sweep`: many ways to train, compared on validation; the best one trained."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from trainer.cli.tracking_options import Experiment, Mlflow, TrackingUri  # noqa: TC001 - typer evaluates them

if TYPE_CHECKING:
    from trainer.sweep_results import Trial

from trainer.cli.table_options import (  # noqa: TC001 - typer evaluates the annotations
    Data,
    SensorColumns,
)

__all__ = ["sweep"]


def sweep(  # noqa: PLR0913 - one parameter an option
    *,
    data: Data,
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Folder of the sweep, and of the best fit in best/.")
    ] = Path("build/sweep"),
    trials: Annotated[int, typer.Option(help="Ways to try, at most.")] = 20,
    timeout: Annotated[
        str | None, typer.Option(help="Begin no trial after so long, such as 10m.", show_default=False)
    ] = None,
    epochs: Annotated[int, typer.Option(help="Of a trial, at most; the best is then trained for 100.")] = 40,
    seed: Annotated[int, typer.Option(help="Of the search and of every training.")] = 0,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the sweep in this folder.")] = False,
    sensor: SensorColumns = None,
    mlflow: Mlflow = True,
    tracking_uri: TrackingUri = None,
    experiment: Experiment = "edge-detect",
) -> None:
    """Search for the best way to train on validation, never on test; each trial is an MLflow run."""
    import sys  # noqa: PLC0415

    from edge_runtime.timeparse import parse_duration  # noqa: PLC0415
    from trainer.data import Columns, read_training_data  # noqa: PLC0415
    from trainer.provenance import git_revision  # noqa: PLC0415
    from trainer.run import Plan, run_fit  # noqa: PLC0415
    from trainer.sweep import HOLDS, SweepPlan, best_settings, run_sweep  # noqa: PLC0415
    from trainer.sweep_results import describe  # noqa: PLC0415
    from trainer.tracking import NoTracker, Tracker  # noqa: PLC0415

    plan = SweepPlan(
        output=output,
        trials=trials,
        timeout_s=None if timeout is None else parse_duration(timeout) / 1e9,
        epochs=epochs,
        seed=seed,
        resume=resume,
    )
    table = read_training_data(data, Columns(sensors=tuple(sensor or ())))

    def say(trial: Trial, best: float | None) -> None:
        figure = "failed" if trial.f1 is None else f"F1 {trial.f1:.4f}"
        so_far = "" if best is None else f"  best {best:.4f}"
        sys.stderr.write(f"trial {trial.number + 1:>3}  {figure}{so_far}  {describe(trial)}\n")

    with Tracker(tracking_uri, experiment, "sweep") if mlflow else NoTracker() as parent:

        def child(name: str) -> Tracker | NoTracker:
            return Tracker(tracking_uri, experiment, name, parent=parent.run_id) if mlflow else NoTracker()

        found = run_sweep(table, plan, child, say)
        found.write(output / "sweep.json")
        parent.log_file(output / "sweep.json")
        typer.echo(found.table())
        if found.interrupted:
            typer.echo(f"\nInterrupted; edge-train sweep --resume -o {output} goes on.")
            raise typer.Exit(130)
        best = found.ranked[0]
        fit_plan = Plan(
            output=output / "best",
            settings=best_settings(found, epochs=100, seed=seed),
            percentile=best.percentile,
            hold=HOLDS[best.hold],
            recipe="sweep",
            revision=git_revision(),
        )
        with child("best") as tracker:
            results = run_fit(table, fit_plan, tracker)
        parent.log_metrics({"best_f1": best.f1 or 0.0})
    typer.echo(f"\nThe best, trained on:\n{results.table()}")
