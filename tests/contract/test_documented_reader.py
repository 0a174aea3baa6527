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
from edge_runtime.bundle.metadata import Alarms, Debounce, Hold, SensorLimit
from edge_runtime.scoring.inference import seconds_of_day

if TYPE_CHECKING:
    from numpy.typing import NDArray

PAGE = Path(__file__).parents[2] / "docs" / "bundle.md"
MOST_LINES = 40
ROWS, ADVANCE = 2200, 64
SECOND = 10**9


@pytest.fixture(scope="module")
def programs() -> dict[str, Any]:
    """The functions of the page's last two programs, each of which stands by itself."""
    functions: dict[str, Any] = {}
    for program in re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)[-2:]:
        assert len([line for line in program.splitlines() if line]) <= MOST_LINES
        names: dict[str, Any] = {}
        exec(compile(program, str(PAGE), "exec"), names)  # noqa: S102 - it is the page's own
        functions |= {name: names[name] for name in ("screened", "judge") if name in names}
    return functions


@pytest.fixture(scope="module")
def judge(programs: dict[str, Any]) -> Any:
    """The function `judge` of the page's last program."""
    return programs["judge"]


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
    "alarms": {"alarms": Alarms(3.0, 60.0, 5.0, 100)},
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


LIMITS = (
    SensorLimit(5, 0.02, 1.5),
    SensorLimit(4, 0.0, None),
    SensorLimit(None, 0.1, 2.0),
    SensorLimit(12, 0.5, None),
)


def failing() -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Rows in which sensors stand still and jump, and their times."""
    random = np.random.default_rng(11)
    rows, steps = normal_rows(ROWS, seed=7), np.ones(ROWS)
    for place in (0, 2):  # slowly, beside the fastest that they can
        rows[:, place] = 52 + 5 * np.sin(np.arange(ROWS) / 30 + place) + random.uniform(-0.2, 0.2, ROWS)
    rows[100:140, 0] = rows[100, 0]  # frozen, and another one in a part of it
    rows[120:130, 1] = rows[120, 1]
    rows[200:240, 0] = rows[200, 0] + 0.02 * random.integers(-1, 2, 40)  # to and fro by about a digit
    rows[300:360, 3] = rows[300, 3] + random.uniform(-0.5, 0.5, 60)
    rows[400:420, 1] = 1.0
    rows[[402, 407, 411], 1] = np.nan  # missing in a frozen stretch
    rows[450:470, 1] = 99.0  # frozen beyond its physical range
    rows[500:520, 3] = np.inf
    rows[530:545, 1] = 1.0
    rows[[535, 541], 1] = (99.0, -np.inf)
    rows[[600, 640, 680], 0] += (30, -30, 1.2)  # jumps of one row
    rows[700:, 2] += 60  # a jump that stays, until it could have got there
    rows[800, 2] = np.nan
    rows[801:803, 2] += 3
    rows[900:, 0] += 25  # one that a gap in time allows
    steps[900] = 40
    rows[1000, 0] += 25  # and one that it does not
    steps[1000] = 4.25
    rows[1100:1130, 2] = rows[1100, 2]  # may stand still
    rows[1200:1230] = rows[1200]
    steps[1210:1215] = 900
    return rows, (np.cumsum(steps) * SECOND).astype(np.int64)


def in_blocks(sizes: list[int]) -> list[slice]:
    """All rows in blocks of these sizes, over and over."""
    found: list[slice] = []
    start = 0
    while start < ROWS:
        found.append(slice(start, start + sizes[len(found) % len(sizes)]))
        start = found[-1].stop
    return found


@pytest.mark.parametrize("needs", ["sensor_status", "degraded, sensor_status"])
@pytest.mark.parametrize("kind", ["a baseline", "version 1", "the time of day"])
def test_they_find_sensors_that_fail_as_the_engine_does(
    kind: str, needs: str, programs: dict[str, Any], tmp_path: Path
) -> None:
    options = {"train": 50, "per_machine": {"m": 3.0}, "debounce": Debounce(2, 3), **OPTIONS[kind]}
    degraded = "degraded" in needs
    path = make_bundle(tmp_path, hold=Hold(1.0, 0.5, 10.0, 5.5), degraded=degraded, limits=LIMITS, **options)
    rows, times = failing()
    shown = programs["screened"](str(path), rows, times)
    judged = programs["judge"](str(path), "m", shown, seconds_of_day(times), done=["sensor_status"])
    scores, verdicts = zip(*judged, strict=True)
    bundle = load_bundle(path)
    assert set(needs.split(", ")) <= set(bundle.metadata.needs)
    for sizes in ([ROWS], [1], [1, 1, 70, 3, 300], [2, 9, 8, 1, 1, 1, 33]):
        engine = Engine(bundle)
        blocks = [engine.feed(rows[part], machine_id="m", time=times[part]) for part in in_blocks(sizes)]
        found = np.concatenate([block.score for block in blocks])
        np.testing.assert_allclose(found, scores, rtol=1e-4, atol=1e-5)
        assert [verdict for block in blocks for verdict in block.verdicts] == list(verdicts)
    # What the data holds is found, and told from what it is not.
    status = [row for block in blocks for row in block.sensor_status]
    flat = [{name for name, text in row.items() if text == "failure: flat"} for row in status]
    steep = [{name for name, text in row.items() if "too steep" in text} for row in status]
    assert [row for row in range(90, 150) if "temperature" in flat[row]] == list(range(104, 140))
    vibration = [row for row in range(390, 550) if "vibration" in flat[row]]
    assert vibration == [404, 405, 406, 408, 409, 410, *range(412, 420), 533, 534, 539, 540]
    assert {status[row]["vibration"] for row in range(450, 470)} == {"out of specification: out of range"}
    assert not any("pressure" in row for row in flat)
    assert [row for row in (600, 601, 640, 641) if "temperature" in steep[row]] == [600, 640]
    assert all("pressure" in row for row in steep[700:725])
    assert not any("pressure" in row for row in steep[740:799])
    assert ["temperature" in steep[row] for row in (900, 1000)] == [False, True]
    if degraded:
        assert {verdicts[row] for row in range(104, 120)} <= {"normal", "anomaly"}
        assert verdicts[125] == "unknown"
    else:
        assert {verdicts[row] for row in range(104, 140)} == {"unknown"}


def test_the_second_alone_refuses_a_bundle_that_needs_the_first(
    programs: dict[str, Any], tmp_path: Path
) -> None:
    path = make_bundle(tmp_path, smooth=11, limits=[SensorLimit(4, 0.0, None)] * 4)
    rows = normal_rows(50)
    rows[10:, 1] = rows[10, 1]
    shown = programs["screened"](str(path), rows, range(50))
    judged = programs["judge"](str(path), "m", shown, [0.0] * 50, done=["sensor_status"])
    assert [verdict == "unknown" for _, verdict in judged] == [row >= 13 for row in range(50)]
    with pytest.raises(ValueError, match="another reader"):
        next(programs["judge"](str(path), "m", rows, [0.0] * 50))


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
