"""The whole measurement, step by step."""

from __future__ import annotations

import time
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING

from edge_runtime.bench.cpu import RunningCost, measure_running_cost
from edge_runtime.bench.endtoend import ROUTES, measure_route, routes_of
from edge_runtime.bench.environment import Environment
from edge_runtime.bench.fresh import FreshStart, measure_fresh_start
from edge_runtime.bench.latency import Rounds
from edge_runtime.bench.openloop import Jitters, measure_jitter
from edge_runtime.bench.throughput import BATCH_SIZES, OneRow, measure_batches, measure_one_row
from edge_runtime.loading.load import load_bundle, read_bundle

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from edge_runtime.bench.route import EndToEnd, Gateway
    from edge_runtime.bundle.metadata import Limits
    from edge_runtime.loading.load import Bundle

__all__ = ["BATCH_SIZES", "Figures", "Plan", "measure"]

LOADS = 5


@dataclass(frozen=True, slots=True)
class Plan:
    """What is measured, and for how long.

    Attributes:
        seconds: Time for all that is measured together; loading and starting processes come on top.
        calls: Stop single calls after so many, if that is earlier.
        rate: Rows a second that are offered.
        cpu_rates: Rows a second at which CPU time is measured.
        routes: End to end, which of `ROUTES`.
        fresh_starts: Number of fresh processes.
    """

    seconds: float = 45.0
    calls: int | None = None
    rate: float = 100.0
    cpu_rates: tuple[float, ...] = (1.0, 10.0, 100.0)
    routes: tuple[str, ...] = ROUTES
    fresh_starts: int = 3

    @classmethod
    def quick(cls, seconds: float, *, calls: int | None, rate: float, cpu_rates: tuple[float, ...]) -> Plan:
        """Fewer processes: one fresh start, one route."""
        return cls(seconds, calls, rate, cpu_rates, ROUTES[:1], fresh_starts=1)

    def share(self, part: float) -> float:
        """Seconds that a part of the time is."""
        return self.seconds * part


# Parts of the time. A p99.9 needs many rows, and the CPU time of one row a second needs seconds.
ONE_ROW, BATCHES, JITTER, END_TO_END, CPU = 0.12, 0.12, 0.28, 0.22, 0.26


@dataclass(frozen=True, slots=True)
class Figures:
    """What was measured.

    Attributes:
        bundle: The bundle's file name.
        digest: The bundle's digest.
        limits: What the bundle declares to need.
        one_row: One row: ours, `session.run`, and the floor.
        throughput: Batch size to rows a second through `Engine.feed`.
        raw_throughput: Batch size to rows a second through `session.run`.
        jitters: Rows on a schedule, alone and beside busy neighbours.
        end_to_end: Route to what came of it.
        running: CPU time and memory of `edge-detect run`.
        load_ms: Loading the bundle, with every check, in a process that is already warm; the median.
        fresh: A fresh process.
        environment: Where.
    """

    bundle: str
    digest: str
    limits: Limits
    one_row: OneRow
    throughput: dict[int, float]
    raw_throughput: dict[int, float]
    jitters: Jitters
    end_to_end: dict[str, EndToEnd]
    running: RunningCost
    load_ms: float
    fresh: FreshStart
    environment: Environment


def measure(
    path: Path | None,
    plan: Plan,
    *,
    gateway: Gateway | None = None,
    on_step: Callable[[str], None] = lambda _step: None,
) -> Figures:
    """Measures a bundle on this machine.

    Args:
        path: The bundle; None for the default one.
        plan: What, and for how long.
        gateway: Whose servers are measured, too, with time of their own; None for no servers.
        on_step: Called with what is measured next.

    Raises:
        EdgeDetectError: The bundle cannot be used, or a process failed.
    """
    environment = Environment.here()
    on_step("loading")
    bundle, load_ms = _load(path)
    metadata = bundle.metadata
    on_step("fresh process")
    fresh = measure_fresh_start(path, repeats=plan.fresh_starts)
    on_step("one row")
    one_row = measure_one_row(bundle, read_bundle(path)[1], Rounds(plan.share(ONE_ROW), plan.calls))
    on_step(f"{plan.rate:g} rows a second, idle and busy")
    jitters = measure_jitter(bundle, rate=plan.rate, seconds=plan.share(JITTER))
    on_step("throughput")
    throughput, raw_throughput = measure_batches(bundle, plan.share(BATCHES), plan.calls, one_row)
    end_to_end = {}
    each = plan.share(END_TO_END) / len(plan.routes)
    for name in (*plan.routes, *routes_of(gateway)):
        on_step(f"end to end, {name}")
        end_to_end[name] = measure_route(name, path, metadata, rate=plan.rate, seconds=each, gateway=gateway)
    on_step("CPU time")
    running = measure_running_cost(path, metadata, rates=plan.cpu_rates, seconds=plan.share(CPU))
    return Figures(
        bundle=bundle.name,
        digest=bundle.digest,
        limits=metadata.limits,
        one_row=one_row,
        throughput=throughput,
        raw_throughput=raw_throughput,
        jitters=jitters,
        end_to_end=end_to_end,
        running=running,
        load_ms=load_ms,
        fresh=fresh,
        environment=environment,
    )


def _load(path: Path | None) -> tuple[Bundle, float]:
    # The first load imports ONNX Runtime; that is the fresh process's figure.
    bundle = load_bundle(path)
    durations = []
    for _ in range(LOADS):
        start = time.perf_counter_ns()
        bundle = load_bundle(path)
        durations.append((time.perf_counter_ns() - start) / 1e6)
    return bundle, round(median(durations), 3)
