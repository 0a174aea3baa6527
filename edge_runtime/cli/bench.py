"""`edge-detect bench`: how fast a bundle is on this very machine."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 - typer evaluates the annotations
from typing import Annotated

import typer

from edge_runtime.errors import UsageError

__all__ = ["bench"]


def bench(
    bundle: Annotated[
        Path | None, typer.Argument(help="The bundle; without it, the default one.", show_default=False)
    ] = None,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
    output: Annotated[
        Path | None, typer.Option(help="Write the JSON to this file too.", show_default=False)
    ] = None,
    seconds: Annotated[
        float,
        typer.Option(min=0.1, help="Time for the measured calls; loading and fresh processes come on top."),
    ] = 5.0,
    rows: Annotated[
        int | None,
        typer.Option(min=1, help="Measure so many calls at most of each kind.", show_default=False),
    ] = None,
) -> None:
    """Measure a bundle: a row's latency beside ONNX Runtime alone, throughput, loading, start, memory."""
    import json  # noqa: PLC0415

    from edge_runtime.bench.measure import measure  # noqa: PLC0415 - brings numpy and ONNX Runtime
    from edge_runtime.bench.report import as_json as to_json  # noqa: PLC0415
    from edge_runtime.bench.report import as_text  # noqa: PLC0415

    if output is not None and not output.absolute().parent.is_dir():
        # Before the measurement and not after it.
        raise UsageError("there is no such folder", where=str(output.parent), mend="make it first")
    figures = measure(bundle, seconds=seconds, rows=rows)
    document = json.dumps(to_json(figures), indent=2, ensure_ascii=False) + "\n"
    if output is not None:
        _write(output, document)
    typer.echo(document if as_json else as_text(figures), nl=False)


def _write(path: Path, document: str) -> None:
    """Whole or not at all."""
    temporary = path.with_name(f".{path.name}.part")
    try:
        temporary.write_text(document, encoding="utf-8")
        temporary.replace(path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise UsageError(
            f"cannot write the figures ({error.strerror})",
            where=str(path),
            mend="name a file in a folder that exists",
        ) from None
