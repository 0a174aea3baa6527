"""The same alarms at random times, against moving them one by one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from sklearn.metrics import f1_score, precision_score

from trainer.data.stretches import Stretch, stretches
from trainer.evaluation import chance
from trainer.evaluation.chance import SHIFTS
from trainer.evaluation.events import match_events

if TYPE_CHECKING:
    from numpy.typing import NDArray

SECOND = 1_000_000_000
ROWS = {"a": 700, "b": 400}
TIMES = np.concatenate([np.arange(rows) * SECOND for rows in ROWS.values()])
MACHINES = np.repeat(list(ROWS), list(ROWS.values()))


def drawn(seed: int) -> tuple[NDArray[np.bool_], NDArray[np.bool_], list[Stretch]]:
    """Flags in bursts, truth, and its events."""
    random = np.random.default_rng(seed)
    flags = np.repeat(random.random(len(TIMES) // 5) < 0.15, 5)
    truth = np.repeat(random.random(len(TIMES) // 20) < 0.1, 20)
    return flags, truth, stretches(TIMES, MACHINES, truth)


def one_by_one(
    flags: NDArray[np.bool_], truth: NDArray[np.bool_], true: list[Stretch]
) -> list[tuple[int, float, float]]:
    """Events found, F1 and precision of each move, row by row as the definitions say."""
    random = np.random.default_rng(0)
    shifts = {machine: random.integers(0, rows, SHIFTS) for machine, rows in ROWS.items()}
    figures = []
    for i in range(SHIFTS):
        moved = np.concatenate([np.roll(flags[machine == MACHINES], shifts[machine][i]) for machine in ROWS])
        found = 0
        for event in true:
            own = moved[event.machine == MACHINES].tolist()
            earlier = [e.stop for e in true if e.machine == event.machine and e.start < event.start]
            opened = max([event.start // SECOND - 30, 0, *(stop // SECOND + 1 for stop in earlier)])
            # The first row follows the last one.
            found += any(own[row] and not own[row - 1] for row in range(opened, event.stop // SECOND + 1))
        figures.append((found, f1_score(truth, moved), precision_score(truth, moved)))
    return figures


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_means_are_those_of_moving_verdicts_along_their_machine(seed: int) -> None:
    flags, truth, true = drawn(seed)
    expected = np.mean(one_by_one(flags, truth, true), axis=0)
    report = match_events(true, TIMES, MACHINES, flags)
    assert report.random_alarms is not None
    assert report.random_alarms.events_found == pytest.approx(expected[0])
    assert report.random_alarms.f1 == pytest.approx(expected[1])
    assert report.random_alarms.precision == pytest.approx(expected[2])
    assert 0 < report.random_alarms.events_found < len(true)


def test_it_is_the_same_every_time_and_in_any_order_of_rows_and_events(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    flags, _, true = drawn(4)
    mixed = np.random.default_rng(5).permutation(len(TIMES))
    found = match_events(true, TIMES, MACHINES, flags)
    assert match_events(true[::-1], TIMES[mixed], MACHINES[mixed], flags[mixed]) == found
    monkeypatch.setattr(chance, "CHUNK", 20)
    assert match_events(true, TIMES, MACHINES, flags) == found


def test_a_good_detector_beats_its_own_alarms_at_random_and_a_bad_one_does_not() -> None:
    _, truth, true = drawn(6)
    good = match_events(true, TIMES, MACHINES, truth)
    assert good.random_alarms is not None
    assert good.found == len(true) > 3 * good.random_alarms.events_found
    flicker = np.arange(len(TIMES)) % 2 == 0
    bad = match_events(true, TIMES, MACHINES, flicker)
    assert bad.random_alarms is not None
    # Up and down with every row, it finds all there is, and so does chance.
    assert bad.found == bad.random_alarms.events_found == len(true)


def test_no_alarms_find_nothing_at_random() -> None:
    _, _, true = drawn(7)
    report = match_events(true, TIMES, MACHINES, np.zeros(len(TIMES), np.bool_))
    assert report.random_alarms is not None
    figures = report.random_alarms.events_found, report.random_alarms.f1, report.random_alarms.precision
    assert figures == (0.0, 0.0, 0.0)
