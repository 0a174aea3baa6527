"""This project beside what a user would write instead, in one run; a table and JSON.

    python -m benchmarks.peers [--quick] [MODULE ...]

Each peer is a file here and lives in a process of its own, with one thread; all score the same rows, those
that take ONNX or PyTorch with the same model, the plain bundle's. They take turns in slices. What cannot be
imported is listed as missing, with the reason.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path

from benchmarks.figures import as_table
from benchmarks.peers import reading
from benchmarks.peers.contest import contest, make_ready
from benchmarks.workloads import BUILD
from edge_runtime.bench.environment import Environment

OURS, READING = "edge_detect", "reading"
PEERS = (
    "onnxruntime_bound",
    "onnxruntime_loop",
    "openvino_request",
    "pytorch",
    "mlflow_pyfunc",
    "mlflow_server",
    "pyod_autoencoder",
    "river_trees",
    "sklearn_forest",
)


def main() -> int:
    """Measures and prints; returns the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "names", nargs="*", metavar="MODULE", help=f"of {', '.join((*PEERS, READING))}; without one, all"
    )
    parser.add_argument("--quick", action="store_true", help="shorter, and less certain")
    parser.add_argument("--output", type=Path, default=BUILD / "peers.json")
    options = parser.parse_args()
    if unknown := set(options.names) - {*PEERS, READING}:
        parser.error(f"no such peer: {', '.join(sorted(unknown))}; there are {', '.join((*PEERS, READING))}")
    names = options.names or [*PEERS, READING]
    peers = [name for name in names if name != READING]
    missing = make_ready([OURS, *peers])
    figures = list(contest([OURS, *peers], missing, quick=options.quick))
    if READING in names:
        try:
            figures += reading.measure(quick=options.quick)
        except (ImportError, RuntimeError) as error:
            missing[READING] = str(error)
    sys.stdout.write(as_table(figures))
    sys.stdout.writelines(f"missing: {name}: {reason}\n" for name, reason in missing.items())
    document = {
        "environment": asdict(Environment.here()),
        "figures": [figure.as_json() for figure in figures],
        "missing": missing,
    }
    options.output.write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
