"""Trains the bundle that comes with edge-detect: `python packaging/default_bundle/train.py`.

Simulated machines of several characters run in good order to be learnt from; on another day they fail on
purpose, and what they do between these faults gives the threshold; and on a third, beside machines never seen
before, they fail for the test. Equal code and packages give an equal file on the same machine: it holds no
time, no run id, and not the revision of the code, which would be older than the file's own commit.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from edge_runtime.bundle.metadata import Debounce
from edge_runtime.errors import EdgeDetectError
from edge_runtime.simulation import SENSORS, UNITS, Kind, Simulator
from trainer.calibration.budget import AlarmBudget
from trainer.data.choice import Columns
from trainer.data.rows import LabelledRows, RowWriter, replacing
from trainer.data.training_data import read_training_data
from trainer.experiment.plan import Plan
from trainer.experiment.run import run_fit
from trainer.fitting.fit import Settings
from trainer.fitting.recipes import RECIPES
from trainer.tracking import NoTracker

if TYPE_CHECKING:
    from trainer.experiment.results import Results

__all__ = ["make_default_bundle"]

TRAINED = tuple(f"press-{number}" for number in range(1, 11))
# Half of the machines of the test have never been seen.
TESTED = (*TRAINED[:4], *(f"press-{number}" for number in range(11, 15)))
DAY_S = 86_400
DAY_NS = DAY_S * 10**9
START_NS = 1_735_689_600 * 10**9  # 2025-01-01
SEED = 1
SEVERITY = 2.0
FALSE_ALARMS = "1/week"  # of a machine
PHYSICAL_RANGES = {
    "temperature": (-40.0, 200.0),
    "vibration": (0.0, 50.0),
    "pressure": (0.0, 200.0),
    "power": (0.0, 2000.0),
}
BUNDLE = Path(__file__).resolve().parents[2] / "edge_runtime" / "data" / "default.onnx"


def make_default_bundle(bundle: Path, *, seconds: int = DAY_S, epochs: int = 100) -> Results:
    """Simulates, trains, tests and exports.

    Args:
        bundle: The file to write.
        seconds: Of each machine's training and validation; the test is half as long.
        epochs: Of training, at most.
    """
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        _write(folder / "train.csv", TRAINED, day=0, seconds=seconds, severity=0.0)
        _write(folder / "val.csv", TRAINED, day=1, seconds=seconds, severity=SEVERITY)
        _write(folder / "test.csv", TESTED, day=2, seconds=seconds // 2, severity=SEVERITY)
        data = read_training_data(folder, Columns(sensors=SENSORS))
        recipe = RECIPES["best"]
        plan = Plan(
            output=folder / "fit",
            settings=Settings(seed=SEED, epochs=epochs, **recipe.settings),
            budget=AlarmBudget.parse(FALSE_ALARMS),
            debounce=Debounce(1, 1),
            hold=recipe.hold,
            degraded=recipe.degraded,
            sensor_status=recipe.sensor_status,
            alarm_delays=recipe.alarm_delays,
            units=dict(zip(SENSORS, UNITS, strict=True)),
            physical_ranges=PHYSICAL_RANGES,
            plots=False,
        )
        results = run_fit(data, plan, NoTracker())
        with replacing(bundle) as stream:
            stream.write(results.bundle.read_bytes())
    return results


def main() -> int:
    """The command line; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python packaging/default_bundle/train.py", description=__doc__)
    parser.add_argument("-o", "--output", type=Path, default=BUNDLE, help="the bundle to write")
    output = parser.parse_args().output
    try:
        results = make_default_bundle(output)
    except EdgeDetectError as error:
        sys.stderr.write(f"{parser.prog}: {error}\n")
        return error.exit_code
    table = "" if results.test.evaluation is None else f"{results.test.evaluation.table()}\n"
    sys.stdout.write(f"{table}threshold  {results.threshold.value:.6g}\n{output}  {results.digest}\n")
    return 0


def _write(path: Path, machines: tuple[str, ...], *, day: int, seconds: int, severity: float) -> None:
    """A table of some simulated machines, each from this day on."""
    names = np.array([kind.label for kind in Kind])
    with path.open("wb") as stream:
        writer = RowWriter(stream, SENSORS)
        for machine in machines:
            simulator = Simulator(machine, seed=SEED, severity=severity, start_ns=START_NS + day * DAY_NS)
            block = simulator.block(seconds)
            writer.write(
                LabelledRows(
                    block.times,
                    np.full(len(block), machine),
                    block.values.astype(np.float64),
                    block.anomaly,
                    names[block.kinds],
                )
            )


if __name__ == "__main__":
    sys.exit(main())
