"""`edge-detect score`: a file in, the same rows with their scores out."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edge_runtime.cli.guard import imported
from edge_runtime.cli.trust_options import Target, TrustedKeys, trust_of

__all__ = ["score"]


def score(
    source: Annotated[
        Path,
        typer.Argument(
            metavar="IN",
            help="A CSV, plain or gzip, a Parquet or an Arrow file; - for CSV on standard input.",
        ),
    ],
    output: Annotated[
        Path,
        typer.Option(
            "--output",
            "-o",
            metavar="OUT",
            help="Where to: .parquet, .arrow, or CSV by any other name; - for standard output.",
        ),
    ],
    *,
    bundle: Annotated[
        Path | None, typer.Option(help="Bundle that judges the rows; the default one unless given.")
    ] = None,
    trusted_key: TrustedKeys = None,
    target: Target = None,
    expected: Annotated[bool, typer.Option("--expected", help="Add what the model expected.")] = False,
    kind: Annotated[
        str | None,
        typer.Option("--format", help="csv, parquet or arrow, whatever OUT is called.", show_default=False),
    ] = None,
    workers: Annotated[
        int, typer.Option(min=0, help="Threads that score, each some of the machines; 0 for one a processor.")
    ] = 1,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on where a run that was interrupted or killed stopped.")
    ] = False,
    time_column: Annotated[str, typer.Option(help="The column of times.")] = "time",
    machine_column: Annotated[
        str, typer.Option(help="The column of machine ids; may be missing.")
    ] = "machine_id",
) -> None:
    """Score a file: time, machine, score, severity, verdict, reason, and each sensor's error, row by row.

    The output is there whole or not at all. Ctrl-C keeps what was done, for --resume.
    """
    import os
    import sys

    from edge_runtime.errors import UsageError
    from edge_runtime.loading.load import load_bundle
    from edge_runtime.scorefile.run import FORMATS, Task, score_file
    from edge_runtime.text.csvrows import Columns

    if kind is not None and kind not in FORMATS:
        raise UsageError(f"there is no format '{kind}'", hint=f"there are: {', '.join(FORMATS)}")
    loaded = load_bundle(bundle, trust=trust_of(trusted_key, target))
    imported()
    for warning in loaded.approval.warnings if loaded.approval else ():
        sys.stderr.write(f"edge-detect: {loaded.name}: {warning}\n")
    columns = Columns(loaded.metadata.sensor_names, time_column, machine_column)
    task = Task(
        source,
        output,
        columns,
        kind=kind,
        with_expected=expected,
        workers=workers or len(os.sched_getaffinity(0)),
        resume=resume,
    )
    for line in score_file(task, loaded).lines():
        sys.stderr.write(f"{line}\n")
