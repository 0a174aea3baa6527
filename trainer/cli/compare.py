"""`edge-train compare`: trained detectors beside simple ones."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from trainer.cli.ending import ended_by_signals
from trainer.cli.table_options import (
    AnyMachine,
    Data,
    Drop,
    IgnoreValue,
    LabelColumn,
    Machines,
    NormalValue,
    columns_of,
    say,
    show_roles,
)
from trainer.cli.tracking_options import (
    Experiment,
    Mlflow,
    TrackingUri,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["compare", "named_folders"]


def compare(
    ctx: typer.Context,
    *,
    data: Data,
    fit: Annotated[
        list[Path] | None,
        typer.Option(help="Folder of a fit, or of its checkpoint. May be repeated.", show_default=False),
    ] = None,
    percentile: Annotated[
        float,
        typer.Option(
            help="Threshold of the simple detectors, as a percentile of their scores on normal"
            " validation rows."
        ),
    ] = 99.55,
    sensor: Annotated[
        list[str] | None,
        typer.Option(
            help="Column of a sensor. May be repeated. [default: the sensors of the first "
            "--fit, else every numeric column]",
            show_default=False,
        ),
    ] = None,
    label_column: LabelColumn = None,
    normal_value: NormalValue = None,
    ignore_value: IgnoreValue = None,
    drop: Drop = None,
    machine: Machines = None,
    any_machine: AnyMachine = False,
    limit: Annotated[
        list[str] | None,
        typer.Option(
            help="Limits of a sensor, as NAME=LOW:HIGH with either side optional, for a row of fixed limits. "
            "May be repeated. [default: no such row]",
            show_default=False,
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="JSON file to which the figures are written as well."),
    ] = None,
    mlflow: Mlflow = True,
    tracking_uri: TrackingUri = None,
    experiment: Experiment = "edge-detect",
) -> None:
    """Compare trained detectors with simple ones on the test rows.

    The simple ones are z-scores, PCA, Mahalanobis distance, an Isolation Forest, a MEWMA chart, an
    autoregression and, with --limit, fixed limits. Each has two rows: with a threshold alone, and "treated
    alike", with the smoothing, margin, debounce, hold and phase of the first --fit.
    """
    import sys

    from edge_runtime.errors import UsageError
    from edge_runtime.files import refuse_same
    from trainer.data.machines import strangers
    from trainer.data.training_data import read_training_data
    from trainer.experiment.checkpoint import Checkpoint
    from trainer.experiment.compare import compare as compare_all
    from trainer.experiment.compare import record, write_figures
    from trainer.experiment.comparison import comparison_table
    from trainer.labels.methods import parse_limit
    from trainer.tracking import NoTracker, Tracker

    if not 0 < percentile < 100:  # noqa: PLR2004
        raise UsageError(f"{percentile:g} is not between 0 and 100", where="--percentile")
    limits = dict(map(parse_limit, limit)) if limit else None
    checkpoints = {}
    for name, folder in named_folders(fit or []).items():
        inner = folder / "checkpoint"
        checkpoints[name] = Checkpoint.load(inner if inner.is_dir() else folder)
    sensors = tuple(sensor or ())
    if not sensors and checkpoints:
        sensors = tuple(s.name for s in next(iter(checkpoints.values())).sensors)
    columns = columns_of(ctx, sensors, label_column, normal_value, ignore_value, drop, machine)
    table = read_training_data(data, columns)
    for name in sorted((limits or {}).keys() - set(table.sensors)):
        raise UsageError(f"no sensor '{name}'", where="--limit", hint=f"there are {', '.join(table.sensors)}")
    show_roles(table.roles)
    say(table.remarks)
    trained = {name: checkpoint.provenance.machines for name, checkpoint in checkpoints.items()}
    say(strangers(table.test, trained, wanted=any_machine, by_machine=table.by_machine))
    if output is not None:
        read = (table.train.path, table.val.path, table.test.path)
        refuse_same(output, {f"the data's {path.name}": path for path in read}, "--output")

    def show(name: str) -> None:
        if sys.stderr.isatty():
            sys.stderr.write(f"\r\033[K{name} …")

    tracked = Tracker(tracking_uri, experiment, "compare") if mlflow else NoTracker()
    with ended_by_signals(), tracked as tracker:
        found = compare_all(table, checkpoints, percentile, limits, show)
        if sys.stderr.isatty():
            sys.stderr.write("\r\033[K")
        typer.echo(comparison_table(found))
        if output is not None:
            write_figures(found, output)
        record(found, tracker, data=table, percentile=percentile)


def named_folders(folders: Sequence[Path]) -> dict[str, Path]:
    """A name for each folder of a fit: its own, and that of its parent before it where another has the same.

    Raises:
        UsageError: A folder is named twice.
    """
    from edge_runtime.errors import UsageError

    found: dict[str, Path] = {}
    whole = [folder.resolve() for folder in folders]
    for folder, path in zip(folders, whole, strict=True):
        if whole.count(path) > 1:
            raise UsageError(f"{folder} is named twice", where="--fit")
        length = 1
        while any(other.parts[-length:] == path.parts[-length:] for other in whole if other != path):
            length += 1
        found["/".join(path.parts[-length:])] = folder
    return found
