"""`edge-detect score`: a file in, the same rows with their scores out."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edge_runtime.cli.form_options import form_of
from edge_runtime.cli.guard import imported
from edge_runtime.cli.trust_options import Target, TrustedKeys, trust_of

__all__ = ["score"]


def score(
    ctx: typer.Context,
    source: Annotated[
        Path,
        typer.Argument(
            metavar="IN",
            help="File to score: CSV (plain or gzip), Parquet or Arrow. With -, CSV is read "
            "from standard input.",
        ),
    ],
    output: Annotated[
        Path,
        typer.Option(
            "--output",
            "-o",
            metavar="OUT",
            help="File to write. The suffixes .parquet and .arrow select these formats; any "
            "other name gives CSV. With -, the output goes to standard output.",
        ),
    ],
    *,
    bundle: Annotated[
        Path | None,
        typer.Option(help="Bundle that scores the rows. The default bundle is used if this is omitted."),
    ] = None,
    trusted_key: TrustedKeys = None,
    target: Target = None,
    expected: Annotated[
        bool, typer.Option("--expected", help="Add a column with the expected reading of each sensor.")
    ] = False,
    kind: Annotated[
        str | None,
        typer.Option(
            "--format",
            help="Format of the output: csv, parquet or arrow. [default: by the suffix of OUT]",
            show_default=False,
        ),
    ] = None,
    workers: Annotated[
        int,
        typer.Option(
            min=0,
            help="Number of worker threads, among which the machines are divided. With 0, one "
            "worker per processor.",
        ),
    ] = 1,
    resume: Annotated[
        bool, typer.Option("--resume", help="Resume a run that was interrupted or killed.")
    ] = False,
    state_mb: Annotated[
        int,
        typer.Option(
            min=1,
            help="Memory for what the bundle keeps of all machines, in MB. A file of more is refused.",
        ),
    ] = 256,
) -> None:
    """Score a file, and write time, machine, score, severity, verdict, reason and sensor errors for each row.

    The output file appears only when it is complete. After Ctrl-C, --resume continues the run.
    """
    import os

    from edge_runtime.cli.guard import INTERRUPTED, Signals, interrupt, say
    from edge_runtime.errors import UsageError
    from edge_runtime.files import refuse_same
    from edge_runtime.loading.load import load_bundle
    from edge_runtime.mapping.form import Columns
    from edge_runtime.scorefile.csvfile import STANDARD
    from edge_runtime.scorefile.run import FORMATS, Task, score_file

    form = form_of(ctx)
    if kind is not None and kind not in FORMATS:
        raise UsageError(f"there is no format '{kind}'", hint=f"choose one of {', '.join(FORMATS)}")
    read = {"the input": source, "the bundle": bundle}
    read |= {f"the trusted key {name}": Path(name) for name in trusted_key or ()}
    if output != STANDARD:
        refuse_same(output, read, "--output")
    loaded = load_bundle(bundle, trust=trust_of(trusted_key, target))
    imported()
    for warning in loaded.approval.warnings if loaded.approval else ():
        say(f"edge-detect: {loaded.name}: {warning}")
    columns = Columns.of(loaded.metadata.sensor_names, form)
    task = Task(
        source,
        output,
        columns,
        kind=kind,
        with_expected=expected,
        workers=workers or len(os.sched_getaffinity(0)),
        resume=resume,
        state_mb=state_mb,
        report=lambda line: say(f"edge-detect: {line}"),
    )
    with Signals(interrupt, code=INTERRUPTED):
        accounts = score_file(task, loaded)
    for line in accounts.lines():
        say(line)
