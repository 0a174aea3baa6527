"""The hot path costs no more instructions than recorded, whatever else the machine does meanwhile."""

from __future__ import annotations

import json
import platform

import pytest

from benchmarks.instructions.count import COUNTED_ROWS, RECORDED, count, ratios

MORE = 1.10


@pytest.mark.skipif(platform.machine() != "x86_64", reason="Valgrind's requests are written for x86-64")
def test_no_path_needs_a_tenth_more_instructions_than_recorded_beside_onnx_runtime_alone() -> None:
    recorded = json.loads(RECORDED.read_text(encoding="utf-8"))["ratios"]
    found = ratios(count(COUNTED_ROWS // 2))
    assert found.keys() == recorded.keys()
    slower = {name: (recorded[name], ratio) for name, ratio in found.items() if ratio > MORE * recorded[name]}
    assert not slower, "meant so? then record it: python -m benchmarks.instructions --record"
