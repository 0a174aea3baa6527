"""The slow baseline by itself: how fast it follows, what it does not follow, and that no cut changes it."""

from __future__ import annotations

import binascii
import tracemalloc
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from edge_runtime.bundle.caps import LARGEST
from edge_runtime.bundle.judging import Baseline, BaselineState
from edge_runtime.scoring.baseline import Baselines, MachineBaseline

if TYPE_CHECKING:
    from numpy.typing import NDArray

COLUMNS = 3
SPREAD = (0.5, 1.0, 2.0)
NONE = (0.0,) * COLUMNS
SPEC = Baseline(
    rows=16,
    horizon=256.0,
    spread=SPREAD,
    near=4.0,
    far=100.0,
    gain=3.0,
    persistent=0.5,
    doubtful=0.1,
    bound=6.0,
    golden=BaselineState(NONE, NONE, NONE, NONE, NONE, 0),
)


def plain(spec: Baseline, residuals: NDArray[np.float32]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Value and persistence after each row, [2][rows, columns], as the documentation puts it, row by row."""
    columns = len(spec.spread)
    value, persistence = [0.0] * columns, [0.0] * columns
    near, far, beyond = [0.0] * columns, [0.0] * columns, [0] * columns
    values, persistences = [], []
    for number, row in enumerate(residuals.tolist(), 1):
        for i in range(columns):
            away = row[i] - value[i]
            lowest, bound = spec.near * spec.spread[i], spec.far * spec.spread[i]
            near[i] += max(-lowest, min(lowest, away))
            far[i] += max(-bound, min(bound, away))
            beyond[i] += (away > lowest) - (away < -lowest)
        if number % spec.rows == 0:
            for i in range(columns):
                fast = abs(persistence[i]) > spec.persistent
                value[i] += (spec.gain * far[i] if fast else near[i]) / spec.horizon
                persistence[i] += (beyond[i] - spec.rows * persistence[i]) / spec.horizon
            near, far, beyond = [0.0] * columns, [0.0] * columns, [0] * columns
        values.append(list(value))
        persistences.append(list(persistence))
    return np.asarray(values), np.asarray(persistences)


def drifting(rows: int, seed: int = 3) -> NDArray[np.float32]:
    """Noise; the first column leaps far up and stays, the second creeps, the third has spikes both ways."""
    random = np.random.default_rng(seed)
    found = random.normal(0, SPREAD, (rows, COLUMNS))
    found[rows // 8 :, 0] += 30
    found[:, 1] -= np.linspace(0, 20, rows)
    found[random.random(rows) < 0.02, 2] *= 1e3
    return found.astype(np.float32)


def given(machine: MachineBaseline) -> list[list[float]]:
    return [part[0].tolist() for part in machine.given]


def fed(spec: Baseline, residuals: NDArray[np.float32], sizes: list[int]) -> MachineBaseline:
    """A machine whose rows came in blocks of these sizes, again and again, cut where it advances."""
    machine = MachineBaseline(spec)
    start = turn = 0
    while start < len(residuals):
        stop = min(start + sizes[turn % len(sizes)], start + machine.room, len(residuals))
        machine.add(residuals[start:stop])
        start, turn = stop, turn + 1
    return machine


@pytest.mark.parametrize("rows_of_a_step", [1, 16, 100])
def test_it_moves_as_a_plain_loop_over_the_rows_does(rows_of_a_step: int) -> None:
    spec = replace(SPEC, rows=rows_of_a_step, horizon=512.0)
    residuals = drifting(4000)
    values, persistence = plain(spec, residuals)
    assert (np.abs(persistence).max(0) > spec.persistent)[0]  # both speeds, and both bounds, were needed
    assert not (np.abs(persistence).max(0) > spec.persistent)[2]
    machine = MachineBaseline(spec)
    for number, row in enumerate(residuals):
        machine.add_row(row)
        value, bound = (part[0] for part in machine.given)
        np.testing.assert_allclose(value, values[number], rtol=1e-6, atol=1e-9)
        doubtful = np.abs(persistence[number]) > spec.doubtful
        wanted = np.where(doubtful, spec.bound * np.asarray(SPREAD), LARGEST)
        assert bound.tolist() == wanted.astype(np.float32).tolist()
        assert all(part.shape == (1, COLUMNS) and part.dtype == np.float32 for part in machine.given)


def test_a_small_shift_is_followed_over_the_horizon_and_a_large_one_sooner() -> None:
    small = np.full((256, COLUMNS), 1.0, np.float32)
    machine = fed(SPEC, small, [16])
    # Of a shift, so much is left after the horizon: the advances are 1/16 of it each.
    np.testing.assert_allclose(machine.given[0][0], 1 - (1 - 1 / 16) ** 16, rtol=1e-6)
    large = np.full((1024, COLUMNS), 50.0, np.float32)
    slow = fed(replace(SPEC, persistent=1.0), large, [16])
    np.testing.assert_allclose(slow.given[0][0], 4 * 4 * np.asarray(SPREAD), rtol=1e-6)
    assert (fed(SPEC, large, [16]).given[0] > 0.9 * 50).all()


@pytest.mark.parametrize("sign", [-1, 1])
def test_a_spike_moves_it_by_a_bound_that_does_not_depend_on_the_spike(sign: int) -> None:
    residuals = np.zeros((16, COLUMNS), np.float32)
    moved = []
    for spike in (1e3, 1e30, 3e38):
        residuals[5] = sign * spike
        moved.append(fed(SPEC, residuals, [16]).given[0][0])
    for each in moved:
        np.testing.assert_allclose(each, sign * 4 / 256 * np.asarray(SPREAD), rtol=1e-6)
    # Nor does a whole life of them carry it away from all numbers.
    machine = fed(SPEC, np.full((5000, COLUMNS), sign * 3.4e38, np.float32), [16])
    assert np.isfinite(machine.given[0]).all()


@pytest.mark.parametrize("rows_of_a_step", [1, 16, 100])
def test_it_stands_the_same_however_its_rows_come(rows_of_a_step: int) -> None:
    spec = replace(SPEC, rows=rows_of_a_step, horizon=512.0)
    residuals = drifting(3001)
    alone = fed(spec, residuals, [1])
    for sizes in ([2], [7], [64], [100], [1, 1, 5, 1], [1000], [63, 1, 1, 2]):
        other = fed(spec, residuals, sizes)
        assert other.room == alone.room
        one, two = alone.state(), other.state()
        assert one.rows == two.rows == 3001 % rows_of_a_step
        for name in ("values", "persistence", "near", "far", "beyond"):
            np.testing.assert_allclose(getattr(one, name), getattr(two, name), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("rows", [1, 15, 16, 17, 65, 200, 1003])
def test_it_goes_on_from_its_state_after_any_number_of_rows(rows: int) -> None:
    spec = replace(SPEC, rows=100, horizon=512.0)
    residuals = drifting(2000)
    whole = fed(spec, residuals, [1])
    first = Baselines(spec)
    for row in residuals[:rows]:
        first.of("m").add_row(row)
    kept = first.state("m")
    assert kept is not None
    second = Baselines(spec)
    second.restore("m", kept, 1)
    assert second.of("m").room == first.of("m").room
    assert given(second.of("m")) == given(first.of("m"))
    for stage in (first, second):  # a state that was asked for changes nothing either
        for row in residuals[rows:]:
            stage.of("m").add_row(row)
        np.testing.assert_allclose(stage.of("m").given[0], whole.given[0], rtol=1e-6)
        assert stage.of("m").given[1].tolist() == whole.given[1].tolist()


def test_what_changed_is_said_once_and_the_beginning_is_not_kept() -> None:
    stage = Baselines(SPEC)
    assert stage.state("m") is None
    stage.of("m")
    assert stage.changed() == {"m"}
    assert stage.changed() == set()
    assert stage.state("m") is None
    stage.of("m").add_row(np.ones(COLUMNS, np.float32))
    assert stage.changed() == {"m"}
    assert stage.state("m") is not None
    stage.restore("n", stage.state("m"), 1)
    assert stage.changed() == set()


def packed(rows: Any = 3, **changes: Any) -> list[Any]:
    numbers = np.zeros((5, COLUMNS))
    for name, value in changes.items():
        numbers[["values", "persistence", "near", "far", "beyond"].index(name), 1] = value
    return [rows, binascii.b2a_base64(numbers.tobytes()).decode()]


UNREADABLE: dict[str, Any] = {
    "nothing": [],
    "a number": 5,
    "text": "AAAA",
    "an object": {"rows": 3},
    "three parts": [*packed(), 1],
    "half a row": packed(1.5),
    "rows in words": packed("3"),
    "true rows": packed(True),
    "rows below 0": packed(-1),
    "a whole step": packed(16),
    "rows beyond all": packed(2**70),
    "no text": [3, 5],
    "no base64": [3, "no base64!"],
    "beyond ASCII": [3, "é"],
    "no numbers": [3, ""],
    "a piece of a number": [3, "AAAA"],
    "a number too few": [3, binascii.b2a_base64(bytes(8 * (5 * COLUMNS - 1))).decode()],
    "a column too many": [3, binascii.b2a_base64(bytes(8 * 5 * (COLUMNS + 1))).decode()],
    "NaN": packed(values=np.nan),
    "infinite": packed(values=-np.inf),
    "beyond float32": packed(values=1e300),
    "more than always": packed(persistence=1.1),
    "a near sum beyond its rows": packed(near=3 * 4.0 * 1.01),
    "a far sum beyond its rows": packed(far=-3 * 100.0 * 1.01),
    "more rows beyond than there are": packed(beyond=4),
    "NaN beyond": packed(beyond=np.nan),
}


@pytest.mark.parametrize("what", UNREADABLE)
def test_a_state_that_is_none_is_not_taken(what: str) -> None:
    stage = Baselines(SPEC)
    stage.restore("m", packed(values=1.0), 1)
    before = given(stage.of("m"))
    with pytest.raises((ValueError, TypeError)):
        stage.restore("m", UNREADABLE[what], 1)
    assert given(stage.of("m")) == before


def test_a_state_at_every_bound_is_taken() -> None:
    stage = Baselines(SPEC)
    stage.restore("m", packed(15, values=-LARGEST, persistence=-1, near=60.0, far=-1500.0, beyond=15), 1)
    machine = stage.of("m")
    machine.add_row(np.zeros(COLUMNS, np.float32))
    assert np.isfinite(machine.given[0]).all()


@pytest.mark.parametrize("columns", [2, 104])
def test_a_machine_takes_no_more_memory_than_it_says(columns: int) -> None:
    spec = replace(SPEC, spread=(1.0,) * columns)
    stage, names = Baselines(spec), [f"machine-{i}" for i in range(300)]
    row = np.ones(columns, np.float32)
    stage.of("first").add_row(row)
    stage.changed()
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    for name in names:
        for _ in range(20):
            stage.of(name).add_row(row)
    stage.changed()
    taken = (tracemalloc.get_traced_memory()[0] - before) / len(names)
    tracemalloc.stop()
    assert 0.2 * stage.machine_bytes < taken < stage.machine_bytes
