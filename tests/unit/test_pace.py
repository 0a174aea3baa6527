"""How often a sink speaks to people, by a clock of the test's own."""

from __future__ import annotations

from edge_runtime.sinks.pace import Pace


class Clock:
    """Seconds that pass when the test says so."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_few_go_at_once_and_more_than_that_is_gathered() -> None:
    clock = Clock()
    pace = Pace(3, 30.0, clock)
    for _ in range(3):
        assert pace.wait(1) == 0
        pace.spent()
    assert pace.wait(1) == 30.0
    clock.now += 10.0
    assert pace.wait(7) == 20.0
    clock.now += 20.0
    assert pace.wait(9) == 0
    assert not pace.singles(9)
    pace.spent(digest=True)
    assert pace.wait(1) == 30.0


def test_a_flood_that_comes_at_once_is_gathered_from_the_beginning() -> None:
    clock = Clock()
    pace = Pace(5, 60.0, clock)
    assert pace.wait(5) == 0
    assert pace.wait(6) == 60.0
    clock.now += 59.0
    assert pace.wait(500) == 1.0
    clock.now += 1.0
    assert pace.wait(500) == 0


def test_messages_are_allowed_again_one_by_one_and_never_more_than_at_once() -> None:
    clock = Clock()
    pace = Pace(2, 10.0, clock)
    pace.spent()
    pace.spent()
    clock.now += 9.0
    assert not pace.singles(1)
    clock.now += 1.0
    assert pace.singles(1)
    assert not pace.singles(2)
    clock.now += 10_000.0
    assert pace.singles(2)
    assert not pace.singles(3)


def test_what_is_told_a_little_more_often_than_allowed_waits_no_longer_than_the_gathering() -> None:
    clock, waited = Clock(), 0.0
    pace = Pace(1, 10.0, clock)
    for _ in range(50):
        seconds = pace.wait(1)
        waited = max(waited, seconds)
        clock.now += seconds
        assert pace.wait(1) == 0
        pace.spent()
        clock.now += 4.0
    assert waited <= 10.0


def test_without_a_time_nothing_is_gathered_and_what_is_too_much_goes_together() -> None:
    pace = Pace(2, 0.0, Clock())
    pace.spent(digest=True)
    assert pace.wait(2) == 0
    assert pace.singles(2)
    assert pace.wait(100) == 0
    assert not pace.singles(100)
