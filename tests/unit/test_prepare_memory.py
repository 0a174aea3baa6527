from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from support.commands import unmeasured

from trainer.data.rows import LabelledRows
from trainer.labels.methods import NoLabels
from trainer.prepare import Shares, prepare_folder
from trainer.prepare.origin import PAGE_ROWS

if TYPE_CHECKING:
    from collections.abc import Iterator

NS = 10**9
MACHINES = np.array(["a", "b", "c", "d"])


class Endless:
    """An origin that makes its rows on the way, so that a test can see what is kept of them."""

    sensors = tuple("abcdefgh")
    labelled = False

    def __init__(self, pages: int) -> None:
        self._pages = pages

    def extent(self) -> tuple[int, int]:
        return 0, self._pages * PAGE_ROWS * NS - NS

    def warnings(self) -> list[str]:
        return []

    def describe(self) -> dict[str, Any]:
        return {}

    def pages(self, start_ns: int, stop_ns: int) -> Iterator[LabelledRows]:
        assert (start_ns, stop_ns) == (0, self.extent()[1] + 1)
        for page in range(self._pages):
            times = (np.arange(PAGE_ROWS, dtype=np.int64) + page * PAGE_ROWS) * NS
            yield LabelledRows(
                times,
                np.tile(MACHINES, PAGE_ROWS // len(MACHINES)),
                np.full((PAGE_ROWS, len(self.sensors)), 0.5),
                np.zeros(PAGE_ROWS, np.bool_),
                np.full(PAGE_ROWS, ""),
            )


def prepared(pages: int, folder: Path, split: str = "70/15/15") -> None:
    prepare_folder(
        origin := Endless(pages),
        folder,
        extent=origin.extent(),
        make_labeller=lambda _train: NoLabels(),
        shares=Shares.parse(split),
        gap_s=60.0,
        units={},
        progress=lambda _ns: None,
    )


def peak_mb(pages: int, folder: Path, split: str) -> float:
    """Peak memory of a process of its own that prepares so many pages."""
    script = (
        "import sys; sys.path[:0] = sys.argv[4:]; from pathlib import Path\n"
        "from edge_runtime.bench.fresh import peak_memory_mb\n"
        "import test_prepare_memory as t\n"
        "t.prepared(int(sys.argv[1]), Path(sys.argv[2]), sys.argv[3])\n"
        "print(peak_memory_mb())\n"
    )
    here = Path(__file__).parent
    command = [sys.executable, "-c", script, str(pages), str(folder), split, str(here), str(here.parent)]
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=unmeasured())
    return float(done.stdout)


@pytest.mark.parametrize("split", ["70/15/15", "machine"])
def test_memory_does_not_grow_with_the_range(tmp_path: Path, split: str) -> None:
    short, long = peak_mb(3, tmp_path / "short", split), peak_mb(20, tmp_path / "long", split)
    # 17 more pages hold 54 MB of readings alone.
    assert long - short < 25
