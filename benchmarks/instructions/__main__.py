"""Counts instructions a row, beside what was recorded last and at first.

python -m benchmarks.instructions [--record | --parts]
"""

from __future__ import annotations

import argparse
import json
import sys
from typing import TYPE_CHECKING

from benchmarks.instructions.count import BASE, RAW, RECORDED, count, ratios, record
from benchmarks.workloads import BUNDLES

if TYPE_CHECKING:
    from pathlib import Path


def main() -> int:
    """Counts and prints; returns the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--record", action="store_true", help="make this the record that the test compares with"
    )
    parser.add_argument("--parts", action="store_true", help="where one row's instructions go, instead")
    options = parser.parse_args()
    if options.parts:
        for bundle in BUNDLES:
            _print_parts(bundle)
        return 0
    before, base = (_ratios(file) for file in (RECORDED, BASE))
    if options.record:
        document = record()
        counts = document["instructions_a_row"]
    else:
        counts = {bundle: count(bundle) for bundle in BUNDLES}
    for bundle, each in counts.items():
        print(f"{bundle:<28}{'a row':>10}{'ratio':>8}{'recorded':>10}{'5e06ad3':>10}")
        print(f"  {'session.run':<26}{each[RAW]:>10,.0f}")
        for name, ratio in ratios(each).items():
            old = (found.get(bundle, {}).get(name, float("nan")) for found in (before, base))
            print(f"  {name:<26}{each[name]:>10,.0f}{ratio:>8.3f}" + "".join(f"{one:>10.3f}" for one in old))
    return 0


def _print_parts(bundle: str) -> None:
    counts = count(bundle, 24, parts=True)
    print(f"{bundle:<28}{'a row':>10}{'ratio':>8}")
    for name, each in sorted(counts.items(), key=lambda item: item[1]):
        print(f"  {'session.run' if name == RAW else name:<26}{each:>10,.0f}{each / counts[RAW]:>8.3f}")


def _ratios(file: Path) -> dict[str, dict[str, float]]:
    found: dict[str, dict[str, float]] = (
        json.loads(file.read_text("utf-8"))["ratios"] if file.exists() else {}
    )
    return found


if __name__ == "__main__":
    sys.exit(main())
