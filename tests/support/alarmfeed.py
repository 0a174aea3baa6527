"""A feed with alarms, into a file of rows and one of alarms, and people who say something about them."""

from __future__ import annotations

import json
import random
import shutil
import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import numpy as np
from support.alarmreplay import Replay, Told
from support.bundles import SENSORS, make_bundle, normal_rows
from support.lives import Ending, Life, Lives
from support.pastfiles import assert_whole, rows_in, table
from support.points import SMALL

from edge_runtime.bundle.judging import Alarms
from edge_runtime.cli.ledger_options import reading_ledger
from edge_runtime.delivery.keptrules import RulesKept, Set, kept_rules
from edge_runtime.delivery.openalarms import AlarmsKept, kept_alarms
from edge_runtime.delivery.operator import OperatorFile, feed_of, operator_file, place_in
from edge_runtime.engine.alarms import RULE
from edge_runtime.engine.engine import Engine
from edge_runtime.errors import LedgerError
from edge_runtime.history.schema import history_file
from edge_runtime.loading.load import load_bundle
from edge_runtime.mapping.form import Columns, Form
from edge_runtime.records import Readings
from edge_runtime.sources.csv import CsvSource
from edge_runtime.text import csvblocks

if TYPE_CHECKING:
    from pathlib import Path

    from edge_runtime.engine.alarms import Word

__all__ = ["AlarmFeed", "Case"]

MACHINES = ("m0", "m1", "m2")
T0, SECOND, HOUR = 1_760_000_000, 10**9, 3_600 * 10**9
NAMES = [sensor[0] for sensor in SENSORS]
VIBRATION, PRESSURE = NAMES.index("vibration"), NAMES.index("pressure")
# What a machine's rows are like, one after the other, and for how many rows, at least and at most.
SCRIPT = (
    *(("normal", 6, 12), ("off", 6, 12), ("normal", 6, 10), ("off", 6, 8), ("worse", 4, 8)),
    *(("normal", 2, 3), ("off", 3, 6), ("normal", 12, 16), ("silent sensor", 12, 20), ("normal", 4, 16)),
)
FACTORS = {"normal": 1.0, "silent sensor": 1.0, "off": 2.5, "worse": 8.0}
NUMBERS = {**SMALL, "edge_runtime.gateway.alarming.LOOK_S": 0}


def _values(steps: int, seed: int) -> np.ndarray[Any, np.dtype[np.float32]]:
    """A machine's readings."""
    drawn = random.Random(seed)  # noqa: S311 - a script, no secret
    values, at = normal_rows(steps, seed=seed).round(3), 0
    while at < steps:
        for kind, least, most in SCRIPT:
            upto = at + drawn.randint(least, most)
            values[at:upto, VIBRATION] *= FACTORS[kind]
            if kind == "silent sensor":
                values[at:upto, PRESSURE] = np.nan
            at = upto
    return values.round(3)


