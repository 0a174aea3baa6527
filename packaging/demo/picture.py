"""The picture of the demo: every machine's score over the unseen hours, with the faults that were put in."""

from __future__ import annotations

from typing import TYPE_CHECKING

import matplotlib as mpl

mpl.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd

__all__ = ["draw"]

COLOURS = {"SPIKE": "#d62728", "DRIFT": "#ff9f1c", "CYCLIC": "#6a4c93", "MULTI_SENSOR": "#1b998b"}


def draw(path: Path, found: pd.DataFrame, injected: pd.DataFrame) -> None:
    """Writes the PNG.

    Args:
        path: Where to.
        found: Columns time (int64 ns), machine_id, severity, verdict.
        injected: Columns machine_id, kind, start, stop (int64 ns).
    """
    machines = sorted(found["machine_id"].unique())
    figure, axes = plt.subplots(
        len(machines), 1, figsize=(13, 2.4 * len(machines)), sharex=True, squeeze=False
    )
    for axis, machine in zip(axes[:, 0], machines, strict=True):
        rows = found[found["machine_id"] == machine]
        times = rows["time"].to_numpy().astype("datetime64[ns]")
        severity = np.maximum(rows["severity"].to_numpy(np.float64), 1e-3)
        axis.semilogy(times, severity, color="#9aa5b1", linewidth=0.6)
        anomalous = (rows["verdict"] == "anomaly").to_numpy()
        axis.semilogy(times[anomalous], severity[anomalous], ".", color="#111111", markersize=2.5)
        axis.axhline(1.0, color="#111111", linewidth=0.8, linestyle="--")
        for event in injected[injected["machine_id"] == machine].itertuples():
            start, stop = (np.datetime64(int(t), "ns") for t in (event.start, event.stop))
            # A spike of a second would be thinner than a pixel.
            stop = max(stop, start + np.timedelta64(20, "s"))
            axis.axvspan(start, stop, color=COLOURS.get(str(event.kind), "#888888"), alpha=0.35, linewidth=0)
        axis.set_title(str(machine), loc="left", fontsize=10)
        axis.set_ylabel("score / threshold")
    axes[-1, 0].set_xlabel("time, UTC")
    handles: list[Patch | Line2D] = [
        Patch(color=c, alpha=0.35, label=f"injected {k}") for k, c in COLOURS.items()
    ]
    handles.append(Line2D([], [], color="#111111", marker=".", linestyle="", label="verdict: anomaly"))
    figure.legend(handles=handles, loc="upper center", ncol=len(handles), frameon=False, fontsize=9)
    figure.autofmt_xdate()
    figure.tight_layout(rect=(0, 0, 1, 0.95))
    figure.savefig(path, dpi=130)
    plt.close(figure)
