"""`edge-train`: what an ML engineer runs. One file a command; each imports what it needs when called."""

from __future__ import annotations

import typer

from edge_runtime.cli.form_options import FormCommand
from edge_runtime.cli.guard import run_app
from edge_runtime.version import __version__
from trainer.cli.compare import compare
from trainer.cli.fit import fit
from trainer.cli.fleet import fleet
from trainer.cli.prepare import prepare
from trainer.cli.promote import promote
from trainer.cli.report import report
from trainer.cli.simulate import simulate
from trainer.cli.sweep import sweep

__all__ = ["app", "main"]

app = typer.Typer(
    help="Prepare sensor history, train a detector, and export it as one bundle.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"edge-train {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    *,
    version: bool = typer.Option(
        False, "--version", callback=_version, is_eager=True, help="Print the version and exit."
    ),
) -> None:
    """Prepare sensor history, train a detector, and export it as one bundle."""


for command in (simulate, prepare, fit, fleet, sweep, compare, report, promote):
    app.command(cls=None if command in (simulate, promote) else FormCommand)(command)


def main() -> None:
    """The console script."""
    run_app(app, "edge-train")
