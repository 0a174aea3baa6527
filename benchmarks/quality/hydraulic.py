"""The UCI hydraulic rig: 2,205 load cycles of a minute, of which 293 are of a rig in good order.

Learnt from are 60 % of the good cycles, drawn at random or the first in time; tested on all others. A random
split is the easier one, as a cycle resembles its neighbours. A cycle's score is the mean of its rows', which
come one after another as on a gateway: what is remembered of one cycle goes on into the next. AUC against the
good cycles that are tested: of all faulty ones, of a worn valve alone, of a leaking pump alone.

Networks keep every fifth of the cycles they learn from to know when to stop. What is in closed form needs
none, and comes out the same with every seed.

Normal rows do not say how far to average the residuals. The fixed weight was chosen with these test cycles
in sight. Crossed, the weight that is best at two of the accumulator's four pressures is used at the other
two, and the other way round: one weight for both splits together, or one for each.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from sklearn.metrics import roc_auc_score
from tables import in_memory, split, summary

from edge_runtime.errors import InputError
from trainer.baselines import IsolationForest, SumZ
from trainer.fit import Settings, fit
from trainer.recipes import RECIPES
from trainer.settings import CLOSED_FORM

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    from trainer.data import Split

__all__ = ["Rig", "learnt_and_tested", "measure_hydraulic", "read_hydraulic"]

SENSORS = ("temperature", "vibration", "pressure", "power")
SPLITS = ("random", "time")
LEARNT = 0.6
KEPT = 5
# At a row a second, so many harmonics give each second of the cycle a mean of its own.
PHASE: dict[str, Any] = {"scaler": "standard", "smooth": 1, "period": 60.0, "harmonics": 30}
LINEAR = Settings(model="linear", window=2, **PHASE)
AVERAGE = 0.3
AVERAGES = (None, 0.5, 0.4, 0.3, 0.25, 0.2, 0.15, 0.1)
QUANTILE = 0.99  # of the simple methods' thresholds, which no AUC asks for


@dataclass(frozen=True, slots=True)
class Rig:
    """Every reading, and what state the rig was in.

    Attributes:
        readings: [cycles, rows, sensors] in raw units.
        times: [cycles, rows] ns.
        accumulator: [cycles] its pressure, bar.
        good: [cycles] whether cooler, valve and pump are in good order.
        faults: Name to [cycles] which of the others have that fault.
    """

    readings: NDArray[np.float32]
    times: NDArray[np.int64]
    accumulator: NDArray[np.int64]
    good: NDArray[np.bool_]
    faults: dict[str, NDArray[np.bool_]]

    def rows(self, cycles: NDArray[np.intp] | slice) -> Split:
        """All rows of some cycles."""
        return replace(split(self.flat(cycles)), times=self.times[cycles].ravel())

    def flat(self, cycles: NDArray[np.intp] | slice) -> NDArray[np.float32]:
        """[rows, sensors] of some cycles."""
        return self.readings[cycles].reshape(-1, len(SENSORS))

    def mean(self, scores: NDArray[np.floating]) -> NDArray[np.floating]:
        """[cycles] from the scores of all rows."""
        found: NDArray[np.floating] = scores.reshape(len(self.good), -1).mean(1)
        return found

    def figures(
        self, scores: NDArray[np.floating], tested: NDArray[np.intp], part: NDArray[np.bool_] | None = None
    ) -> dict[str, float]:
        """Fault to AUC of scores, [cycles], against those of the good cycles that are tested.

        Args:
            scores: Higher is worse.
            tested: Numbers of the good cycles.
            part: [cycles] which count; None for all.
        """
        among = np.ones(len(scores), np.bool_) if part is None else part
        good = scores[tested[among[tested]]]
        found = {}
        for name, fault in self.faults.items():
            bad = scores[fault & among]
            truth = np.repeat([False, True], [len(good), len(bad)])
            found[name] = float(roc_auc_score(truth, np.concatenate([good, bad])))
        return found


def read_hydraulic(folder: Path) -> Rig:
    """The rig's readings.csv.gz and cycles.csv.

    Raises:
        InputError: A file is missing, or the cycles do not have the same number of rows, one after another.
    """
    paths = folder / "readings.csv.gz", folder / "cycles.csv"
    for path in paths:
        if not path.is_file():
            raise InputError("no such file", where=str(path))
    readings, cycles = (pd.read_csv(path) for path in paths)
    rows = len(readings) // len(cycles)
    if not np.array_equal(readings["cycle"], np.repeat(cycles["cycle"], rows)):
        raise InputError("not the same number of rows for each of cycles.csv, in order", where=str(paths[0]))
    times = pd.to_datetime(readings["time"]).to_numpy("datetime64[ns]").astype(np.int64)
    cooled = (cycles["cooler"] == 100).to_numpy()
    worn, leaking = (cycles["valve"] < 100).to_numpy(), (cycles["pump_leak"] > 0).to_numpy()
    good = cooled & ~worn & ~leaking
    return Rig(
        readings[list(SENSORS)].to_numpy(np.float32).reshape(len(cycles), rows, len(SENSORS)),
        times.reshape(len(cycles), rows),
        cycles["accumulator"].to_numpy(),
        good,
        {"all": ~good, "valve": cooled & worn & ~leaking, "pump": cooled & ~worn & leaking},
    )


def learnt_and_tested(rig: Rig, kind: str) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Numbers of the good cycles to learn from and of those to test on, in time order.

    Args:
        rig: The rig.
        kind: "random" by cycle, always the same, or "time": the first ones to learn from.
    """
    good = np.flatnonzero(rig.good)
    order = np.random.default_rng(0).permutation(good) if kind == "random" else good
    count = round(LEARNT * len(good))
    return np.sort(order[:count]), np.sort(order[count:])


