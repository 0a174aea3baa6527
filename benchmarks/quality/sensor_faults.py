"""Faults of sensors: what each is called, and how often a sensor is called faulty that is not.

Two healthy simulated machines that the default bundle knows run on days that it does not. One sensor after
the other has a fault for ten minutes, eight times in each run, with twenty minutes between. A row's verdict
"anomaly" calls it a fault of the machine, whatever else the row says; else a status calls it a fault of the
sensor; else it is called normal. The machines' own faults are those of a simulated day each.

A frozen sensor's first 60 rows are left out: so long it may take until it is found. "rounded" readings are
those of usual transmitters, with limits measured on two days of such rows, for the same network. With "rates"
the bundle states how fast each sensor can change: four times its training range in a second, which is more
than any labelled fault of the simulated machine does.

The second table needs data: on normal rows and on labelled faults of machines no sensor should be called
faulty. Limits are measured on each set's normal rows of training and validation.
"""

from __future__ import annotations

import tempfile
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from hydraulic import ROWS, TRAIN_PART, read_rig
from hydraulic import SENSORS as RIG_SENSORS
from simulated import SEVERITIES, UNSEEN, read_simulated, simulate_unseen
from skab import FIT, TRAIN, read_skab
from tables import in_memory, split, summary

from edge_runtime import Engine, Readings, load_bundle
from edge_runtime.engine.sensors import SensorWatch
from edge_runtime.records import Verdict
from edge_runtime.simulation import SENSORS, Simulator
from trainer.calibration.standing import measure_standing
from trainer.data.choice import Columns
from trainer.data.training_data import read_training_data

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from edge_runtime.bundle.metadata import SensorLimit
    from edge_runtime.loading.load import Bundle
    from edge_runtime.records import Results
    from trainer.data.training_data import TrainingData
    from trainer.fitting.fit import Settings

__all__ = ["HEALTHY", "KINDS", "measure_labelled", "measure_sensor_faults"]

MACHINES = ("press-1", "press-2")
FAULTS, FAULT_ROWS, REST_ROWS, GRACE_ROWS = 8, 600, 1200, 60
DAY_S, START_NS, DAY = 86_400, 1_735_689_600 * 10**9, 300
DIGITS = np.array([0.1, 0.01, 0.1, 1.0])  # °C, mm/s, PSI, W
DECIMALS = 4  # of the simulated machine's own readings, in tables
RATES = 4.0  # training ranges a second
JUMP = 5.0  # training ranges
BIAS = 0.25
FROZEN = ("frozen", "frozen ± one digit")
HEALTHY, OF_THE_MACHINE = "rows without a fault", "the machine's own faults, severity "
KINDS = ("missing", *FROZEN, "at 0", "out of range", "one row's jump", "bias", "drift")


def measure_sensor_faults(
    say: Callable[[str], None], faults: int = FAULTS
) -> dict[str, dict[str, dict[str, float]]]:
    """Bundle and kind of fault to the shares of its rows by what they are called, over machines and sensors.

    Args:
        say: Told how far it is.
        faults: How many in each run.
    """
    plain = load_bundle()
    found = {}
    for name, (bundle, digits) in _bundles(plain).items():
        healthy = [_healthy(machine, DAY, faults * (FAULT_ROWS + REST_ROWS)) for machine in MACHINES]
        outside = []
        # What a stated rate does not change need not be measured twice.
        for kind in ("at 0", "one row's jump") if name == "rates" else KINDS:
            runs = []
            for (times, values), place in product(healthy, range(len(SENSORS))):
                rounded = _rounded(values, digits)
                faulty, rows = _with_fault(kind, rounded, place, bundle, digits)
                results = Engine(bundle).feed(Readings(np.full(len(times), "m"), times, faulty)).results
                counted = _counted(kind, rows)
                runs.append(_shares(results, counted, place) | {"until": _until(results, rows, place)})
                outside.append(_shares(results, ~rows, place))
            figures = summary(runs)
            figures["until"] = {"mean": max(run["until"] for run in runs), "sd": 0.0}
            found[f"{name}: {kind}"] = figures
        found[f"{name}: {HEALTHY}"] = summary([run | {"until": 0.0} for run in outside])
        say(f"sensors: {name}")
    for severity in SEVERITIES:
        runs = [_of_the_machine(plain, machine, float(severity), faults) for machine in MACHINES]
        found[f"default: {OF_THE_MACHINE}{severity}"] = summary(runs)
    return found