class AlarmFeed:
    """Three machines in a CSV file, a row a second of each, and what becomes of them when nobody is killed.

    Args:
        folder: For the bundle, the file, and the uninterrupted run.
        lives: Of the gateway.
        steps: Rows of a machine.

    Attributes:
        log: Of the uninterrupted run, about which nobody says anything.
        points: Number of points that it passed.
    """

    def __init__(self, folder: Path, lives: Lives, steps: int) -> None:
        self.lives = lives
        delays = Alarms(on_delay_s=3.0, off_delay_s=4.0, high_severity=15.0, rows=100)
        self.bundle = make_bundle(folder / "bundle", alarms=delays, channels=True, lasting=4)
        values = np.stack([_values(steps, seed) for seed in range(len(MACHINES))], 1).reshape(-1, len(NAMES))
        times = np.repeat(T0 + np.arange(steps, dtype=np.int64), len(MACHINES))
        machines = np.tile(MACHINES, steps)
        self.rows = len(values)
        self.csv = folder / "in.csv"
        lines = (
            f"{moment},{machine}," + ",".join("" if np.isnan(one) else str(one) for one in row)
            for moment, machine, row in zip(times.tolist(), machines.tolist(), values, strict=True)
        )
        self.csv.write_text("\n".join([",".join(["time", "machine_id", *NAMES]), *lines, ""]))
        loaded = load_bundle(self.bundle)
        judged = Engine(loaded).feed(Readings(machines, times * SECOND, values)).results
        self.replay = Replay(loaded, judged, self._blocks())
        self.proofs: Path | None = None
        whole = self.case(folder / "whole")
        life = whole.live()
        assert life.code == 0, life.log
        self.points = len(life.points)
        self.log, self.out = whole.log(), whole.out.read_bytes()
        self.proofs = whole.folder / "proved"

    def _blocks(self) -> list[int]:
        """How many rows `run` reads at once."""
        with patch.object(csvblocks, "READ_BYTES", NUMBERS["edge_runtime.text.csvblocks.READ_BYTES"]):
            source = CsvSource(self.csv, Columns.of(tuple(NAMES), Form()))
            return [len(batch.readings) for batch in source.batches(None)]

    def case(self, folder: Path) -> Case:
        """A gateway that has not read anything yet."""
        folder.mkdir()
        if self.proofs is not None:
            shutil.copytree(self.proofs, folder / "proved")  # the trial of the bundle is another test's
        return Case(self, folder)


