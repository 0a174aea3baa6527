"""Many machines at one row a second each, all into one `edge-detect run`: what a row costs the processor."""

from __future__ import annotations

import time
from itertools import pairwise
from statistics import median
from typing import TYPE_CHECKING

from benchmarks.figures import Figure, paired
from benchmarks.targets.processes import children, edge_detect
from benchmarks.workloads import BUNDLES, FLEETS, QUICK_ROUNDS, ROUNDS, bundle_path, line_protocol, plant

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["measure"]

TICK_S = 1.0


def measure(*, quick: bool) -> Iterator[Figure]:
    """Fleets of 1 to 1,000 machines side by side, once for each bundle; when quick for the default one."""
    for name in BUNDLES[:1] if quick else BUNDLES:
        yield from _growth(name, 1 if quick else 6, QUICK_ROUNDS if quick else ROUNDS)


def _growth(name: str, seconds: int, rounds: int) -> Iterator[Figure]:
    ticks = seconds * rounds
    lines = [_ticks(machines, ticks + 2) for machines in FLEETS]
    bundle = name if name == "default" else bundle_path(name)
    with children(*[edge_detect("run", "--source", "stdin", "--bundle", bundle) for _ in FLEETS]) as fleet:
        marks: list[list[int]] = []
        begin = time.monotonic()
        for tick in range(ticks + 2):
            # After two ticks that are not counted, one mark a round.
            if tick >= 2 and (tick - 2) % seconds == 0:
                marks.append([child.cpu_ns() for child in fleet])
            for child, every in zip(fleet, lines, strict=True):
                child.ask(every[tick])
            time.sleep(max(0.0, begin + (tick + 1) * TICK_S - time.monotonic()))
        marks.append([child.cpu_ns() for child in fleet])
    each = [
        [(after[i] - before[i]) / 1e3 / (seconds * machines) for before, after in pairwise(marks)]
        for i, machines in enumerate(FLEETS)
    ]
    target = f"processor time a row at one row a second and machine, {name} bundle"
    yield Figure(target, f"{FLEETS[0]} machine", "", "µs", median(each[0]), rounds=rounds)
    for i in range(1, len(FLEETS)):
        what, against = f"{FLEETS[i]:,} machines", f"{FLEETS[i - 1]:,}"
        yield paired(target, what, against, "µs", each[i], each[i - 1], at_most=1.0)


def _ticks(machines: int, ticks: int) -> list[bytes]:
    readings = plant(machines * ticks, machines=machines)
    return [line_protocol(readings.take(slice(i * machines, (i + 1) * machines))) for i in range(ticks)]
