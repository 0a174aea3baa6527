"""One peer in a process of its own: loads it, scores a first row, then measures what it is told to.

    python -m benchmarks.peers.child MODULE FOLDER [prepare]

A line on standard input is a number of rows a call and for how many seconds; the answer is a line with the
nanoseconds of each call.
"""

from __future__ import annotations

import importlib
import json
import sys
import time
from pathlib import Path

import numpy as np


def main() -> None:
    """Until standard input ends."""
    answers, sys.stdout = sys.stdout, sys.stderr  # what a library prints is no answer
    peer = importlib.import_module(f"benchmarks.peers.{sys.argv[1]}")
    folder = Path(sys.argv[2])
    rows = np.load(folder / "rows.npy")
    if len(sys.argv) > 3:
        if hasattr(peer, "prepare"):
            peer.prepare(folder, rows[:2000])
        return
    score = peer.load(folder)
    score(rows[:1])
    print(json.dumps(time.monotonic_ns()), file=answers, flush=True)
    clock = time.perf_counter_ns
    for line in sys.stdin:
        size, seconds = (float(word) for word in line.split())
        blocks = [rows[i : i + int(size)] for i in range(0, len(rows) - int(size) + 1, int(size))][:256]
        found: list[int] = []
        until = clock() + seconds * 1e9
        while not found or clock() < until:
            block = blocks[len(found) % len(blocks)]
            started = clock()
            score(block)
            found.append(clock() - started)
        print(json.dumps(found), file=answers, flush=True)


if __name__ == "__main__":
    main()
