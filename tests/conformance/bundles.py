"""Bundles of every kind, with rows and the scores that PyTorch gives them."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from support.bundles import SENSORS, make_bundle, normal_rows

from edge_runtime.scoring.inference import seconds_of_day
from export.tolerance import Tolerance
from trainer.calibration.calibrate import verdicts
from trainer.experiment.checkpoint import Checkpoint

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

__all__ = ["BUNDLES", "Case", "make_case"]

MANY = tuple((f"sensor-{i}", "", 10.0 * i, 1.0 + i, None) for i in range(20))
BUNDLES: dict[str, dict[str, Any]] = {
    "autoencoder": {},
    "not whitened": {"whiten": False},
    "linear": {"model": "linear"},
    "pca": {"model": "pca"},
    "variational": {"model": "variational"},
    "one sensor": {"sensors": SENSORS[:1]},
    "20 sensors": {"sensors": MANY},
    "smoothed": {"smooth": 11},
    "averaged": {"average": 0.3},
    "window": {"shown": {"window": 4}},
    "changes, 2 members": {"shown": {"differences": True}, "members": 2, "smooth": 11},
    "rolling": {"shown": {"rolling": 10}},
    "phase": {"model": "linear", "shown": {"window": 2, "period": 60.0, "harmonics": 29}, "average": 0.5},
    "convolutional": {"model": "convolutional", "smooth": 5},
    "two channels": {"channels": True, "smooth": 11},
    "baseline": {"channels": True, "horizon": 1024.0, "smooth": 11, "shown": {"clamp": 0.25}},
    "all channels": {"channels": True, "lasting": 20, "sudden": 0.25, "horizon": 1024.0, "smooth": 11},
    "baseline without memory": {"channels": True, "horizon": 1024.0},
    "everything": {
        "smooth": 5,
        "average": 0.5,
        "members": 2,
        "shown": {"window": 3, "differences": True, "rolling": 6, "period": 60.0, "harmonics": 2},
    },
}


@dataclass(frozen=True, slots=True)
class Case:
    """A bundle and what must come out.

    Attributes:
        name: One of `BUNDLES`.
        path: The bundle.
        rows: A JSON file for runtimes in other languages: readings, seconds, state_shape, baseline.
        readings: [rows, sensors] raw units, of one machine.
        seconds: [rows] of the day.
        scores: [rows] by PyTorch.
        allowed: [rows] by how much a score may differ.
        checkpoint: Where the bundle comes from.
    """

    name: str
    path: Path
    rows: Path
    readings: NDArray[np.float32]
    seconds: NDArray[np.float32]
    scores: NDArray[np.float32]
    allowed: NDArray[np.float64]
    checkpoint: Checkpoint

    def judge(self, scores: NDArray[np.float32]) -> tuple[float, bool]:
        """The largest part of its tolerance that a score used, and whether the verdicts are equal.

        A score within its tolerance of the threshold may fall to either side, and the hold with it.
        """
        used = float((np.abs(scores.astype(np.float64) - self.scores) / self.allowed).max())
        limit = self.checkpoint.threshold.value
        times, machines = np.arange(len(scores), dtype=np.int64), np.full(len(scores), "m")
        ours = verdicts(self.scores, self.checkpoint.threshold, times, machines)
        theirs = verdicts(scores, self.checkpoint.threshold, times, machines)
        undecided = (np.abs(self.scores - limit) <= self.allowed).any()
        return used, bool((ours == theirs).all() or undecided)


def make_case(folder: Path, name: str, rows: int) -> Case:
    """Writes a bundle and its rows: as in training, with every tenth far off; levels move where followed."""
    options = BUNDLES[name]
    path = make_bundle(folder, f"{name.replace(' ', '-').replace(',', '')}.onnx", **options)
    checkpoint = Checkpoint.load(folder / f"{path.name}.checkpoint")
    readings = normal_rows(rows, seed=9, sensors=options.get("sensors", SENSORS))
    readings[5::10] *= 1.5
    if "horizon" in options:
        readings[rows // 3 :] += [6, 4, 0, 0]
    times = (86_000 + np.arange(rows, dtype=np.int64)) * 10**9  # over midnight
    detector = checkpoint.detector
    scores = detector.score(readings, times=times)[0]
    tolerance = Tolerance.of(detector, readings, times)
    seconds = seconds_of_day(times)
    document = {
        "readings": readings.tolist(),
        "seconds": seconds.tolist() if detector.asks_for_time else None,
        "state_shape": detector.state_shape,
        "baseline": None if detector.baseline is None else asdict(detector.baseline),
    }
    listed = path.with_suffix(".json")
    listed.write_text(json.dumps(document))
    return Case(
        name,
        path,
        listed,
        readings,
        seconds,
        scores,
        tolerance.absolute.sum(1) + tolerance.relative * scores,
        checkpoint,
    )
