"""`edge-detect`: what a gateway runs. One file a command, imported when it is called."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command

from edge_runtime.cli.guard import leave, run_app
from edge_runtime.version import __version__

__all__ = ["app", "console", "main"]

# Each is a module of this package that holds a function, or a Typer app, of the same name.
COMMANDS = (
    "run",
    "check",
    "read",
    "score",
    "inspect",
    "verify",
    "bench",
    "connectors",
    "alarms",
    "history",
    "rules",
    "outbox",
    "keys",
)


class LazyCommands(TyperGroup):
    """Makes a command when it is asked for: all of them would take a tenth of the time to a first score."""

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002 - as typer calls it
        """Their names, in the order of `--help`."""
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ARG002
        """One of them; None where there is none of this name."""
        if cmd_name not in COMMANDS:
            return None
        command = getattr(import_module(f"edge_runtime.cli.{cmd_name}"), cmd_name)
        if isinstance(command, typer.Typer):
            made: Any = get_command(command)
            made.name = cmd_name
            return made
        alone = typer.Typer(add_completion=False, rich_markup_mode=None)
        alone.command(cmd_name, cls=_class_of(cmd_name))(command)
        return get_command(alone)


def _class_of(cmd_name: str) -> type[TyperCommand]:
    if cmd_name in ("run", "check"):
        from edge_runtime.cli.settings_options import SettingsCommand

        return SettingsCommand
    if cmd_name in ("score", "read"):
        from edge_runtime.cli.form_options import FormCommand

        return FormCommand
    return TyperCommand


app = typer.Typer(
    cls=LazyCommands,
    help="Watch machines with a small anomaly detector.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def _version(asked: bool) -> None:
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


def main() -> None:
    """`edge-detect`, within a program: ends by SystemExit."""
    run_app(app, "edge-detect")


def console() -> None:
    """The console script: a process of its own, which ends at once."""
    try:
        main()
    except SystemExit as end:
        leave(end.code)
