"""What a gateway's process loads: every module costs start-up time and memory that it has little of."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

WORKSTATION = {"torch", "onnx", "mlflow", "sklearn", "pandas", "pydantic", "matplotlib", "pyarrow", "scipy"}
WHEN_USED = {"influxdb_client", "rich", "urllib3", "requests", "nacl"}
PROGRAM = """
import sys
from edge_runtime.cli import main
sys.argv = ["edge-detect", *sys.argv[1:]]
try:
    main()
finally:
    import json
    sys.stderr.write("\\n" + json.dumps(sorted({name.partition(".")[0] for name in sys.modules})))
"""


def loaded_by(folder: Path, *words: str) -> set[str]:
    """The top-level modules that a command has loaded when it ends."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *words],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return set(json.loads(done.stderr.splitlines()[-1]))


def test_run_loads_nothing_of_the_workstation_nor_what_it_does_not_use(tmp_path: Path) -> None:
    loaded = loaded_by(tmp_path, "run", "--rows", "1", "--speed", "0")
    assert {"numpy", "onnxruntime", "typer"} <= loaded
    assert not loaded & (WORKSTATION | WHEN_USED)


@pytest.mark.parametrize("words", [["inspect"], ["verify"]])
def test_the_other_commands_load_nothing_of_the_workstation(tmp_path: Path, words: list[str]) -> None:
    assert not loaded_by(tmp_path, *words) & (WORKSTATION | WHEN_USED)


@pytest.mark.parametrize("words", [["--version"], ["--help"]])
def test_a_command_that_scores_nothing_loads_neither_numpy_nor_onnx_runtime(
    tmp_path: Path, words: list[str]
) -> None:
    assert not loaded_by(tmp_path, *words) & (WORKSTATION | WHEN_USED | {"numpy", "onnxruntime"})
