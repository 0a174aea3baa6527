"""How often an alarm rings: with the calibrated delays, beside one that rings at each change of the verdict.

Rig, SKAB and simulated machines, each trained and calibrated as `edge-train fit` does it: threshold and
delays come from validation, and nothing from test rows. The rig's 30 healthy minutes are the first ones after
those that it was trained on, a cycle a minute, in one piece; its faulty time is every cycle with a fault.
SKAB's files are trained on 300 rows, with validation of 100: too few to put faults into, so that the delays
there are those of a validation that shows nothing. Simulated machines are those of seeds on which nothing was
ever chosen; faults are labelled from 30 % of a drift's ramp on.

A fault is found if an alarm is raised in it, or at most 30 s before. Of the others, some begin while an alarm
is up already; they are counted apart.
"""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from hydraulic import ROWS, SENSORS, TRAIN_PART, read_rig
from simulated import SEVERITIES, UNSEEN, read_simulated, simulate_unseen
from skab import FIT, TRAIN, read_skab
from tables import in_memory, split, summary

from trainer.calibration.alarm_counts import figures_of, judged_machines
from trainer.calibration.alarm_delays import measure_alarm_delays
from trainer.calibration.assess import choose_threshold
from trainer.calibration.debounce import ScoredRows
from trainer.fitting.fit import fit
from trainer.fitting.recipes import DEFAULT_HOLD

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from hydraulic import Rig
    from numpy.typing import NDArray

    from edge_runtime.bundle.metadata import Alarms
    from trainer.calibration.alarm_counts import AlarmFigures
    from trainer.data.split import Split
    from trainer.data.training_data import TrainingData
    from trainer.fitting.settings import Settings

    Pair = tuple[AlarmFigures, AlarmFigures]

__all__ = ["measure_alarms"]

HEALTHY_MINUTES = 30
VAL_PART = 0.1


def measure_alarms(
    folder: Path, settings: list[Settings], percentile: float, say: Callable[[str], None]
) -> dict[str, dict[str, dict[str, float]]]:
    """Data set to figures with and without delays: mean and standard deviation over training seeds.

    Args:
        folder: With skab/ and hydraulic/.
        settings: One for each training seed.
        percentile: Of the normal validation rows' scores: the threshold.
        say: Told how far it is.

    Raises:
        InputError: A file is missing.
    """
    runs: dict[str, list[dict[str, float]]] = {}
    for name, parts in _sets(folder):
        for each in settings:
            counts = [_counts(one, tests, each, percentile) for one, tests in parts]
            delays = [alarms for alarms, _ in counts]
            for test in counts[0][1]:
                figures = _figures([pairs[test] for _, pairs in counts], delays)
                runs.setdefault(f"{name}{test}", []).append(figures)
            say(f"alarms: {', '.join(f'{name}{test}' for test in counts[0][1])}, seed {each.seed}")
    return {name: summary(figures) for name, figures in runs.items()}


def _counts(
    data: TrainingData, tests: dict[str, Split], settings: Settings, percentile: float
) -> tuple[Alarms, dict[str, Pair]]:
    """The delays, and test to figures without and with them."""
    detector = fit(data, settings).detector
    threshold = choose_threshold(
        data.val,
        detector,
        "percentile",
        percentile=percentile,
        margin=None,
        hold=DEFAULT_HOLD,
        training=ScoredRows.of(data.train, detector),
    )
    alarms = measure_alarm_delays(data, detector, threshold).alarms
    found = {}
    for name, test in tests.items():
        machines = judged_machines(test, detector, threshold)
        delayed = figures_of(machines, alarms.on_delay_s, alarms.off_delay_s)
        found[name] = figures_of(machines, 0.0, 0.0), delayed
    return alarms, found


def _figures(pairs: list[Pair], alarms: list[Alarms]) -> dict[str, float]:
    """Of all parts of a data set together."""
    found: dict[str, float] = {}
    for place, name in enumerate(("without", "with")):
        parts = [pair[place] for pair in pairs]
        told = np.concatenate([part.found for part in parts])
        delays = np.concatenate([part.delays_s for part in parts])
        found |= {
            f"false {name}": float(sum(part.false_alarms for part in parts)),
            f"found {name}": float(told.sum()),
            f"up {name}": float(sum(int(part.since_before.sum()) for part in parts)),
            f"delay {name}": float(np.median(delays[told])) if told.any() else -1.0,
        }
    lost = [before.found & ~(after.found | after.since_before) for before, after in pairs]
    return found | {
        "faults": float(sum(len(before.found) for before, _ in pairs)),
        "lost": float(sum(int(one.sum()) for one in lost)),
        "days": sum(before.days for before, _ in pairs),
        "on": float(np.mean([one.on_delay_s for one in alarms])),
        "off": float(np.mean([one.off_delay_s for one in alarms])),
    }


def _sets(folder: Path) -> Iterator[tuple[str, list[tuple[TrainingData, dict[str, Split]]]]]:
    yield "rig", [_of_rig(read_rig(folder / "hydraulic"))]
    yield "SKAB", [_of_skab(*file) for file in read_skab(folder / "skab")]
    with tempfile.TemporaryDirectory() as scratch:
        parts = []
        for seed in UNSEEN:
            simulate_unseen(Path(scratch) / str(seed), seed)
            read = {each: read_simulated(Path(scratch) / str(seed), each) for each in SEVERITIES}
            tests = {f"simulator, severity {each}": data.test for each, (data,) in read.items()}
            parts.append((read[SEVERITIES[0]][0], tests))
        yield "", parts


def _of_rig(rig: Rig) -> tuple[TrainingData, dict[str, Split]]:
    cut = round(TRAIN_PART * len(rig.normal))
    learnt, later = rig.normal[:cut], rig.normal[cut:]
    held_out = max(1, int(VAL_PART * len(learnt)))
    train, val = rig.split(learnt[:-held_out]), rig.split(learnt[-held_out:])
    healthy = later[0] + np.arange(HEALTHY_MINUTES)
    assert np.isin(healthy, rig.normal).all()
    everything = np.arange(len(rig.accumulator))
    labels = np.repeat(np.isin(everything, rig.faulty["all"]), ROWS)
    after = np.setdiff1d(everything, learnt)
    faulty = replace(rig.split(after), labels=labels[rig.rows(after)])
    tests = {", 30 healthy minutes": rig.split(healthy), ", all time after and between": faulty}
    return in_memory(SENSORS, train, val, faulty), tests


def _of_skab(values: NDArray[np.float32], truth: NDArray[np.bool_]) -> tuple[TrainingData, dict[str, Split]]:
    parts = [split(values[:TRAIN]), split(values[TRAIN:FIT]), split(values[FIT:], truth[FIT:])]
    names = [f"s{place}" for place in range(values.shape[1])]
    return in_memory(names, *parts), {"": parts[2]}
