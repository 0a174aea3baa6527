"""What `make bench` measured, in one JSON document and one picture.

python -m benchmarks.summary --output build/bench.json --picture build/bench.png
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.workloads import BUILD

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes

__all__ = ["as_document", "as_picture"]

OURS, THEIRS, GOOD, BAD = "#1f6f8b", "#b9c4c9", "#4c9f70", "#c8553d"


def main() -> int:
    """Reads what the benchmarks left in build/bench; returns the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--input", type=Path, default=BUILD, help="folder of the benchmarks' JSON")
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--picture", type=Path, required=True)
    options = parser.parse_args()
    document = as_document(options.input)
    options.output.write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    as_picture(document, options.picture)
    wanted = [figure for figure in document["targets"] if figure["reached"] is not None]
    reached = sum(figure["reached"] for figure in wanted)
    print(f"{reached} of {len(wanted)} targets reached; {options.output}, {options.picture}")
    return 0


def as_document(folder: Path) -> dict[str, Any]:
    """Environment, targets, peers, what is missing and why, and the suites' medians in seconds."""
    targets, peers, suites = (
        json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))
        for name in ("targets", "peers", "pytest")
    )
    return {
        "environment": targets["environment"],
        "targets": targets["figures"],
        "peers": peers["figures"],
        "missing": targets["failed"] | peers["missing"],
        "suites": {
            f"{each['group']}: {each['name']}": each["stats"]["median"] for each in suites["benchmarks"]
        },
    }


def as_picture(document: dict[str, Any], path: Path) -> None:
    """Each group of peers as bars, and how far each target is from what it should reach."""
    import matplotlib as mpl  # noqa: PLC0415 - takes a second

    mpl.use("Agg")
    from matplotlib import pyplot as plt  # noqa: PLC0415

    groups: dict[str, list[dict[str, Any]]] = {}
    for figure in document["peers"]:
        groups.setdefault(figure["target"], []).append(figure)
    wanted = [figure for figure in document["targets"] if figure["reached"] is not None]
    rows = -(-len(groups) // 2)
    heights = [2.5 * rows, 0.25 * len(wanted) + 0.8]
    figure = plt.figure(figsize=(13, sum(heights) + 0.4), layout="constrained")
    above, below = figure.subfigures(2, 1, squeeze=False, height_ratios=heights)[:, 0]
    for i, (name, found) in enumerate(groups.items()):
        _peers(above.add_subplot(rows, 2, i + 1), name, found)
    _targets(below.add_subplot(), wanted)
    where = document["environment"]
    figure.suptitle(
        f"edge-detect {where['edge_detect']}, {where['cpu']}, {where['cpus']} CPUs, load {where['load']}"
    )
    figure.savefig(path, dpi=110)
    plt.close(figure)


def _peers(panel: Axes, name: str, figures: Sequence[dict[str, Any]]) -> None:
    found = {figure["what"]: figure["ours"] for figure in figures}
    found |= {figure["against"]: figure["theirs"] for figure in figures}
    names, values = list(found), list(found.values())
    colours = [OURS if i == 0 else THEIRS for i in range(len(names))]
    bars = panel.barh(names, values, color=colours)
    panel.bar_label(
        bars, [f"{value:,.4g}" if value < 1e4 else f"{value:,.0f}" for value in values], padding=3
    )
    panel.set_xscale("log")
    panel.set_xlim(min(values) / 3, max(values) * 8)
    panel.invert_yaxis()
    panel.set_title(f"{name}, {figures[0]['unit']}", fontsize=10)
    panel.spines[["top", "right"]].set_visible(False)


def _targets(panel: Axes, figures: Sequence[dict[str, Any]]) -> None:
    """How many times better than it must be, at least 1 when reached."""
    names, values = [], []
    for figure in figures:
        value = figure["ours"] if figure["ratio"] is None else figure["ratio"]
        most, least = figure["at_most"], figure["at_least"]
        values.append(value / least if most is None else most / max(value, 1e-9))
        limit = f"≥ {least:g}" if most is None else f"≤ {most:g}"
        against = f" : {figure['against']}" if figure["against"] else ""
        names.append(f"{figure['target']}: {figure['what']}{against} ({value:.3g}, {limit})")
    bars = panel.barh(names, values, color=[GOOD if value >= 1 else BAD for value in values])
    panel.bar_label(bars, [f"{value:.2f}" for value in values], padding=3)
    panel.axvline(1, color="black", linewidth=1)
    panel.set_xscale("log")
    panel.invert_yaxis()
    panel.tick_params(axis="y", labelsize=7)
    panel.set_title("targets: times better than asked for; reached from 1 on", fontsize=10)
    panel.spines[["top", "right"]].set_visible(False)


if __name__ == "__main__":
    sys.exit(main())
