"""The alarm engine beside a plain model of ISA-18.2's diagram, through whatever `hypothesis` thinks of.

The model has the diagram's letters: A normal, B unacknowledged, C acknowledged, D returned and not yet
acknowledged. Beside them an alarm is shelved or out of service. It looks at a run of rows anew each time.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field, replace
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from edge_runtime.bundle.judging import Alarms
from edge_runtime.engine.alarms import TRANSITIONS, Cause, State, Word
from edge_runtime.engine.alarmwatch import AlarmWatch
from edge_runtime.loading.load import load_bundle
from edge_runtime.records import Readings, Reason, Results, Scores, Verdict

if TYPE_CHECKING:
    from edge_runtime.bundle.metadata import Metadata
    from edge_runtime.engine.alarms import Change

SOAK = bool(os.environ.get("EDGE_DETECT_SOAK"))
EXAMPLES, STEPS = (1000, 100) if SOAK else (40, 50)
SECOND = 1_000_000_000
DIGEST = "sha256:" + "a" * 64
ON, OFF, SENSOR, HIGH = 3, 5, 10, 4.0
MACHINES = ("press", "mill")
KEYS = (("machine", ""), ("sensor", "vibration"))
VIBRATION = 1
LETTERS = {
    State.NORMAL: "A",
    State.UNACKNOWLEDGED: "B",
    State.ACKNOWLEDGED: "C",
    State.RETURNED: "D",
}


@cache
def metadata() -> Metadata:
    return replace(load_bundle().metadata, alarms=Alarms(float(ON), float(OFF), HIGH, 1))


@dataclass
class Plain:
    """One circle of the diagram's: what it says of a machine, or of a sensor."""

    on: int
    off: int
    letter: str = "A"
    high: bool = False
    rows: list[tuple[int, bool, bool]] = field(default_factory=list)  # time, whether it holds, and how much
    number: int = 0  # of the alarm, so that each has an id of its own
    shelved_until: int | None = None
    out_of_service: bool = False

    @property
    def told(self) -> bool:
        return self.shelved_until is None and not self.out_of_service

    def row(self, time: int, *, holds: bool, high: bool) -> None:
        self.rows.append((time, holds, high))
        run = [
            row for row in self.rows if all(other[1] == holds for other in self.rows[self.rows.index(row) :])
        ]
        lasted = time - run[0][0]
        if holds and self.letter in "AD" and lasted >= self.on:
            self.letter, self.number = "B", self.number + 1
            self.high = any(each[2] for each in run)
        elif holds and self.letter in "BC" and high and not self.high:
            self.letter, self.high = "B", True
        elif not holds and self.letter in "BC" and lasted >= self.off:
            self.letter = {"B": "D", "C": "A"}[self.letter]
        self.rows = run

    def acknowledge(self) -> None:
        self.letter = {"B": "C", "D": "A"}.get(self.letter, self.letter)

    def open(self) -> bool:
        return self.letter != "A"


