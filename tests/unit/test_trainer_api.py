"""The trainer's few public names, and what the package's own example does."""

from __future__ import annotations

import re
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from support.history import write_history

import trainer

if TYPE_CHECKING:
    from pathlib import Path

NAMES = [
    *("Checkpoint", "Columns", "Detector", "NoTracker", "Plan", "Results", "Settings", "Split", "Tracker"),
    *("TrainingData", "read_training_data", "run_fit"),
]


def test_the_public_names_are_these_and_documented() -> None:
    assert trainer.__all__ == NAMES == dir(trainer)
    for name in NAMES:
        value = getattr(trainer, name)
        assert value.__name__ == name
        assert value.__doc__


def test_another_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'Model'"):
        _ = trainer.Model


@pytest.mark.parametrize("statement", ["import trainer", "import trainer.cli"])
def test_importing_it_imports_nothing_heavy(statement: str) -> None:
    heavy = ("torch", "pandas", "mlflow", "sklearn", "onnxruntime", "matplotlib")
    code = f"import sys; {statement}; print([name for name in {heavy!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_example_trains_and_exports(tmp_path: Path) -> None:
    write_history(tmp_path / "prepared")
    assert trainer.__doc__ is not None
    example = "\n".join(re.findall(r"^    (.*)$", trainer.__doc__, re.MULTILINE))
    example = example.replace("Settings(seed=1)", "Settings(seed=1, epochs=1)")
    assert "epochs=1" in example
    done = subprocess.run(
        [sys.executable, "-c", example], capture_output=True, text=True, cwd=tmp_path, check=False
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "fit" / "bundle.onnx").is_file()
    assert "threshold" in done.stdout
