"""Small folders of training data, as `edge-train prepare` writes them, out of the simulated machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from edge_runtime.simulation import SENSORS, Kind, Simulator
from trainer.data.rows import iso_times

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["machine_rows", "write_history"]

DAY_NS = 86_400 * 10**9
FIRST_DAY_NS = 20_000 * DAY_NS


def machine_rows(rows: int, *, day: int = 0, severity: float = 2.0, machine: str = "press-1") -> pd.DataFrame:
    """Rows of one machine, from this day on: time, machine_id, sensors, anomaly, kind."""
    block = Simulator(
        machine, seed=3, severity=severity, rate=30, start_ns=FIRST_DAY_NS + day * DAY_NS
    ).block(rows)
    return pd.DataFrame(
        {
            "time": iso_times(block.times),
            "machine_id": machine,
            **{name: block.values[:, i].round(4) for i, name in enumerate(SENSORS)},
            "anomaly": block.anomaly.astype(int),
            "kind": np.array([kind.label for kind in Kind])[block.kinds],
        }
    )


def write_history(folder: Path, *, train: int = 4000, val: int = 2000, test: int = 2000) -> Path:
    """train.csv, val.csv and test.csv of two machines with labelled events, so many rows each."""
    folder.mkdir(parents=True, exist_ok=True)
    for day, (name, rows) in enumerate({"train": train, "val": val, "test": test}.items()):
        parts = [machine_rows(rows // 2, day=day, machine=machine) for machine in ("press-1", "press-2")]
        pd.concat(parts).to_csv(folder / f"{name}.csv", index=False)
    return folder
