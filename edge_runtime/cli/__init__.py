"""`edge-detect`: what a gateway runs. One file a command; each imports what it needs when it is called."""

from __future__ import annotations

import typer

from edge_runtime.cli.bench import bench
from edge_runtime.cli.guard import run_app
from edge_runtime.cli.inspect import inspect
from edge_runtime.cli.keys import keys
from edge_runtime.cli.run import run
from edge_runtime.cli.score import score
from edge_runtime.cli.verify import verify
from edge_runtime.version import __version__

__all__ = ["app", "main"]

app = typer.Typer(
    help="Watch machines with a small anomaly detector.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def _version(asked: bool) -> None:  # noqa: FBT001
    if asked:
        typer.echo(f"edge-detect {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    *,
    version: bool = typer.Option(
        False, "--version", callback=_version, is_eager=True, help="Print the version."
    ),
) -> None:
    """Watch machines with a small anomaly detector."""


for command in (run, score, inspect, verify, bench):
    app.command()(command)
app.add_typer(keys, name="keys")


def main() -> None:
    """The console script."""
    run_app(app, "edge-detect")
