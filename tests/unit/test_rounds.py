"""Reading machine by machine: a clock, an outage or a backlog costs nobody a row."""

from __future__ import annotations

import json
import os
from bisect import bisect_left, insort
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from edge_runtime.checkpoint import Checkpoint
from edge_runtime.errors import SourceError
from edge_runtime.influxdb import ReadingsQuery
from edge_runtime.influxdb.rows import Rows
from edge_runtime.records import Readings
from edge_runtime.sources.following import Following
from edge_runtime.sources.rounds import Question, Rests, plan_round
from edge_runtime.sources.seen import Seen

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

PLANTS = 6 if os.environ.get("EDGE_DETECT_SOAK") else 1  # of random clocks and outages
SECOND = 10**9
HOUR = 3600 * SECOND
DAY = 24 * HOUR
T0 = 1_767_830_400 * SECOND
WANTED = ReadingsQuery(("a",))
LATENESS = 10 * SECOND


class Database:
    """What stands for a server: points by time, whoever wrote them when."""

    def __init__(self) -> None:
        self.looks_up_any_range = True
        self.points: list[tuple[int, str]] = []
        self.names: set[str] = set()
        self.asked: list[tuple[tuple[str, ...], int, int]] = []
        self.while_asked: dict[int, list[tuple[int, str]]] = {}

    def put(self, machine: str, *times: int) -> None:
        self.names.update([machine] if times else [])
        for time in times:
            insort(self.points, (time, machine))

    def remove(self, *machines: str) -> None:
        self.points = [point for point in self.points if point[1] not in machines]
        self.names.difference_update(machines)

    def rows(self, wanted: ReadingsQuery, start: int, stop: int) -> Iterator[Rows]:
        self.asked.append((wanted.machines, start, stop))
        low, high = bisect_left(self.points, (start, "")), bisect_left(self.points, (stop, ""))
        chosen = [p for p in self.points[low:high] if not wanted.machines or p[1] in wanted.machines]
        for point in self.while_asked.pop(len(self.asked), []):
            self.put(point[1], point[0])
        for at in range(0, len(chosen), 50):
            part = chosen[at : at + 50]
            times, machines = [time for time, _ in part], [machine for _, machine in part]
            yield Rows(Readings(machines, times, np.ones((len(part), 1), np.float32)))

    def first(self, wanted: ReadingsQuery, start: int, stop: int) -> int | None:
        self.asked.append((wanted.machines, start, stop))
        found = self.points[bisect_left(self.points, (start, "")) :][:1]
        return found[0][0] if found and found[0][0] < stop else None

    def machines(self, _wanted: Any, _start: int, _stop: int, *, until: Sequence[str] = ()) -> list[str]:
        del until
        return sorted(self.names)


class Reading:
    """What a source delivers, round after round."""

    def __init__(self, database: Database, *, start: int = T0, checkpoint: Checkpoint | None = None) -> None:
        self.now = T0
        self.seen = Seen(start, LATENESS)
        self._reached: Checkpoint | None = None
        if checkpoint:
            self._reached = checkpoint.on_top_of(None)
            assert self.seen.restore(checkpoint) is None
        self._following = Following(
            database,  # type: ignore[arg-type]
            WANTED,
            self.seen,
            names_machines=True,
            now_ns=lambda: self.now,
        )

    @property
    def checkpoint(self) -> Checkpoint:
        """What a ledger would give back now."""
        self._reached = self.seen.checkpoint().on_top_of(self._reached)
        return self._reached.on_top_of(None)

    def round(self, now: int, *, everyone: bool = False) -> list[tuple[str, int]]:
        self.now = now
        found: list[tuple[str, int]] = []
        for rows, last, own in self._following.round(now, now + 60 * SECOND, everyone=everyone):
            fresh = self.seen.fresh(rows, own, newest=last).readings
            found += zip(fresh.machines.tolist(), fresh.times.tolist(), strict=True)
        return found


def of(machine: str, found: list[tuple[str, int]]) -> list[int]:
    return [time for name, time in found if name == machine]


def seconds(*numbers: int) -> list[int]:
    return [T0 + number * SECOND for number in numbers]