class AlarmMachine(RuleBasedStateMachine):
    """Rows, words, the clock and restarts, in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.watch = AlarmWatch(metadata(), DIGEST)
        self.time, self.now, self.number = 0, 0, 0
        self.plain = {(m, key): Plain(*self.delays(key)) for m in MACHINES for key in KEYS}
        self.last: dict[str, int] = {}  # event id to its last revision
        self.asked: dict[str, int] = {}  # and to the one at which it was raised, or its priority rose
        self.fields: dict[tuple[str, tuple[str, str]], dict[str, Any]] = {}
        self.ids: dict[tuple[str, tuple[str, str], int], str] = {}

    @staticmethod
    def delays(key: tuple[str, str]) -> tuple[int, int]:
        return (ON * SECOND, OFF * SECOND) if key[0] == "machine" else (SENSOR * SECOND, SENSOR * SECOND)

    @rule(
        seconds=st.integers(1, 8),
        rows=st.lists(
            st.tuples(
                st.sampled_from(MACHINES),
                st.sampled_from([Verdict.NORMAL, Verdict.ANOMALY, Verdict.UNKNOWN]),
                st.sampled_from([1.5, 1.5, 6.0]),
                st.booleans(),
                st.sampled_from([Reason.NONE, Reason.NONE, Reason.NONE, Reason.TOO_LATE, Reason.REPEATED]),
            ),
            min_size=1,
            max_size=4,
        ),
    )
    def rows_come(self, seconds: int, rows: list[tuple[str, Verdict, float, bool, Reason]]) -> None:
        self.feed(seconds, rows)

    @rule(
        machine=st.sampled_from(MACHINES),
        verdict=st.sampled_from([Verdict.NORMAL, Verdict.ANOMALY]),
        high=st.sampled_from([False, False, False, True]),
        faulty=st.booleans(),
        seconds=st.integers(1, 2),
        rows=st.integers(2, 6),
    )
    def a_run_comes(
        self, machine: str, verdict: Verdict, *, high: bool, faulty: bool, seconds: int, rows: int
    ) -> None:
        self.feed(seconds, [(machine, verdict, 6.0 if high else 1.5, faulty, Reason.NONE)] * rows)

    @rule(
        machine=st.sampled_from(MACHINES),
        verdict=st.sampled_from([Verdict.NORMAL, Verdict.ANOMALY]),
        high=st.booleans(),
    )
    def a_row_comes(self, machine: str, verdict: Verdict, *, high: bool) -> None:
        self.feed(1, [(machine, verdict, 6.0 if high else 1.5, False, Reason.NONE)])

    def feed(self, seconds: int, rows: list[tuple[str, Verdict, float, bool, Reason]]) -> None:
        times = []
        for _ in rows:
            self.time += seconds * SECOND
            times.append(self.time)
        changes = self.watch.watch(results_of(times, rows))
        for time, (machine, verdict, severity, faulty, reason) in zip(times, rows, strict=True):
            if reason is not Reason.NONE:
                continue
            if verdict is not Verdict.UNKNOWN:
                holds = verdict is Verdict.ANOMALY
                self.plain[machine, KEYS[0]].row(time, holds=holds, high=holds and severity >= HIGH)
            self.plain[machine, KEYS[1]].row(time, holds=faulty, high=False)
        self.take(changes)

    @rule(
        machine=st.sampled_from(MACHINES),
        key=st.sampled_from(KEYS),
        seen=st.integers(0, 3),
        wrong=st.sampled_from([False, False, False, True]),
    )
    def is_acknowledged(self, machine: str, key: tuple[str, str], *, seen: int, wrong: bool) -> None:
        """By somebody who saw the alarm as it is, or as it was some changes ago."""
        plain, fields = self.plain[machine, key], self.fields.get((machine, key))
        identity = "0" * 16 if wrong or fields is None else fields["event_id"]
        revision = None if fields is None else fields["revision"] - max(0, seen - 1)
        stale = revision is not None and revision < self.asked.get(identity, 0)
        effective = fields is not None and not (wrong or stale) and plain.letter in "BD"
        changes = self.say("ack", machine, key, event_id=identity, revision=revision, refused=not effective)
        if effective:
            plain.acknowledge()
        assert bool(changes) is effective
        self.take(changes)

    @rule(machine=st.sampled_from(MACHINES), key=st.sampled_from(KEYS))
    def is_commented(self, machine: str, key: tuple[str, str]) -> None:
        fields = self.fields.get((machine, key))
        identity = None if fields is None else fields["event_id"]
        known = self.plain[machine, key].open()
        changes = self.say("comment", machine, key, event_id=identity, text="seen", refused=not known)
        assert [change.fields["comment"] for change in changes] == ["seen"] * known
        self.take(changes)

    @rule(machine=st.sampled_from(MACHINES), key=st.sampled_from(KEYS), seconds=st.sampled_from([0, 10, 30]))
    def is_shelved(self, machine: str, key: tuple[str, str], seconds: int) -> None:
        until = self.now + seconds * SECOND
        if seconds:
            self.plain[machine, key].shelved_until = until
        self.take(self.say("shelve", machine, key, until=until, text="repair", refused=not seconds))

    @rule(
        machine=st.sampled_from(MACHINES),
        key=st.sampled_from(KEYS),
        word=st.sampled_from(["unshelve", "out of service", "in service"]),
    )
    def is_said(self, machine: str, key: tuple[str, str], word: str) -> None:
        plain = self.plain[machine, key]
        refused = (word == "unshelve" and plain.shelved_until is None) or (
            word == "in service" and not plain.out_of_service
        )
        if word == "unshelve":
            plain.shelved_until = None
        else:
            plain.out_of_service = word == "out of service"
        self.take(self.say(word, machine, key, text="why", refused=refused))

    @rule(seconds=st.sampled_from([1, 9, 10]))
    def time_passes(self, seconds: int) -> None:
        self.now += seconds * SECOND
        for plain in self.plain.values():
            if plain.shelved_until is not None and self.now >= plain.shelved_until:
                plain.shelved_until = None
        self.take(self.watch.advance(self.now))

    @rule()
    def begins_anew(self) -> None:
        """Another process goes on from what the ledger has."""
        states = json.dumps({machine: self.watch.state(machine) for machine in MACHINES})
        self.watch = AlarmWatch(metadata(), DIGEST)
        for machine, value in json.loads(states).items():
            if value is not None:
                self.watch.restore(machine, value, 1)
        assert json.dumps({machine: self.watch.state(machine) for machine in MACHINES}) == states

    @invariant()
    def they_agree(self) -> None:
        for (machine, key), plain in self.plain.items():
            found = self.conditions(machine).get(key, {})
            alarm = found.get("alarm")
            assert LETTERS[state_of(alarm)] == plain.letter
            assert ("shelved" in found) == (plain.shelved_until is not None)
            assert ("out_of_service" in found) == plain.out_of_service
            if alarm is not None:
                assert alarm["priority"] == (
                    "low" if key[0] == "sensor" else "high" if plain.high else "medium"
                )

    def conditions(self, machine: str) -> dict[tuple[str, str], dict[str, Any]]:
        return {(one["kind"], one["subject"]): one for one in self.watch.state(machine) or []}

    def say(
        self, word: str, machine: str, key: tuple[str, str], *, refused: bool, **more: Any
    ) -> list[Change]:
        self.number += 1
        said = Word(self.number, self.now, "ann", word, machine, *key, **more)
        changes, sentences = self.watch.tell([said])
        assert len(sentences) == refused
        assert not (refused and changes)
        return changes

    def take(self, changes: list[Change]) -> None:
        """Each alarm has one id, and its revisions have no gap; what is not to be told is marked."""
        for change in changes:
            fields = change.fields
            machine, key = fields["machine_id"], (fields["kind"], fields["subject"])
            assert fields["revision"] == self.last.get(fields["event_id"], 0) + 1
            assert (change.change == "raised") == (fields["revision"] == 1)
            self.last[fields["event_id"]] = fields["revision"]
            if change.change in ("raised", "priority"):
                self.asked[fields["event_id"]] = fields["revision"]
            ended = change.change == "replaced" or (fields["acked"] and not fields["active"])
            self.fields[machine, key] = fields
            if ended:
                del self.fields[machine, key]
        for (machine, key), plain in self.plain.items():
            assert ((machine, key) in self.fields) == plain.open()
            if plain.open():
                identity = self.fields[machine, key]["event_id"]
                assert self.ids.setdefault((machine, key, plain.number), identity) == identity
        for change in changes[-1:]:
            key = change.fields["kind"], change.fields["subject"]
            assert change.told is self.plain[change.fields["machine_id"], key].told


def results_of(times: list[int], rows: list[tuple[str, Verdict, float, bool, Reason]]) -> Results:
    """Rows with these verdicts, severities and faults of the vibration sensor."""
    names = [row[0] for row in rows]
    count = len(rows)
    readings = Readings(np.asarray(names), np.asarray(times), np.ones((count, 4), np.float32))
    errors = np.full((count, 4), 0.25, np.float32)
    scores = Scores(errors.sum(1), errors, np.ones((count, 4), np.float32))
    faults = np.zeros((count, 4), np.int8)
    faults[:, VIBRATION] = [Reason.FLAT if row[3] else Reason.NONE for row in rows]
    severity = [row[2] if row[1] is Verdict.ANOMALY else 0.5 for row in rows]
    return Results(
        readings,
        scores,
        np.asarray(severity, np.float32),
        np.asarray([row[1] for row in rows], np.int8),
        np.asarray([row[4] for row in rows], np.int8),
        None,
        faults if faults.any() else None,
    )


def state_of(alarm: dict[str, Any] | None) -> State:
    if alarm is None:
        return State.NORMAL
    if alarm["active"]:
        return State.ACKNOWLEDGED if alarm["acked"] else State.UNACKNOWLEDGED
    assert not alarm["acked"]  # it is forgotten then
    return State.RETURNED


def test_alarms_are_those_of_the_diagram_in_random_order() -> None:
    """100,000 steps in `make soak`."""
    run_state_machine_as_test(
        AlarmMachine,
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=STEPS,
            derandomize=not SOAK,
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
            phases=(Phase.generate, Phase.shrink),
            print_blob=True,
        ),
    )


def test_every_state_is_reached_and_left() -> None:
    """No state without a way to it and a way out, and no cause that moves nothing."""
    assert {state for state, _ in TRANSITIONS} == set(TRANSITIONS.values()) == set(State)
    assert {cause for _, cause in TRANSITIONS} == set(Cause)
