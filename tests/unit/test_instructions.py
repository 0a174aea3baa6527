"""The hot path costs no more instructions than recorded, whatever else the machine does meanwhile."""

from __future__ import annotations

import json
import platform
from typing import TYPE_CHECKING

import pytest

from benchmarks.instructions.count import BASE, COUNTED_ROWS, RECORDED, count, ratios
from benchmarks.workloads import BUNDLES

if TYPE_CHECKING:
    from pathlib import Path

# More than the last record, and more than the first one: small steps must not add up unseen.
MORE_THAN_LAST, MORE_THAN_FIRST = 1.05, 1.10


@pytest.mark.skipif(platform.machine() != "x86_64", reason="Valgrind's requests are written for x86-64")
@pytest.mark.parametrize("bundle", BUNDLES)
def test_no_path_needs_more_instructions_than_recorded_beside_onnx_runtime_alone(bundle: str) -> None:
    found = ratios(count(bundle, COUNTED_ROWS // 2))
    for file, more in ((RECORDED, MORE_THAN_LAST), (BASE, MORE_THAN_FIRST)):
        recorded = _recorded(file, bundle)
        assert found.keys() == recorded.keys()
        slower = {
            name: (recorded[name], ratio) for name, ratio in found.items() if ratio > more * recorded[name]
        }
        assert not slower, "meant so? then record it: python -m benchmarks.instructions --record"


def _recorded(file: Path, bundle: str) -> dict[str, float]:
    found: dict[str, float] = json.loads(file.read_text(encoding="utf-8"))["ratios"][bundle]
    return found
