"""Every kind of bundle through ONNX Runtime alone and the evaluator of the ONNX standard itself.

`make conformance` does the same with the oldest ONNX Runtime, OpenVINO, tract and Node.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from conformance.bundles import BUNDLES, make_case

from edge_runtime import Engine, Readings, load_bundle

if TYPE_CHECKING:
    from conformance.bundles import Case

DRIVER = Path(__file__).parents[1] / "conformance" / "driver.py"
ROWS = 150


@pytest.fixture(scope="module", params=BUNDLES)
def case(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Case:
    return make_case(tmp_path_factory.mktemp("conformance"), request.param, ROWS)


@pytest.mark.parametrize("runtime", ["onnx_runtime", "reference"])
def test_another_runtime_gives_the_same_verdicts(case: Case, runtime: str) -> None:
    output = case.path.with_suffix(f".{runtime}")
    words = [sys.executable, str(DRIVER), runtime, str(case.path), str(case.rows), str(output), "7"]
    subprocess.run(words, check=True, env={**os.environ, "ORT_DISABLE_TELEMETRY": "1"})
    used, equal = case.judge(np.asarray(json.loads(output.read_text()), np.float32))
    assert equal
    assert used <= 1


def test_the_gateway_gives_the_same_verdicts(case: Case) -> None:
    times = (case.seconds.astype(np.int64) + 86_400 * (np.diff(case.seconds, prepend=0) < 0).cumsum()) * 10**9
    engine = Engine(load_bundle(case.path))
    parts = np.split(np.arange(ROWS), [1, 8, 50, 140])
    blocks = [engine.feed(Readings(np.full(len(p), "m"), times[p], case.readings[p])).score for p in parts]
    used, equal = case.judge(np.concatenate(blocks))
    assert equal
    assert used <= 1
