"""`edge-detect score`: a CSV in, the same rows with their scores out."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 - typer evaluates the annotations
from typing import Annotated

import typer

from edge_runtime.cli.guard import imported
from edge_runtime.cli.trust_options import Target, TrustedKeys, trust_of

__all__ = ["score"]


def score(
    source: Annotated[
        Path, typer.Argument(metavar="IN", help="The CSV, plain or gzip; - for standard input.")
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="OUT", help="Where to; - for standard output.")
    ],
    *,
    bundle: Annotated[Path | None, typer.Option(help="The bundle; without it, the default one.")] = None,
    trusted_key: TrustedKeys = None,
    target: Target = None,
    expected: Annotated[bool, typer.Option("--expected", help="Add what the model expected.")] = False,
    time_column: Annotated[str, typer.Option(help="The column of times.")] = "time",
    machine_column: Annotated[
        str, typer.Option(help="The column of machine ids; may be missing.")
    ] = "machine_id",
) -> None:
    """Score a CSV: time, machine, score, severity, verdict, reason, and each sensor's error, row by row."""
    import sys  # noqa: PLC0415

    from edge_runtime.bundle.load import load_bundle  # noqa: PLC0415
    from edge_runtime.csvrows import Columns  # noqa: PLC0415
    from edge_runtime.scoring.file import score_csv  # noqa: PLC0415

    loaded = load_bundle(bundle, trust=trust_of(trusted_key, target))
    imported()
    for warning in loaded.approval.warnings if loaded.approval else ():
        sys.stderr.write(f"edge-detect: {loaded.name}: {warning}\n")
    columns = Columns(loaded.metadata.sensor_names, time_column, machine_column)
    accounts = score_csv(source, output, loaded, columns, with_expected=expected)
    for line in accounts.lines():
        sys.stderr.write(f"{line}\n")
