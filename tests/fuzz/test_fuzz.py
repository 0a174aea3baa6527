"""A short run of each fuzzer, from the corpus that longer ones left."""

from __future__ import annotations

import os
import re
import resource
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from support.commands import unmeasured

HERE = Path(__file__).parent
SOAK = bool(os.environ.get("EDGE_DETECT_SOAK"))
# Of the five million that `make fuzz` runs; what those taught is in the corpus, which is read first.
RUNS = {"gate": 30_000, "loader": 10_000} if SOAK else {"gate": 5_000, "loader": 2_000}


@pytest.mark.parametrize("target", RUNS)
def test_nothing_that_is_read_ends_in_another_error_than_the_projects_own(
    target: str, tmp_path: Path
) -> None:
    runs = RUNS[target]
    shutil.copytree(HERE / "corpus" / target, tmp_path / "corpus")
    # libFuzzer goes by `ru_maxrss`, and in that a program begins with the peak of whoever started it.
    own_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    done = subprocess.run(
        [
            *(sys.executable, str(HERE / "run.py"), target, str(tmp_path / "corpus")),
            *(f"-runs={runs}", "-seed=1", "-max_len=16000", f"-artifact_prefix={tmp_path}/"),
            f"-rss_limit_mb={own_mb + 2048}",
        ],
        env=unmeasured(),
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    # It runs what it has found something new with once more at times, and then does a few runs more.
    ended = re.search(r"^Done (\d+) runs", done.stderr, re.MULTILINE)
    assert ended is not None, done.stderr[-3000:]
    assert int(ended[1]) >= runs
    if target == "loader":
        # ONNX Runtime has seen the five good bundles at least, in children that did not crash. How many of
        # the changed ones get as far differs with the bundles' weights, which differ with the machine.
        assert done.stderr.count(" accepted files in ONNX Runtime") >= 5