@dataclass
class Case:
    """One gateway, which is killed and started again.

    Attributes:
        looks: Rows and words that were committed, each time that nothing lived.
        said: What everybody of its lives said.
        states: Of alarms and conditions that it died with.
        config: File with further sinks; None for none.
    """

    feed: AlarmFeed
    folder: Path
    looks: list[tuple[int, int]] = field(default_factory=list)
    said: str = ""
    states: set[str] = field(default_factory=set)
    config: Path | None = None
    begun: int = field(default_factory=time.time_ns)

    def __post_init__(self) -> None:
        self.ledger, self.out = self.folder / "l", self.folder / "out.jsonl"
        self.operator = OperatorFile(operator_file(self.ledger))
        self.words: list[Word] = []

    def copy(self, folder: Path) -> Case:
        """The same, to go on from here elsewhere."""
        shutil.copytree(self.folder, folder)
        case = Case(self.feed, folder, [*self.looks], self.said, begun=self.begun)
        case.words = [*self.words]
        return case

    def live(self, ending: Ending | None = None) -> Life:
        """One life of `run`, and a look into what it left."""
        words = ["run", "--bundle", self.feed.bundle, "--state", "l", "--source", "csv"]
        words += ["--input", self.feed.csv, "--output", self.out.name, "--alarm-log", "alarms.jsonl"]
        words += (
            ["--sink", "jsonl", "--sink", "alarmlog"] if self.config is None else ["--config", self.config]
        )
        life = self.feed.lives.live(self.folder, words, ending, numbers=NUMBERS)
        self.said += life.log
        self._look()
        return life

    def command(self, *words: object, at: int | None = None) -> Life:
        """`edge-detect alarms`, to its end or to a point at which it is killed."""
        given = ["alarms", *words, "--state", "l"]
        return self.feed.lives.live(self.folder, given, Ending(at=at), numbers=NUMBERS)

    def kept(self) -> AlarmsKept:
        """What the ledger says about alarms; nothing, where it was not made yet."""
        return self._kept()[1]

    def say(self, word: str, machine: str, sensor: str = "", **given: Any) -> None:
        """Says something, each time at another moment."""
        at = given.pop("at", None) or time.time_ns()
        said = self.operator.say(
            feed=feed_of(self.ledger),
            at=at,
            by=f"person {len(self.words) + 1}",
            word=word,
            machine_id=machine,
            kind="sensor" if sensor else "machine",
            subject=sensor,
            **given,
        )
        self.words.append(said)

    def say_of_rule(self, word: str, name: str, rule: dict[str, Any] | None = None) -> None:
        """Says something about a rule."""
        said = self.operator.say(
            feed=feed_of(self.ledger),
            at=time.time_ns(),
            by=f"person {len(self.words) + 1}",
            word=word,
            machine_id="",
            kind=RULE,
            subject=name,
            text="tried",
            rule=None if rule is None else json.dumps(rule),
        )
        self.words.append(said)

    def log(self) -> list[dict[str, Any]]:
        """The changes in the alarm log."""
        path = self.folder / "alarms.jsonl"
        text = path.read_text() if path.exists() else ""
        assert not text or text.endswith("\n")
        return [json.loads(line) for line in text.splitlines()]

    def everything_said(self) -> list[Word]:
        """What the operator file holds."""
        return self.operator.after(None, feed_of(self.ledger))[0]

    def check(self) -> tuple[int, ...]:
        """All is as if nobody had been killed; returns the numbers of the words that changed nothing."""
        words, log, kept = self.everything_said(), self.log(), self.kept()
        assert self.out.read_bytes() == self.feed.out
        assert self.looks[-1] == (self.feed.rows, len(words))
        check_lives(log)
        refusals = frozenset(
            line.partition(" alarms: ")[2] for line in self.said.splitlines() if " alarms: " in line
        )
        told = Told(log, words, self.looks, refusals, self.begun, time.time_ns())
        conditions, refused = self.feed.replay.explain(told)
        # When an alarm was told last is of the gateway's clock, which the replay does not have.
        found = {tuple(key): replace(one, told=None) for key, one in kept.conditions.items()}
        assert found == conditions
        assert kept.unreadable == []
        with reading_ledger(self.ledger) as db:
            assert kept_rules(db).said == self._rules_said()
            counted = dict(db.execute("SELECT name, value FROM counters").fetchall())
        assert counted["encoded.jsonl"] == counted["delivered.jsonl"] == self.feed.rows
        assert counted.get("encoded.alarmlog", 0) == counted.get("delivered.alarmlog", 0) == len(log)
        self._check_history(log)
        return refused

    def _rules_said(self) -> dict[str, Set]:
        """What people said about rules, one after the other."""
        rules = RulesKept()
        for word in self.words:
            if word.kind == RULE:
                assert rules.tell(word) is None
        return rules.said

    def _check_history(self, log: list[dict[str, Any]]) -> None:
        """It has every row, and every change of the log, each once."""
        path = history_file(self.ledger)
        assert_whole(path)
        assert sum(len(rows) for rows in rows_in(path).values()) == self.feed.rows
        found = table(path, "SELECT change, fields FROM changes ORDER BY id")
        changes = [{"change": change, **json.loads(str(fields))} for change, fields in found]
        assert changes == [{name: line[name] for name in line if name != "time"} for line in log]
        assert not table(path, "SELECT * FROM gaps")

    def _look(self) -> None:
        rows, kept = self._kept()
        self.looks.append((rows, place_in(kept.mark)[1]))
        for one in kept.conditions.values():
            self.states |= {"forming"} if one.forming else set()
            self.states |= {one.alarm.state.value} if one.alarm else set()
            self.states |= {"returning"} if one.clear is not None else set()
            self.states |= {"shelved"} if one.shelved else set()
            self.states |= {"out of service"} if one.out_of_service else set()

    def _kept(self) -> tuple[int, AlarmsKept]:
        try:
            with reading_ledger(self.ledger) as db:
                found = db.execute("SELECT value FROM about WHERE name = 'checkpoint'").fetchone()
                return (0 if found is None else json.loads(found[0])["rows"]), kept_alarms(db)
        except LedgerError:
            if any(look != (0, 0) for look in self.looks):
                raise
            return 0, AlarmsKept()  # it was killed while it made the ledger


def check_lives(log: list[dict[str, Any]]) -> None:
    """Each alarm has one life: its revisions follow each other, each once, from its beginning on."""
    revisions: dict[str, int] = {}
    for line in log:
        before = revisions.get(line["event_id"], 0)
        assert line["revision"] == before + 1, line
        assert (line["change"] == "raised") == (before == 0), line
        revisions[line["event_id"]] = before + 1
