"""Engines side by side: nothing of what they remember is lost, whatever the stages are called."""

from __future__ import annotations

import binascii
import json
from collections import Counter
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pytest
from support.bundles import make_bundle, normal_rows

from edge_runtime import Engine, Readings, load_bundle
from edge_runtime.bundle.metadata import Debounce, Hold
from edge_runtime.engine.stage import StageState
from edge_runtime.records import Results
from edge_runtime.scorefile.blocks import Block
from edge_runtime.scorefile.lanes import Lanes

if TYPE_CHECKING:
    from pathlib import Path

    from edge_runtime import Bundle
    from edge_runtime.engine.judged import Judged

MACHINES = [f"m{i}" for i in range(5)]


class Alarms:
    """A stage that somebody adds: it counts the rows that are no normal ones."""

    name = "alarms"
    version = 1
    belongs: Literal["bundle", "machine"] = "machine"
    machine_bytes = 100

    def __init__(self) -> None:
        self.counts = Counter[str]()
        self._changed: set[str] = set()

    def add(self, judged: Judged) -> None:
        for row in judged.rows():
            self.counts[row["machine_id"]] += row["verdict"] != "normal"
            self._changed.add(row["machine_id"])

    def changed(self) -> set[str]:
        changed, self._changed = self._changed, set()
        return changed

    def state(self, machine: str) -> int:
        return self.counts[machine]

    def restore(self, machine: str, value: Any, _version: int) -> None:
        self.counts[machine] = int(value)


@pytest.fixture
def loaded(tmp_path: Path) -> Bundle:
    hold = Hold(rise=1, fall=1, cap=9, level=2)
    return load_bundle(make_bundle(tmp_path, hold=hold, debounce=Debounce(2, 4), smooth=3))


@pytest.fixture
def with_alarms(monkeypatch: pytest.MonkeyPatch) -> None:
    make, feed = Engine.__init__, Engine.feed

    def make_with_alarms(self: Engine, bundle: Bundle, **options: Any) -> None:
        make(self, bundle, **options)
        self._stages = (*self._stages, Alarms())

    def feed_alarms(self: Engine, readings: Any, **options: Any) -> Judged:
        judged = feed(self, readings, **options)
        alarms = self._stages[-1]
        assert isinstance(alarms, Alarms)
        alarms.add(judged)
        return judged

    monkeypatch.setattr(Engine, "__init__", make_with_alarms)
    monkeypatch.setattr(Engine, "feed", feed_alarms)


def blocks(rows: int, size: int) -> list[Block]:
    values = normal_rows(rows, seed=6)
    values[np.random.default_rng(1).random(rows) < 0.4] *= 3
    readings = Readings(np.array(MACHINES * (rows // 5)), np.arange(rows), values)
    return [Block(readings.take(slice(at, at + size)), None) for at in range(0, rows, size)]


def states_after(bundle: Bundle, workers: list[int]) -> dict[tuple[str, ...], StageState]:
    """All states after 600 rows, a part of them by each number of workers, one after the other."""
    parts = np.array_split(np.arange(60), len(workers))
    states: list[StageState] = []
    for count, part in zip(workers, parts, strict=True):
        lanes = Lanes(bundle, count, with_expected=True)
        lanes.restore(states)
        list(lanes.score(np.array(blocks(600, 10), object)[part].tolist()))
        states = [StageState(*each) for each in json.loads(json.dumps(lanes.states()))]
        lanes.close()
    return {state[:3]: state for state in states}


@pytest.mark.usefixtures("with_alarms")
@pytest.mark.parametrize("workers", [[2], [3, 1], [1, 4, 2]], ids=str)
def test_every_stage_of_every_machine_is_kept_by_any_number_of_workers(
    loaded: Bundle, workers: list[int]
) -> None:
    alone, found = states_after(loaded, [1]), states_after(loaded, workers)
    assert found.keys() == alone.keys()
    assert {(state.stage, state.machine) for state in found.values()} >= {
        (stage, machine) for stage in ("alarms", "times", "memory", "hold") for machine in MACHINES
    }
    for key, state in alone.items():
        if state.stage != "memory":  # whose last bits hang on how rows are cut into calls
            assert found[key] == state
    assert sum(state.value for state in found.values() if state.stage == "alarms") > 100


@pytest.mark.parametrize("workers", [[2], [3, 1]], ids=str)
def test_the_baseline_of_every_machine_is_kept_by_any_number_of_workers(
    tmp_path: Path, workers: list[int]
) -> None:
    loaded = load_bundle(make_bundle(tmp_path, channels=True, horizon=1024.0, smooth=3))
    alone, found = states_after(loaded, [1]), states_after(loaded, workers)
    assert found.keys() == alone.keys()
    kept = [key for key in alone if key[1] == "baseline"]
    assert [machine for _, _, machine in sorted(kept)] == sorted(MACHINES)
    for key in kept:
        (rows, one), (also, other) = alone[key].value, found[key].value
        assert rows == also == 600 // 5 - 64
        numbers = [np.frombuffer(binascii.a2b_base64(text), "<f8") for text in (one, other)]
        assert numbers[0].any()
        np.testing.assert_allclose(numbers[1], numbers[0], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("workers", [2, 3])
def test_a_file_that_lies_machine_by_machine_is_judged_the_same_by_any_number_of_workers(
    loaded: Bundle, workers: int
) -> None:
    values = normal_rows(600, seed=6)
    values[np.random.default_rng(1).random(600) < 0.4] *= 3
    readings = Readings(np.repeat(MACHINES, 120), np.tile(np.arange(120), 5), values)
    lanes = Lanes(loaded, workers, with_expected=True)
    cut = [Block(readings.take(slice(at, at + 50)), None) for at in range(0, 600, 50)]
    found = Results.joined([results for _, results in lanes.score(cut)])
    lanes.close()
    alone = Engine(loaded).feed(readings).results
    assert found.verdicts.tolist() == alone.verdicts.tolist()
    assert set(alone.verdicts.tolist()) == {0, 1}
    np.testing.assert_allclose(found.scores.score, alone.scores.score, rtol=1e-4)


def test_a_state_that_cannot_be_used_ends_the_run(loaded: Bundle) -> None:
    lanes = Lanes(loaded, 2, with_expected=True)
    with pytest.raises(ValueError, match="m1: the stored state of 'hold' is unreadable"):
        lanes.restore([StageState(loaded.digest, "hold", "m1", 1, "much")])
