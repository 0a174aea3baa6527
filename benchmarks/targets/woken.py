"""ONNX Runtime alone, woken by a line: a bound call on a row that is there, and an empty line for an answer.

    python woken.py < lines

It reads no row and says nothing of it: what a process cannot do without that scores with this model.
"""

from __future__ import annotations

import os

from benchmarks.floor import bound_call
from benchmarks.workloads import load


def main() -> None:
    """Until standard input ends."""
    call = bound_call(load("default"), None)
    turn = 0
    while os.read(0, 1 << 16):
        call(turn)
        turn += 1
        os.write(1, b"\n")


if __name__ == "__main__":
    main()
