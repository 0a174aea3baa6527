"""A flip of a single bit of the default bundle is refused by the real loader, whichever bit it is."""

from __future__ import annotations

import json
import os
import subprocess
from typing import TYPE_CHECKING

from hostile.child import child_environment, module

from edge_runtime.loading.load import load_bytes, read_bundle

if TYPE_CHECKING:
    from pathlib import Path

PARTS = 2
# All bits of each byte in the soak; of one byte in so many otherwise, which meets every place in a number.
STEP = 1 if os.environ.get("EDGE_DETECT_SOAK") else 23


def test_every_flipped_bit_of_the_default_bundle_is_refused(tmp_path: Path) -> None:
    _, data = read_bundle(None)
    assert load_bytes(data, "not flipped").self_test.rows
    (tmp_path / "default.onnx").write_bytes(data)
    children = [
        subprocess.Popen(
            [
                *module("hostile.flips"),
                tmp_path / "default.onnx",
                *map(str, (part * STEP, len(data), PARTS * STEP)),
            ],
            stdout=subprocess.PIPE,
            env=child_environment(),
        )
        for part in range(PARTS)
    ]
    answers = [json.loads(child.communicate()[0]) for child in children]
    assert [answer["accepted"] for answer in answers] == [[]] * PARTS
    assert sum(answer["flips"] for answer in answers) == 8 * len(range(0, len(data), STEP))