@pytest.mark.parametrize("behind", [15, 59, 600, 4000])
def test_a_machine_whose_clock_is_behind_is_read_as_the_others_are(behind: int) -> None:
    database, reading, found = Database(), None, list[tuple[str, int]]()
    reading = Reading(database)
    for second in range(5000):
        database.put("fast", T0 + second * SECOND)
        database.put("slow", T0 + (second - behind) * SECOND)
        if second % 10 == 0:
            found += reading.round(T0 + second * SECOND)
    found += reading.round(T0 + 5000 * SECOND, everyone=True)
    assert of("fast", found) == seconds(*range(5000))
    assert of("slow", found) == seconds(*range(5000 - behind))


@pytest.mark.parametrize("outage", [300, 3600, 90_000])
def test_the_backlog_of_a_device_that_was_cut_off_comes_whole_and_in_order(outage: int) -> None:
    database, kept = Database(), list[int]()
    reading, found = Reading(database), list[tuple[str, int]]()
    back = 200 + outage
    for second in range(0, back + 1000, 10):
        time = T0 + second * SECOND
        database.put("other", time)
        kept.append(time)
        if not 200 <= second < back:  # what it kept, oldest first, and then what is new
            sent = max(30, outage // 500)
            database.put("cut", *kept[:sent])
            kept = kept[sent:]
        found += reading.round(time)
    assert kept == []
    found += reading.round(T0 + (back + 1000) * SECOND, everyone=True)
    assert of("cut", found) == seconds(*range(0, back + 1000, 10))
    assert of("other", found) == of("cut", found)


def test_a_backlog_that_comes_while_questions_are_under_way_is_not_passed_by() -> None:
    database = Database()
    database.put("a", *seconds(*range(100)))
    database.put("b", *seconds(*range(100)))
    reading = Reading(database)
    found = reading.round(T0 + 100 * SECOND)
    # b is away for a long time; then its backlog and a new row come between the two questions of one round.
    database.put("a", *seconds(*range(100, 4000)))
    found += reading.round(T0 + 4000 * SECOND)
    backlog = [(time, "b") for time in seconds(*range(100, 4001))]
    found += reading.round(T0 + 4200 * SECOND)
    database.while_asked[len(database.asked) + 1] = backlog
    for second in range(4260, 4500, 10):
        found += reading.round(T0 + second * SECOND)
    assert of("b", found) == seconds(*range(4001))


def test_a_new_machine_is_found_with_what_it_wrote_before(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edge_runtime.sources.following.DISCOVER_NS", DAY)
    database = Database()
    reading, found = Reading(database), list[tuple[str, int]]()
    for second in range(2000):
        database.put("a", T0 + second * SECOND)
        found += reading.round(T0 + second * SECOND)
    database.put("new", *seconds(*range(500, 2000)))
    found += reading.round(T0 + 2000 * SECOND)
    assert of("new", found) == seconds(*range(500, 2000))


def test_machines_that_stopped_one_by_one_are_asked_for_together_and_once_a_minute() -> None:
    database = Database()
    for number in range(50):  # that stopped one after another, over a day
        database.put(f"old-{number}", *[T0 + number * 1800 * SECOND + i * SECOND for i in range(5)])
    reading = Reading(database)
    reading.round(T0 + DAY)
    database.put("live", *[T0 + DAY + i * SECOND for i in range(700)])
    for second in range(60):
        reading.round(T0 + DAY + second * SECOND)
    database.asked.clear()
    for second in range(60, 660):
        reading.round(T0 + DAY + second * SECOND)
    live = [asked for asked in database.asked if not asked[0]]
    behind = [asked for asked in database.asked if asked[0]]
    assert len(live) == 600
    assert max(stop - start for _, start, stop in live) <= 90 * SECOND
    assert len(behind) <= 250  # of 30,000 that asked for each at each poll
    for name in ("old-0", "old-25", "old-40"):
        assert 9 <= sum(name in names for names, _, _ in behind) <= 12
    assert {name for names, _, _ in behind for name in names} == {f"old-{number}" for number in range(50)}


def test_two_hundred_clocks_off_by_up_to_a_minute_are_a_few_questions() -> None:
    random = np.random.default_rng(5)
    newest = {f"m{i}": T0 + int(random.integers(-60, 31)) * SECOND for i in range(200)}
    start = {machine: time - LATENESS for machine, time in newest.items()}
    plan = plan_round(newest, start, 0, T0, Rests())
    assert plan.own is not None
    asked = [machine for question in plan.behind for machine in question.machines]
    assert sorted([*asked, *plan.own]) == sorted(newest)
    assert len(plan.behind) <= 3
    assert all(start[machine] >= plan.live.start_ns for machine in plan.own)
    for question in plan.behind:
        assert max(start[machine] for machine in question.machines) - question.start_ns <= 30 * SECOND


def test_a_clock_that_is_ahead_does_not_make_the_others_stragglers() -> None:
    newest = {"ahead": T0 + 59 * SECOND, **{f"m{i}": T0 for i in range(20)}}
    plan = plan_round(newest, newest, 0, T0, Rests())
    assert plan.behind == ()
    assert plan.live == Question((), T0)


def test_those_that_stopped_together_long_ago_do_not_draw_the_live_question_back() -> None:
    newest = {"live": T0, **{f"m{i}": T0 - DAY for i in range(20)}}
    plan = plan_round(newest, newest, 0, T0, Rests())
    assert plan.own == frozenset({"live"})
    assert plan.live.start_ns == T0
    assert [len(question.machines) for question in plan.behind] == [20]


def test_a_checkpoint_goes_on_machine_by_machine() -> None:
    database = Database()
    database.put("a", *seconds(*range(50)))
    database.put("b", *seconds(*range(-3000, -2950)))
    first = Reading(database, start=T0 - HOUR)
    found = first.round(T0 + 50 * SECOND)
    assert len(found) == 100
    checkpoint = first.checkpoint
    # A machine that is only expected, for its name is known, is not stored.
    first.seen.expect("never", T0)
    assert first.checkpoint == checkpoint
    database.put("a", *seconds(45, 50, 51))
    database.put("b", *seconds(-2951, -2950))
    second = Reading(database, checkpoint=checkpoint)
    found = second.round(T0 + 60 * SECOND)
    assert of("a", found) == seconds(50, 51)
    assert of("b", found) == seconds(-2950)


def test_a_checkpoint_of_the_version_before_is_gone_on_from() -> None:
    steps = [[0, 1], [SECOND, 3]]
    old = {"start": T0 - DAY, "newest": T0, "seen": {"a": steps, "b": [[2 * SECOND, 1]]}}
    database = Database()
    database.put("a", *seconds(-5000, -3, -2, -1, 0, 1))
    database.put("b", *seconds(-9, -2, 3))
    database.put("c", *seconds(-8000, -4))
    reading = Reading(database, checkpoint=Checkpoint(json.dumps(old)))
    found = reading.round(T0 + 5 * SECOND)
    # What lies before the lateness was read then, whoever wrote it.
    assert sorted(found) == sorted(
        [("a", T0 + SECOND), ("b", seconds(-9)[0]), ("b", seconds(3)[0]), ("c", seconds(-4)[0])]
    )


def many(number: int, points: int = 5) -> Database:
    database = Database()
    for machine in range(number):
        database.put(f"m{machine}", *seconds(*range(points)))
    return database


def test_few_machines_are_in_the_text_of_a_checkpoint() -> None:
    reading = Reading(many(32))
    reading.round(T0 + 5 * SECOND)
    reached = reading.seen.checkpoint()
    assert reached.machines == {}
    again = Seen(0, LATENESS)
    assert again.restore(reached) is None
    assert (again.newest, again.checkpoint()) == (reading.seen.newest, reached)
    # Unless they have so much to remember that the text would be long.
    database = many(32)
    for machine in range(32):
        database.put(
            f"m{machine}", *(T0 + 5 * SECOND + number**2 * SECOND // 10_000 for number in range(100))
        )
    reading = Reading(database)
    reading.round(T0 + 10 * SECOND)
    assert len(reading.seen.checkpoint().machines) == 32


def test_of_many_machines_a_checkpoint_names_those_that_moved_and_no_others() -> None:
    database = many(300)
    first = Reading(database)
    first.round(T0 + 5 * SECOND)
    assert len(first.seen.checkpoint().machines) == 300
    assert first.seen.checkpoint().machines == {}
    database.put("m7", *seconds(5))
    first.round(T0 + 6 * SECOND)
    reached = first.seen.checkpoint()
    newest = T0 + 5 * SECOND
    assert json.loads(reached.text)["count"] == 300
    assert reached.machines == {"m7": [newest, [[0, 1], [SECOND, 5]]]}
    assert len(reached.text) < 150
    first.seen.forget("m7", T0)
    assert first.seen.checkpoint().machines == {"m7": None}


def test_more_machines_than_few_are_all_stored_by_themselves_once() -> None:
    database = many(32)
    reading = Reading(database)
    reading.round(T0 + 5 * SECOND)
    kept = reading.checkpoint
    assert kept.machines == {}
    for start in (reading, Reading(database, checkpoint=kept)):
        for more in ("n1", "n2"):
            database.put(more, *seconds(6))
        assert len(start.round(T0 + 7 * SECOND)) == 2
        assert len(start.seen.checkpoint().machines) == 34
        database.remove("n1", "n2")


def test_a_checkpoint_of_the_version_before_with_many_machines_is_stored_anew() -> None:
    machines = {f"m{number}": [T0, [[0, 1]]] for number in range(100)}
    old = {"start": T0 - DAY, "machines": machines, "conflicts": {"m1": [[0, 1]]}}
    seen = Seen(0, LATENESS)
    assert seen.restore(Checkpoint(json.dumps(old))) is None
    reached = seen.checkpoint()
    assert reached.machines == {**machines, "m1": [T0, [[0, 1]], [[0, 1]]]}
    again = Seen(0, LATENESS)
    assert again.restore(reached) is None
    assert again.checkpoint().machines == {}


def test_a_contradiction_that_was_told_is_stored_though_no_row_came() -> None:
    reading = Reading(many(40))
    reading.round(T0 + 5 * SECOND)
    assert len(reading.seen.checkpoint().machines) == 40
    block = half(["m3"], [4], [1], [1])
    assert len(reading.seen.conflicting(block)) == 1
    assert len(reading.seen.fresh(block)) == 0
    reached = reading.seen.checkpoint().machines
    assert reached == {"m3": [T0 + 4 * SECOND, [[0, 1], [SECOND, 4]], [[0, 1]]]}
    assert len(reading.seen.conflicting(block)) == 0
    assert reading.seen.checkpoint().machines == {}


@pytest.mark.parametrize("restarts", [1, 2])
def test_a_machine_that_the_ledger_has_lost_is_said_and_read_from_where_it_may_have_been(
    restarts: int,
) -> None:
    database = many(40)
    database.put("slow", T0 - 20 * DAY)
    first = Reading(database, start=T0 - 30 * DAY)
    first.round(T0 + 5 * SECOND)
    reached = first.checkpoint
    del reached.machines["slow"]
    database.put("slow", *(T0 - 20 * DAY + number * SECOND for number in range(1, 46)))
    database.put("m0", *seconds(6))
    seen = Seen(T0, LATENESS)
    assert seen.restore(reached) == "the place of 1 machine in the feed"
    for _ in range(restarts - 1):  # before it was found
        reached, seen = seen.checkpoint().on_top_of(reached), Seen(T0, LATENESS)
        assert seen.restore(reached) is None
    second = Reading(database, checkpoint=None)
    second.seen = second._following._seen = seen
    found = second.round(T0 + 7 * SECOND)
    assert of("slow", found)[-45:] == [T0 - 20 * DAY + number * SECOND for number in range(1, 46)]
    assert of("m0", found) == seconds(6)


def test_an_older_place_of_a_machine_is_said() -> None:
    database = many(40)
    reading = Reading(database)
    reading.round(T0 + 5 * SECOND)
    before = reading.checkpoint
    database.put("m3", *seconds(5))
    reading.round(T0 + 6 * SECOND)
    reached = reading.checkpoint
    assert Seen(0, LATENESS).restore(reached.on_top_of(None)) is None
    reached.machines["m3"] = before.machines["m3"]
    assert Seen(0, LATENESS).restore(reached) == "the last places of some machines in the feed"


@pytest.mark.parametrize(
    "wrong",
    [
        "{}",
        "7",
        "x",
        '{"start":1,"machines":[]}',
        '{"start":1,"machines":{"a":7}}',
        '{"start":1,"newest":"x"}',
        '{"start":1,"count":1,"mark":0,"oldest":0}',
    ],
)
def test_a_strange_checkpoint_is_an_error(wrong: str) -> None:
    with pytest.raises(SourceError, match="not one of an InfluxDB"):
        Seen(0, LATENESS).restore(Checkpoint(wrong, {"a": 7}))


def test_a_row_that_lacks_a_sensor_is_held_back_once_with_what_follows_of_its_machine() -> None:
    def rows(*values: float) -> Rows:
        times = T0 + np.arange(4) * SECOND
        return Rows(Readings(["a", "b", "a", "b"], times, np.array(values, np.float32)[:, None]))

    nan, seen = float("nan"), Seen(T0, LATENESS)
    first = seen.fresh(rows(nan, 1, 1, 1), newest=True).readings
    assert first.machines.tolist() == ["b", "b"]
    assert seen.holds
    # Complete by now, or as it stands.
    seen.begin_round()
    again = seen.fresh(rows(nan, 1, 1, 1), newest=True).readings
    assert again.times.tolist() == seconds(0, 2)
    assert not seen.holds


def half(
    machines: list[str], offsets: list[int], values: list[float], conflicts: list[int] | None = None
) -> Rows:
    readings = Readings(machines, seconds(*offsets), np.array(values, np.float32)[:, None])
    return Rows(readings, None, None if conflicts is None else np.array(conflicts))


NAN = float("nan")


def test_a_row_that_contradicts_another_and_is_held_back_leaves_a_checkpoint() -> None:
    for expected in (False, True):
        seen = Seen(T0, LATENESS)
        if expected:
            seen.expect("m", T0)
        block = half(["m"], [1], [NAN], [1])
        assert len(seen.conflicting(block)) == 1
        assert len(seen.fresh(block, newest=True)) == 0
        Seen(0, LATENESS).restore(seen.checkpoint())


def test_a_row_is_among_the_newest_of_its_own_machine() -> None:
    seen = Seen(T0, LATENESS)
    found = seen.fresh(half(["b", "a", "ahead"], [0, 0, 15], [1, NAN, 1]), newest=True).readings
    assert found.machines.tolist() == ["b", "ahead"]
    assert seen.holds


def test_a_row_that_is_gone_at_the_next_look_is_not_waited_for() -> None:
    seen = Seen(T0, LATENESS)
    seen.begin_round()
    seen.fresh(half(["a", "a"], [0, 1], [1, NAN]), newest=True)
    assert seen.holds
    seen.begin_round()
    seen.fresh(half(["a"], [2], [1]), newest=True)
    assert not seen.holds


def test_a_row_is_held_back_for_a_round_also_where_it_is_seen_twice_in_it() -> None:
    seen = Seen(T0, LATENESS)
    for _ in range(2):
        assert len(seen.fresh(half(["a"], [1], [NAN]), newest=True)) == 0
    seen.begin_round()
    assert len(seen.fresh(half(["a"], [1], [NAN]), newest=True)) == 1


def test_a_sensor_that_is_dead_delays_its_machine_by_one_round() -> None:
    seen, delivered = Seen(T0, 60 * SECOND), 0
    for second in range(0, 100, 5):
        seen.begin_round()
        rows = half(["dead"] * (second + 5), list(range(second + 5)), [NAN] * (second + 5))
        delivered += len(seen.fresh(rows, newest=True))
        assert delivered == second


def test_a_clock_that_is_ahead_for_a_moment_hides_no_new_machine() -> None:
    database = Database()
    reading, found = Reading(database), list[tuple[str, int]]()
    for second in range(200):
        database.put("a", T0 + second * SECOND)
        if second >= 100:
            database.put("new", T0 + second * SECOND)
        found += reading.round(T0 + second * SECOND + (365 * DAY if second == 100 else 0))
    assert of("a", found) == seconds(*range(200))
    assert of("new", found) == seconds(*range(100, 200))


def test_a_time_of_the_future_that_was_taken_once_hides_its_machine_no_longer() -> None:
    database = Database()
    database.put("a", T0 + 5 * HOUR)
    reading = Reading(database)
    found = reading.round(T0 + 6 * HOUR)
    for second in range(100):
        database.put("a", T0 + second * SECOND)
        database.put("b", T0 + second * SECOND)
        found += reading.round(T0 + second * SECOND)
    assert of("a", found) == [T0 + 5 * HOUR, *seconds(*range(100))]
    assert of("b", found) == seconds(*range(100))


def test_an_end_that_lies_before_what_was_delivered_forgets_nothing() -> None:
    database = Database()
    database.put("a", *seconds(*range(0, 20_000, 100)))
    reading = Reading(database)
    assert len(reading.round(T0 + 20_000 * SECOND)) == 200
    checkpoint = reading.checkpoint
    found = list(reading._following.round(T0 + 20_000 * SECOND, T0 + 1000 * SECOND, everyone=True))
    assert sum(len(reading.seen.fresh(rows, own)) for rows, _, own in found) == 0
    assert reading.checkpoint == checkpoint


def test_after_two_weeks_without_the_gateway_everything_is_read_whatever_it_costs() -> None:
    database = Database()
    database.looks_up_any_range = False
    database.put("a", *seconds(*range(0, 3600, 60)))
    database.put("b", *seconds(*range(0, 7200, 60)))
    first = Reading(database)
    found = first.round(T0 + 7200 * SECOND)
    later = [T0 + 7200 * SECOND + hour * HOUR for hour in range(14 * 24)]
    for name in ("a", "b"):
        database.put(name, *later)
    second = Reading(database, checkpoint=first.checkpoint)
    for number in range(3):
        found += second.round(later[-1] + number * SECOND)
    for name in ("a", "b"):
        assert of(name, found) == [time for time, machine in database.points if machine == name]


def test_names_that_stopped_long_ago_do_not_draw_the_live_question_back() -> None:
    database = Database()
    for number in range(200):
        database.put(f"old-{number}", T0 - 100 * DAY)
    reading = Reading(database)
    for second in range(100):
        for number in range(5):
            database.put(f"m-{number}", T0 + second * SECOND)
        reading.round(T0 + second * SECOND)
    names, start, _ = [asked for asked in database.asked if not asked[0]][-1]
    assert names == ()
    assert start >= T0 + 88 * SECOND


def test_random_clocks_outages_and_restarts_lose_and_repeat_nothing() -> None:
    random = np.random.default_rng(11)
    for _ in range(PLANTS):
        offsets = {f"m{i}": int(random.integers(-60, 31)) for i in range(12)}
        outages = {name: sorted(random.integers(0, 3000, 2).tolist()) for name in list(offsets)[:6]}
        database = Database()
        reading = Reading(database, start=T0 - HOUR)
        found, kept = list[tuple[str, int]](), dict[str, list[int]]()
        for second in range(3600):
            for name, offset in offsets.items():
                begin, end = outages.get(name, (0, 0))
                time = T0 + (second + offset) * SECOND
                if begin <= second < end:
                    kept.setdefault(name, []).append(time)
                else:
                    flushed = kept.get(name, [])[:25]
                    kept[name] = kept.get(name, [])[25:]
                    if kept[name]:
                        kept[name].append(time)
                        database.put(name, *flushed)
                    else:
                        database.put(name, *flushed, time)
            if second % 7 == 0:
                found += reading.round(T0 + second * SECOND)
            if random.random() < 0.01:
                reading = Reading(database, checkpoint=reading.checkpoint)
        found += reading.round(T0 + 3600 * SECOND, everyone=True)
        for name in offsets:
            assert of(name, found) == [time for time, machine in database.points if machine == name]
