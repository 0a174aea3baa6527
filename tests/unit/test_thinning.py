"""Rows left out for a sink, beside a plain account of which rows those are; blocks divided in any way."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_runtime.engine.alarms import Change
from edge_runtime.records import COMPLETE, Readings, Reason, Results, Scores, Verdict
from edge_runtime.sinks.base import Only
from edge_runtime.sinks.thinning import Thinning

if TYPE_CHECKING:
    from collections.abc import Sequence

pytestmark = pytest.mark.timeout(600)
SECOND = 1_000_000_000
MACHINES = ("press-1", "press-2", "saw")


class Row(NamedTuple):
    """A row, with what thinning looks at."""

    machine: str
    time: int
    verdict: int = 0
    reason: int = 0
    degraded: int = COMPLETE
    faults: tuple[int, int] = (0, 0)


def block(rows: Sequence[Row]) -> Results:
    """These rows as results; `score` is the time, by which a row is known again."""
    scores = Scores.unknown(len(rows), 2)
    readings = Readings(
        np.array([row.machine for row in rows]), np.array([row.time for row in rows]), scores.errors
    )
    degraded = np.array([row.degraded for row in rows], np.int16)
    faults = np.array([row.faults for row in rows], np.int8)
    return Results(
        readings,
        scores,
        scores.score,
        np.array([row.verdict for row in rows], np.int8),
        np.array([row.reason for row in rows], np.int8),
        degraded if (degraded != COMPLETE).any() else None,
        faults if faults.any() else None,
    )


def plain(results: Results | None) -> list[tuple[str, int]]:
    """Machine and time of each row."""
    if results is None:
        return []
    return list(zip(results.readings.machines.tolist(), results.readings.times.tolist(), strict=True))


def change(row: Row, alarm: int, *, active: bool) -> Change:
    """An alarm of a row's machine is raised with it, or returns."""
    fields = {"machine_id": row.machine, "event_id": f"{alarm}", "active": active}
    return Change("raised" if active else "returned", row.time, told=True, fields=fields)


@st.composite
def histories(draw: st.DrawFn) -> tuple[list[Row], list[int]]:
    """Rows of several machines, each machine's in time order, and where blocks end."""
    clock = dict.fromkeys(MACHINES, 0)
    rows = []
    for _ in range(draw(st.integers(1, 40))):
        machine = draw(st.sampled_from(MACHINES))
        clock[machine] += draw(st.integers(1, 5)) * SECOND
        verdict = draw(st.sampled_from([0, 0, 0, 1, 2]))
        reason = draw(st.sampled_from([2, 3])) if verdict == Verdict.UNKNOWN else 0
        degraded = draw(st.sampled_from([COMPLETE, COMPLETE, 0, 1]))
        faults = draw(st.sampled_from([(0, 0), (0, 0), (int(Reason.FLAT), 0)]))
        rows.append(Row(machine, clock[machine], verdict, reason, degraded, faults))
    ends = draw(st.lists(st.integers(1, len(rows)), max_size=6))
    return rows, sorted({0, len(rows), *ends})


@given(histories(), st.sampled_from([1, 2, 3, 7]))
@settings(max_examples=150, deadline=None)
def test_changes_and_every_so_many_are_those_of_a_plain_account(
    history: tuple[list[Row], list[int]], every: int
) -> None:
    rows, ends = history
    thinning = Thinning(Only(machines=("press-*",), rows="changes", every=every))
    found = []
    for start, stop in pairwise(ends):
        found += plain(thinning.of(block(rows[start:stop]), []))
    expected, last, number = [], dict[str, tuple[object, ...]](), dict[str, int]()
    for row in rows:
        if row.machine == "saw" or last.get(row.machine) == row[2:]:
            continue
        last[row.machine] = row[2:]
        place = number.get(row.machine, 0)
        number[row.machine] = place + 1
        if place % every == 0:
            expected.append((row.machine, row.time))
    assert found == expected


