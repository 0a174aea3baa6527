"""The script that somebody would write in an afternoon: line protocol in, a JSON line a row out.

    python bare.py BUNDLE THRESHOLD < rows

It knows nothing of this project, checks nothing, and scores one row after another with ONNX Runtime; what it
prints says as much of a row as `edge-detect run` does. It does not follow levels: a graph that asks for a
slow baseline is given that of training. The benchmarks run it in a process of its own.
"""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from typing import Any

import numpy as np
import onnxruntime

SENSORS = ("temperature", "vibration", "pressure", "power")


def main() -> None:
    """Until standard input ends."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(sys.argv[1], options, providers=["CPUExecutionProvider"])
    threshold = float(sys.argv[2])
    fixed = {i.name: np.zeros(i.shape, np.float32) for i in session.get_inputs() if i.name != "readings"}
    if "bound" in fixed:
        fixed["bound"][:] = np.finfo(np.float32).max
    start = fixed.pop("state", None)
    states: dict[str, Any] = {}
    # Not `for line in sys.stdin`, which reads ahead: a row must be answered when it comes.
    while line := sys.stdin.readline():
        tags, fields, time = line.rsplit(" ", 2)
        machine = dict(pair.split("=") for pair in tags.split(",")[1:])["machine_id"]
        readings = {name: float(value) for name, value in (pair.split("=") for pair in fields.split(","))}
        inputs = {"readings": np.array([[readings[name] for name in SENSORS]], np.float32), **fixed}
        if start is not None:
            inputs["state"] = states.get(machine, start)
        score, errors, expected, *after = session.run(None, inputs)
        if after:
            states[machine] = after[0]
        document = {
            "time": datetime.fromtimestamp(int(time) / 1e9, UTC).isoformat(),
            "machine_id": machine,
            "verdict": "anomaly" if score[0] > threshold else "normal",
            "score": float(score[0]),
            "severity": float(score[0] / threshold),
            "readings": readings,
            "expected": dict(zip(SENSORS, expected[0].tolist(), strict=True)),
            "errors": dict(zip(SENSORS, errors[0].tolist(), strict=True)),
        }
        print(json.dumps(document), flush=True)


if __name__ == "__main__":
    main()
