"""`edge-train promote`: which version of a registered model is the champion."""

from __future__ import annotations

from typing import Annotated

import typer

from trainer.cli.tracking_options import TrackingUri

__all__ = ["promote"]


def promote(
    name: Annotated[str, typer.Argument(help="Name of the registered model.")],
    *,
    version: Annotated[
        str | None, typer.Option(help="Version to promote. [default: the newest]", show_default=False)
    ] = None,
    tracking_uri: TrackingUri = None,
) -> None:
    """Make a version of a registered model its champion, which edge-export finds as models:/NAME@champion."""
    from trainer.tracking import promote as give_alias

    found = give_alias(name, version, tracking_uri)
    before = "" if found.before in {None, found.version} else f", replacing version {found.before}"
    typer.echo(f"version {found.version} of {name} is the champion{before}")
    typer.echo(f"edge-export models:/{name}@champion -o {name}.onnx")
