from __future__ import annotations

import subprocess
import sys

import pytest

import edge_runtime

NAMES = [
    *("Bundle", "EdgeDetectError", "Engine", "Judged", "Readings", "Reason", "Results", "Rule", "Verdict"),
    "load_bundle",
]


def test_the_public_names_are_these_and_sorted() -> None:
    assert edge_runtime.__all__ == NAMES
    assert edge_runtime.__all__ == sorted(edge_runtime.__all__)
    assert dir(edge_runtime) == NAMES


def test_every_public_name_is_there_and_documented() -> None:
    for name in edge_runtime.__all__:
        value = getattr(edge_runtime, name)
        assert value.__name__ == name
        assert value.__doc__


def test_another_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'Model'"):
        _ = edge_runtime.Model


def imported_of(names: tuple[str, ...], statement: str) -> str:
    """Which of these modules a fresh interpreter holds after a statement."""
    code = f"import sys, edge_runtime as e; {statement}; print([m for m in {names!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_importing_the_package_imports_nothing_heavy() -> None:
    assert imported_of(("numpy", "onnxruntime", "typer", "torch"), "e.__name__") == "[]"


def test_scoring_imports_nothing_of_the_workstation() -> None:
    foreign = ("torch", "onnx", "mlflow", "pandas", "sklearn", "typer", "export", "trainer")
    assert imported_of(foreign, "e.Engine(e.load_bundle()).feed([60.0, 1.2, 47.0, 250.0])") == "[]"
