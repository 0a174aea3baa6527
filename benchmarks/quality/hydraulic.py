"""The hydraulic rig: load cycles of a minute, four sensors, faults of the cooler, the valve and the pump.

Normal is a cycle whose cooler, valve and pump are healthy. Fitted on 60 % of these, split by cycle at random
or in time, tested on the others and on every faulty cycle; a cycle's score is the mean of its rows'. The rows
are scored one after another in the order of the rig's time, as a gateway would, so that a memory goes on from
each cycle to the next, whatever that was. "valve" and "pump" are cycles where that alone is faulty.

The load repeats every minute. The recipe for that is shown the phase, each second by its own combination of
harmonics, and the row before; it was chosen by these very figures. What the choice is worth is told by
crossing it: of all recipes of a grid, the one that is best at two of the accumulator's four pressures is
measured at the other two, and the other way round. "crossed" chooses for each split by itself, "crossed, one
for both" by both splits together.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import product
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from sklearn.metrics import roc_auc_score
from tables import in_memory, split, summary

from edge_runtime.errors import InputError, TrainingError
from trainer.calibration.treatment import Treated, Treatment
from trainer.evaluation.baselines import FITTED, IsolationForest
from trainer.fitting.fit import Settings, fit
from trainer.fitting.recipes import RECIPES

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    from trainer.data.split import Split

__all__ = ["CYCLE", "ROWS", "SENSORS", "TRAIN_PART", "measure_hydraulic", "read_rig"]

SENSORS = ("temperature", "vibration", "pressure", "power")
ROWS = 60
TRAIN_PART, VAL_PART = 0.6, 0.1
CYCLE = Settings(
    model="linear",
    scaler="standard",
    window=2,
    period=float(ROWS),
    harmonics=29,
    average=0.5,
    smooth=1,
)
# What the simple detectors can be given of it.
PHASE = Treatment(period=CYCLE.period, harmonics=CYCLE.harmonics)
GRID = tuple(
    replace(CYCLE, window=window, harmonics=harmonics, average=average)
    for window, harmonics, average in product(
        (1, 2, 3), (25, 28, 29, 30), (None, 0.5, 0.4, 0.3, 0.2, 0.15, 0.1)
    )
)


@dataclass(frozen=True, slots=True)
class Rig:
    """All of the rig's time.

    Attributes:
        values: [cycles * 60, sensors] raw units.
        normal: Numbers of the normal cycles.
        faulty: Fault to the numbers of its cycles; "all" of all.
        accumulator: [cycles] its pressure, bar.
    """

    values: NDArray[np.float32]
    normal: NDArray[np.intp]
    faulty: dict[str, NDArray[np.intp]]
    accumulator: NDArray[np.int64]

    def rows(self, cycles: NDArray[np.intp]) -> NDArray[np.intp]:
        """The rows of these cycles, in their order."""
        return (cycles[:, None] * ROWS + np.arange(ROWS)).ravel()

    @property
    def times(self) -> NDArray[np.int64]:
        """[rows] ns, a second apart."""
        return np.arange(len(self.values), dtype=np.int64) * 10**9

    def split(self, cycles: NDArray[np.intp]) -> Split:
        """These cycles' rows, each at its time."""
        rows = self.rows(cycles)
        return replace(split(self.values[rows]), times=self.times[rows])


def measure_hydraulic(
    folder: Path, settings: list[Settings], _percentile: float, say: Callable[[str], None]
) -> dict[str, dict[str, dict[str, float]]]:
    """Method and split to the AUC of each fault: mean and standard deviation over training seeds.

    Args:
        folder: With readings.csv.gz and cycles.csv.
        settings: One for each training seed.
        say: Told how far it is.

    Raises:
        InputError: A file is missing.
    """
    rig = read_rig(folder)
    found: dict[str, dict[str, dict[str, float]]] = {}
    for name, train in _splits(rig).items():
        tested = np.setdiff1d(rig.normal, train)
        methods = {
            "phase and row before": [CYCLE],
            "plain": [Settings(seed=each.seed, **RECIPES["plain"].settings) for each in settings],
            "best": settings,
            "autoencoder and phase": [
                replace(CYCLE, model="autoencoder", window=1, average=None, seed=each.seed)
                for each in settings
            ],
        }
        for method, several in methods.items():
            runs = [_aucs(rig, tested, _means(_scores(rig, train, each))) for each in several]
            found[f"{method}, {name}"] = summary(runs)
            say(f"hydraulic: {method}, split {name}")
        found |= _simple(rig, train, tested, name)
        say(f"hydraulic: simple detectors, split {name}")
    return found | _crossed(rig, say)


def _simple(
    rig: Rig, train: NDArray[np.intp], tested: NDArray[np.intp], name: str
) -> dict[str, dict[str, dict[str, float]]]:
    """The simple detectors on rows as they are, and without the phase; and a forest on whole cycles."""
    learnt, found = rig.split(train), {}
    for kind in FITTED:
        for what, treatment in {"": Treatment(), " with the phase": PHASE}.items():
            with suppress(TrainingError):
                simple = Treated.fit(kind, learnt, learnt, 99.0, treatment)
                scores = _means(simple.judge(rig.split(np.arange(len(rig.accumulator))))[0])
                found[f"{kind.name}{what}, {name}"] = summary([_aucs(rig, tested, scores)])
    whole = rig.values.reshape(-1, ROWS * len(SENSORS))  # noqa: PD011 - no frame
    forest = IsolationForest.fit(split(whole[train]), split(whole[train]), 0.99)
    found[f"{forest.name} of cycles, {name}"] = summary([_aucs(rig, tested, forest.score(split(whole)))])
    return found