def _of_the_machine(bundle: Bundle, machine: str, severity: float, faults: int) -> dict[str, float]:
    """What a machine's own labelled faults are called."""
    rows = min(DAY_S, faults * (FAULT_ROWS + REST_ROWS) * 6)
    block = Simulator(machine, seed=1, severity=severity, start_ns=START_NS + DAY * DAY_S * 10**9).block(rows)
    readings = Readings(np.full(rows, "m"), block.times, block.values.astype(np.float32))
    return _shares(Engine(bundle).feed(readings).results, block.anomaly, 0) | {"until": 0.0}


def _bundles(plain: Bundle) -> dict[str, tuple[Bundle, NDArray[np.float64]]]:
    """Name to bundle and the digits of its readings."""
    fine = np.full(len(SENSORS), 10.0**-DECIMALS)
    status = plain.metadata.sensor_status
    if status is None:
        raise ValueError("the default bundle finds no sensor that stands still")
    rated = []
    for limit, sensor in zip(status.limits, plain.metadata.sensors, strict=True):
        low, high = sensor.training_range
        rated.append(replace(limit, max_rate=RATES * (high - low)))
    days = [_rounded(_healthy(machine, DAY - 10, DAY_S)[1], DIGITS) for machine in MACHINES]
    learnt = in_memory(SENSORS, *(split(values) for values in (*days, days[1][:1])))
    return {
        "default": (plain, fine),
        "rates": (_with_limits(plain, tuple(rated)), fine),
        "rounded": (_with_limits(plain, measure_standing(learnt).status.limits), DIGITS),
    }


def _with_limits(bundle: Bundle, limits: tuple[SensorLimit, ...]) -> Bundle:
    status = bundle.metadata.sensor_status
    if status is None:
        raise ValueError("the bundle finds no sensor that stands still")
    metadata = replace(bundle.metadata, sensor_status=replace(status, limits=limits))
    return replace(bundle, metadata=metadata)


