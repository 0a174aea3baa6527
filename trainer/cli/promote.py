"""`edge-train promote`: one version of a registered model becomes the champion."""

from __future__ import annotations

from typing import Annotated

import typer

from trainer.cli.tracking_options import TrackingUri  # noqa: TC001 - typer evaluates the annotations

__all__ = ["promote"]


def promote(
    name: Annotated[str, typer.Argument(help="Name of the registered model.")],
    *,
    version: Annotated[
        int | None, typer.Option(min=1, help="Which version. [default: the newest]", show_default=False)
    ] = None,
    tracking_uri: TrackingUri = None,
) -> None:
    """Give the alias 'champion' to a registered model's version, for 'edge-export models:/NAME@champion'."""
    from trainer.tracking import promote as promote_version  # noqa: PLC0415 - imports mlflow, which takes seconds

    typer.echo(promote_version(name, None if version is None else str(version), tracking_uri))
