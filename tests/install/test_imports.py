"""What a gateway's process loads: every module costs start-up time and memory that it has little of."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from support.commands import unmeasured

if TYPE_CHECKING:
    from pathlib import Path

# What a feed from standard input may load: nothing that only another source, sink or command needs.
THIRD_PARTY = {"numpy", "onnxruntime", "typer", "annotated_doc", "shellingham"}
NOT_FOR_A_ROW = {
    "sqlite3",
    "ssl",
    "http",
    "email",
    "asyncio",
    "unittest",
    "tomllib",
    "gzip",
    "importlib.resources",
}
OUR_FOLDERS = {"bench", "influxdb", "mqtt", "signing", "simulation", "view"}
MAX_MODULES = 300
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
    sys.stderr.write("\\n" + json.dumps(sorted(sys.modules)))
"""


def modules_of(folder: Path, *words: str, stdin: str = "") -> set[str]:
    """The modules that a command has loaded when it ends."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *words],
        cwd=folder,
        capture_output=True,
        input=stdin,
        text=True,
        check=False,
        env=unmeasured(),
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return set(json.loads(done.stderr.splitlines()[-1]))


def interpreters_own() -> set[str]:
    """The modules of a program that does nothing."""
    program = [sys.executable, "-c", "import sys; print(*sys.modules)"]
    return set(subprocess.check_output(program, env=unmeasured(), text=True).split())


def loaded_by(folder: Path, *words: str) -> set[str]:
    """Their top-level names."""
    return {name.partition(".")[0] for name in modules_of(folder, *words)}


def test_a_row_from_standard_input_keeps_to_the_budget(tmp_path: Path) -> None:
    """In numbers: a module costs 0.1 to 1 ms and up to 1 MB, on every start of every gateway."""
    line = "sensors,machine_id=press temperature=50,vibration=1.2,pressure=47,power=270 1767225600000000000\n"
    # What the interpreter loads by itself, a distribution's `sitecustomize` too, is not ours to count.
    modules = (
        modules_of(tmp_path, "run", "--bundle", "default", "--source", "stdin", stdin=line)
        - interpreters_own()
    )
    tops = {name.partition(".")[0] for name in modules}
    strangers = tops - set(sys.stdlib_module_names) - THIRD_PARTY - {"edge_runtime"}
    assert not strangers
    assert not modules & NOT_FOR_A_ROW
    ours = {name for name in modules if name.startswith("edge_runtime.")}
    assert not {name.split(".")[1] for name in ours} & OUR_FOLDERS
    assert len(modules) <= MAX_MODULES


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