def measure_hydraulic(
    folder: Path, settings: list[Settings], _percentile: float, say: Callable[[str], None]
) -> dict[str, dict[str, dict[str, float]]]:
    """Method to figure, such as "time valve", to mean and standard deviation over training seeds.

    Args:
        folder: With readings.csv.gz and cycles.csv.
        settings: One for each training seed.
        say: Told how far it is.

    Raises:
        InputError: What `read_hydraulic` raises.
    """
    rig = read_hydraulic(folder)
    cycles = {kind: learnt_and_tested(rig, kind) for kind in SPLITS}

    def figures(method: Callable[[NDArray[np.intp]], NDArray[np.floating]]) -> dict[str, float]:
        """Of the scores that a method gives every cycle when it learns from some."""
        both = {kind: rig.figures(method(learnt), tested) for kind, (learnt, tested) in cycles.items()}
        return _named(both)

    found = {}
    plain = RECIPES["plain"].settings
    for name, runs in {
        "plain autoencoder": [Settings(seed=each.seed, **plain) for each in settings],
        "recipe": settings,
        "autoencoder, phase": [Settings(seed=each.seed, **PHASE) for each in settings],
        "linear, phase": [replace(LINEAR, window=1)],
        "  and the row before": [LINEAR],
        "  and averaged": [replace(LINEAR, average=AVERAGE)],
    }.items():
        found[name] = summary([figures(partial(_ours, rig, each)) for each in runs])
        say(f"hydraulic: {name.strip()}")
    weighed = {
        kind: [_ours(rig, replace(LINEAR, average=weight), learnt) for weight in AVERAGES]
        for kind, (learnt, _) in cycles.items()
    }
    tested = {kind: tested for kind, (_, tested) in cycles.items()}
    found["  crossed"] = summary([_crossed(rig, weighed, tested)])
    each_alone = [_crossed(rig, {kind: weighed[kind]}, tested) for kind in SPLITS]
    found["  crossed, each split"] = summary([{**each_alone[0], **each_alone[1]}])
    found["sum of z-scores"] = summary([figures(partial(_sum_z, rig))])
    found["Isolation Forest"] = summary([figures(partial(_forest, rig))])
    return found


def _ours(rig: Rig, settings: Settings, learnt: NDArray[np.intp]) -> NDArray[np.floating]:
    """[cycles] scores of a detector that learnt from some of them."""
    kept = learnt[KEPT // 2 :: KEPT]
    train = learnt if settings.model in CLOSED_FORM else np.setdiff1d(learnt, kept)
    val = rig.rows(kept)
    detector = fit(in_memory(SENSORS, rig.rows(train), val, val), settings).detector
    every = rig.rows(slice(None))
    return rig.mean(detector.score(every.values, times=every.times)[0])


def _sum_z(rig: Rig, learnt: NDArray[np.intp]) -> NDArray[np.floating]:
    """[cycles] means of the rows' sums of z-scores."""
    simple = SumZ.fit(rig.flat(learnt), rig.flat(learnt), QUANTILE)
    return rig.mean(simple.score(rig.flat(slice(None))))


def _forest(rig: Rig, learnt: NDArray[np.intp]) -> NDArray[np.floating]:
    """[cycles] scores of an Isolation Forest that sees a whole cycle at once."""
    whole = rig.readings.reshape(len(rig.good), -1)
    return IsolationForest.fit(whole[learnt], whole[learnt], QUANTILE).score(whole)


def _crossed(
    rig: Rig, weighed: dict[str, list[NDArray[np.floating]]], tested: dict[str, NDArray[np.intp]]
) -> dict[str, float]:
    """The mean over both halves of the accumulator's pressures, each with the weight best on the other half.

    Args:
        rig: The rig.
        weighed: Kind of split to [cycles] scores with each of the weights; what is best is so for all kinds.
        tested: Kind of split to numbers of the good cycles that are tested.
    """
    half = np.isin(rig.accumulator, np.unique(rig.accumulator)[::2])
    found = []
    for chosen_on, tested_on in ((half, ~half), (~half, half)):
        worth = [
            np.mean(
                [list(rig.figures(weighed[kind][i], tested[kind], chosen_on).values()) for kind in weighed]
            )
            for i in range(len(AVERAGES))
        ]
        best = int(np.argmax(worth))
        found.append(
            _named({kind: rig.figures(weighed[kind][best], tested[kind], tested_on) for kind in weighed})
        )
    return {name: float(np.mean([part[name] for part in found])) for name in found[0]}


def _named(both: dict[str, dict[str, float]]) -> dict[str, float]:
    return {f"{kind} {fault}": value for kind, part in both.items() for fault, value in part.items()}
