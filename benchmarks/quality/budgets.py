"""False-alarm budgets: what was promised on some held-out days, and what happened in the time that followed.

A healthy simulated machine that the default bundle knows runs for some days, from which the
threshold is chosen; then for as long as the budget's period, on other days, its alarms are counted. Each run
is another machine.
"""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING

import numpy as np

from edge_runtime import Engine, Readings, load_bundle
from edge_runtime.bundle.metadata import Debounce, Hold
from edge_runtime.simulation import Simulator
from trainer.calibration.budget import DAYS, AlarmBudget
from trainer.calibration.debounce import ScoredRows, choose_debounce, kth_largest
from trainer.calibration.promise import is_promised
from trainer.data.stretches import ALARM_JOIN_NS, stretches

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

__all__ = ["measure_budgets"]

RUNS = 50
HELD_OUT_DAYS = 7
BUDGETS = ("1/day", "1/week", "1/month")
DEBOUNCES = (Debounce(1, 1), Debounce(2, 3))
DAY_S = 86_400
START_NS = 1_735_689_600 * 10**9


def measure_budgets(say: Callable[[str], None], runs: int = RUNS) -> dict[str, dict[str, dict[str, float]]]:
    """Budget to how often it was promised and the interval held, and the alarms that were realised.

    Where a budget is refused, its threshold is judged all the same.

    Args:
        say: Told how far it is.
        runs: How many machines.
    """
    budgets = [AlarmBudget.parse(text) for text in BUDGETS]
    inside: dict[str, list[bool]] = {}
    kept: dict[str, list[bool]] = {}
    realised: dict[str, list[int]] = {}
    longest = max(int(DAYS[budget.period]) for budget in budgets)
    for run in range(1, runs + 1):
        machine = f"press-{run}"
        scores, times = _scores(machine, 0, HELD_OUT_DAYS)
        later, later_times = _scores(machine, 100, longest)
        held_out = ScoredRows(scores, times, np.full(len(times), machine), np.ones(len(times), np.bool_))
        for budget, wanted in product(budgets, DEBOUNCES):
            debounce, found = choose_debounce(held_out, budget, Hold(), seed=run, wanted=wanted)
            rows = slice(0, int(DAYS[budget.period] * DAY_S))
            when = later_times[rows]
            of = np.full(len(when), machine)
            flags = kth_largest(later[rows], when, of, debounce) > found.value
            count = len(stretches(when, of, flags, join_ns=ALARM_JOIN_NS))
            name = f"{budget}, {wanted.k} of {wanted.n}"
            inside.setdefault(name, []).append(found.low <= count <= found.high)
            kept.setdefault(name, []).append(is_promised(found, budget))
            realised.setdefault(name, []).append(count)
        if run % 10 == 0:
            say(f"budgets: {run} machines")
    return {
        name: {
            "inside": {"mean": float(np.mean(inside[name])), "sd": 0.0},
            "promised": {"mean": float(np.mean(kept[name])), "sd": 0.0},
            "alarms": {"mean": float(np.mean(counts)), "sd": float(np.std(counts))},
            "median": {"mean": float(np.median(counts)), "sd": 0.0},
        }
        for name, counts in realised.items()
    }


def _scores(machine: str, day: int, days: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Of a healthy machine from this day on; a day at a time, for memory."""
    simulator = Simulator(machine, seed=1, severity=0.0, start_ns=START_NS + day * DAY_S * 10**9)
    engine = Engine(load_bundle())
    scores, times = [], []
    for _ in range(days):
        block = simulator.block(DAY_S)
        readings = Readings(np.full(DAY_S, machine), block.times, block.values.astype(np.float32))
        scores.append(engine.feed(readings).score)
        times.append(block.times)
    return np.concatenate(scores), np.concatenate(times)
