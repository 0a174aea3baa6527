"""How a command line ends: one clear line on standard error, never a traceback for bad input."""

from __future__ import annotations

import atexit
import gc
import os
import sys
from typing import TYPE_CHECKING, NoReturn

from edge_runtime.errors import EdgeDetectError

if TYPE_CHECKING:
    import typer

__all__ = ["imported", "leave", "run_app"]


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


def leave(code: str | int | None) -> NoReturn:
    """Ends the process as `sys.exit` does, but does not take the interpreter apart, a tenth of a first score.

    Nothing may be open but the standard streams. Whoever traces or profiles gets the usual end.
    """
    quick = isinstance(code, int) and not (sys.gettrace() or sys.getprofile())
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except (OSError, ValueError):  # which the usual end tells of
        quick = False
    if not quick:
        sys.exit(code)
    atexit._run_exitfuncs()  # noqa: SLF001 - what the usual end calls
    os._exit(int(code or 0))