@given(histories(), st.data())
@settings(max_examples=300, deadline=None)
def test_rows_around_alarms_are_those_of_a_plain_account_and_each_goes_once(
    history: tuple[list[Row], list[int]], data: st.DataObject
) -> None:
    rows, ends = history
    around = data.draw(st.sampled_from([0, 1, 4, 10, 1000]))
    open_alarms: dict[str, list[tuple[int, int]]] = {machine: [] for machine in MACHINES}
    spans: list[tuple[str, int, float]] = []
    changes: list[list[Change]] = []
    for row in rows:
        mine, found = open_alarms[row.machine], list[Change]()
        what = data.draw(st.sampled_from(["", "", "", "raised", "returned"]))
        if what == "raised" and len(mine) < 2:
            mine.append((len(spans) + 1000 * row.time, row.time))
            found.append(change(row, mine[-1][0], active=True))
        elif what == "returned" and mine:
            alarm, start = mine.pop(0)
            spans.append((row.machine, start - around * SECOND, row.time + around * SECOND))
            found.append(change(row, alarm, active=False))
        changes.append(found)
    for machine, mine in open_alarms.items():
        spans += [(machine, start - around * SECOND, float("inf")) for _, start in mine]
    thinning, got = Thinning(Only(rows="alarms", around_s=around)), list[tuple[str, int]]()
    for start, stop in pairwise(ends):
        some = [one for each in changes[start:stop] for one in each]
        got += plain(thinning.of(block(rows[start:stop]), some))
    expected = [
        (row.machine, row.time)
        for row in rows
        if any(row.machine == machine and start <= row.time <= stop for machine, start, stop in spans)
    ]
    assert sorted(got) == sorted(expected)


def test_an_alarm_that_was_there_at_the_start_has_rows_around_it() -> None:
    thinning = Thinning(Only(rows="alarms", around_s=2.0))
    thinning.begin([{"machine_id": "saw", "event_id": "a", "active": True}])
    first, *_, last = rows = [Row("saw", i * SECOND) for i in range(10)]
    other = Row("press-1", 0)
    assert plain(thinning.of(block([first, other, *rows[1:4]]), [])) == [
        (r.machine, r.time) for r in rows[:4]
    ]
    returned = change(rows[4], 0, active=False)
    returned.fields["event_id"] = "a"
    assert plain(thinning.of(block(rows[4:]), [returned])) == [("saw", i * SECOND) for i in (4, 5, 6)]
    assert plain(thinning.of(block([last._replace(time=20 * SECOND)]), [])) == []


def test_rows_that_wait_for_an_alarm_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edge_runtime.sinks.thinning.MAX_RECENT", 500)
    thinning = Thinning(Only(rows="alarms", around_s=86_400.0))
    for part in range(100):
        rows = [Row("saw", (100 * part + i) * SECOND) for i in range(100)]
        assert thinning.of(block(rows), []) is None
    raised = change(rows[-1], 1, active=True)
    kept = plain(thinning.of(block([Row("saw", 10_000 * SECOND)]), [raised]))
    assert 500 <= len(kept) <= 1500
    assert kept[-1] == ("saw", 10_000 * SECOND)


def test_machines_that_are_not_judged_do_not_add_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edge_runtime.sinks.thinning.MAX_MACHINES", 10)
    thinning = Thinning(Only(rows="changes", every=2))
    for number in range(100):
        thinning.of(block([Row(f"m{number}", number)]), [])
    assert len(thinning._last) <= 11
    assert len(thinning._seen) <= 11


def test_a_row_of_the_future_does_not_end_what_is_around_an_alarm() -> None:
    thinning = Thinning(Only(rows="alarms", around_s=5.0))
    future = Row("saw", 10_000 * SECOND, int(Verdict.UNKNOWN), int(Reason.TIME_IN_THE_FUTURE))
    # Enough rows that the old ones are looked through, with the one of the future among them.
    before = [Row("saw", second * SECOND) for second in range(200)]
    assert thinning.of(block([*before, future]), []) is None
    raised = Row("saw", 200 * SECOND, int(Verdict.ANOMALY))
    taken = plain(thinning.of(block([raised]), [change(raised, 1, active=True)]))
    assert [time // SECOND for _, time in taken if time < future.time] == list(range(195, 201))
    back = Row("saw", 201 * SECOND)
    thinning.of(block([back, future]), [change(back, 1, active=False)])
    after = [Row("saw", second * SECOND) for second in range(202, 210)]
    assert [time // SECOND for _, time in plain(thinning.of(block(after), []))] == list(range(202, 207))


def test_what_is_kept_is_not_looked_through_again_with_each_block(monkeypatch: pytest.MonkeyPatch) -> None:
    thinning = Thinning(Only(rows="alarms", around_s=1000.0))
    thinning.of(block([Row("saw", second * SECOND) for second in range(500)]), [])
    raised = Row("press-1", 500 * SECOND, int(Verdict.ANOMALY))
    assert len(plain(thinning.of(block([raised]), [change(raised, 1, active=True)]))) == 1
    joined, seen = Results.joined, list[int]()

    def counting(blocks: Sequence[Results]) -> Results:
        seen.append(sum(map(len, blocks)))
        return joined(blocks)

    monkeypatch.setattr(Results, "joined", staticmethod(counting))
    for second in range(501, 600):
        rows = [Row("press-1", second * SECOND), Row("saw", second * SECOND)]
        assert plain(thinning.of(block(rows), [])) == [("press-1", second * SECOND)]
    assert sum(seen) < 1000
