"""The reader that `docs/bundle.md` shows to other implementers judges as the engine does."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import pytest
from support.bundles import make_bundle, normal_rows

from edge_runtime import Engine, load_bundle
from edge_runtime.bundle.metadata import Debounce, Hold
from edge_runtime.scoring.inference import seconds_of_day

if TYPE_CHECKING:
    from numpy.typing import NDArray

PAGE = Path(__file__).parents[2] / "docs" / "bundle.md"
MOST_LINES = 40
ROWS, ADVANCE = 2200, 64


@pytest.fixture(scope="module")
def judge() -> Any:
    """The function `judge` of the page's last program."""
    program = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)[-1]
    assert len([line for line in program.splitlines() if line]) <= MOST_LINES
    names: dict[str, Any] = {}
    exec(compile(program, str(PAGE), "exec"), names)  # noqa: S102 - it is the page's own
    return names["judge"]


def drifting() -> NDArray[np.float32]:
    """Rows with a level that moves for good, a short fault, and readings that cannot be judged."""
    rows = normal_rows(ROWS, seed=7)
    rows[200:, 2] += 40  # far enough off to be followed fast, after half a horizon
    rows[100:104, 0] += 60
    rows[700:710, 1] += 5
    rows[30, 1] = np.nan
    rows[400, 3] = np.inf
    rows[500, 0] = 999.0  # beyond its physical range
    return rows


OPTIONS: dict[str, dict[str, Any]] = {
    "a baseline": {"channels": True, "horizon": 1024.0, "smooth": 11},
    "all channels": {"channels": True, "lasting": 20, "sudden": 0.25, "horizon": 1024.0, "smooth": 11},
    "a baseline without memory": {"channels": True, "horizon": 1024.0},
    "two channels without a baseline": {"channels": True, "smooth": 11},
    "version 1": {"smooth": 11},
    "the time of day": {"channels": True, "horizon": 2048.0, "shown": {"period": 600.0}, "train": 0},
}


@pytest.mark.parametrize("kind", OPTIONS)
def test_it_judges_as_the_engine_does(kind: str, judge: Any, tmp_path: Path) -> None:
    options = {"train": 50, "per_machine": {"m": 3.0}, "debounce": Debounce(2, 3), **OPTIONS[kind]}
    path = make_bundle(tmp_path, hold=Hold(1.0, 0.5, 10.0, 5.5), **options)
    bundle = load_bundle(path)
    rows, times = drifting(), np.arange(ROWS, dtype=np.int64) * 10**9
    scores, verdicts = zip(*judge(str(path), "m", rows, seconds_of_day(times)), strict=True)
    engine, start = Engine(bundle), 0
    for size in (1, 1, 70, 3, 300, ROWS):
        stop = min(start + size, ROWS)
        found = engine.feed(rows[start:stop], machine_id="m", time=times[start:stop])
        np.testing.assert_allclose(found.score, scores[start:stop], rtol=1e-4, atol=1e-5)
        assert list(found.verdicts) == list(verdicts[start:stop])
        start = stop
    assert start == ROWS
    assert {"normal", "anomaly", "unknown"} == set(verdicts)
    assert [verdicts[i] for i in (30, 400, 500)] == ["unknown"] * 3
    if kind == "a baseline":
        assert bundle.metadata.baseline is not None
        assert bundle.metadata.baseline.rows == ADVANCE
        # The level is followed: what rang is normal in the end, although nothing came back.
        assert set(verdicts[210:390]) == {"anomaly"}
        assert verdicts[-100:].count("anomaly") < 10


@pytest.mark.parametrize("kind", OPTIONS)
def test_it_fills_a_sensor_that_is_missing_as_the_engine_does(kind: str, judge: Any, tmp_path: Path) -> None:
    options = {"train": 50, "per_machine": {"m": 3.0}, "debounce": Debounce(2, 3), **OPTIONS[kind]}
    path = make_bundle(tmp_path, hold=Hold(1.0, 0.5, 10.0, 5.5), degraded=True, **options)
    rows, times = drifting(), np.arange(ROWS, dtype=np.int64) * 10**9
    rows[50:300, 3] = np.nan
    rows[900:1000, 0] = -np.inf
    rows[950, 2] = np.nan
    scores, verdicts = zip(*judge(str(path), "m", rows, seconds_of_day(times)), strict=True)
    found = Engine(load_bundle(path)).feed(rows, machine_id="m", time=times)
    np.testing.assert_allclose(found.score, scores, rtol=1e-4, atol=1e-5)
    assert list(found.verdicts) == list(verdicts)
    assert [row for row, verdict in enumerate(verdicts) if verdict == "unknown"] == [950]
    without = {30: "vibration", 100: "power", 400: "power", 500: "temperature", 949: "temperature"}
    assert [found.degraded[row] for row in without] == list(without.values())


def test_it_replays_the_golden_rows(judge: Any, tmp_path: Path) -> None:
    path = make_bundle(tmp_path, channels=True, horizon=1024.0, smooth=11)
    document = json.loads(onnx.load(path).metadata_props[0].value)
    golden, begins = document["golden"], document["baseline"]["golden"]
    assert 0 < document["baseline"]["rows"] - begins["rows"] < len(golden["scores"])
    sums = ("values", "persistence", "near", "far", "beyond")
    start = (*(np.array(begins[name]) for name in sums), begins["rows"])
    rows, seconds = golden["readings"], np.zeros(len(golden["scores"]))
    scores = np.array([score for score, _ in judge(str(path), "golden", rows, seconds, start)])
    allowed = golden["absolute_tolerance"] + golden["relative_tolerance"] * np.abs(golden["scores"])
    assert (np.abs(scores - golden["scores"]) <= allowed).all()
    begun = np.array([score for score, _ in judge(str(path), "golden", rows, seconds)])
    assert (np.abs(begun - golden["scores"]) > allowed).any()


def test_it_refuses_what_it_does_not_know(judge: Any, tmp_path: Path) -> None:
    path = make_bundle(tmp_path, channels=True, horizon=1024.0)
    model = onnx.load(path)
    document = json.loads(model.metadata_props[0].value)
    for change in ({"format_version": 3}, {"needs": ["baseline", "weather"]}):
        model.metadata_props[0].value = json.dumps(document | change)
        onnx.save(model, path)
        with pytest.raises(ValueError, match="another reader"):
            next(judge(str(path), "m", [[1, 1, 1, 1]], [0]))
