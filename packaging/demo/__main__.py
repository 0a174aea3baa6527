"""`make demo`: the main job from end to end, on a real InfluxDB where one can be had.

Three simulated machines run for some days into the database; a detector is prepared, trained and exported
from it; then unseen hours are fed in while `edge-detect run` follows and writes what it finds back; then the
report.
"""

from __future__ import annotations

import argparse
import shutil
import signal
import sys
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from commands import CommandError, run, say
from plants import FilePlant, InfluxPlant
from report import write_report

if TYPE_CHECKING:
    from types import FrameType

    from plants import Plant


@dataclass(frozen=True)
class Plan:
    """What the demo does.

    Attributes:
        folder: Where everything is written; made anew.
        days: Days of history to train on.
        hours: Unseen hours that are followed live.
        severity: How far faults move the sensors.
        seeds: Training seeds; the first one's bundle is what runs.
        files: Use files even where an InfluxDB could be had.
    """

    folder: Path
    days: float
    hours: float
    severity: float
    seeds: tuple[int, ...]
    files: bool


def main() -> int:
    """Runs the plan of the command line; returns the exit code."""
    plan = _plan()
    signal.signal(signal.SIGTERM, _interrupt)
    started = time.monotonic()
    shutil.rmtree(plan.folder, ignore_errors=True)
    plan.folder.mkdir(parents=True)
    try:
        with InfluxPlant.start(plan.folder, wanted=not plan.files) or FilePlant(plan.folder) as plant:
            _demonstrate(plan, plant)
    except CommandError as error:
        sys.stderr.write(f"demo: {error}\n")
        return error.code
    except KeyboardInterrupt:
        sys.stderr.write("\ndemo: interrupted; what it started is stopped\n")
        return 130
    say(f"The demo took {time.monotonic() - started:.0f} s.")
    return 0


def _demonstrate(plan: Plan, plant: Plant) -> None:
    # The unseen stretch ends now, so that nothing of it lies in the future.
    stop = datetime.now(UTC).replace(microsecond=0) - timedelta(minutes=1)
    live = stop - timedelta(hours=plan.hours)
    history = live - timedelta(days=plan.days)

    say(f"1. Three machines, {plan.days:g} days at 1 Hz, into {plant.description}")
    plant.simulate(history, live, severity=plan.severity, seed=1)
    say("2. Sensor history into training, validation and test data")
    plant.prepare(history, live, plan.folder / "data")
    fits = []
    for number, seed in enumerate(plan.seeds, 1):
        of = f"training seed {seed}, {number} of {len(plan.seeds)}"
        say(f"3. Train, choose the threshold, test, export: {of}")
        fits.append(plan.folder / f"fit-{seed}")
        run(
            *("edge-train", "fit", "--data", plan.folder / "data", "-o", fits[-1], "--seed", str(seed)),
            # Validation has labelled events, so the threshold is the best one for them.
            *("--threshold", "best-f1"),
            *("--tracking-uri", f"sqlite:///{plan.folder.resolve()}/mlflow.db", "--experiment", "demo"),
        )
    bundle = fits[0] / "bundle.onnx"
    say(f"4. {plan.hours:g} unseen hours are fed in while edge-detect follows them")
    # The same seed at another time is the same machines on another day.
    plant.watch(live, stop, bundle, severity=plan.severity, seed=1)
    say("5. How fast it is here")
    run("edge-detect", "bench", bundle, "--json", "-", output=plan.folder / "bench.json")
    say("6. Simple detectors on the same rows")
    run(
        *("edge-train", "compare", "--data", plan.folder / "data", "--fit", fits[0], "--no-mlflow"),
        *("-o", plan.folder / "comparison.json"),
        output=plan.folder / "comparison.txt",
    )
    say("7. What was found")
    write_report(plan.folder, fits, plant.found(live, stop), plant.injected(live, stop))


def _plan() -> Plan:
    parser = argparse.ArgumentParser(prog="make demo", description=__doc__)
    parser.add_argument("--folder", type=Path, default=Path("build/demo"), help="where everything is written")
    parser.add_argument("--days", type=float, default=3.0, help="days of history to train on")
    parser.add_argument("--hours", type=float, default=4.0, help="unseen hours that are followed")
    parser.add_argument("--severity", type=float, default=2.0, help="how far faults move the sensors")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3], help="training seeds")
    parser.add_argument("--files", action="store_true", help="use files, no database")
    options = parser.parse_args()
    return Plan(
        options.folder, options.days, options.hours, options.severity, tuple(options.seeds), options.files
    )


def _interrupt(_signal: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
