"""Detection quality on real and simulated data: `make quality DATA=DIR`.

Thresholds never come from test rows. Prints a table for each data set, and writes build/quality.json.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from pathlib import Path

from alarms import measure_alarms
from attribution import measure_attribution
from budgets import measure_budgets
from costs import measure_costs
from hydraulic import measure_hydraulic
from real_plants import measure_plants, standing
from sensor_faults import measure_labelled, measure_sensor_faults
from simulated import measure_simulated
from skab import measure_skab

from edge_runtime.errors import EdgeDetectError
from trainer.fitting.fit import Settings
from trainer.fitting.recipes import RECIPES

MEASURES = {
    "simulated": measure_simulated,
    "attribution": measure_attribution,
    "skab": measure_skab,
    "hydraulic": measure_hydraulic,
    "plants": measure_plants,
    "costs": measure_costs,
    "labelled": measure_labelled,
    "alarms": measure_alarms,
}
# Where it is not the measure's own.
FOLDERS = {"attribution": "simulated", "costs": "simulated", "labelled": ".", "alarms": "."}
WITHOUT_DATA = {"budgets": measure_budgets, "sensors": measure_sensor_faults}
# Sentences below a table.
REMARKS = {"plants": standing}


def main() -> int:
    """Measures and prints; returns the exit code."""
    parser = argparse.ArgumentParser(prog="make quality", description=__doc__)
    parser.add_argument(
        "name", nargs="*", choices=[*MEASURES, *WITHOUT_DATA, []], help="one of the data sets alone"
    )
    parser.add_argument(
        "--data",
        type=Path,
        default=os.environ.get("EDGE_DETECT_DATA"),
        help="the folder with simulated/, skab/, hydraulic/ and plants/",
    )
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4], help="training seeds")
    parser.add_argument(
        "--percentile", type=float, help="the threshold's, of normal validation [default: the recipe's]"
    )
    parser.add_argument("--recipe", choices=RECIPES, default="best", help="how to train")
    parser.add_argument("--output", type=Path, default=Path("build/quality.json"))
    options = parser.parse_args()
    if options.data is None and not (options.name and set(options.name) <= set(WITHOUT_DATA)):
        parser.error("name a folder with --data, or set EDGE_DETECT_DATA")
    recipe = RECIPES[options.recipe]
    percentile = options.percentile or recipe.percentile
    settings = [Settings(seed=seed, **recipe.settings) for seed in options.seeds]
    started = time.monotonic()

    def say(line: str) -> None:
        sys.stderr.write(f"{line}, {time.monotonic() - started:.0f} s\n")

    found, remarks = {}, {}
    try:
        for name in options.name or [*MEASURES, *WITHOUT_DATA]:
            if name in WITHOUT_DATA:
                found[name] = WITHOUT_DATA[name](say)
            else:
                folder = Path(options.data) / FOLDERS.get(name, name)
                found[name] = MEASURES[name](folder, settings, percentile, say)
            print(_table(name, found[name]))
            if name in REMARKS:
                remarks[name] = REMARKS[name](found[name])
                print("", *remarks[name], sep="\n")
    except EdgeDetectError as error:
        sys.stderr.write(f"quality: {error}\n")
        return error.exit_code
    options.output.parent.mkdir(parents=True, exist_ok=True)
    document = {
        "seeds": options.seeds,
        "recipe": options.recipe,
        "percentile": percentile,
        "found": found,
        "remarks": remarks,
    }
    options.output.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    return 0


def _table(name: str, found: dict[str, dict[str, dict[str, float]]]) -> str:
    """One line a method or severity: mean, and standard deviation over training seeds."""
    figures = list(next(iter(found.values())))
    widths = [max(len(figure) + 2, 15) for figure in figures]
    left = max(22, *(len(row) + 2 for row in found))
    lines = ["", f"{name:<{left}}" + "".join(f"{f:>{w}}" for f, w in zip(figures, widths, strict=True))]
    for row, values in found.items():
        cells = [f"{values[f]['mean']:.3f} ± {values[f]['sd']:.3f}" for f in figures]
        lines.append(f"{row:<{left}}" + "".join(f"{c:>{w}}" for c, w in zip(cells, widths, strict=True)))
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
