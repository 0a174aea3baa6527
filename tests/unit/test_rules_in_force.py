"""On-site rules in the engine: what alarms because of them and what does not, while no verdict changes."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from support.bundles import SENSORS, make_bundle, normal_rows

from edge_runtime.bundle.judging import Alarms
from edge_runtime.bundle.metadata import Hold
from edge_runtime.engine.alarms import Word
from edge_runtime.engine.engine import Engine
from edge_runtime.engine.rules import Rule
from edge_runtime.loading.load import Bundle, load_bundle
from edge_runtime.records import Readings, Results, Verdict

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edge_runtime.engine.alarms import Change

SECOND = 1_000_000_000
NAMES = [sensor[0] for sensor in SENSORS]
VIBRATION, PRESSURE, POWER = 1, 2, 3
# How far a row of this letter is from a normal one.
SHIFTS = {
    ".": {},
    "x": {VIBRATION: 3.0},
    "X": {VIBRATION: 30.0},
    "p": {POWER: 1000.0},
    "b": {VIBRATION: 3.0, POWER: 600.0},  # both come to the fore
    "u": {PRESSURE: -30.0},
    "?": {VIBRATION: np.nan, PRESSURE: np.nan},
    "f": {PRESSURE: np.nan},  # judged without it
}
TO_THE_FORE = {"x": [1], "X": [1], "p": [3], "b": [1, 3], "u": [2]}


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return load_bundle(make_bundle(tmp_path_factory.mktemp("rules"), degraded=True))


def with_delays(bundle: Bundle, on: float, off: float, high: float | None = None) -> Bundle:
    return replace(bundle, metadata=replace(bundle.metadata, alarms=Alarms(on, off, high, 100)))


def rule(name: str = "lid", **given: Any) -> Rule:
    return Rule(name=name, why="a test", **given)


def quiet(*texts: str, **given: Any) -> Rule:
    """1970 begins on a Thursday."""
    return rule("quiet", quiet=texts, **given)


def rows_of(odd: str, start: int = 0, machine: str = "press") -> Readings:
    """Rows a second apart, a letter each."""
    values = normal_rows(len(odd), seed=5)
    for row, letter in enumerate(odd):
        for place, shift in SHIFTS[letter].items():
            values[row, place] += shift
    times = (start + np.arange(len(odd), dtype=np.int64)) * SECOND
    return Readings(np.full(len(odd), machine), times, values)


def judged(bundle: Bundle, odd: str) -> Results:
    """Without rules and alarms."""
    return Engine(bundle).feed(rows_of(odd)).results


def deviation(results: Results, row: int, place: int) -> float:
    return results.readings.values.item(row, place) - results.scores.expected.item(row, place)


def fed(engine: Engine, odd: str, start: int = 0, machine: str = "press", cut: int = 1000) -> list[Change]:
    readings = rows_of(odd, start, machine)
    parts = [slice(first, first + cut) for first in range(0, len(readings), cut)]
    return [change for part in parts for change in engine.feed(readings.take(part)).alarms]


def said(changes: list[Change], kind: str = "machine") -> list[tuple[str, int]]:
    return [(change.change, change.time // SECOND) for change in changes if change.fields["kind"] == kind]


def told(
    bundle: Bundle, odd: str, *rules: Rule, start: int = 0, machine: str = "press"
) -> list[tuple[str, int]]:
    """What alarms of machines; in blocks and row by row alike."""
    engines = {cut: Engine(bundle, alarms=True, rules=rules) for cut in (1, 3, 1000)}
    one, three, block = (said(fed(engine, odd, start, machine, cut)) for cut, engine in engines.items())
    assert one == three == block
    return block


def named(changes: Sequence[Change]) -> list[str]:
    return [sensor["name"] for sensor in changes[-1].fields["sensors"]]


def test_the_rows_of_these_tests_are_what_their_letters_say(plain: Bundle) -> None:
    odd = "..xXpbu..f?."
    results = judged(plain, odd)
    for row, letter in enumerate(odd):
        usual = Verdict.ANOMALY if letter in TO_THE_FORE else Verdict.NORMAL
        verdict = Verdict.UNKNOWN if letter == "?" else usual
        assert results.verdicts[row] == verdict
        errors = results.scores.errors[row]
        if verdict is Verdict.ANOMALY:
            assert np.flatnonzero(errors >= 0.25 * errors.sum()).tolist() == TO_THE_FORE[letter]
    assert deviation(results, odd.index("x"), VIBRATION) > 3
    assert deviation(results, odd.index("u"), PRESSURE) < -20


def test_verdicts_are_the_same_with_whatever_rules(plain: Bundle) -> None:
    odd = ".xxb?pu.fX."
    rules = [rule(threshold_factor=100.0, on_delay_s=5.0), quiet("00:00-24:00"), rule(direction="below")]
    without, narrowed = judged(plain, odd), Engine(plain, alarms=True, rules=rules).feed(rows_of(odd)).results
    for name in ("verdicts", "severity", "reasons", "degraded"):
        np.testing.assert_array_equal(getattr(without, name), getattr(narrowed, name))
    np.testing.assert_array_equal(without.scores.score, narrowed.scores.score)


def test_only_the_direction_that_a_rule_names_counts(plain: Bundle) -> None:
    raised, returned = ("raised", 1), ("returned", 2)
    for direction, above, below in (("above", True, False), ("below", False, True), ("both", True, True)):
        one = rule(direction=direction, off_delay_s=0.0)
        assert told(plain, ".x.", one) == [raised, returned] * above
        assert told(plain, ".u.", one) == [raised, returned] * below


@pytest.mark.parametrize(("letter", "place"), [("x", VIBRATION), ("u", PRESSURE)])
def test_a_deviation_counts_from_the_least_on_whichever_its_sign(
    plain: Bundle, letter: str, place: int
) -> None:
    exact = abs(deviation(judged(plain, f".{letter}."), 1, place))
    for least, counts in ((0.0, True), (exact, True), (np.nextafter(exact, np.inf), False)):
        one = rule(sensor=NAMES[place], least_deviation=float(least))
        assert told(plain, f".{letter}.", one) == [("raised", 1), ("returned", 2)] * counts


def test_a_severity_counts_from_the_factor_on(plain: Bundle) -> None:
    exact = judged(plain, ".x.").severity.item(1)
    assert told(plain, ".x.", rule(threshold_factor=exact)) == [("raised", 1), ("returned", 2)]
    assert told(plain, ".x.", rule(threshold_factor=float(np.nextafter(exact, np.inf)))) == []


def test_all_rules_that_fit_hold_together(plain: Bundle) -> None:
    """Each alone lets the row count, or asks for less."""
    results = judged(plain, ".x.")
    severity, exact = results.severity.item(1), deviation(results, 1, VIBRATION)
    small, large = rule("a", threshold_factor=1.5), rule("b", threshold_factor=2 * severity)
    for rules in ([small, large], [large, small]):
        assert told(plain, ".x.", *rules) == []
    near = rule("c", sensor="vibration", least_deviation=exact / 2)
    far = rule("d", sensor="vibration", least_deviation=exact * 2)
    for rules in ([near, far], [far, near]):
        assert told(plain, ".x.", *rules) == []
    assert told(plain, ".x.", small, near) == [("raised", 1), ("returned", 2)]
    assert told(plain, ".x.", small, near, rule("e", direction="below")) == []
    short, long = rule("f", on_delay_s=1.0, off_delay_s=1.0), rule("g", on_delay_s=2.0, off_delay_s=3.0)
    for rules in ([short, long], [long, short]):
        assert told(plain, "xxxx....", *rules) == [("raised", 2), ("returned", 7)]
    night, noon = quiet("00:00-00:01"), quiet("12:00-12:01")
    for rules in ([night, noon], [noon, night]):
        assert told(plain, ".x.", *rules) == told(plain, ".x.", *rules, start=43_200) == []
    low, high = rule("h", priority="low"), rule("i", sensor="vibration", priority="high")
    for rules in ([low, high], [high, low]):
        (raised,) = fed(Engine(plain, alarms=True, rules=rules), "x")
        assert raised.fields["priority"] == "high"


def test_opposite_directions_for_a_sensor_cancel_each_other_out(plain: Bundle) -> None:
    above, below = rule("a", direction="above"), rule("b", sensor="pressure", direction="below")
    for rules in ([above, below], [below, above]):
        assert told(plain, ".u.", *rules) == [("raised", 1), ("returned", 2)]
        assert told(plain, ".x.", *rules) == [("raised", 1), ("returned", 2)]
    # What else they ask for holds all the same.
    factor = rule("b", sensor="pressure", direction="below", threshold_factor=1e6)
    assert told(plain, ".u.", above, factor) == []
    # For another sensor it stays as it was.
    of_power = rule("d", sensor="power", direction="above")
    assert told(plain, ".x.", rule("c", direction="below"), of_power) == []


def test_a_rule_is_for_the_machines_that_it_fits(plain: Bundle) -> None:
    one = rule(machine="press-*", threshold_factor=1e6)
    assert told(plain, ".x.", one, machine="press-1") == []
    assert told(plain, ".x.", one, machine="mill") == [("raised", 1), ("returned", 2)]
    odd = rule(machine="press[1]?", threshold_factor=1e6)
    assert told(plain, ".x.", odd, machine="press[1]?") == []
    assert told(plain, ".x.", odd, machine="press12") == [("raised", 1), ("returned", 2)]


def test_a_rule_for_a_sensor_that_the_bundle_lacks_changes_nothing(plain: Bundle) -> None:
    one = rule(sensor="torque", threshold_factor=1e6, off_delay_s=60.0, on_delay_s=60.0)
    assert told(plain, ".x.", one) == [("raised", 1), ("returned", 2)]


def test_an_alarm_names_only_the_sensors_because_of_which_its_rows_count(plain: Bundle) -> None:
    one = rule(sensor="vibration", threshold_factor=1e6)
    changes = fed(Engine(plain, alarms=True, rules=[one]), ".b.")
    assert said(changes) == [("raised", 1), ("returned", 2)]
    assert named(changes) == ["power"]
    assert told(plain, ".x.", one) == []
    # Without the rule it names both.
    assert sorted(named(fed(Engine(plain, alarms=True), ".b."))) == ["power", "vibration"]


def test_a_further_sensor_is_told_once_it_counts(plain: Bundle) -> None:
    exact = max(deviation(judged(plain, "xX"), row, VIBRATION) for row in range(2))
    one = rule(sensor="vibration", least_deviation=exact - 1)
    changes = fed(Engine(plain, alarms=True, rules=[one]), "bbX")
    assert said(changes) == [("raised", 0), ("sensor", 2)]
    assert named(changes) == ["power", "vibration"]


def test_a_row_of_which_nothing_passes_is_as_a_normal_one(plain: Bundle) -> None:
    slow, one = with_delays(plain, 2, 2), rule(sensor="vibration", threshold_factor=1e6)
    # It ends a run that was forming, and lets an open alarm return after the off-delay.
    assert told(slow, "ppxpp.", one) == []
    assert told(slow, "pppxxx.", one) == [("raised", 2), ("returned", 5)]
    assert told(slow, "pppx?x.", one) == [("raised", 2), ("returned", 5)]
    assert told(slow, "pppxxp..", one) == [("raised", 2)]
    assert told(slow, "xxx...", one) == []
    changes = fed(Engine(slow, alarms=True, rules=[one]), "pppxxxx")
    assert changes[-1].fields["rows"] == 3
    assert changes[-1].fields["returned"] == "1970-01-01T00:00:03Z"


def test_at_a_quiet_time_nothing_is_raised(plain: Bundle) -> None:
    minute = quiet("Thu 00:00-00:01")
    assert told(plain, "xxxxx", minute, start=50) == []
    assert told(plain, "x" * 15, minute, start=50) == [("raised", 60)]
    (raised,) = fed(Engine(plain, alarms=True, rules=[minute]), "x" * 15, 50)
    assert raised.fields["raised"] == "1970-01-01T00:01:00Z"
    assert told(plain, "x", quiet("Thu 01:00-01:01", time_zone="Europe/Berlin")) == []
    assert told(plain, "x", quiet("Fri 00:00-00:01")) == [("raised", 0)]


def test_a_quiet_time_neither_lengthens_nor_raises_nor_ends_an_open_alarm(plain: Bundle) -> None:
    slow = with_delays(plain, 0, 3, high=1000.0)
    engine = Engine(slow, alarms=True, rules=[quiet("00:01-00:02")])
    (raised,) = fed(engine, "xx", 58)
    assert (raised.fields["priority"], raised.time) == ("medium", 58 * SECOND)
    (severity,) = (raised.fields["severity"],)
    assert fed(engine, "XbX" * 20, 60) == []
    (returned,) = fed(engine, "....", 120)
    assert (returned.change, returned.time) == ("returned", 123 * SECOND)
    assert returned.fields["priority"] == "medium"
    assert returned.fields["rows"] == 2
    assert named([returned]) == ["vibration"]
    assert severity <= returned.fields["severity"] < 100


def test_normal_rows_end_runs_at_quiet_times_as_ever(plain: Bundle) -> None:
    slow, minute = with_delays(plain, 2, 3), quiet("00:01-00:02")
    # An alarm returns within the quiet time; what is quiet between normal rows does not begin them anew.
    assert told(slow, "xxx....", minute, start=57) == [("raised", 59), ("returned", 63)]
    assert told(slow, "xxx.XX.", minute, start=57) == [("raised", 59), ("returned", 63)]
    # A run that was forming is ended by a normal row, and by none that is quiet.
    assert told(slow, "x" * 2 + "." + "x" * 60, minute, start=58) == []
    assert told(slow, "x" * 2 + "x" * 61, minute, start=58) == [("raised", 120)]


def test_a_quiet_sensor_lets_a_row_count_because_of_another(plain: Bundle) -> None:
    one = quiet("00:00-24:00", sensor="vibration")
    changes = fed(Engine(plain, alarms=True, rules=[one]), ".b.")
    assert said(changes) == [("raised", 1), ("returned", 2)]
    assert named(changes) == ["power"]
    assert told(plain, ".x.", one) == []
    # A row that would count but for the quiet time ends nothing; one whose quiet sensor passes nothing does.
    assert told(plain, "pxxxx", one) == [("raised", 0)]
    never = quiet("00:00-24:00", sensor="vibration", threshold_factor=1e6)
    assert told(plain, "pxxxx", never) == [("raised", 0), ("returned", 1)]


@pytest.mark.parametrize(
    ("odd", "bundles", "of_vibration", "of_power", "raised"),
    [
        ("xxxxxxxx", 0, 4, 2, 4),
        ("pppppppp", 0, 4, 2, 2),
        ("bbbbbbbb", 0, 4, 2, 2),  # the least that one of the two asks for
        ("xxxbxxxx", 0, 6, 2, 3),  # of the row at hand
        ("bxxxxxxx", 0, 4, 2, 4),
        ("xxxxxxxx", 3, 1, 1, 3),  # the bundle's is the greater one
        ("bbbbbbbb", 3, 5, 4, 4),
        ("pppppppp", 3, 5, None, 3),
    ],
)
def test_the_on_delay_is_the_least_that_a_sensor_asks_for_and_the_bundles_at_least(
    plain: Bundle, odd: str, bundles: float, of_vibration: float, of_power: float | None, raised: int
) -> None:
    rules = [rule("a", sensor="vibration", on_delay_s=of_vibration)]
    if of_power is not None:
        rules.append(rule("b", sensor="power", on_delay_s=of_power))
    assert told(with_delays(plain, bundles, 0), odd, *rules)[0] == ("raised", raised)


@pytest.mark.parametrize(
    ("odd", "bundles", "rules", "returned"),
    [
        ("x", 0, [rule("a", off_delay_s=3.0)], 4),
        ("x", 5, [rule("a", off_delay_s=3.0)], 6),
        ("x", 0, [rule("a", sensor="vibration", off_delay_s=3.0)], 4),
        ("p", 0, [rule("a", sensor="vibration", off_delay_s=3.0)], 1),
        ("bp", 0, [rule("a", sensor="vibration", off_delay_s=3.0)], 5),  # the alarm names it still
        ("p", 0, [rule("a", sensor="vibration", off_delay_s=5.0), rule("b", off_delay_s=2.0)], 3),
        (
            "b",
            0,
            [rule("a", sensor="vibration", off_delay_s=4.0), rule("b", sensor="power", off_delay_s=2.0)],
            5,
        ),
        (
            "b",
            0,
            [rule("a", sensor="vibration", off_delay_s=2.0), rule("b", sensor="power", off_delay_s=4.0)],
            5,
        ),
    ],
)  # fmt: skip
def test_the_off_delay_is_the_greatest_of_the_named_sensors_and_of_all(
    plain: Bundle, odd: str, bundles: float, rules: list[Rule], returned: int
) -> None:
    found = told(with_delays(plain, 0, bundles), odd + "." * 8, *rules)
    assert found[-1] == ("returned", returned)


def test_the_priority_is_the_highest_that_a_counting_sensor_has(plain: Bundle) -> None:
    def of(odd: str, *rules: Rule, high: float = 1e6) -> list[tuple[str, str]]:
        changes = fed(Engine(with_delays(plain, 0, 9, high), alarms=True, rules=rules), odd)
        return [(change.change, change.fields["priority"]) for change in changes if change.change != "sensor"]

    low = rule("a", sensor="vibration", priority="low")
    assert of("x", low) == [("raised", "low")]
    assert of("p", low) == [("raised", "medium")]
    assert of("b", low) == [("raised", "medium")]  # power has no rule, and so the usual one
    assert of("X", low, high=2.0) == [("raised", "low")]  # a rule's holds instead of the one by severity
    assert of("b", low, high=2.0) == [("raised", "high")]
    assert of("b", low, rule("b", sensor="power", priority="low")) == [("raised", "low")]
    assert of("x", rule("a", priority="high")) == [("raised", "high")]
    # It rises while the alarm is open, and never falls.
    high = rule("b", sensor="power", priority="high")
    assert of("xxbxpx", low, high) == [("raised", "low"), ("priority", "high")]
    assert of("pxxx", low, high) == [("raised", "high")]


def test_the_priority_before_an_alarm_is_raised_is_the_highest_so_far(plain: Bundle) -> None:
    slow = with_delays(plain, 2, 9, high=1000.0)
    for odd in ("Xxx", "xXx", "xxX"):
        (raised,) = fed(Engine(slow, alarms=True, rules=[rule(threshold_factor=2.0)]), odd)
        assert (raised.change, raised.fields["priority"]) == ("raised", "high")


def test_rules_for_sensor_alarms_delay_them_and_give_their_priority(plain: Bundle) -> None:
    def of(*rules: Rule) -> list[tuple[str, int, str]]:
        changes = fed(Engine(plain, alarms=True, rules=rules), "." * 5 + "f" * 20 + "." * 25)
        assert {change.fields["subject"] for change in changes} <= {"pressure"}
        return [(change.change, change.time // SECOND, change.fields["priority"]) for change in changes]

    usual = [("raised", 15, "low"), ("returned", 35, "low")]
    assert of() == usual
    assert of(rule(kind="sensor", on_delay_s=12.0)) == [("raised", 17, "low"), ("returned", 35, "low")]
    assert of(rule(kind="sensor", on_delay_s=2.0, off_delay_s=2.0)) == usual
    assert of(rule(kind="sensor", off_delay_s=15.0)) == [("raised", 15, "low"), ("returned", 40, "low")]
    assert of(rule(kind="sensor", priority="high")) == [("raised", 15, "high"), ("returned", 35, "high")]
    assert of(rule(kind="sensor", sensor="power", on_delay_s=99.0, off_delay_s=99.0)) == usual
    assert of(rule(kind="sensor", machine="mill", on_delay_s=99.0)) == usual
    # A rule for anomalies is not for them, and one for them not for anomalies.
    assert of(rule(on_delay_s=99.0, off_delay_s=99.0, priority="high", quiet=("00:00-24:00",))) == usual
    assert told(plain, ".x.", rule(kind="sensor", on_delay_s=99.0, off_delay_s=99.0)) == [
        ("raised", 1),
        ("returned", 2),
    ]


def test_a_sensors_quiet_time_passes_its_rows_over(plain: Bundle) -> None:
    silent = rule(kind="sensor", sensor="pressure", quiet=("00:01-00:02",))

    def of(odd: str, start: int) -> list[tuple[str, int]]:
        return said(fed(Engine(plain, alarms=True, rules=[silent]), odd, start), "sensor")

    assert of("f" * 30, 60) == []
    assert of("f" * 30, 105) == [("raised", 130)]  # the first row that counts is at 120
    assert of("f" * 15 + "." * 20, 60) == []
    # An open alarm is not ended by what is quiet, and returns when the sensor has been back for long enough.
    assert of("f" * 30 + "." * 20, 40) == [("raised", 50), ("returned", 80)]
    assert of("f" * 20 + "." * 5 + "f" * 5 + "." * 20, 40) == [("raised", 50), ("returned", 70)]


def test_other_rules_hold_from_the_next_row_on(plain: Bundle) -> None:
    engine = Engine(with_delays(plain, 0, 3), alarms=True, rules=[rule(threshold_factor=1e6)])
    assert fed(engine, "xx") == []
    engine.narrow([])
    assert said(fed(engine, "x", 2)) == [("raised", 2)]
    # An open alarm that no longer counts returns after its off-delay.
    engine.narrow([rule(direction="below")])
    assert said(fed(engine, "xxxxx", 3)) == [("returned", 6)]
    engine.narrow([])
    assert said(fed(engine, "x", 8)) == [("replaced", 8), ("raised", 8)]
    # Which is the one that holds at the row at which it returns.
    engine.narrow([rule(off_delay_s=6.0)])
    assert said(fed(engine, "." * 5, 9)) == []
    engine.narrow([rule(off_delay_s=4.0)])
    assert said(fed(engine, ".", 14)) == [("returned", 14)]


def test_rules_that_come_before_anything_alarmed_hold_too(plain: Bundle) -> None:
    engine = Engine(plain, alarms=True)
    engine.narrow([rule(threshold_factor=1e6)])
    assert fed(engine, "..x.") == []
    engine.narrow([])
    assert said(fed(engine, "x", 4)) == [("raised", 4)]
    without = Engine(plain)
    without.narrow([rule(threshold_factor=1e6)])
    assert list(without.feed(rows_of("x")).alarms) == []


def test_an_open_alarm_rises_when_a_rule_gives_it_a_higher_priority(plain: Bundle) -> None:
    for odd, kind in (("x", "machine"), ("f", "sensor")):
        engine = Engine(plain, alarms=True)
        (raised,) = fed(engine, odd * 12)
        _, refused = engine.tell(
            [Word(1, 5, "ann", "ack", "press", kind, raised.fields["subject"], raised.fields["event_id"], 1)]
        )
        assert refused == []
        engine.narrow([rule(kind=kind, priority="high")])
        (higher,) = fed(engine, odd, 12)
        fields = higher.fields
        assert (higher.change, fields["priority"], fields["acked"]) == ("priority", "high", False)
        engine.narrow([rule(kind=kind, priority="low")])
        assert fed(engine, odd, 13) == []


def test_rows_that_the_hold_keeps_anomalous_count_where_no_rule_asks_for_a_factor(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    hold = Hold(rise=1.0, fall=1.0, cap=10.0, level=0.0)
    held = load_bundle(make_bundle(tmp_path_factory.mktemp("held"), hold=hold))
    results = judged(held, ".xxx.......")
    below = (results.verdicts == Verdict.ANOMALY) & (results.severity < 1)
    assert below.sum() == 2
    usual = told(held, ".xxx.......")
    assert usual == [("raised", 1), ("returned", 6)]
    assert told(held, ".xxx.......", rule(priority="high")) == usual
    assert told(held, ".xxx.......", rule(threshold_factor=1.0)) == [("raised", 1), ("returned", 4)]


def test_what_a_restarted_engine_restores_goes_on_under_its_rules(plain: Bundle) -> None:
    odd, rules = "pp.xxbbu....x.ppX...", [rule(on_delay_s=1.0, off_delay_s=2.0, direction="above")]
    whole = [change.to_dict() for change in fed(Engine(plain, alarms=True, rules=rules), odd)]
    assert len(whole) > 3
    engine, found = Engine(plain, alarms=True, rules=rules), list[dict[str, Any]]()
    for row in range(len(odd)):
        changes = engine.feed(rows_of(odd).take(slice(row, row + 1))).alarms
        found += [change.to_dict() for change in changes]
        after = Engine(plain, alarms=True, rules=rules)
        assert after.restore(engine.changes(everything=True)) == []
        engine = after
    assert found == whole
