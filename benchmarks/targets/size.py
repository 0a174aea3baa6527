"""What the base install takes on disk, beside ONNX Runtime and numpy alone."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.figures import Figure
from benchmarks.workloads import BUILD, ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["measure"]

MAX_MORE_MB = 20.0


def measure(*, quick: bool) -> Iterator[Figure]:
    """Built and installed by pip with constraints.txt's versions, each into a folder; not when quick."""
    if quick:
        return
    BUILD.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=BUILD) as scratch:
        folder = Path(scratch)
        _pip("wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", folder, ROOT)
        (wheel,) = folder.glob("*.whl")
        ours, theirs = (
            _installed_mb(folder / "ours", wheel),
            _installed_mb(folder / "theirs", "onnxruntime", "numpy"),
        )
    target = "installed size"
    yield Figure(target, "edge-detect", "onnxruntime, numpy", "MB", ours, theirs, ours / theirs)
    yield Figure(target, "more than onnxruntime and numpy", "", "MB", ours - theirs, at_most=MAX_MORE_MB)


def _installed_mb(folder: Path, *packages: object) -> float:
    _pip("install", "--target", folder, "--constraint", ROOT / "constraints.txt", *packages)
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 1e6


def _pip(*words: object) -> None:
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "-qq"]
    subprocess.run([*pip, *map(str, words)], check=True)
