"""What a history tells beside its rows: alarms, sensor status, and where rows are missing."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from support.pasts import EVER, SECOND, START, Past, rows_of, simulated, small_blocks, some_past

from edge_runtime import load_bundle
from edge_runtime.engine.alarms import State, Word
from edge_runtime.history import room
from edge_runtime.history.history import History
from edge_runtime.history.reading import reading_history
from edge_runtime.history.replay import replayed
from edge_runtime.records import Reason
from edge_runtime.timeparse import parse_time

if TYPE_CHECKING:
    from pathlib import Path

    from edge_runtime import Bundle


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return load_bundle(None)


@pytest.fixture
def past(bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Past:
    small_blocks(monkeypatch)
    return some_past(tmp_path / "history", bundle)


def test_alarms_are_those_that_were_up_as_their_last_change_has_them(past: Past) -> None:
    changes = list(past.changes)
    first, second = [one.fields for one in changes if one.change == "returned"][-2:]
    words = [
        Word(
            number=number,
            at=EVER,
            by="ada",
            word=word,
            machine_id=alarm["machine_id"],
            kind=alarm["kind"],
            subject=alarm["subject"],
            event_id=alarm["event_id"],
            revision=99,
            text="a word",
        )
        for number, (word, alarm) in enumerate((("ack", first), ("comment", second)))
    ]
    told, _ = past.engine.tell(words)
    changes += told
    past.history.append(None, told)
    past.history.close()
    last: dict[str, Any] = {}
    for change in changes:
        last[change.fields["event_id"]] = change
    random = np.random.default_rng(2)
    with reading_history(past.path) as reader:
        states = {one["state"] for one in reader.alarms(0, EVER)}
        assert states >= {"replaced", State.RETURNED.value, State.NORMAL.value}
        for _ in range(50):
            start, stop = sorted((START + random.integers(-100, 2100, 2) * SECOND).tolist())
            for machine in (None, "press-2"):
                wanted = [
                    one.fields
                    for one in last.values()
                    if parse_time(one.fields["raised"], 0) < stop
                    and (one.fields["returned"] is None or parse_time(one.fields["returned"], 0) >= start)
                    and machine in (None, one.fields["machine_id"])
                ]
                found = reader.alarms(start, stop, machine)
                assert sorted(one["event_id"] for one in found) == sorted(one["event_id"] for one in wanted)
                raised = [one["raised"] for one in found]
                assert raised == sorted(raised)
                for alarm in found:
                    change = last[alarm["event_id"]]
                    state = alarm.pop("state")
                    assert alarm == change.fields
                    bits = {(True, False): "unacknowledged", (False, False): "returned, unacknowledged"}
                    bits |= {(True, True): "acknowledged", (False, True): "normal"}
                    wanted_state = bits[alarm["active"], alarm["acked"]]
                    assert state == ("replaced" if change.change == "replaced" else wanted_state)
        for event, change in last.items():
            assert reader.changes(event) == [one for one in changes if one.fields["event_id"] == event]
            assert reader.changes(event)[-1] == change
        assert reader.changes("none") == []


def test_statuses_tell_of_every_row_which_sensors_could_not_be_used(past: Past) -> None:
    past.history.close()
    names = [sensor.name for sensor in past.engine.bundle.metadata.sensors]
    with reading_history(past.path) as reader:
        for machine, rows in past.rows().items():
            for first, stop in ((0, len(rows)), (700, 1200), (1300, 1301)):
                times = rows.times[first:stop]
                found = reader.statuses(machine, int(times[0]), int(times[-1]) + 1)
                assert all(one.time <= times[-1] for one in found)
                assert sum(one.time < times[0] for one in found) <= len(names)
                state = np.zeros((len(times), len(names)), np.int8)
                for one in found:
                    state[times >= one.time, names.index(one.sensor)] = one.reason
                np.testing.assert_array_equal(state, rows.faults[first:stop])
            assert {Reason.MISSING, Reason.FLAT} <= {one.reason for one in reader.statuses(machine, 0, EVER)}


def test_a_status_stays_right_when_rows_are_judged_again(bundle: Bundle, tmp_path: Path) -> None:
    past, readings = Past(tmp_path / "history", bundle), simulated(1, 900, missing=0.01)
    past.take(readings.take(slice(0, 420)))
    past.forget()
    past.take(readings.take(slice(380, 900)))
    past.history.close()
    names = [sensor.name for sensor in bundle.metadata.sensors]
    with reading_history(past.path) as reader:
        rows = rows_of(reader, "press-1")
        assert len(rows) == 900
        state = np.zeros(rows.faults.shape, np.int8)
        for one in reader.statuses("press-1", 0, EVER):
            state[rows.times >= one.time, names.index(one.sensor)] = one.reason
        np.testing.assert_array_equal(state, rows.faults)
        assert (rows.faults == Reason.FLAT).sum() > 100


def test_what_a_power_cut_took_is_told(bundle: Bundle, tmp_path: Path) -> None:
    past, readings = Past(tmp_path / "history", bundle), simulated(1, 300)
    past.take(readings.take(slice(0, 100)))
    past.history.close()
    shutil.copyfile(past.path, tmp_path / "before")
    past.restart()
    past.take(readings.take(slice(100, 200)))
    past.history.close()
    shutil.copyfile(tmp_path / "before", past.path)
    past.restart()
    past.take(readings.take(slice(200, 300)))
    past.history.close()
    with reading_history(past.path) as reader:
        (gap,) = reader.gaps()
        assert (gap.since, gap.until) == (START + 99 * SECOND, START + 199 * SECOND)
        assert "power cut" in gap.why
        assert rows_of(reader, "press-1").times.tolist() == [
            START + place * SECOND for place in (*range(100), *range(200, 300))
        ]


@pytest.mark.parametrize("full", [True, False])
def test_rows_that_were_judged_without_a_history_are_told_once(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, full: bool
) -> None:
    """The disk was full until the process was killed, or `keep` was false for a while."""
    past, readings = Past(tmp_path / "history", bundle), simulated(1, 400)
    past.take(readings.take(slice(0, 100)))
    with monkeypatch.context() as patch:
        patch.setattr(History, "append", lambda *_: None)
        if full:
            patch.undo()
            patch.setattr(room, "RESERVE_MB", 10**9)
        past.take(readings.take(slice(100, 200)))
    assert bool(past.said) == full
    for _ in range(2):
        past.restart()
    past.take(readings.take(slice(200, 300)))
    past.restart()
    past.history.close()
    with reading_history(past.path) as reader:
        (gap,) = reader.gaps()
        assert gap == (
            START + 99 * SECOND,
            START + 199 * SECOND,
            "no history was written when they were judged",
        )
        assert len(rows_of(reader, "press-1")) == 200
        judged = list(replayed(reader, bundle, "press-1", START + 200 * SECOND, EVER))
    found = np.concatenate([one.results.severity for one in judged])
    np.testing.assert_array_equal(found, past.judged[-1].severity)


def test_what_a_day_takes_is_what_a_day_took(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Estimated from the first half of a history, and measured by what the second half added."""
    small_blocks(monkeypatch)
    past, readings, sizes = Past(tmp_path / "history", bundle), simulated(2, 8000), []
    with reading_history(past.path) as reader:
        assert reader.bytes_per_day() is None
        for start in range(0, len(readings), 400):
            past.take(readings.take(slice(start, start + 400)))
            if start + 400 in (8000, 16000):
                past.restart()
                sizes.append(reader.size_bytes)
                estimated = reader.bytes_per_day()
    past.history.close()
    assert estimated is not None
    measured = (sizes[1] - sizes[0]) / 4000 * 86_400
    assert 0.5 < estimated / measured < 2
