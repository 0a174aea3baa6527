"""A gateway reports to its owner alone."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def test_scoring_leaves_no_device_id_of_onnx_runtime_behind(tmp_path: Path) -> None:
    # ONNX Runtime keeps silent by itself where CI is set, which would hide what happens on a gateway.
    kept = {k: v for k, v in os.environ.items() if k != "CI" and not k.startswith(("ORT_", "XDG_"))}
    environment = {**kept, "HOME": str(tmp_path)}
    code = "from edge_runtime.loading.load import load_bundle; load_bundle()"
    subprocess.run([sys.executable, "-c", code], env=environment, check=True, timeout=300)
    assert not (tmp_path / ".cache").exists()
