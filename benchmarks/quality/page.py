"""The tables of docs/quality.md from what `run.py` wrote: `python benchmarks/quality/page.py FILE --write`.

Each table stands in the page between two comments with its name, so that new figures replace it whole.
Without `--write` the tables are printed.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from beside import held_against
from real_plants import by_plant
from sensor_faults import KINDS as KINDS_OF_SENSORS

from trainer.calibration.treatment import ALIKE
from trainer.evaluation.baselines import FITTED

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    Found = dict[str, dict[str, dict[str, float]]]

__all__ = [
    "alarms_tables",
    "filled",
    "labelled_tables",
    "plants_tables",
    "sensors_tables",
    "simulated_tables",
]

PAGE = Path(__file__).parents[2] / "docs" / "quality.md"
SETS = {"files": "known", "unseen seeds": "unseen"}
SEVERITIES = ("2", "1.5", "1")
KINDS = ("SPIKE", "DRIFT", "CYCLIC", "MULTI_SENSOR")
DETAILS = ("f1", "precision", "recall", "roc_auc", "grey_f1")


def main() -> int:
    """Prints the tables, or puts them into the page; returns the exit code."""
    parser = argparse.ArgumentParser(prog="page.py", description=__doc__)
    parser.add_argument("files", nargs="+", type=Path, help="as run.py wrote them; later ones count")
    parser.add_argument("--write", action="store_true", help="into the page instead of standard output")
    options = parser.parse_args()
    made: dict[str, str] = {}
    for path in options.files:
        document = json.loads(path.read_text(encoding="utf-8"))
        seeds = ", ".join(map(str, document["seeds"]))
        for name, tables in TABLES.items():
            if name in document["found"]:
                made |= tables(document["found"][name])
                if name in SEEDED:
                    made[name] += f"\n\nTraining seeds of `{document['recipe']}`: {seeds}."
    if options.write:
        PAGE.write_text(filled(PAGE.read_text(encoding="utf-8"), made), encoding="utf-8")
    else:
        sys.stdout.write("\n\n".join(f"{name}\n\n{text}" for name, text in made.items()) + "\n")
    return 0


def filled(page: str, tables: dict[str, str]) -> str:
    """The page with these tables in their places.

    Raises:
        ValueError: The page has no place for one.
    """
    for name, text in tables.items():
        begin, end = (f"<!-- {name}: {side} -->" for side in ("begin", "end"))
        if begin not in page or end not in page:
            raise ValueError(f"no place for {name} in the page")
        before, after = page.split(begin, maxsplit=1)[0], page.split(end)[1]
        page = f"{before}{begin}\n\n{text}\n\n{end}{after}"
    return page


def plants_tables(found: Found) -> dict[str, str]:
    """What ours finds on each plant, what every simple detector does, and where ours stands."""
    ours, simple = by_plant(found)
    figures = ["plant", "F1", "normal rows flagged", "ROC AUC", "parameters"]
    beside = [f"best simple detector{ALIKE}: F1, normal rows flagged", "worst one"]
    rows = []
    for plant in ours:
        own = found[plant]
        alike = sorted(
            (name for name in simple[plant] if name.endswith(ALIKE)), key=simple[plant].__getitem__
        )
        best, worst = found[f"{plant}: {alike[-1]}"], found[f"{plant}: {alike[0]}"]
        rows.append(
            [
                f"`{plant}`",
                _spread(own["f1"]),
                _spread(own["far"], percent=True),
                _spread(own["roc_auc"]),
                f"{own['parameters']['mean']:,.0f}",
                f"{_spread(best['f1'])}, {_percent(best['far']['mean'])} ({alike[-1].removesuffix(ALIKE)})",
                f"{_spread(worst['f1'])} ({alike[0].removesuffix(ALIKE)})",
            ]
        )
    tables = {"plants": _table([*figures, *beside], rows)}
    for name, suffix in (("plants treated alike", ALIKE), ("plants as they are", "")):
        methods = [f"{kind.name}{suffix}" for kind in FITTED]
        rows = [
            [
                f"`{plant}`",
                _spread(found[plant]["f1"]),
                *(_of(found, f"{plant}: {method}", "f1") for method in methods),
            ]
            for plant in ours
        ]
        for title, figure, show in (("mean F1", "f1", _short), ("mean flagged", "far", _percent)):
            means = [_mean(found, list(ours), "", figure)]
            means += [_mean(found, list(ours), f": {method}", figure) for method in methods]
            rows.append([title, *(show(mean) for mean in means)])
        tables[name] = _table(["plant", "`best`", *(kind.name for kind in FITTED)], rows)
    tables["plants standing"] = "\n".join(f"- {line}" for line in held_against(ours, simple))
    return tables


def simulated_tables(found: Found) -> dict[str, str]:
    """What ours finds in each set of files, in detail, and the F1 of every method."""
    shown = ["files", "severity", "F1", "precision", "recall", "ROC AUC", "grey F1"]
    rows = []
    for files, title in SETS.items():
        for severity in SEVERITIES:
            own = found[f"{files}, severity {severity} ours"]
            kinds = " / ".join(_short(own[f"recall_{kind}"]["mean"]) for kind in KINDS)
            rows.append([title, severity, *(_spread(own[name]) for name in DETAILS), kinds])
    tables = {"simulated": _table([*shown, "recall SPIKE / DRIFT / CYCLIC / MULTI_SENSOR"], rows)}
    columns = [f"{title} {severity}" for title in SETS.values() for severity in SEVERITIES]
    rows = []
    methods = ["ours", *(f"{kind.name}{suffix}" for kind in FITTED for suffix in (ALIKE, ""))]
    for method in methods:
        places = [f"{files}, severity {each} {method}" for files in SETS for each in SEVERITIES]
        if places[0] in found:
            name = "`best`" if method == "ours" else method
            rows.append([name, *(_of(found, place, "f1") for place in places)])
    tables["simulated methods"] = _table(["method", *columns], rows)
    tables["simulated standing"] = "\n".join(
        _beside_best(found, files, title) for files, title in SETS.items()
    )
    return tables


def sensors_tables(found: Found) -> dict[str, str]:
    """What each fault of a sensor is called, by each bundle."""
    rows = []
    for name, own in found.items():
        bundle, _, kind = name.partition(": ")
        shares = [f"{100 * own[figure]['mean']:.2f} %" for figure in ("normal", "machine", "sensor")]
        said = kind in KINDS_OF_SENSORS and own["sensor"]["mean"]
        right = _percent(own["right"]["mean"]) if said else "-"
        until = f"{own['until']['mean']:.0f}" if said else "-"
        rows.append([bundle, kind, *shares, right, until])
    columns = [
        "bundle",
        "fault",
        "called normal",
        "called a fault of the machine",
        "called a fault of a sensor",
    ]
    return {"sensors": _table([*columns, "of which the right one", "most rows until it is called so"], rows)}


def labelled_tables(found: Found) -> dict[str, str]:
    """On which rows of real and simulated machines a sensor is called faulty."""
    rows = [
        [
            name,
            f"{own['rows']['mean']:,.0f}",
            f"{100 * own['normal out']['mean']:.2f} %",
            f"{100 * own['anomalous out']['mean']:.2f} %",
            _percent(own["can be flat"]["mean"]),
        ]
        for name, own in found.items()
    ]
    columns = ["data", "test rows", "normal rows with a sensor called flat", "labelled rows with one"]
    return {"labelled": _table([*columns, "sensors that can be flat"], rows)}


def alarms_tables(found: Found) -> dict[str, str]:
    """How often an alarm rings without delays and with them, how soon, and which faults are lost."""
    rows = []
    for name, own in found.items():

        def figure(of: str, own: dict[str, dict[str, float]] = own) -> float:
            return own[of]["mean"]

        def pair(of: str, decimals: int, figure: Callable[[str], float] = figure) -> str:
            return " → ".join(f"{figure(f'{of} {side}'):,.{decimals}f}" for side in ("without", "with"))

        healthy, aim = f"{24 * 60 * figure('days'):,.0f} min", AIMS.get(name, "-")
        rings = " → ".join(f"{figure(f'false {side}') / figure('days'):,.0f}" for side in ("without", "with"))
        told = [pair("found", 0), pair("up", 0), f"{figure('lost'):.1f}", pair("delay", 1)]
        if not figure("faults"):
            told = ["-"] * len(told)
        delays = f"{figure('on'):.0f} s, {figure('off'):.0f} s"
        faults = f"{figure('faults'):,.0f}"
        rows.append([name, delays, healthy, pair("false", 1), aim, rings, faults, *told])
    columns = ["data", "on-delay, off-delay", "healthy time", "alarms in it", "aim", "alarms a day", "faults"]
    columns += ["found", "in an alarm since before", "lost", "median delay, s"]
    return {"alarms": _table(columns, rows)}


def _beside_best(found: Found, files: str, title: str) -> str:
    """Ours, and the simple detector with the highest mean F1 of those treated alike, as a sentence."""

    def of(method: str) -> list[float]:
        return [found[f"{files}, severity {each} {method}"]["f1"]["mean"] for each in SEVERITIES]

    alike = [f"{kind.name}{ALIKE}" for kind in FITTED]
    methods = [name for name in alike if f"{files}, severity {SEVERITIES[0]} {name}" in found]
    best = max(methods, key=lambda method: sum(of(method)))
    pairs = zip(of("ours"), of(best), strict=True)
    added = " / ".join(f"{own - other:+.3f}" for own, other in pairs)
    return (
        f"- On the {title} files, the detector adds {added} of F1 to {best}, the best simple one on average."
    )


def _of(found: Found, row: str, figure: str) -> str:
    return _spread(found[row][figure]) if row in found else "-"


def _mean(found: Found, plants: Sequence[str], suffix: str, figure: str) -> float:
    values = [found[plant + suffix][figure]["mean"] for plant in plants if plant + suffix in found]
    return sum(values) / len(values)


def _spread(figure: dict[str, float], *, percent: bool = False) -> str:
    show = _percent if percent else _short
    return f"{show(figure['mean'])} ± {show(figure['sd']).removesuffix(' %')}"


def _percent(part: float) -> str:
    return f"{100 * part:.1f} %"


def _short(value: float) -> str:
    """Without the leading zero."""
    text = f"{value:.3f}"
    return text.removeprefix("0") if text.startswith("0.") else text


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [f"| {' | '.join(cells)} |" for cells in (columns, *rows)]
    return "\n".join([lines[0], "|---" * len(columns) + "|", *lines[1:]])


# Of an alarm with delays, in the same time.
AIMS = {"rig, 30 healthy minutes": "≤ 1"}
SEEDED = ("plants", "simulated", "alarms")
TABLES: dict[str, Callable[[Found], dict[str, str]]] = {
    "plants": plants_tables,
    "simulated": simulated_tables,
    "sensors": sensors_tables,
    "labelled": labelled_tables,
    "alarms": alarms_tables,
}

if __name__ == "__main__":
    sys.exit(main())
