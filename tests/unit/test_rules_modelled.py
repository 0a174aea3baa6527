"""On-site rules beside a plain model, on whatever rows, rules, blocks and restarts `hypothesis` thinks of."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, replace
from functools import cache
from math import isfinite
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from support.plainalarms import PlainAlarms, PlainRow

from edge_runtime.bundle.judging import Alarms
from edge_runtime.engine.alarms import Change
from edge_runtime.engine.alarmwatch import AlarmWatch
from edge_runtime.engine.rulebook import Rulebook
from edge_runtime.engine.rules import Rule
from edge_runtime.loading.load import load_bundle
from edge_runtime.records import Readings, Reason, Results, Scores, Verdict
from edge_runtime.timeparse import parse_time

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from edge_runtime.bundle.metadata import Metadata

SOAK = bool(os.environ.get("EDGE_DETECT_SOAK"))
SECOND = 1_000_000_000
DIGEST = "sha256:" + "a" * 64
ON, OFF, SENSOR, HIGH = 2, 3, 10, 4.0
NAMES = ("temperature", "vibration", "pressure", "power")
MACHINES = ("press[1]", "press1", "mill?")
VERDICTS = {"normal": Verdict.NORMAL, "anomaly": Verdict.ANOMALY}
START = parse_time("2026-01-04T23:59:30Z", 0)  # a Sunday's last half minute
QUIET: dict[str, Callable[[datetime], bool]] = {
    "Sun": lambda clock: clock.weekday() == 6,
    "00:00-00:01": lambda clock: (clock.hour, clock.minute) == (0, 0),
    "23:59-00:02": lambda clock: (clock.hour, clock.minute) in ((23, 59), (0, 0), (0, 1)),
    "Monday 01:00-01:01": lambda clock: (clock.weekday(), clock.hour, clock.minute) == (0, 1, 0),
    "Sun 23:00-01:00": lambda clock: (clock.weekday(), clock.hour) in ((6, 23), (0, 0)),
    "Sat, Mon-Tue 01:01-24:00": lambda clock: (
        clock.weekday() in (5, 0, 1) and (clock.hour, clock.minute) >= (1, 1)
    ),
}
economical = settings(
    max_examples=5000 if SOAK else 120,
    derandomize=not SOAK,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
    phases=(Phase.explicit, Phase.generate, Phase.shrink),
    print_blob=True,
)


@cache
def metadata() -> Metadata:
    return replace(load_bundle().metadata, alarms=Alarms(float(ON), float(OFF), HIGH, 1))


@dataclass(frozen=True)
class Stretch:
    """Rows that are alike, and the number of the rules that are in force from the first of them on."""

    row: PlainRow
    times: int
    gap: int
    rules: int


numbers = st.sampled_from([-2.0, -1.0, -1.0, 0.0, 1.0, 1.0, 2.0, float("nan")])
anomalous = st.sampled_from([0.75, 1.0, 1.5, 2.0, 3.0, 5.0])
shares = st.sampled_from(
    [(4, 0, 0, 0), (0, 5, 0, 1), (2, 2, 0, 0), (1, 3, 0, 0), (1, 1, 1, 1), (0, 0, 0, 0), (3, 9, 6, 6)]
)
rows = st.builds(
    lambda verdict, severity, errors, deviations, faulty, machine: PlainRow(
        machine,
        0,
        verdict,
        severity if verdict == "anomaly" else 0.5,
        errors,
        tuple(10 + one for one in deviations),
        (10.0,) * len(NAMES),
        faulty,
    ),
    st.sampled_from(["anomaly"] * 5 + ["normal"] * 2 + ["unknown", ""]),
    anomalous,
    shares,
    st.tuples(numbers, numbers, numbers, numbers),
    st.sampled_from([(), (), (), (1,), (2,), (1, 3)]),
    st.sampled_from(MACHINES[:1] * 6 + MACHINES),
)
stretches = st.lists(
    st.builds(Stretch, rows, st.integers(1, 7), st.sampled_from([1, 1, 2, 3, 15]), st.integers(0, 2)),
    min_size=1,
    max_size=12,
)


def some(**given: list[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """At least one of these settings, with one of its values each."""
    choices = [st.tuples(st.just(name), st.sampled_from(values)) for name, values in given.items()]
    return st.lists(st.one_of(choices), min_size=1, max_size=3).map(dict)


of_any: dict[str, list[Any]] = {
    "on_delay_s": [0.0, 4.0, 14.5],
    "off_delay_s": [0.0, 4.0, 14.5],
    "quiet": [(text,) for text in QUIET] + [("Sun", "00:00-00:01")],
    "priority": ["low", "medium", "high"],
}
of_anomalies: dict[str, list[Any]] = {"direction": ["above", "below"], "threshold_factor": [1.0, 2.0, 3.0]}
patterns = st.sampled_from(["*", "*", "*", "*", "press*", "press[1]", "mill?", "*1*"])
zones = st.sampled_from(["UTC", "UTC", "Europe/Berlin"])


def rule_of(values: dict[str, Any], machine: str, time_zone: str, **given: Any) -> Rule:
    return Rule(name="one", why="a test", machine=machine, time_zone=time_zone, **given, **values)


one_rule = st.one_of(
    st.builds(rule_of, some(**of_any, **of_anomalies), patterns, zones),
    st.builds(
        rule_of,
        some(**of_any, **of_anomalies, least_deviation=[0.0, 1.0, 1.5]),
        patterns,
        zones,
        sensor=st.sampled_from(NAMES),
    ),
    st.builds(
        rule_of,
        some(**of_any),
        patterns,
        zones,
        sensor=st.sampled_from([None, *NAMES[1:]]),
        kind=st.just("sensor"),
    ),
)
books = st.lists(st.lists(one_rule, max_size=5), min_size=3, max_size=3)


def results_of(rows: Sequence[PlainRow]) -> Results:
    readings = Readings(
        np.asarray([row.machine for row in rows]),
        np.asarray([row.time for row in rows], np.int64),
        np.asarray([row.readings for row in rows], np.float32),
    )
    errors = np.asarray([row.errors for row in rows], np.float32)
    faults = np.zeros(errors.shape, np.int8)
    for number, row in enumerate(rows):
        faults[number, list(row.faulty)] = Reason.FLAT
    reasons = [Reason.NONE if row.verdict else Reason.REPEATED for row in rows]
    return Results(
        readings,
        Scores(errors.sum(1), errors, np.asarray([row.expected for row in rows], np.float32)),
        np.asarray([row.severity for row in rows], np.float32),
        np.asarray([VERDICTS.get(row.verdict, Verdict.UNKNOWN) for row in rows], np.int8),
        np.asarray(reasons, np.int8),
        None,
        faults if faults.any() else None,
    )


def watched(
    rows: Sequence[tuple[PlainRow, int]], books: list[list[Rule]], cuts: set[int], *, restarts: bool
) -> list[dict[str, Any]]:
    """What an `AlarmWatch` says; a block ends at each cut and where other rules come into force."""
    watch, found = AlarmWatch(metadata(), DIGEST), list[Change]()
    first = 0
    for stop in range(1, len(rows) + 1):
        number = rows[first][1]
        if stop < len(rows) and stop not in cuts and rows[stop][1] == number:
            continue
        watch.rulebook = Rulebook(books[number], metadata().sensor_names)
        found += watch.watch(results_of([row for row, _ in rows[first:stop]]))
        first = stop
        if restarts and (stop in cuts or not cuts):
            states = json.loads(json.dumps({machine: watch.state(machine) for machine in MACHINES}))
            watch = AlarmWatch(metadata(), DIGEST)
            for machine, state in states.items():
                if state is not None:
                    watch.restore(machine, state, 1)
    return [shown(change) for change in found]


def shown(change: Change) -> dict[str, Any]:
    fields = change.fields
    known = ("machine_id", "kind", "subject", "revision", "priority", "severity", "rows")
    return {
        "change": change.change,
        "time": change.time,
        **{name: fields[name] for name in known},
        **{name: fields[name] and parse_time(fields[name], 0) for name in ("raised", "returned")},
        "sensors": [sensor["name"] for sensor in fields["sensors"]],
    }


def spread(stretches: list[Stretch]) -> list[tuple[PlainRow, int]]:
    """Row after row, in time order, with the number of its rules."""
    time, found = START, []
    for stretch in stretches:
        for _ in range(stretch.times):
            time += stretch.gap * SECOND
            found.append((replace(stretch.row, time=time), stretch.rules))
    return found


def modelled(rows: Sequence[tuple[PlainRow, int]], books: list[list[Rule]]) -> list[dict[str, Any]]:
    on = {"machine": ON * SECOND, "sensor": SENSOR * SECOND}
    off = {"machine": OFF * SECOND, "sensor": SENSOR * SECOND}
    model = PlainAlarms(NAMES, on, off, HIGH, QUIET)
    for row, number in rows:
        model.row(row, books[number])
    return model.changes


@economical
@given(
    stretches=stretches,
    books=books,
    cuts=st.sets(st.integers(1, 40), max_size=5),
    restarts=st.booleans(),
)
def test_alarms_under_random_rules_are_those_of_the_model_whatever_the_blocks_and_restarts(
    stretches: list[Stretch], books: list[list[Rule]], cuts: set[int], *, restarts: bool
) -> None:
    assert metadata().sensor_names == NAMES
    rows = spread(stretches)
    wanted = modelled(rows, books)
    assert watched(rows, books, set(), restarts=False) == wanted
    assert watched(rows, books, cuts, restarts=restarts) == wanted
    assert watched(rows, books, set(range(len(rows))), restarts=True) == wanted


@pytest.mark.parametrize("kept", [-1.0, 0.0, 1.0, float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("direction", ["above", "below", "both"])
def test_a_reading_exactly_as_expected_is_neither_above_nor_below(direction: str, kept: float) -> None:
    """And a deviation that is not finite rules nothing out."""
    counts = direction == "both" or not isfinite(kept) or (kept > 0 if direction == "above" else kept < 0)
    least = 1.0 if kept else 0.0
    rule = Rule(name="one", why="a test", sensor="power", direction=direction, least_deviation=least)
    row = PlainRow("mill?", START, "anomaly", 2.0, (0, 0, 0, 5), (9.0, 9.0, 9.0, 10 + kept), (10.0,) * 4, ())
    rows = [(replace(row, time=START + second * SECOND), 0) for second in range(ON + 1)]
    found = watched(rows, [[rule]], set(), restarts=False)
    assert [change["change"] for change in found] == ["raised"] * counts
    assert found == modelled(rows, [[rule]])
