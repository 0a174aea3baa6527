"""Flips the bits of a part of a bundle, one at a time, and says which flips the loader let through.

python -m hostile.flips BUNDLE FIRST LAST STEP
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from edge_runtime.errors import BundleError
from edge_runtime.loading.load import load_bytes

__all__ = ["main"]


def main() -> None:
    """Prints how many flips there were, and those that were accepted, as byte and bit."""
    changed = bytearray(Path(sys.argv[1]).read_bytes())
    accepted = []
    flips = 0
    for position in range(*map(int, sys.argv[2:5])):
        for bit in range(8):
            changed[position] ^= 1 << bit
            try:
                load_bytes(bytes(changed), "flipped")
            except BundleError:
                pass
            else:
                accepted.append((position, bit))
            changed[position] ^= 1 << bit
            flips += 1
    sys.stdout.write(json.dumps({"flips": flips, "accepted": accepted}))


if __name__ == "__main__":
    main()