def _healthy(machine: str, day: int, rows: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    simulator = Simulator(machine, seed=1, severity=0.0, start_ns=START_NS + day * DAY_S * 10**9)
    block = simulator.block(rows)
    return block.times, block.values.astype(np.float64)


def _rounded(values: NDArray[np.float64], digits: NDArray[np.float64]) -> NDArray[np.float32]:
    return (np.round(values / digits) * digits).astype(np.float32)


def _with_fault(
    kind: str, values: NDArray[np.float32], place: int, bundle: Bundle, digits: NDArray[np.float64]
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """The rows with one sensor's fault in them, and which rows those are."""
    faulty, rows = values.copy(), np.zeros(len(values), np.bool_)
    sensor = bundle.metadata.sensors[place]
    width = sensor.training_range[1] - sensor.training_range[0]
    random = np.random.default_rng(place)
    length = 1 if kind == "one row's jump" else FAULT_ROWS
    for start in range(REST_ROWS, len(values), REST_ROWS + FAULT_ROWS):
        part = slice(start, start + length)
        own, held = values[part, place], values[start, place]
        rows[part] = True
        if kind == "missing":
            faulty[part, place] = np.nan
        elif kind == "frozen":
            faulty[part, place] = held
        elif kind == "frozen ± one digit":
            faulty[part, place] = held + digits[place] * random.integers(-1, 2, len(own))
        elif kind == "at 0":
            faulty[part, place] = 0.0
        elif kind == "out of range":
            faulty[part, place] = (sensor.physical_range or (0.0, 1e30))[1] * 1.5
        elif kind == "one row's jump":
            faulty[part, place] = own + JUMP * width
        else:
            ramp = np.linspace(0, 1, len(own)) if kind == "drift" else 1.0
            faulty[part, place] = own + BIAS * width * ramp
    return faulty, rows


def _counted(kind: str, rows: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The fault's rows without those in which it need not have been found."""
    if kind not in FROZEN:
        return rows
    counted: NDArray[np.bool_] = rows & np.concatenate([np.zeros(GRACE_ROWS, np.bool_), rows[:-GRACE_ROWS]])
    return counted


def _shares(results: Results, rows: NDArray[np.bool_], place: int) -> dict[str, float]:
    """What these rows are called, and how many that are called faulty name the right sensor alone."""
    machine = results.verdicts == Verdict.ANOMALY
    status = np.zeros((len(results), len(SENSORS)), np.int8) if results.faults is None else results.faults
    out = (status != 0).any(1)
    right = (status[:, place] != 0) & (np.count_nonzero(status, axis=1) == 1)
    sensor = out & ~machine
    return {
        "normal": float((~out & ~machine)[rows].mean()),
        "machine": float(machine[rows].mean()),
        "sensor": float(sensor[rows].mean()),
        "right": float(right[rows & out].mean()) if (rows & out).any() else 0.0,
    }


def _until(results: Results, rows: NDArray[np.bool_], place: int) -> float:
    """The most rows that a fault took until the sensor's status said so; all of them where it never did."""
    status = np.zeros(len(results), np.bool_) if results.faults is None else results.faults[:, place] != 0
    starts = np.flatnonzero(rows & ~np.concatenate([[False], rows[:-1]]))
    stops = np.flatnonzero(rows & ~np.concatenate([rows[1:], [False]])) + 1
    waits = []
    for start, stop in zip(starts.tolist(), stops.tolist(), strict=True):
        said = np.flatnonzero(status[start:stop])
        waits.append(float(said[0]) if len(said) else float(stop - start))
    return max(waits)


def measure_labelled(
    folder: Path, _settings: list[Settings], _percentile: float, say: Callable[[str], None]
) -> dict[str, dict[str, dict[str, float]]]:
    """Data set to the shares of its normal rows and of its labelled ones with a sensor that is not good.

    Args:
        folder: With simulated/, skab/, hydraulic/ and plants/.
        say: Told how far it is.

    Raises:
        InputError: A file is missing.
    """
    found = {}
    for name, parts in _labelled(folder):
        out, anomalous, sensors, can = zip(*map(_out, parts), strict=True)
        outs, labels = np.concatenate(out), np.concatenate(anomalous)
        figures = {
            "rows": float(len(outs)),
            "normal out": float(outs[~labels].mean()),
            "anomalous out": float(outs[labels].mean()) if labels.any() else 0.0,
            "can be flat": sum(can) / sum(sensors),
        }
        found[name] = summary([figures])
        say(f"labelled: {name}")
    return found


def _out(data: TrainingData) -> tuple[NDArray[np.bool_], NDArray[np.bool_], int, int]:
    """[test rows] whether a sensor is not good, and the labels; the sensors, and those that can be flat."""
    limits, test = measure_standing(data).status, data.test
    test = test.take(np.lexsort((test.times, test.machines)))
    watch = SensorWatch(limits, data.cadence_seconds)
    faults, _ = watch.check(Readings(test.machines, test.times, test.values), None, None)
    out = np.zeros(len(test), np.bool_) if faults is None else (faults != 0).any(1)
    labels = np.zeros(len(test), np.bool_) if test.labels is None else test.labels
    return out, labels, len(data.sensors), sum(limit.flat_rows is not None for limit in limits.limits)


def _labelled(folder: Path) -> Iterator[tuple[str, list[TrainingData]]]:
    """Each data set's parts, with limits of their own."""
    for severity in SEVERITIES:
        yield f"simulator, known files, severity {severity}", read_simulated(folder / "simulated", severity)
    with tempfile.TemporaryDirectory() as scratch:
        places = [Path(scratch) / str(seed) for seed in UNSEEN]
        for seed, place in zip(UNSEEN, places, strict=True):
            simulate_unseen(place, seed)
        for severity in SEVERITIES:
            parts = [part for place in places for part in read_simulated(place, severity)]
            yield f"simulator, unseen seeds, severity {severity}", parts
    files = read_skab(folder / "skab")
    names = [f"s{place}" for place in range(files[0][0].shape[1])]
    yield (
        "SKAB",
        [
            in_memory(names, split(rows[:TRAIN]), split(rows[TRAIN:FIT]), split(rows[FIT:], labels[FIT:]))
            for rows, labels in files
        ],
    )
    rig = read_rig(folder / "hydraulic")
    cut = round(TRAIN_PART * len(rig.normal))
    learnt, tested = rig.split(rig.normal[:cut]), np.sort([*rig.normal[cut:], *rig.faulty["all"]])
    test = replace(rig.split(tested), labels=np.repeat(np.isin(tested, rig.faulty["all"]), ROWS))
    yield "rig", [in_memory(RIG_SENSORS, learnt, learnt, test)]
    for plant in sorted((folder / "plants").glob("*/")):
        yield f"`{plant.name}`", [read_training_data(plant, Columns())]
