"""What `edge-detect inspect --diff` prints."""

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING, Any

import typer

from edge_runtime.engine.differences import compare_bundles

if TYPE_CHECKING:
    from edge_runtime.engine.differences import Scored
    from edge_runtime.loading.load import Bundle

__all__ = ["show_differences"]

WIDEST = 40


def show_differences(first: Bundle, second: Bundle, *, as_json: bool) -> None:
    """Prints the fields that differ in two bundles, and what that does to the first's golden rows."""
    found = compare_bundles(first, second)
    names = (first.name, second.name) if first.name != second.name else ("first", "second")
    if as_json:
        document = {"names": names, **dataclasses.asdict(found)}
        typer.echo(json.dumps(document, indent=2, ensure_ascii=False))
        return
    if not found.fields:
        typer.echo("The two bundles are the same file.")
        return
    rows = [("", *names)]
    rows += [(path, _text(ours), _text(theirs)) for path, (ours, theirs) in found.fields.items()]
    path_width, width = (max(len(row[column]) for row in rows) for column in (0, 1))
    for path, ours, theirs in rows:
        typer.echo(f"{path:<{path_width}}  {ours:<{width}}  {theirs}".rstrip())
    typer.echo(f"\n{_scored(found.scored, *names)}")


def _scored(scored: Scored | None, first: str, second: str) -> str:
    if scored is None:
        return "The bundles have different sensors, so neither can score the other's rows."
    return (
        f"The severities of {second} on the {scored.rows} golden rows of {first} differ by up to "
        f"{scored.largest_difference:.3g}, and the verdicts on {scored.verdicts} rows."
    )


def _text(value: Any) -> str:
    text = f"{value:.6g}" if isinstance(value, float) else "none" if value == () else str(value)
    return text if len(text) <= WIDEST else f"{text[: WIDEST - 1]}…"
