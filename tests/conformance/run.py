"""One set of bundles through many ONNX runtimes: `make conformance`.

Scores must lie within the tolerance of PyTorch's, and verdicts be equal, whether the rows come in blocks of
50 or one by one. The runtimes are installed below build/conformance: nothing of them is in the project's own
environment. Prints a table, writes build/conformance/table.json, and exits 1 where a runtime that loads a
bundle disagrees.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))

from conformance.bundles import BUNDLES, Case, make_case  # noqa: E402 - found there

BUILD = Path("build/conformance").absolute()
NODE_PACKAGE = "onnxruntime-node@1.30.0"
# Name to the module of `runtimes` and what pip installs for it.
RUNTIMES = {
    "ONNX Runtime 1.18": ("onnx_runtime", ["onnxruntime==1.18.1", "numpy<2"]),
    "ONNX Runtime, newest": ("onnx_runtime", ["onnxruntime"]),
    "onnx.reference": ("reference", ["onnx"]),
    "OpenVINO": ("openvino_runtime", ["openvino"]),
    "tract": ("tract_runtime", ["tract"]),
}
NODE = "onnxruntime-node"
ROWS, BLOCKS = 500, (50, 1)


def main() -> int:
    """Installs, runs and prints; returns the exit code."""
    commands = {name: _python(name, module, packages) for name, (module, packages) in RUNTIMES.items()}
    commands[NODE] = _node()
    found: dict[str, dict[str, str]] = {}
    agree = True
    with tempfile.TemporaryDirectory() as scratch:
        for bundle in BUNDLES:
            case = make_case(Path(scratch), bundle, ROWS)
            found[bundle] = {}
            for name, command in commands.items():
                cell, fine = _cell(case, command)
                found[bundle][name] = cell
                agree &= fine
            sys.stderr.write(f"{bundle}\n")
    (BUILD / "table.json").write_text(json.dumps(found, indent=2) + "\n")
    sys.stdout.write(_table(found, list(commands)))
    return 0 if agree else 1


def _cell(case: Case, command: list[str]) -> tuple[str, bool]:
    """The part of the tolerance that was used, or why it cannot run; and whether it agrees, or cannot."""
    worst = 0.0
    for block in BLOCKS:
        output = case.path.with_suffix(".scores")
        output.unlink(missing_ok=True)
        words = [*command, str(case.path), str(case.rows), str(output), str(block)]
        done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=600)
        if done.returncode or not output.exists():
            lines = done.stderr.strip().splitlines() or ["no output"]
            return f"cannot: {lines[-1][:60]}", True
        used, equal = case.judge(np.asarray(json.loads(output.read_text()), np.float32))
        if not equal or not used <= 1:
            return f"DIFFERS ({used:.1f} of its tolerance)", False
        worst = max(worst, used)
    return f"{worst:.0%}", True


def _python(name: str, module: str, packages: list[str]) -> list[str]:
    """The driver's command in an environment of its own."""
    folder = BUILD / name.replace(" ", "-").replace(",", "")
    python = folder / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    subprocess.run([str(python), "-m", "pip", "install", "-q", *packages], check=True)
    return [str(python), str(HERE / "driver.py"), module]


def _node() -> list[str]:
    folder = BUILD / "node"
    folder.mkdir(parents=True, exist_ok=True)
    # Its script would fetch what a GPU needs.
    words = ["npm", "install", "--silent", "--no-audit", "--no-fund", "--ignore-scripts", NODE_PACKAGE]
    subprocess.run(words, cwd=folder, check=True)
    script = folder / "node.js"
    script.write_text((HERE / "runtimes" / "node.js").read_text())
    return ["node", str(script)]


def _table(found: dict[str, dict[str, str]], runtimes: list[str]) -> str:
    widths = [max(len(name), *(len(row[name]) for row in found.values())) for name in runtimes]
    first = max(map(len, found))
    lines = [f"{'':<{first}}  " + "  ".join(f"{n:>{w}}" for n, w in zip(runtimes, widths, strict=True))]
    for bundle, row in found.items():
        cells = [f"{row[name]:>{width}}" for name, width in zip(runtimes, widths, strict=True)]
        lines.append(f"{bundle:<{first}}  " + "  ".join(cells))
    return "\n".join(lines) + "\nthe largest part of its tolerance that a score used; verdicts equal\n"


if __name__ == "__main__":
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    sys.exit(main())
