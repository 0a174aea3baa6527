"""Scores rows with a runtime: python driver.py RUNTIME BUNDLE ROWS.json SCORES.json BLOCK

It needs numpy and the runtime alone, so that it runs in an environment that has nothing of this project. The
rows go in so many at a time, the state from each call into the next.
"""

import json
import sys
from importlib import import_module
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))


def main() -> None:
    """The command line."""
    runtime, bundle, rows, output, block = sys.argv[1:]
    run = import_module(f"runtimes.{runtime}").open_bundle(bundle)
    document = json.loads(Path(rows).read_text())
    readings = np.asarray(document["readings"], np.float32)
    shape = document["state_shape"]
    state = None if shape is None else np.zeros(shape, np.float32)
    scores = []
    for start in range(0, len(readings), int(block)):
        part = slice(start, start + int(block))
        feed = {"readings": readings[part]}
        if state is not None:
            feed["state"] = state
        if document["seconds"] is not None:
            feed["time_of_day"] = np.asarray(document["seconds"][part], np.float32)
        found = run(feed)
        scores += np.asarray(found["score"]).tolist()
        state = found.get("state_out")
    Path(output).write_text(json.dumps(scores))


if __name__ == "__main__":
    main()
