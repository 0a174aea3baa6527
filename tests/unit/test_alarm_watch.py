"""From judged rows to alarms: whatever the blocks, whichever bundle, with all that a person asks first."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from support.bundles import SENSORS, make_bundle, normal_rows

from edge_runtime.bundle.judging import Alarms
from edge_runtime.engine.alarms import Word, event_id
from edge_runtime.engine.alarmtext import sentence
from edge_runtime.engine.alarmwatch import AlarmWatch
from edge_runtime.engine.engine import Engine
from edge_runtime.loading.load import Bundle, load_bundle
from edge_runtime.records import Readings, Results, Scores, Verdict
from edge_runtime.timeparse import parse_time
from trainer.calibration.alarm_spans import alarm_spans

if TYPE_CHECKING:
    from edge_runtime.engine.alarms import Change
    from edge_runtime.engine.stage import StageState

SECOND = 1_000_000_000
NAMES = [sensor[0] for sensor in SENSORS]
SHIFT = 3.0


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return load_bundle(make_bundle(tmp_path_factory.mktemp("alarms"), degraded=True))


def with_delays(bundle: Bundle, on: float, off: float, high: float | None = None) -> Bundle:
    metadata = replace(bundle.metadata, alarms=Alarms(on, off, high, 100))
    return replace(bundle, metadata=metadata)


def rows_of(odd: str, *, machine: str = "press", start: int = 0, sensor: int = 1) -> Readings:
    """Rows a second apart, a letter each: `.` is normal, `x` far off in one sensor, `?` lacks two of them."""
    values = normal_rows(len(odd), seed=5)
    for row, letter in enumerate(odd):
        if letter == "x":
            values[row, sensor] += SHIFT
        elif letter == "?":
            values[row, :2] = np.nan
    times = (start + np.arange(len(odd), dtype=np.int64)) * SECOND
    return Readings(np.full(len(odd), machine), times, values)


def played(engine: Engine, readings: Readings, cut: int = 1000) -> list[Change]:
    parts = [slice(start, start + cut) for start in range(0, len(readings), cut)]
    return [change for part in parts for change in engine.feed(readings.take(part)).alarms]


def said(changes: list[Change]) -> list[tuple[str, int]]:
    """What changed at which second, of machines."""
    return [
        (change.change, change.time // SECOND)
        for change in changes
        if change.fields["kind"] == "machine" and change.change != "sensor"
    ]


@pytest.mark.parametrize("cut", [1, 2, 7, 1000])
@pytest.mark.parametrize(
    ("odd", "on", "off", "wanted"),
    [
        ("..x..", 0, 0, [("raised", 2), ("returned", 3)]),
        ("..xxxxx......", 3, 2, [("raised", 5), ("returned", 9)]),
        ("..xxx.xxx....", 3, 2, []),
        ("..xxxx.xx.x....", 3, 2, [("raised", 5), ("returned", 13)]),
        ("..x?xx?x..?..", 3, 2, [("raised", 5), ("returned", 11)]),
        ("..xxxx..?.xxxxx..", 1, 9, [("raised", 3)]),
    ],
)
def test_delays_are_of_the_rows_own_time_whatever_the_blocks(
    plain: Bundle, odd: str, on: float, off: float, wanted: list[tuple[str, int]], cut: int
) -> None:
    engine = Engine(with_delays(plain, on, off), alarms=True)
    readings = rows_of(odd)
    verdicts = Engine(plain).feed(readings).results.verdicts.tolist()
    letters = {Verdict.NORMAL: ".", Verdict.ANOMALY: "x", Verdict.UNKNOWN: "?"}
    assert "".join(letters[Verdict(code)] for code in verdicts) == odd
    assert said(played(engine, readings, cut)) == wanted


def test_an_alarm_names_its_first_row_its_sensors_in_order_and_its_worst_row(plain: Bundle) -> None:
    readings = rows_of("....xxxxxx....")
    readings.values[6:10, 3] += 1000.0  # the second sensor to come to the fore, and the worse one
    readings.values[8, 3] += 400.0
    engine = Engine(with_delays(plain, 1, 1), alarms=True)
    judged = engine.feed(readings)
    raised, further, returned = [change for change in judged.alarms if change.fields["kind"] == "machine"]
    assert [raised.change, further.change, returned.change] == ["raised", "sensor", "returned"]
    assert [change.fields["revision"] for change in (raised, further, returned)] == [1, 2, 3]
    identity = event_id("press", "machine", "", 4 * SECOND)
    assert {change.fields["event_id"] for change in (raised, further, returned)} == {identity}
    assert raised.fields["raised"] == "1970-01-01T00:00:04Z"
    assert returned.fields["returned"] == "1970-01-01T00:00:10Z"
    assert returned.time == 11 * SECOND
    worst = int(judged.results.severity.argmax())
    assert worst == 8
    assert returned.fields["severity"] == float(str(judged.results.severity[worst]))
    assert [sensor["name"] for sensor in returned.fields["sensors"]] == [NAMES[1], NAMES[3]]
    last = returned.fields["sensors"][1]
    assert last["actual"] == pytest.approx(readings.values.item(worst, 3))
    assert last["expected"] == pytest.approx(judged.results.scores.expected.item(worst, 3))
    assert 0.5 < last["share"] <= 1
    assert returned.fields["rows"] == 6


def test_a_sensor_alarms_after_ten_cadences_and_says_what_is_wrong(plain: Bundle) -> None:
    readings = rows_of("." * 70)
    readings.values[5:9, 2] = np.nan  # too short
    readings.values[20:40, 2] = np.nan
    readings.values[45:50, 2] = np.nan  # away again before it was back for ten rows
    raised, returned = played(Engine(plain, alarms=True), readings, 7)
    assert (raised.change, raised.time // SECOND) == ("raised", 30)
    assert (raised.fields["kind"], raised.fields["subject"]) == ("sensor", NAMES[2])
    assert raised.fields["priority"] == "low"
    assert raised.fields["severity"] is None
    (sensor,) = raised.fields["sensors"]
    assert sensor["status"] == "failure: missing"
    assert sensor["actual"] is None
    assert (returned.change, returned.time // SECOND) == ("returned", 60)
    assert returned.fields["returned"] == "1970-01-01T00:00:50Z"
    assert returned.fields["rows"] == 25


def test_priority_rises_with_severity_asks_again_and_never_falls(plain: Bundle) -> None:
    engine = Engine(with_delays(plain, 0, 5, high=30.0), alarms=True)
    (raised,) = played(engine, rows_of("x"))
    assert raised.fields["priority"] == "medium"
    changes, refused = engine.tell([word("ack", raised, revision=1)])
    assert not refused
    assert changes[0].fields["acked"] is True
    worse = rows_of("x", start=1)
    worse.values[0, 1] += 20.0
    (priority,) = played(engine, worse)
    assert (priority.change, priority.fields["priority"], priority.fields["acked"]) == (
        "priority",
        "high",
        False,
    )
    _, refused = engine.tell([word("ack", raised, revision=2)])
    assert refused == [
        "ack by ann for the machine alarm at press: its priority has risen since; look at it again"
    ]
    assert not played(engine, rows_of("x", start=2))
    changes, _ = engine.tell([word("ack", raised, revision=3)])
    assert changes[0].fields["priority"] == "high"


def word(what: str, change: Change, **more: Any) -> Word:
    fields = change.fields
    key = fields["machine_id"], fields["kind"], fields["subject"]
    return Word(1, 5, "ann", what, *key, event_id=fields["event_id"], **more)


def test_an_open_alarm_outlives_its_bundle(plain: Bundle, tmp_path_factory: pytest.TempPathFactory) -> None:
    engine = Engine(plain, alarms=True)
    (raised,) = played(engine, rows_of("..x"))
    other = load_bundle(make_bundle(tmp_path_factory.mktemp("other"), smooth=3))
    assert other.digest != plain.digest
    after = Engine(other, alarms=True)
    assert after.restore(engine.changes()) == []
    changes = played(after, rows_of("....", start=3))
    assert [change.change for change in changes] == ["returned"]
    assert changes[0].fields["event_id"] == raised.fields["event_id"]
    assert changes[0].fields["bundle"] == plain.digest


def test_shelvings_that_end_together_end_in_the_same_order_after_a_restart(plain: Bundle) -> None:
    """The ledger gives machines back by their names, and not in the order in which they had alarms."""
    engine = Engine(plain, alarms=True)
    states: dict[str, StageState] = {}
    for machine in ("press-3", "press-1", "press-2"):
        (raised,) = played(engine, rows_of("..x", machine=machine))
        _, refused = engine.tell([word("shelve", raised, until=9 * SECOND, text="a test")])
        assert refused == []
        states |= {f"{one.machine} {one.owner} {one.stage}": one for one in engine.changes()}
    after = Engine(plain, alarms=True)
    assert after.restore([states[name] for name in sorted(states)]) == []
    ended = [change.to_dict() for change in engine.advance(10 * SECOND)]
    assert [change["change"] for change in ended] == ["unshelved"] * 3
    assert [change.to_dict() for change in after.advance(10 * SECOND)] == ended


def test_rows_that_come_again_change_nothing(plain: Bundle) -> None:
    engine = Engine(plain, alarms=True)
    readings = rows_of("..x.x..")
    changes = played(engine, readings)
    assert [change.change for change in changes] == ["raised", "returned", "replaced", "raised", "returned"]
    assert played(engine, readings, 3) == []


def test_machines_of_one_block_alarm_in_the_order_of_its_rows(plain: Bundle) -> None:
    first, second = rows_of("..x....", machine="b"), rows_of("...x...", machine="a")
    order = np.argsort(np.concatenate([first.times, second.times]), kind="stable")
    both = Readings.joined([first, second]).take(order)
    changes = played(Engine(plain, alarms=True), both)
    assert [(change.fields["machine_id"], change.change) for change in changes] == [
        ("b", "raised"),
        ("b", "returned"),
        ("a", "raised"),
        ("a", "returned"),
    ]
    assert [change.to_dict() for change in changes] == [
        change.to_dict() for change in played(Engine(plain, alarms=True), both, 1)
    ]


def test_without_alarms_an_engine_has_none_and_stores_none(plain: Bundle) -> None:
    engine = Engine(plain)
    assert list(engine.feed(rows_of("..xx..")).alarms) == []
    assert "alarms" not in {state.stage for state in engine.changes(everything=True)}
    assert engine.tell([]) == ([], [])
    assert engine.advance(5) == []


def test_a_machine_without_an_open_alarm_leaves_nothing_in_the_ledger(plain: Bundle) -> None:
    engine = Engine(plain, alarms=True)
    (raised, _) = played(engine, rows_of("..x..."))
    assert [state.value is None for state in engine.changes() if state.stage == "alarms"] == [False]
    engine.tell([word("ack", raised, revision=1)])
    assert [state.value for state in engine.changes() if state.stage == "alarms"] == [None]


@pytest.mark.parametrize(
    "value",
    [
        {},
        [{}],
        [{"kind": "gateway", "subject": ""}],
        [{"kind": "machine", "subject": "", "alarm": {}}],
        [{"kind": "machine", "subject": "", "more": 1}],
        [{"kind": "machine", "subject": "", "clear": "x"}],
        [{"kind": "machine", "subject": "", "shelved": {"by": "a", "at": 1, "reason": None, "until": 2}}],
    ],
)
def test_a_stored_state_that_is_none_is_discarded_and_said(plain: Bundle, value: object) -> None:
    engine = Engine(plain, alarms=True)
    played(engine, rows_of("..x"))
    (state,) = [state for state in engine.changes() if state.stage == "alarms"]
    (told,) = Engine(plain, alarms=True).restore([state._replace(value=value)])
    assert told.startswith("press: the stored state of 'alarms' is unreadable")


@pytest.mark.parametrize(
    ("field", "wrong"),
    [
        ("raised", 2**63),
        ("revision", -1),
        ("revision", 0),
        ("active", 1),
        ("severity", float("nan")),
        ("priority", "urgent"),
        ("sensors", [{}]),
        ("bundle", "sha256:"),
        ("comment", 5),
        ("rows", True),
    ],
)
def test_every_field_of_a_stored_alarm_is_checked(plain: Bundle, field: str, wrong: object) -> None:
    engine = Engine(plain, alarms=True)
    played(engine, rows_of("..x"))
    (state,) = [state for state in engine.changes() if state.stage == "alarms"]
    state.value[0]["alarm"][field] = wrong
    assert len(Engine(plain, alarms=True).restore([state])) == 1


@pytest.mark.parametrize("seed", range(30))
def test_the_trainer_sees_the_alarms_that_the_engine_raises(plain: Bundle, seed: int) -> None:
    """What delays are chosen by is what a gateway does: on random verdicts, unknown ones among them."""
    random = np.random.default_rng(seed)
    on, off = (float(delay) for delay in random.integers(0, 6, 2))
    rows = 200
    stays = random.random(rows) < random.uniform(0.05, 0.5)
    anomalous = np.cumsum(stays) % 2 == 1
    known = random.random(rows) > 0.1
    times = np.cumsum(random.integers(1, 3, rows)).astype(np.int64) * SECOND
    verdicts = np.where(known, anomalous, Verdict.UNKNOWN).astype(np.int8)
    errors = np.full((rows, len(NAMES)), 1.0, np.float32)
    readings = Readings(np.full(rows, "press"), times, np.ones((rows, len(NAMES)), np.float32))
    severity = np.where(anomalous, 2.0, 0.5).astype(np.float32)
    results = Results(
        readings, Scores(errors.sum(1), errors, errors), severity, verdicts, np.zeros(rows, np.int8)
    )
    watch = AlarmWatch(with_delays(plain, on, off).metadata, plain.digest)
    cut = int(random.integers(1, rows))
    changes = [*watch.watch(results.take(slice(0, cut))), *watch.watch(results.take(slice(cut, None)))]
    found: list[list[int]] = []
    for change in changes:
        if change.change == "raised":
            found.append([parse_time(change.fields["raised"], 0), change.time])
        elif change.change == "returned":
            found[-1].append(change.time)
    wanted = alarm_spans(times, anomalous, on, off, known=known)
    assert [(*one, None)[:3] for one in found] == wanted


def test_an_alarm_of_a_future_that_was_no_time_ends_without_a_return(plain: Bundle) -> None:
    engine = Engine(plain, alarms=True)
    (raised,) = played(engine, rows_of("..x", start=10_000))
    assert engine.forget_the_future(100 * SECOND) == [
        "press: the newest time on record was in the future, and has been discarded"
    ]
    (forgotten,) = engine.advance(100 * SECOND)
    assert engine.advance(101 * SECOND) == []
    assert (forgotten.change, forgotten.fields["event_id"]) == ("forgotten", raised.fields["event_id"])
    assert (forgotten.fields["revision"], forgotten.fields["active"]) == (2, False)
    assert [change.change for change in played(engine, rows_of("..x", start=50))] == ["raised"]


def test_after_a_mended_ledger_everything_is_stored_again_also_of_machines_without_rows(
    plain: Bundle,
) -> None:
    engine = Engine(plain, alarms=True)
    engine.tell([Word(1, 5, "ann", "out of service", "spare", "machine", "", text="not built yet")])
    engine.changes()
    stored = {
        state.machine: state.value for state in engine.changes(everything=True) if state.stage == "alarms"
    }
    assert stored["spare"][0]["out_of_service"]["reason"] == "not built yet"


@pytest.mark.parametrize("cut", [1, 3, 5, 8])
def test_sensors_return_in_an_order_that_does_not_depend_on_the_blocks(plain: Bundle, cut: int) -> None:
    readings = rows_of("." * 80)
    readings.values[20:40, 3] = np.nan
    readings.values[21:40, 1] = np.nan
    readings.values[22:40, 0] = np.nan
    changes = played(Engine(plain, alarms=True), readings, cut)
    of_sensors = [change for change in changes if change.fields["kind"] == "sensor"]
    returned = [change.fields["subject"] for change in of_sensors if change.change == "returned"]
    assert returned == sorted([NAMES[0], NAMES[1], NAMES[3]])


def test_an_alarm_that_a_new_bundle_raises_names_it(
    plain: Bundle, tmp_path_factory: pytest.TempPathFactory
) -> None:
    first = Engine(with_delays(plain, 5, 0), alarms=True)
    assert played(first, rows_of("..xxx")) == []
    other = load_bundle(make_bundle(tmp_path_factory.mktemp("raises"), smooth=3))
    after = Engine(with_delays(other, 5, 0), alarms=True)
    after.restore(first.changes())
    (raised,) = played(after, rows_of("xxx", start=5))
    assert raised.fields["raised"] == "1970-01-01T00:00:02Z"
    assert raised.fields["bundle"] == other.digest


def test_what_is_said_of_an_alarm_is_one_line_whatever_people_write(plain: Bundle) -> None:
    engine = Engine(plain, alarms=True)
    (raised,) = played(engine, rows_of("..x", machine="press\u202e1"))
    comment = "seen\nedge-detect: alarm 0000000000000000 has returned to normal"
    (change,), _ = engine.tell([word("comment", raised, text=comment)])
    said = sentence(change)
    assert len(said.splitlines()) == 1
    assert "press?1" in said
