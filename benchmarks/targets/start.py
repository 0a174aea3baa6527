"""A fresh process until its end with one row scored, and what stays resident when it then waits for more."""

from __future__ import annotations

import subprocess
import time
from statistics import median
from typing import TYPE_CHECKING

from benchmarks.figures import Figure, paired
from benchmarks.targets.processes import bare, children, edge_detect, environment
from benchmarks.workloads import BUILD, ROUNDS, csv_text, line_protocol, plant

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["measure"]

MAX_MORE_MB = 12.0


def measure(*, quick: bool) -> Iterator[Figure]:
    """The time of `score` over one row, and the memory of `run`, beside the bare script."""
    row = plant(1)
    path = BUILD / "one.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(csv_text(row))
    rounds = ROUNDS if quick else 4 * ROUNDS
    lines = line_protocol(row)
    contestants = ((edge_detect("score", path, "--output", "-"), b""), (bare("default"), lines))
    ours, theirs = zip(*([_run(*each) for each in contestants] for _ in range(rounds + 1)), strict=True)
    # The first round finds nothing in the page cache.
    yield paired("first score", "score one row", "bare script", "ms", ours[1:], theirs[1:], at_most=1.25)
    yield from _memory(lines)


def _run(command: list[str], stdin: bytes) -> float:
    """Milliseconds from its start to its end."""
    started = time.perf_counter()
    done = subprocess.run(command, input=stdin, capture_output=True, check=True, env=environment())
    assert done.stdout.count(b"press-1") == 1
    return (time.perf_counter() - started) * 1e3


def _memory(lines: bytes) -> Iterator[Figure]:
    ours: list[float] = []
    theirs: list[float] = []
    for _ in range(ROUNDS):
        command = edge_detect("run", "--bundle", "default", "--source", "stdin")
        with children(command, bare("default")) as (edge, script):
            for child, found in ((edge, ours), (script, theirs)):
                child.ask(lines)
                time.sleep(0.2)
                found.append(child.memory_mb())
    target = "resident memory after a first row"
    yield paired(target, "run --source stdin", "bare script", "MB", ours, theirs)
    more = median(a - b for a, b in zip(ours, theirs, strict=True))
    yield Figure(target, "more than the bare script", "", "MB", more, at_most=MAX_MORE_MB, rounds=ROUNDS)