def read_rig(folder: Path) -> Rig:
    """Reads the folder.

    Raises:
        InputError: A file is missing, or a cycle has not a minute of rows.
    """
    try:
        readings, cycles = pd.read_csv(folder / "readings.csv.gz"), pd.read_csv(folder / "cycles.csv")
    except FileNotFoundError as error:
        raise InputError("no such file", where=str(error.filename)) from None
    values = readings[list(SENSORS)].to_numpy(np.float32)
    if len(values) != len(cycles) * ROWS:
        raise InputError(f"{len(values)} readings are not {ROWS} a cycle", where=str(folder))
    healthy = {
        "cooler": cycles["cooler"].to_numpy() == 100,
        "valve": cycles["valve"].to_numpy() == 100,
        "pump": cycles["pump_leak"].to_numpy() == 0,
    }
    normal = np.logical_and.reduce(list(healthy.values()))

    def alone(part: str) -> NDArray[np.intp]:
        others = np.logical_and.reduce([fine for name, fine in healthy.items() if name != part])
        return np.flatnonzero(others & ~healthy[part])

    faulty = {"all": np.flatnonzero(~normal), "valve": alone("valve"), "pump": alone("pump")}
    return Rig(values, np.flatnonzero(normal), faulty, cycles["accumulator"].to_numpy())


def _splits(rig: Rig) -> dict[str, NDArray[np.intp]]:
    """The training cycles of each split, in order of time."""
    count = round(TRAIN_PART * len(rig.normal))
    drawn = np.random.default_rng(0).permutation(rig.normal)[:count]
    return {"at random": np.sort(drawn), "in time": rig.normal[:count]}


def _scores(rig: Rig, train: NDArray[np.intp], settings: Settings) -> NDArray[np.float32]:
    """[rows] of all of the rig's time."""
    cut = len(train) - max(1, int(VAL_PART * len(train)))
    parts = train[:cut], train[cut:]
    # A model in closed form needs no validation to stop by.
    if settings.model == "linear":
        parts = train, train[cut:]
    data = in_memory(SENSORS, rig.split(parts[0]), rig.split(parts[1]), rig.split(parts[1]))
    detector = fit(data, settings).detector
    scores: NDArray[np.float32] = detector.score(rig.values, times=rig.times)[0]
    return scores


def _means(scores: NDArray[np.floating]) -> NDArray[np.float64]:
    """[cycles] of [rows]."""
    means: NDArray[np.float64] = scores.astype(np.float64).reshape(-1, ROWS).mean(1)
    return means


def _aucs(
    rig: Rig,
    tested: NDArray[np.intp],
    scores: NDArray[np.floating],
    among: NDArray[np.bool_] | None = None,
) -> dict[str, float]:
    """Fault to AUC of [cycles] scores; of cycles among some, if they are given."""
    counted = np.ones(len(scores), np.bool_) if among is None else among
    good = scores[tested[counted[tested]]]
    found = {}
    for fault, faulty in rig.faulty.items():
        bad = scores[faulty[counted[faulty]]]
        truth = np.repeat([0, 1], [len(good), len(bad)])
        found[fault] = float(roc_auc_score(truth, np.concatenate([good, bad])))
    return found


def _crossed(rig: Rig, say: Callable[[str], None]) -> dict[str, dict[str, dict[str, float]]]:
    """The grid's recipes, each half of the pressures with the one that is best on the other half."""
    half = np.isin(rig.accumulator, np.unique(rig.accumulator)[::2])
    ways = ((half, ~half), (~half, half))
    # Split, way, recipe: figures where it is chosen, and where it is tested.
    figures: dict[str, list[list[tuple[dict[str, float], dict[str, float]]]]] = {}
    for name, train in _splits(rig).items():
        tested = np.setdiff1d(rig.normal, train)
        scores = [_means(_scores(rig, train, each)) for each in GRID]
        figures[name] = [
            [(_aucs(rig, tested, one, chosen), _aucs(rig, tested, one, left)) for one in scores]
            for chosen, left in ways
        ]
        say(f"hydraulic: {len(GRID)} recipes, split {name}")

    def worth(name: str, way: int) -> NDArray[np.float64]:
        """[recipes] mean AUC where it is chosen."""
        return np.array([np.mean(list(chosen.values())) for chosen, _ in figures[name][way]])

    def halves(name: str, choices: list[NDArray[np.float64]]) -> dict[str, dict[str, float]]:
        parts = [figures[name][way][int(choice.argmax())][1] for way, choice in enumerate(choices)]
        return summary([{fault: float(np.mean([part[fault] for part in parts])) for fault in parts[0]}])

    each = range(len(ways))
    joint = [np.sum([worth(name, way) for name in figures], axis=0) for way in each]
    found = {f"crossed, {name}": halves(name, [worth(name, way) for way in each]) for name in figures}
    return found | {f"crossed, one for both, {name}": halves(name, joint) for name in figures}
