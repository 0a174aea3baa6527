"""Instructions a row, counted by callgrind: the same however busy the machine is, and within 0.2 % each time.

What is guarded is each path's ratio to `session.run` of the same rows in the same process, which hangs little
on processor and versions.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.workloads import BUILD, BUNDLES, ROOT
from edge_runtime.bench.environment import Environment

__all__ = ["BASE", "COUNTED_ROWS", "RAW", "RECORDED", "count", "ratios", "record"]

RECORDED = Path(__file__).with_name("recorded.json")
# Before the engine and all that was built upon it: what the sum of all changes is held against.
BASE = Path(__file__).with_name("recorded-5e06ad3.json")
RAW = "raw"
COUNTED_ROWS = 128
NAMED = re.compile(r"^desc: Trigger: Client Request: (.+)$", re.MULTILINE)
TOTAL = re.compile(r"^totals: (\d+)$", re.MULTILINE)


def count(bundle: str, rows: int = COUNTED_ROWS, *, parts: bool = False) -> dict[str, float]:
    """Each path's instructions a row, or what each part of one row's way from text to text takes.

    Args:
        bundle: One of `BUNDLES`.
        rows: How many are counted.
        parts: Whether it is the parts.

    Raises:
        RuntimeError: There is no valgrind, or it fails.
    """
    valgrind = shutil.which("valgrind")
    if valgrind is None:
        raise RuntimeError("there is no valgrind: install Debian's package of that name")
    # Few variables: what a coverage or another profiler puts there would be counted with us.
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "PYTHONHASHSEED": "0"}
    BUILD.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=BUILD) as folder:
        command = [valgrind, "--tool=callgrind", "--instr-atstart=no", "--callgrind-out-file=counts"]
        child = [sys.executable, "-m", "benchmarks.instructions.child", str(rows), bundle]
        done = subprocess.run(
            [*command, *child, *["parts"] * parts],
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise RuntimeError(f"valgrind: {done.stderr[-2000:]}")
        texts = [path.read_text(encoding="utf-8") for path in Path(folder).glob("counts.*")]
    totals: dict[str, list[int]] = {}
    for text in texts:
        name, total = NAMED.search(text), TOTAL.search(text)
        if name and total:
            totals.setdefault(name[1], []).append(int(total[1]))
    found = {name: median(each) if parts else sum(each) / rows for name, each in totals.items()}
    if RAW not in found:
        raise RuntimeError("valgrind counted nothing")
    return found


def ratios(counts: dict[str, float]) -> dict[str, float]:
    """Each path's instructions to those of `session.run`."""
    return {name: round(each / counts[RAW], 3) for name, each in sorted(counts.items()) if name != RAW}


def record() -> dict[str, Any]:
    """Counts, and writes down what the test compares with."""
    counts, here = {bundle: count(bundle) for bundle in BUNDLES}, Environment.here()
    document = {
        "ratios": {bundle: ratios(each) for bundle, each in counts.items()},
        "instructions_a_row": {
            bundle: {name: round(number) for name, number in sorted(each.items())}
            for bundle, each in counts.items()
        },
        "recorded_with": {"python": here.python, "numpy": here.numpy, "onnxruntime": here.onnxruntime},
    }
    RECORDED.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    return document
