"""What the history of a plant costs: processor, disk, the longest wait, and how soon a curve is there.

Simulated machines, with faults, give a row a second each; all rows of a second are a commit. Judging and
storing are measured by the processor's clock, side by side. Then `--days` of one machine are stored, and
2,000 points are asked of time ranges of many lengths: from opening the file on, the median of `--rounds`.
"""

from __future__ import annotations

import argparse
import sqlite3
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path
from statistics import median

from edge_runtime import load_bundle
from edge_runtime.engine.engine import Engine
from edge_runtime.history.bounds import used_bytes
from edge_runtime.history.history import History
from edge_runtime.history.reading import reading_history
from edge_runtime.sources.simulate import SimulateSource

START, SECOND = 1_795_000_000 * 10**9, 10**9
HOUR_S, DAY_S = 3600, 86_400
POINTS = 2000
BLOCK = 8192
# What waits to be packed well, of which there is no more after days than after hours; and the rest.
WAITING = ("SELECT SUM(LENGTH(data)) FROM recent", "SELECT SUM(LENGTH(data)) FROM blocks WHERE level = 0")
PARTS = {
    "rows": "SELECT SUM(LENGTH(data)) FROM blocks WHERE level = 1",
    "minutes and hours": "SELECT SUM(LENGTH(data)) FROM rollups",
    "states": "SELECT SUM(LENGTH(data)) FROM states",
    "changes of alarms": "SELECT SUM(LENGTH(fields)) FROM changes",
}


def main() -> int:
    """Measures and prints; returns the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--machines", type=int, default=100)
    parser.add_argument("--hours", type=float, default=6.0)
    parser.add_argument("--decimals", type=int, default=4, help="of the readings")
    parser.add_argument("--days", type=int, default=40, help="of one machine, for the curves")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        _load(Path(folder) / "plant", options.machines, int(options.hours * HOUR_S), options.decimals)
        _curves(Path(folder) / "machine", options.days, options.decimals, options.rounds)
    return 0


def _load(path: Path, machines: int, seconds: int, decimals: int) -> None:
    engine = Engine(load_bundle("default"), alarms=True)
    source = _source(engine, machines)
    history = History(path, engine, None, report=print)
    judging = storing = 0.0
    waits = []
    for _ in range(seconds // 60):
        block = source._ticks(60)  # noqa: SLF001
        block = block.with_values(block.values.round(decimals))
        for second in range(60):
            rows = block.take(slice(second * machines, (second + 1) * machines))
            started = time.process_time()
            judged = engine.feed(rows)
            between = time.process_time()
            history.append(judged.results, list(judged.alarms))
            waits.append(time.process_time() - between)
            judging += between - started
            storing += waits[-1]
    history.close()
    waits.sort()
    print(
        f"{machines} machines of 4 sensors, a row a second each, {decimals} decimals, {seconds / HOUR_S:g} h"
    )
    print(f"  judging {judging / seconds:.2%} of a core, the history {storing / seconds:.2%}")
    print(f"  a commit: median {median(waits) * 1e3:.1f} ms, longest {waits[-1] * 1e3:.0f} ms")
    _print_size(path, machines, seconds / DAY_S)
    _ask(path, [600, HOUR_S, seconds], rounds=5)


def _print_size(path: Path, machines: int, days: float) -> None:
    with closing(sqlite3.connect(path)) as db:

        def sum_of(query: str) -> int:
            return int(db.execute(query).fetchone()[0] or 0)

        waiting = sum(map(sum_of, WAITING))
        found = {what: sum_of(query) for what, query in PARTS.items()}
        found["pages and indexes"] = used_bytes(db) - waiting - sum(found.values())
        packed = max(1, sum_of("SELECT SUM(rows) FROM blocks WHERE level = 1")) / machines / DAY_S
    print(
        f"  the file {path.stat().st_size / 1e6:.1f} MB, {waiting / 1e6:.1f} MB of it to be packed well later"
    )
    # Of rows, only those that are packed well grow by the day.
    by_day = {what: size / (packed if what == "rows" else days) for what, size in found.items()}
    for what, size in [*by_day.items(), ("together", sum(by_day.values()))]:
        print(f"    {what:<20}{size / 1e6:6.1f} MB a day")


def _curves(path: Path, days: int, decimals: int, rounds: int) -> None:
    engine = Engine(load_bundle("default"), alarms=True)
    source = _source(engine, 1)
    history = History(path, engine, None, report=print)
    seconds = days * DAY_S
    for rows in [*([BLOCK] * (seconds // BLOCK // 8 * 8)), 1]:  # so that hardly any wait to be packed
        block = source._ticks(rows)  # noqa: SLF001
        judged = engine.feed(block.with_values(block.values.round(decimals)))
        history.append(judged.results, list(judged.alarms))
    history.close()
    print(f"one machine, {days} days")
    lengths = [600, HOUR_S, 6 * HOUR_S, DAY_S, 41 * HOUR_S, 2 * DAY_S, 5 * DAY_S, 8 * DAY_S, 10 * DAY_S]
    _ask(path, [*lengths, seconds], rounds)


def _ask(path: Path, lengths: list[int], rounds: int) -> None:
    with reading_history(path) as reader:
        machine, _, newest, _ = reader.machines()[0]
    for length in lengths:
        found = []
        for _ in range(rounds):
            started = time.perf_counter()
            with reading_history(path) as reader:
                points = reader.points(machine, newest - length * SECOND, newest + 1, POINTS)
            found.append(time.perf_counter() - started)
        steps = ", ".join({0: "rows", 60: "minutes", 3600: "hours"}[one.step] for one in points)
        print(
            f"  the last {length / HOUR_S:8.1f} h: {sum(map(len, points)):5,} points of {steps:<15}"
            f"{median(found) * 1e3:7.1f} ms",
            flush=True,
        )


def _source(engine: Engine, machines: int) -> SimulateSource:
    names = engine.bundle.metadata.sensor_names
    return SimulateSource(
        names, machines=machines, severity=2.0, rate=1.0, seed=0, cadence=1.0, speed=0, now_ns=lambda: START
    )


if __name__ == "__main__":
    sys.exit(main())
