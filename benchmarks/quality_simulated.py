"""Detection quality on simulated machines: `python benchmarks/quality_simulated.py [FOLDER]`.

The folder, by argument or by the environment variable EDGE_DETECT_DATA (which may also name its parent),
holds train.csv.gz and val.csv.gz with normal rows, and test-severity-S-N.csv.gz with labelled ones. Fits on
train, takes the threshold from val, tests on every file of the severity, with several training seeds; prints
mean and standard deviation over seeds and files. The test decides nothing.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from pathlib import Path

import numpy as np

from edge_runtime.errors import EdgeDetectError, InputError
from trainer.data import Columns, TrainingData, read_training_data
from trainer.fit import Settings, fit
from trainer.results import assess, choose_threshold
from trainer.run import DEFAULT_HOLD

FIGURES = ("f1", "precision", "recall", "roc_auc", "average_precision")


def main() -> int:
    """Measures and prints; returns the exit code."""
    defaults = Settings()
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, nargs="?", default=os.environ.get("EDGE_DETECT_DATA"))
    parser.add_argument("--severity", default="2")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--percentile", type=float, default=99.0)
    parser.add_argument("--scaler", choices=("minmax", "standard"), default=defaults.scaler)
    parser.add_argument("--noise", type=float, default=defaults.noise)
    parser.add_argument("--learning-rate", type=float, default=defaults.learning_rate)
    parser.add_argument("--json", type=Path, help="write the figures to this file too")
    options = parser.parse_args()
    if options.folder is None:
        parser.error("name a folder, or set EDGE_DETECT_DATA")
    try:
        tests = _read(Path(options.folder), options.severity)
        runs = [
            figures
            for seed in options.seeds
            for figures in _measure(
                tests,
                Settings(
                    seed=seed, scaler=options.scaler, noise=options.noise, learning_rate=options.learning_rate
                ),
                options.percentile,
            )
        ]
    except EdgeDetectError as error:
        sys.stderr.write(f"quality_simulated: {error}\n")
        return error.exit_code
    table = np.array([[run[name] for name in FIGURES] for run in runs])
    # Over seeds: each seed's mean over the files; over all: what one file and seed may give.
    by_seed = table.reshape(len(options.seeds), len(tests), len(FIGURES)).mean(1)
    found = {}
    print(f"{'':<20}{'mean':>8}{'sd seeds':>10}{'sd all':>9}")
    for i, name in enumerate(FIGURES):
        mean, sd_seeds, sd_all = (
            float(x) for x in (table[:, i].mean(), by_seed[:, i].std(), table[:, i].std())
        )
        found[name] = {"mean": mean, "sd_seeds": sd_seeds, "sd_all": sd_all}
        print(f"{name:<20}{mean:>8.3f}{sd_seeds:>10.3f}{sd_all:>9.3f}")
    if options.json is not None:
        options.json.write_text(
            json.dumps({"runs": runs, "figures": found}, indent=2) + "\n", encoding="utf-8"
        )
    return 0


def _read(folder: Path, severity: str) -> list[TrainingData]:
    """The same training and validation data beside each test file."""
    folder = folder / "simulated" if (folder / "simulated").is_dir() else folder
    files = sorted(folder.glob(f"test-severity-{severity}-*.csv.gz"))
    if not files:
        raise InputError(f"no test-severity-{severity}-N.csv.gz in it", where=str(folder))
    found: list[TrainingData] = []
    for file in files:
        with tempfile.TemporaryDirectory() as scratch:
            for name, path in (
                ("train", folder / "train.csv.gz"),
                ("val", folder / "val.csv.gz"),
                ("test", file),
            ):
                (Path(scratch) / f"{name}.csv.gz").symlink_to(path.resolve())
            found.append(read_training_data(Path(scratch), Columns()))
    return found


def _measure(tests: list[TrainingData], settings: Settings, percentile: float) -> list[dict[str, float]]:
    """One training, every test file."""
    fitted = fit(tests[0], settings)
    detector = fitted.detector
    threshold = choose_threshold(
        tests[0].val, detector, "percentile", percentile=percentile, hold=DEFAULT_HOLD
    )
    figures = [assess(data.test, detector, threshold).metrics for data in tests]
    means = "  ".join(f"{name} {np.mean([f[name] for f in figures]):.3f}" for name in FIGURES)
    seconds = sum(epoch.seconds for epoch in fitted.history)
    epochs = f"best epoch {fitted.best.number} of {len(fitted.history)}, {seconds:.1f} s"
    print(f"seed {settings.seed}: {epochs}  {means}")
    return figures


if __name__ == "__main__":
    sys.exit(main())
