"""How a test starts one of this folder's modules in a process of its own."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from support.commands import unmeasured

__all__ = ["REPOSITORY", "child_environment", "module"]

REPOSITORY = Path(__file__).parents[2]


def module(name: str) -> list[str]:
    """The beginning of a command line that runs a module."""
    return [sys.executable, "-m", name]


def child_environment() -> dict[str, str]:
    """Where it finds the modules; and no measuring of coverage, which would be most of its time."""
    return {**unmeasured(), "PYTHONPATH": os.pathsep.join([str(REPOSITORY), str(REPOSITORY / "tests")])}
