"""The benchmarks measure what they say: the same rows, the same work, ratios of rounds."""

from __future__ import annotations

import importlib
import io
import json
import subprocess
from typing import TYPE_CHECKING

import numpy as np
import pytest

from benchmarks import summary
from benchmarks.figures import Figure, as_table, paired
from benchmarks.floor import bound_call, plain_call
from benchmarks.peers import __main__ as peers
from benchmarks.peers import contest, edge_detect, onnxruntime_bound, onnxruntime_loop
from benchmarks.targets import __main__ as targets
from benchmarks.targets.processes import bare, environment
from benchmarks.workloads import csv_text, line_protocol, plant
from edge_runtime import Engine, load_bundle
from edge_runtime.mapping.form import Columns
from edge_runtime.simulation import SENSORS
from edge_runtime.text.csvblocks import read_blocks

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

ROUNDED = 5e-5


def scores(found: object) -> NDArray[np.float32]:
    """Of what a runtime returned: scores first, or by name."""
    array = found["score"] if isinstance(found, dict) else found[0]  # type: ignore[index]
    return np.array(array, np.float32)


@pytest.mark.parametrize(
    ("ratio", "at_most", "at_least", "reached"),
    [(1.2, 1.25, None, True), (1.3, 1.25, None, False), (0.9, None, 0.95, False), (1.3, None, None, None)],
)
def test_a_figure_says_whether_its_ratio_is_as_it_should_be(
    ratio: float, at_most: float | None, at_least: float | None, *, reached: bool | None
) -> None:
    figure = Figure("rows", "ours", "theirs", "µs", ratio, 1.0, ratio, at_most, at_least)
    assert figure.reached is reached
    assert figure.as_json()["reached"] is reached
    assert ("NO" in as_table([figure])) is (reached is False)


def test_a_figure_without_a_ratio_is_held_against_its_limit_itself() -> None:
    assert Figure("memory", "more", "", "MB", 11.0, at_most=12.0).reached
    assert not Figure("memory", "more", "", "MB", 13.0, at_most=12.0).reached


def test_a_ratio_is_the_median_of_the_rounds_own_and_not_that_of_the_medians() -> None:
    figure = paired("rows", "ours", "theirs", "µs", [1.0, 10.0, 6.0], [1.0, 5.0, 2.0])
    assert (figure.ours, figure.theirs, figure.ratio, figure.rounds) == (6.0, 2.0, 2.0, 3)


def test_the_plants_rows_are_machines_in_turns_and_read_back_from_text() -> None:
    readings = plant(10, machines=3)
    assert readings.machines.tolist()[:4] == ["press-1", "press-2", "press-3", "press-1"]
    assert np.diff(readings.times).tolist() == [0, 0, 10**9] * 3
    text = io.BytesIO(csv_text(readings))
    (block,) = read_blocks(text, Columns(SENSORS, "time", "machine_id", "machine"), "text")
    assert block.readings.machines.tolist() == readings.machines.tolist()
    assert block.readings.times.tolist() == readings.times.tolist()
    np.testing.assert_allclose(block.readings.values, readings.values, atol=ROUNDED)
    assert line_protocol(readings).startswith(b"sensors,machine_id=press-1 temperature=")


def test_the_bare_script_and_we_find_the_same_scores_in_the_same_lines() -> None:
    readings = plant(40, machines=2, severity=2.0)
    # With four digits, as the text has them.
    readings.values[:] = [[np.float32(f"{value:.4f}") for value in row] for row in readings.values.tolist()]
    done = subprocess.run(
        bare("default"), input=line_protocol(readings), capture_output=True, check=True, env=environment()
    )
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    results = Engine(load_bundle()).feed(readings).results
    np.testing.assert_allclose([each["score"] for each in answers], results.scores.score, rtol=1e-5)
    assert [each["machine_id"] for each in answers] == readings.machines.tolist()


def test_a_bound_session_gives_what_run_gives_row_by_row() -> None:
    bundle = load_bundle()
    rows = [plant(20).take(slice(i, i + 1)) for i in range(20)]
    expected = Engine(bundle).feed(plant(20)).score
    call = bound_call(bundle, rows)
    found = [float(scores(call(i))[0]) for i in range(20)]
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    first = scores(plain_call(bundle, rows)(0))
    np.testing.assert_allclose(first, expected[:1], rtol=1e-5)


def test_the_peers_that_take_the_bundle_score_as_we_do(tmp_path: Path, bundle: Path) -> None:
    (tmp_path / "bundle.onnx").write_bytes(bundle.read_bytes())
    rows = plant(8).values
    ours = edge_detect.load(tmp_path)(rows).score  # type: ignore[attr-defined]
    for peer in (onnxruntime_loop, onnxruntime_bound):
        score = peer.load(tmp_path)
        np.testing.assert_allclose(scores(score(rows)), ours, rtol=1e-6)
        np.testing.assert_allclose(scores(score(rows[:1])), ours[:1], rtol=1e-4)


def test_a_peer_in_its_own_process_tells_how_long_each_call_took(
    tmp_path: Path, bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(contest, "FOLDER", tmp_path)
    (tmp_path / "bundle.onnx").write_bytes(bundle.read_bytes())
    np.save(tmp_path / "rows.npy", plant(64).values)
    with contest.Contestant("onnxruntime_loop") as one:
        assert one.start_ms > 10
        assert one.memory_mb > 20
        assert all(1_000 < each < 10**9 for each in one.slice(16))


def test_a_peer_that_cannot_be_imported_is_missing_with_the_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(contest, "FOLDER", tmp_path)
    np.save(tmp_path / "rows.npy", plant(4).values)
    with pytest.raises(contest.Missing, match="No module named"), contest.Contestant("no_such_peer"):
        pass


def test_every_target_and_peer_that_is_named_is_there() -> None:
    for name in targets.NAMES:
        assert callable(importlib.import_module(f"benchmarks.targets.{name}").measure)
    for name in (peers.OURS, *peers.PEERS):
        assert contest.title(name)


def test_the_summary_is_one_document_and_a_picture(tmp_path: Path) -> None:
    figure = paired("one row", "edge-detect", "torch", "µs", [9.0], [46.0], at_most=1.0).as_json()
    other = Figure("memory", "more", "", "MB", 11.0, at_most=12.0).as_json()
    environment = {"edge_detect": "0.1.0", "cpu": "some", "cpus": 2, "load": 0.1}
    parts = {
        "targets": {"environment": environment, "figures": [figure, other], "failed": {"size": "no pip"}},
        "peers": {"figures": [figure], "missing": {"river_trees": "No module named 'river'"}},
        "pytest": {"benchmarks": [{"group": "blocks", "name": "ours", "stats": {"median": 1e-6}}]},
    }
    for name, part in parts.items():
        (tmp_path / f"{name}.json").write_text(json.dumps(part), encoding="utf-8")
    document = summary.as_document(tmp_path)
    assert document["missing"] == {"size": "no pip", "river_trees": "No module named 'river'"}
    assert document["suites"] == {"blocks: ours": 1e-6}
    summary.as_picture(document, tmp_path / "bench.png")
    assert (tmp_path / "bench.png").read_bytes().startswith(b"\x89PNG")
