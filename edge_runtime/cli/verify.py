"""`edge-detect verify`: every check that a bundle goes through before it is used, one line each."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 - typer evaluates the annotations
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from edge_runtime.bundle.load import Step

__all__ = ["verify"]


def verify(
    bundle: Annotated[
        Path | None, typer.Argument(help="The bundle; the one that comes with edge-detect when left out.")
    ] = None,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Check a bundle, try it in a process of its own, replay its golden rows; exit 1 when it is refused."""
    import json  # noqa: PLC0415

    from edge_runtime.bundle.load import STEPS, load_bundle  # noqa: PLC0415
    from edge_runtime.bundle.trial import Trial  # noqa: PLC0415
    from edge_runtime.errors import BundleError  # noqa: PLC0415

    passed: list[Step] = []

    def on_step(step: Step) -> None:
        passed.append(step)
        if not as_json:
            typer.echo(f"ok       {step.name:<15} {step.finding}")

    refused: BundleError | None = None
    try:
        loaded = load_bundle(bundle, on_step=on_step, trial=Trial(again=True))
    except BundleError as error:
        refused = error
    failed = None if refused is None else STEPS[len(passed)]
    if as_json:
        document = {
            "ok": refused is None,
            "digest": None if refused else loaded.digest,
            "steps": [{"name": s.name, "ok": True, "finding": s.finding} for s in passed]
            + ([{"name": failed, "ok": False, "finding": str(refused)}] if refused else []),
            "golden_rows": None if refused else loaded.self_test.rows,
            "largest_golden_difference": None if refused else loaded.self_test.largest_difference,
        }
        typer.echo(json.dumps(document, indent=2, ensure_ascii=False))
    elif failed is not None:
        typer.echo(f"REFUSED  {failed}")
    else:
        typer.echo(f"verified {loaded.name} {loaded.digest}")
    if refused is not None:
        raise refused
