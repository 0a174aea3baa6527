from __future__ import annotations

import numpy as np
import pytest
from support.stages import hand_over, taken

from edge_runtime.bundle.metadata import Hold
from edge_runtime.engine.hysteresis import HoldCounter
from edge_runtime.errors import BundleFormatError
from edge_runtime.records import Groups

HOLDS = [
    Hold(),
    Hold(rise=1, fall=1, cap=3, level=2),
    Hold(rise=1, fall=0.25, cap=5, level=2),
    Hold(rise=0.5, fall=2, cap=1, level=0.75),
    Hold(rise=3, fall=1, cap=2, level=0),
    Hold(rise=1, fall=1, cap=10, level=5.5),
    Hold(rise=2.0, fall=3.0, cap=17.0, level=4.0),
    Hold(rise=4.0, fall=1.0, cap=9.0, level=0.0),
]


class Reference:
    """The definition, row by row."""

    def __init__(self, hold: Hold) -> None:
        self.hold = hold
        self.counters: dict[str, float] = {}

    def row(self, machine: str, above: bool) -> bool:  # noqa: FBT001
        counter = self.counters.get(machine, 0.0)
        counter = (
            min(self.hold.cap, counter + self.hold.rise) if above else max(0.0, counter - self.hold.fall)
        )
        self.counters[machine] = counter
        return above or counter > self.hold.level


@pytest.mark.parametrize("hold", HOLDS, ids=str)
def test_blocks_of_any_size_and_mix_equal_the_definition(hold: Hold) -> None:
    random = np.random.default_rng(4)
    machines = random.choice(["press", "lathe", "mill"], 2000)
    above = random.random(2000) < 0.4
    reference = Reference(hold)
    wanted = [reference.row(str(m), bool(a)) for m, a in zip(machines, above, strict=True)]
    counter, found = HoldCounter(hold), []
    start = 0
    while start < len(above):
        stop = start + int(random.integers(1, 40))
        found += counter.apply(Groups.of(machines[start:stop]), above[start:stop]).tolist()
        start = stop
    assert found == wanted
    assert 0 < sum(wanted) < len(wanted)


def test_a_long_run_is_held_through_a_dip_and_a_short_one_is_let_go() -> None:
    counter = HoldCounter(Hold(rise=1, fall=1, cap=4, level=2))
    above = np.array([1, 1, 0, 0, 1, 1, 1, 1, 0, 0, 1, 0, 0, 0], bool)
    held = [1, 1, 0, 0, 1, 1, 1, 1, 1, 0, 1, 0, 0, 0]
    assert counter.apply(Groups.of(np.full(14, "m")), above).tolist() == [bool(row) for row in held]


def test_the_state_goes_on_in_another_process() -> None:
    hold = Hold(rise=1, fall=0.5, cap=4, level=2)
    random = np.random.default_rng(5)
    machines, above = random.choice(["a", "b"], 200), random.random(200) < 0.5
    whole = HoldCounter(hold).apply(Groups.of(machines), above)
    first, second = HoldCounter(hold), HoldCounter(hold)
    head = first.apply(Groups.of(machines[:77]), above[:77])
    hand_over(first, second)
    assert (
        np.concatenate([head, second.apply(Groups.of(machines[77:]), above[77:])]).tolist() == whole.tolist()
    )


def test_restored_counters_stay_within_the_hold() -> None:
    counter = HoldCounter(Hold(rise=1, fall=1, cap=3, level=2))
    counter.restore("a", 99.0, 1)
    counter.restore("b", -5.0, 1)
    assert [counter.state("a"), counter.state("b")] == [3.0, None]


@pytest.mark.parametrize("wrong", ["3", None, True, [1.0], float("nan"), float("inf")])
def test_what_is_no_counter_is_refused(wrong: object) -> None:
    with pytest.raises(ValueError, match="not a counter"):
        HoldCounter(Hold()).restore("a", wrong, 1)


def test_a_state_is_taken_away_when_the_counter_is_back_at_nothing() -> None:
    counter = HoldCounter(Hold(rise=1, fall=1, cap=3, level=1))
    counter.apply(Groups.of(np.array(["a", "b"])), np.array([True, False]))
    assert taken(counter) == {"a": 1.0}
    assert taken(counter) == {}
    counter.apply(Groups.of(np.array(["a", "b"])), np.array([False, False]))
    assert taken(counter) == {"a": None}


def test_a_hold_that_holds_nothing_keeps_no_state() -> None:
    counter = HoldCounter(Hold())
    above = np.array([True, False])
    assert counter.apply(Groups.of(np.array(["a", "a"])), above) is above
    assert taken(counter) == {}


@pytest.mark.parametrize("wrong", [{"rise": 0}, {"fall": -1}, {"cap": 1, "level": 1}, {"level": -1}])
def test_a_hold_that_makes_no_sense_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(BundleFormatError, match="a hold needs"):
        Hold(**wrong)
