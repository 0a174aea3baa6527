"""What is said of lines and messages that are left out, and how often."""

from __future__ import annotations

from edge_runtime.errors import listed, printable
from edge_runtime.text.complaints import MAX_KINDS, Complaints


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def complaints() -> tuple[Complaints, list[str], Clock]:
    said, clock = list[str](), Clock()
    return Complaints(said.append, clock), said, clock


def test_the_first_of_a_kind_is_told_at_once_and_what_differs_makes_no_other_kind() -> None:
    told, said, _ = complaints()
    told.add("'one' in column 'a' is not a number", "line 1")
    told.add("'two' in column 'a' is not a number", "line 2")
    told.add("3 cells where the header has 4", "line 3")
    told.add("17 cells where the header has 4", "line 4")
    told.add("not JSON (it ends at 7)", "line 5")
    told.add("not JSON (it ends\nat 8)", "line 6")
    assert said == [
        "line 1: 'one' in column 'a' is not a number",
        "line 3: 3 cells where the header has 4",
        "line 5: not JSON (it ends at 7)",
    ]


def test_a_kind_is_told_at_most_once_a_minute_and_then_with_its_number() -> None:
    told, said, clock = complaints()
    for second in range(150):
        clock.now = 1000.0 + second
        for _ in range(10):
            told.add("it is empty", f"line {second}")
        told.tell_due()
    assert said == [
        "line 0: it is empty",
        "line 60: it is empty (600 like it since the last such message)",
        "line 120: it is empty (600 like it since the last such message)",
    ]
    told.tell_all()
    assert said[3:] == ["line 149: it is empty (299 like it since the last such message)"]
    told.tell_all()
    assert len(said) == 4


def test_what_waits_is_told_when_its_minute_is_over_though_nothing_comes() -> None:
    told, said, clock = complaints()
    told.add("it is empty", "line 1")
    told.add("it is empty", "line 2")
    clock.now += 59
    told.tell_due()
    assert said == ["line 1: it is empty"]
    clock.now += 1
    told.tell_due()
    assert said == ["line 1: it is empty", "line 2: it is empty"]
    clock.now += 100
    told.tell_due()
    assert len(said) == 2
    told.add("it is empty", "line 3")  # a minute and more after the last one: at once
    assert said[2] == "line 3: it is empty"


def test_more_kinds_than_can_be_told_apart_are_one() -> None:
    told, said, clock = complaints()
    kinds = ["k" * (number + 1) for number in range(1000)]
    for kind in kinds:
        told.add(kind, "line 1")
    assert len(said) == MAX_KINDS + 1
    clock.now += 60
    told.add("another", "line 2")
    assert said[-1] == f"line 2: another ({1000 - MAX_KINDS} like it since the last such message)"
    told.tell_all()
    assert len(said) == MAX_KINDS + 2


def test_what_comes_from_anybody_may_go_to_a_terminal() -> None:
    assert printable("press 1, säge") == "press 1, säge"
    assert printable("a\x1b[2Jb\nc\x00\x85\u202e\ud800") == "a?[2Jb?c????"
    assert printable("x" * 1000) == "x" * 40
    assert printable("x" * 1000, 3) == "xxx"
    assert listed(["a", "b\n"]) == "a, b?"
    assert listed([]) == ""
    names = [str(number) for number in range(1_000_012)]
    assert listed(names) == "0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11 and 1,000,000 more"
