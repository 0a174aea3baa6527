"""Measures what docs/performance.md lists, each figure as a ratio within one run; a table and JSON.

python -m benchmarks.targets [--quick] [NAME ...]
"""

from __future__ import annotations

import argparse
import importlib
import json
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.figures import as_table
from benchmarks.workloads import BUILD
from edge_runtime.bench.environment import Environment

if TYPE_CHECKING:
    from benchmarks.figures import Figure

NAMES = ("rows", "stream", "influx", "mqtt", "files", "memory", "start", "live", "growth", "long", "size")


def main() -> int:
    """Measures and prints; returns the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(NAMES)}; without one, all")
    parser.add_argument("--quick", action="store_true", help="shorter, and less certain")
    parser.add_argument("--output", type=Path, default=BUILD / "targets.json")
    options = parser.parse_args()
    if unknown := set(options.names) - set(NAMES):
        parser.error(f"no such target: {', '.join(sorted(unknown))}; there are {', '.join(NAMES)}")
    figures: list[Figure] = []
    failed: dict[str, str] = {}
    for name in options.names or NAMES:
        sys.stderr.write(f"{name} …\n")
        found: list[Figure] = []
        try:
            for figure in importlib.import_module(f"benchmarks.targets.{name}").measure(quick=options.quick):
                found.append(figure)  # noqa: PERF402 - those before a failure count
        except (ImportError, OSError, RuntimeError, subprocess.SubprocessError) as error:
            failed[name] = str(error)
        figures += found
        sys.stdout.write(as_table(found) if found else "")
        sys.stdout.write(f"failed: {failed[name]}\n" if name in failed else "")
        sys.stdout.flush()
    document = {
        "environment": asdict(Environment.here()),
        "figures": [figure.as_json() for figure in figures],
        "failed": failed,
    }
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
