"""How a command line ends: one clear line on standard error, never a traceback for bad input."""

from __future__ import annotations

import gc
import os
import sys
from typing import TYPE_CHECKING

from edge_runtime.errors import EdgeDetectError

if TYPE_CHECKING:
    import typer

__all__ = ["imported", "run_app"]


def run_app(app: typer.Typer, name: str) -> None:
    """Runs a Typer app; expected errors become one line on standard error and their exit code."""
    # What is imported stays for good, and looking for garbage in it takes 10 ms: see `imported`.
    gc.disable()
    try:
        app(prog_name=name)
    except EdgeDetectError as error:
        sys.stderr.write(f"{name}: {error}\n")
        sys.exit(error.exit_code)
    except BrokenPipeError:
        # The reader of our output went away, as `head` does: nothing more can be written there.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)


def imported() -> None:
    """A long-running command has what it needs: from here on, garbage is collected, but not among that."""
    gc.freeze()
    gc.enable()
