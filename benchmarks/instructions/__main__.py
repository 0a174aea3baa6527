"""Counts instructions a row, beside what was recorded.

python -m benchmarks.instructions [--record | --parts]
"""

from __future__ import annotations

import argparse
import json
import sys

from benchmarks.instructions.count import RAW, RECORDED, count, ratios, record


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
        counts = count(24, parts=True)
        for name, each in sorted(counts.items(), key=lambda item: item[1]):
            print(f"{'session.run' if name == RAW else name:<28}{each:>10,.0f}{each / counts[RAW]:>8.3f}")
        return 0
    before = json.loads(RECORDED.read_text(encoding="utf-8"))["ratios"] if RECORDED.exists() else {}
    if options.record:
        document = record()
        counts, found = document["instructions_a_row"], document["ratios"]
    else:
        counts = count()
        found = ratios(counts)
    print(f"{'':<28}{'a row':>10}{'ratio':>8}{'recorded':>10}")
    print(f"{'session.run':<28}{counts[RAW]:>10,.0f}")
    for name, ratio in found.items():
        print(f"{name:<28}{counts[name]:>10,.0f}{ratio:>8.3f}{before.get(name, float('nan')):>10.3f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
