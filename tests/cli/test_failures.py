"""What nothing else turned into a message is one line too, and a fault of ours says where it is."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROGRAM = """
import typer
from edge_runtime.cli.guard import run_app
app = typer.Typer(pretty_exceptions_enable=False)

@app.command()
def fail() -> None:
    {0}

run_app(app, "edge-detect")
"""
WITHOUT = """
import sys
sys.modules[{0!r}] = None
from edge_runtime.cli import main
sys.argv = ["edge-detect", *{1!r}]
main()
"""


def run(program: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
        cwd=ROOT,
        env={**os.environ, **variables},
    )


@pytest.mark.parametrize(
    ("statement", "code", "line"),
    [
        (
            "open('/dev/null/x')",
            1,
            "/dev/null/x: it cannot be used (Not a directory)",
        ),
        (
            "raise OSError(28, 'No space left on device', 'led')",
            1,
            "led: it cannot be used (No space left on device); free some disk space",
        ),
        (
            "raise PermissionError(13, 'Permission denied')",
            1,
            "the system refuses (Permission denied); check who",
        ),
        ("raise MemoryError", 1, "there is not enough memory"),
        ("(f := lambda: f())()", 1, "something in the input is nested too deeply"),
        ("raise KeyboardInterrupt", 130, "interrupted"),
        ("import os; os.no_such_call", 1, "this needs Linux: os.no_such_call is not on this system (linux)"),
        (
            "import no_such_module",
            1,
            "the installation is not complete (No module named 'no_such_module'); install",
        ),
        (
            "{}['key']",
            1,
            "internal error in <string>, line 8 (KeyError: 'key'); report it with what EDGE_DETECT_",
        ),
        (
            "from edge_runtime.config import settings_of; settings_of(int)",
            1,
            "internal error in edge_runtime/config.py",
        ),
    ],
)
def test_an_error_that_nobody_expected_is_one_line(statement: str, code: int, line: str) -> None:
    done = run(PROGRAM.format(statement))
    assert done.returncode == code, done.stderr
    assert done.stderr.startswith(f"edge-detect: {line}")
    assert done.stderr.count("\n") == 1


def test_the_traceback_of_a_fault_is_shown_on_demand() -> None:
    done = run(PROGRAM.format("{}['key']"), EDGE_DETECT_TRACEBACK="1")
    lines = done.stderr.splitlines()
    assert lines[0] == "Traceback (most recent call last):"
    assert lines[-2] == "KeyError: 'key'"
    assert lines[-1].startswith("edge-detect: internal error in ")


@pytest.mark.parametrize(
    ("module", "words"),
    [
        ("resource", ("verify",)),
        ("fcntl", ("run", "--rows", "1", "--speed", "0", "--sink", "jsonl", "--output", "/dev/null")),
    ],
)
def test_a_module_that_only_linux_has_is_one_line(
    module: str, words: tuple[str, ...], tmp_path: Path
) -> None:
    done = run(WITHOUT.format(module, list(words)), XDG_STATE_HOME=str(tmp_path))
    assert done.returncode == 1
    assert (
        done.stderr == f"edge-detect: this needs Linux: the module {module} is not on this system (linux)\n"
    )
