"""Rules tried on a history: the alarms that it recorded, and those that other rules would have left."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from support.bundles import make_bundle
from support.pasts import SECOND, START, Past, simulated, small_blocks
from support.ruletries import faulty, found, recorded, restless, rule, runs, tried_on

from edge_runtime import load_bundle
from edge_runtime.engine.alarms import MACHINE, SENSOR, event_id
from edge_runtime.history.reading import reading_history
from edge_runtime.history.replay import LeftOut
from edge_runtime.history.trying import tried
from edge_runtime.records import Verdict
from edge_runtime.timeparse import format_time

if TYPE_CHECKING:
    from pathlib import Path

    from edge_runtime import Bundle


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    """The one that comes along, without delays of its own: an alarm is a run of anomalous rows."""
    loaded = load_bundle(None)
    return replace(loaded, metadata=replace(loaded.metadata, alarms=None))


def test_without_rules_the_alarms_are_those_that_were_recorded(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small_blocks(monkeypatch)
    for name, judge in (("plain", bundle), ("delays", load_bundle(None))):
        past = restless(tmp_path / name, judge)
        wanted = recorded(past.path)
        assert {one["kind"] for one in wanted} == {MACHINE, SENSOR}
        result = tried_on(past.path, judge, (), ())
        assert found(result.matches, "before") == found(result.matches, "after") == wanted
        assert not any(one.lost or one.new or one.changed for one in result.matches)
        assert result.left_out == []
        for machine, rows in past.rows().items():
            one = next(one for one in result.machines if one.machine_id == machine)
            assert (one.rows, one.anomalous) == (len(rows), (rows.verdicts == Verdict.ANOMALY).sum())
            assert one.covered_s == pytest.approx((rows.times[-1] - rows.times[0]) / SECOND)
            own = sum(alarm["machine_id"] == machine for alarm in wanted)
            assert (one.before, one.after, one.lost, one.new) == (own, own, 0, 0)


def test_with_the_rules_that_were_in_force_they_are_too(bundle: Bundle, tmp_path: Path) -> None:
    rules = [
        rule(threshold_factor=2.0, on_delay_s=3.0, priority="low"),
        rule(sensor="power", direction="above", machine="press-2"),
        rule(kind="sensor", off_delay_s=60.0),
    ]
    past = restless(tmp_path / "history", bundle, rules)
    wanted = recorded(past.path)
    assert len(wanted) >= 8
    result = tried_on(past.path, bundle, rules, ())
    assert found(result.matches, "before") == wanted
    assert found(result.matches, "after") != wanted
    assert sum(one.new for one in result.machines) >= 1  # without the rules there are more


def test_a_rule_loses_the_alarms_that_never_reach_what_it_asks(bundle: Bundle, tmp_path: Path) -> None:
    past, factor = restless(tmp_path / "history", bundle), 12.0
    wanted = {
        event_id(machine, MACHINE, "", time)
        for machine, rows in past.rows().items()
        for time, severity in runs(rows)
        if severity < factor
    }
    kept = {
        event_id(machine, MACHINE, "", time)
        for machine, rows in past.rows().items()
        for time, severity in runs(rows)
    } - wanted
    assert len(wanted) >= 3
    assert len(kept) >= 3
    result = tried_on(past.path, bundle, (), [rule(threshold_factor=factor)])
    lost = [one for match in result.matches if match.lost for one in match.before]
    assert {one.fields["event_id"] for one in lost} == wanted
    assert sum(one.lost for one in result.machines) == len(wanted)
    assert not any(one.new for one in result.machines)
    stays = [match for match in result.matches if not match.lost]
    of_machines = [one.fields for match in stays for one in match.before if one.fields["kind"] == MACHINE]
    assert {one["event_id"] for one in of_machines} == kept
    sensors = [match for match in result.matches if match.before[0].fields["kind"] == SENSOR]
    assert sensors
    assert not any(match.lost or match.changed for match in sensors)


def test_a_longer_delay_makes_an_alarm_later_and_loses_a_short_one(bundle: Bundle, tmp_path: Path) -> None:
    past = faulty(tmp_path / "history", bundle, [(200, 260, 14.0), (400, 410, 14.0)])
    late, lost = tried_on(past.path, bundle, (), [rule(on_delay_s=20.0)]).matches
    assert (late.delay_s, late.priorities, late.changed) == (20.0, ("medium", "medium"), True)
    assert [one.told for one in late.before] == [START + 200 * SECOND]
    assert late.before[0].fields["event_id"] == late.after[0].fields["event_id"]
    assert (lost.lost, lost.changed, lost.delay_s) == (True, False, 0.0)
    assert lost.before[0].fields["raised"] == format_time(START + 400 * SECOND)
    back = tried_on(past.path, bundle, [rule(on_delay_s=20.0)], ()).matches
    assert [one.delay_s for one in back] == [-20.0, 0.0]
    assert [one.new for one in back] == [False, True]


def test_another_priority_is_told(bundle: Bundle, tmp_path: Path) -> None:
    past = faulty(tmp_path / "history", bundle, [(200, 260, 14.0)])
    (match,) = tried_on(past.path, bundle, (), [rule(priority="low")]).matches
    assert (match.delay_s, match.priorities, match.changed) == (0.0, ("medium", "low"), True)


def test_a_rule_for_one_machine_leaves_the_others_alone(bundle: Bundle, tmp_path: Path) -> None:
    past = restless(tmp_path / "history", bundle)
    own = rule(machine="press-2", threshold_factor=1000.0)
    result = tried_on(past.path, bundle, (), [own])
    for match in result.matches:
        if match.before[0].fields["machine_id"] == "press-2" and match.before[0].fields["kind"] == MACHINE:
            assert match.lost
        else:
            assert match.before == match.after
    lost = {one.machine_id: one.lost for one in result.machines}
    assert lost["press-2"] >= 2
    assert (lost["press-1"], lost["press-3"]) == (0, 0)


def test_an_alarm_that_is_divided_or_joined_is_neither_new_nor_lost(bundle: Bundle, tmp_path: Path) -> None:
    past = faulty(tmp_path / "history", bundle, [(200, 220, 30.0), (220, 260, 8.0), (260, 300, 30.0)])
    result = tried_on(past.path, bundle, (), [rule(threshold_factor=6.0)])
    (match,) = result.matches
    assert (len(match.before), len(match.after)) == (1, 2)
    assert (match.lost, match.new, match.changed) == (False, False, True)
    assert result.machines[0][-4:] == (1, 2, 0, 0)
    past = faulty(tmp_path / "two", bundle, [(200, 220, 30.0), (240, 260, 30.0)])
    result = tried_on(past.path, bundle, (), [rule(off_delay_s=60.0)])
    (match,) = result.matches
    assert (len(match.before), len(match.after), match.delay_s) == (2, 1, 0.0)
    assert result.machines[0][-4:] == (2, 1, 0, 0)


def test_an_alarm_that_was_up_begins_where_the_time_does(bundle: Bundle, tmp_path: Path) -> None:
    past = faulty(tmp_path / "history", bundle, [(200, 260, 14.0), (580, 600, 14.0)])
    start = START + 230 * SECOND
    result = tried_on(past.path, bundle, (), (), start=start)
    first, last = (match.before[0] for match in result.matches)
    assert first.fields["raised"] == format_time(start)
    whole = tried_on(past.path, bundle, (), ()).matches[0].before[0]
    assert first.fields["returned"] == whole.fields["returned"]
    assert (last.fields["returned"], last.fields["active"]) == (None, True)
    assert result.machines[0].rows == 370
    inside = tried_on(past.path, bundle, (), (), start=start, stop=start + 10 * SECOND)
    assert [one.before[0].fields["raised"] for one in inside.matches] == [format_time(start)]
    assert (inside.machines[0].rows, inside.machines[0].anomalous) == (10, 10)


def test_rows_of_other_bundles_are_left_out_and_told(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small_blocks(monkeypatch, rows=64)
    other, readings = load_bundle(make_bundle(tmp_path)), simulated(2, 900)
    past = Past(tmp_path / "history", bundle)
    for number, judge in enumerate((other, bundle, other)):
        for place in range(number * 600, number * 600 + 600, 100):
            past.take(readings.take(slice(place, place + 100)))
        past.restart(judge)
    past.history.close()
    times = {machine: rows.times.tolist() for machine, rows in past.rows().items()}
    result = tried_on(past.path, bundle, (), ())
    assert result.left_out == [
        LeftOut(machine, other.digest, own[300], own[599], 300) for machine, own in times.items()
    ]
    for one in result.machines:
        assert one.rows == 600
        assert one.covered_s == pytest.approx(899 - 299)
    back = tried_on(past.path, other, (), (), start=times["press-1"][350])
    assert [one.rows for one in back.machines] == [250, 250]
    assert [(one.bundle, one.rows) for one in back.left_out] == [(bundle.digest, 300)] * 2
    none = tried_on(past.path, other, (), (), stop=times["press-1"][300])
    assert [one.rows for one in none.machines] == [0, 0]
    assert [(one.rows, one.until) for one in none.left_out] == [(300, own[299]) for own in times.values()]


def test_how_far_it_is_rises_to_the_end(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small_blocks(monkeypatch)
    past, shares = restless(tmp_path / "history", bundle), list[float]()
    with reading_history(past.path) as reader:
        times = START + 500 * SECOND, START + 1500 * SECOND
        result = tried(reader, bundle, ["press-3", "nobody", "press-1"], *times, (), (), shares.append)
    assert [one.rows for one in result.machines] == [1000, 0, 1000]
    assert len(shares) > 6
    assert shares == sorted(shares)
    assert any(0.4 < share < 0.6 for share in shares)
    assert shares[-1] == 1.0
