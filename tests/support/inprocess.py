"""Commands in the test's own process, which has imported what they need already."""

from __future__ import annotations

import gc
import io
import os
import subprocess
import sys
from contextlib import chdir, redirect_stderr, redirect_stdout
from typing import TYPE_CHECKING
from unittest.mock import patch

from edge_runtime.cli import main as edge_detect
from export.cli import main as edge_export
from trainer.cli import main as edge_train

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["run_here"]

PROGRAMS = {"edge-detect": edge_detect, "edge-train": edge_train, "edge-export": edge_export}


def run_here(folder: Path, *words: object) -> subprocess.CompletedProcess[bytes]:
    """What a program that is called in this folder says, and how it ends.

    It is the program's own entry point. For signals, streams that are lost, and whatever else belongs to a
    process, there is the fixture `command`.
    """
    program, *arguments = map(str, words)
    streams = [io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True) for _ in range(2)]
    state, code, collecting = {"XDG_STATE_HOME": str(folder / "state")}, 0, gc.isenabled()
    with (
        chdir(folder),
        patch.dict(os.environ, state),
        patch.object(sys, "argv", [program, *arguments]),
        redirect_stdout(streams[0]),
        redirect_stderr(streams[1]),
    ):
        try:
            PROGRAMS[program]()
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else int(end.code is not None)
        finally:
            if collecting:
                gc.enable()
    out, err = (stream.buffer.getvalue() for stream in streams)
    return subprocess.CompletedProcess([program, *arguments], code, out, err)
