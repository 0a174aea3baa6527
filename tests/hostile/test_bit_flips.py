"""Every single-bit flip of the default bundle is refused by the real loader."""

from __future__ import annotations

import json
import subprocess
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
from hostile.child import child_environment, module

from edge_runtime.loading.load import load_bytes, read_bundle

if TYPE_CHECKING:
    from pathlib import Path

PARTS = 2


@pytest.mark.slow
def test_every_flipped_bit_of_the_default_bundle_is_refused(tmp_path: Path) -> None:
    _, data = read_bundle(None)
    assert load_bytes(data, "not flipped").self_test.rows
    (tmp_path / "default.onnx").write_bytes(data)
    edges = [len(data) * part // PARTS for part in range(PARTS + 1)]
    children = [
        subprocess.Popen(
            [*module("hostile.flips"), tmp_path / "default.onnx", str(first), str(last)],
            stdout=subprocess.PIPE,
            env=child_environment(),
        )
        for first, last in pairwise(edges)
    ]
    answers = [json.loads(child.communicate()[0]) for child in children]
    assert [answer["accepted"] for answer in answers] == [[]] * PARTS
    assert sum(answer["flips"] for answer in answers) == 8 * len(data)
