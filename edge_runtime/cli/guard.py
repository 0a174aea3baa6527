"""How a command line ends: one clear line on standard error, never a traceback for bad input."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from edge_runtime.errors import EdgeDetectError

if TYPE_CHECKING:
    import typer

__all__ = ["run_app"]


def run_app(app: typer.Typer, name: str) -> None:
    """Runs a Typer app; expected errors become one line on standard error and their exit code."""
    try:
        app(prog_name=name)
    except EdgeDetectError as error:
        sys.stderr.write(f"{name}: {error}\n")
        sys.exit(error.exit_code)
    except BrokenPipeError:
        # The reader of our output went away, as `head` does: nothing more can be written there.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
