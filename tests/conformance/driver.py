"""Scores rows with a runtime: python driver.py RUNTIME BUNDLE ROWS.json SCORES.json BLOCK

It needs numpy and the runtime alone, so that it runs in an environment that has nothing of this project. The
rows go in so many at a time, the state from each call into the next; of a bundle with a slow baseline, a call
ends where that advances.
"""

import json
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))


class Baseline:
    """The slow baseline of one machine, as the bundle's metadata describes it."""

    def __init__(self, spec: dict[str, Any]) -> None:
        self.spec, self.spread = spec, np.asarray(spec["spread"])
        self.value, self.persistence = np.zeros((2, len(self.spread)))
        self.since: list[Any] = []  # residuals of the rows since the last advance

    def inputs(self) -> dict[str, Any]:
        """What the graph takes."""
        doubtful = np.abs(self.persistence) > self.spec["doubtful"]
        bound = np.where(doubtful, self.spec["bound"] * self.spread, np.finfo(np.float32).max)
        given = {"baseline": self.value, "bound": bound}
        return {name: np.asarray([value], np.float32) for name, value in given.items()}

    def add(self, residuals: Any) -> None:
        """Takes those of no more rows than there are left before it advances."""
        self.since += list(residuals)
        spec, rows = self.spec, len(self.since)
        if rows < spec["rows"]:
            return
        away, near, far = self.since - self.value, spec["near"] * self.spread, spec["far"] * self.spread
        fast = np.abs(self.persistence) > spec["persistent"]
        moved = np.where(fast, spec["gain"] * np.clip(away, -far, far), np.clip(away, -near, near))
        beyond = (away > near).sum(0) - (away < -near).sum(0)
        self.value = self.value + moved.sum(0) / spec["horizon"]
        self.persistence = self.persistence + (beyond - rows * self.persistence) / spec["horizon"]
        self.since = []


def main() -> None:
    """The command line."""
    runtime, bundle, rows, output, block = sys.argv[1:]
    run = import_module(f"runtimes.{runtime}").open_bundle(bundle)
    document = json.loads(Path(rows).read_text())
    readings = np.asarray(document["readings"], np.float32)
    shape = document["state_shape"]
    state = None if shape is None else np.zeros(shape, np.float32)
    baseline = Baseline(document["baseline"]) if document["baseline"] else None
    scores: list[float] = []
    while len(scores) < len(readings):
        start = len(scores)
        room = baseline.spec["rows"] - len(baseline.since) if baseline else len(readings)
        part = slice(start, start + min(int(block), room))
        feed = {"readings": readings[part]}
        if state is not None:
            feed["state"] = state
        if document["seconds"] is not None:
            feed["time_of_day"] = np.asarray(document["seconds"][part], np.float32)
        if baseline:
            feed |= baseline.inputs()
        found = run(feed)
        scores += np.asarray(found["score"]).tolist()
        state = found.get("state_out")
        if baseline:
            baseline.add(np.asarray(found["residuals"]))
    Path(output).write_text(json.dumps(scores))


if __name__ == "__main__":
    main()
