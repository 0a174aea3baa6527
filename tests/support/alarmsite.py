"""A pipeline with alarms over a script of rows, outages and words, into an alarm log behind a ledger."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
from support.alarmed import FAULTS, HIGH, ROWS, START, bundle

from edge_runtime.checkpoint import Checkpoint
from edge_runtime.delivery.keptrules import RulesKept
from edge_runtime.delivery.ledger import Ledger
from edge_runtime.delivery.operator import OperatorFile, feed_of, operator_file, place_in
from edge_runtime.delivery.sender import Sender
from edge_runtime.engine.engine import Engine
from edge_runtime.gateway.alarming import Alarming
from edge_runtime.gateway.pipeline import Pipeline
from edge_runtime.gateway.ruling import Ruling
from edge_runtime.records import Readings
from edge_runtime.simulation import SENSORS, Simulator
from edge_runtime.sinks.alarmlog import AlarmLogSink
from edge_runtime.sinks.base import ALARMS
from edge_runtime.sinks.outlet import Outlet
from edge_runtime.sources.base import Batch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from edge_runtime.engine.rules import Rule

    Step = Readings | Exception | Callable[[], None] | None

__all__ = [
    "DAY",
    "SECOND",
    "Script",
    "Site",
    "changes",
    "kept",
    "of_alarms",
    "of_rules",
    "raised",
    "rows_of",
]

SECOND = 1_000_000_000
DAY = 86_400 * SECOND


def rows_of(machine: str, first: int = 0, stop: int = ROWS, name: str | None = None) -> Readings:
    """Rows of a machine that has a fault from its row 90 or 100 on."""
    sensor, by, begins, ends = FAULTS[machine]
    block = Simulator(machine, seed=1, rate=0.0, start_ns=START).block(ROWS)
    values = block.values.copy()
    values[begins:ends, SENSORS.index(sensor)] += by
    part = slice(first, stop)
    return Readings(np.full(stop - first, name or machine), block.times[part], values[part])


class Script:
    """A source that gives rows, fails, gives nothing, or lets something happen: a step a second."""

    name = "script"
    live = False

    def __init__(self, *steps: Step) -> None:
        self.seconds, self.rows = 0.0, 0
        self.steps, self._closed = list(steps), False

    def check(self) -> None: ...

    def what_came(self) -> str | None:
        return None

    def acknowledge(self) -> None: ...

    def close(self) -> None:
        self._closed = True

    def batches(self, checkpoint: Checkpoint | None) -> Iterator[Batch]:
        self.rows = int(checkpoint.text) if checkpoint else 0
        while self.steps and not self._closed:
            step = self.steps.pop(0)
            if callable(step):
                step()
                continue
            self.seconds += 1.0
            if isinstance(step, Exception):
                raise step
            if step is None:
                yield Batch(Readings.empty(len(SENSORS)), None, {})
            else:
                self.rows += len(step)
                yield Batch(step, Checkpoint(str(self.rows)), {})


class Site:
    """A pipeline over a script, into an alarm log behind a ledger, with people who say something.

    Args:
        folder: For the ledger, the operator file and the alarm log.
        steps: Of the script.
        rules: Those of the configuration.
        repeat_s: As in `[alarms]`; None for never.
    """

    def __init__(
        self, folder: Path, *steps: Step, rules: Sequence[Rule] = (), repeat_s: float | None = None
    ) -> None:
        path = folder / "ledger.sqlite"
        self.said: list[str] = []
        self.operator, self.feed = OperatorFile(operator_file(path)), feed_of(path)
        self.log_file = folder / "alarms.jsonl"
        self.ledger = Ledger(path, "script")
        self.source = Script(*steps)
        self.now, self.believed = START + DAY, True
        self.waits: list[float] = []
        self.while_away: Callable[[int], None] = lambda _number: None
        engine = Engine(bundle(), alarms=True, rules=rules, repeat_s=repeat_s)
        outlet = Outlet(AlarmLogSink(self.log_file, SENSORS), (ALARMS,))
        self.pipeline = Pipeline(
            self.source,
            engine,
            ledger=self.ledger,
            senders=[Sender(outlet, self.ledger, self.said.append)],
            report=self.said.append,
            make_alarming=lambda: Alarming(
                engine,
                self.said.append,
                self._clock,
                lambda: self.now,
                self.operator,
                self.feed,
                Ruling(engine, self.said.append, lambda: self.now, rules),
                lambda: self.believed,
            ),
            clock=self._clock,
            wait=self._wait,
        )

    def _clock(self) -> float:
        return self.source.seconds

    def _wait(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.while_away(len(self.waits))
        self.source.seconds += seconds

    def then(self, *steps: Step) -> None:
        """Further steps of the script."""
        self.source.steps += steps

    def __call__(self) -> list[dict[str, Any]]:
        """Runs it to its end; what is in the alarm log then."""
        try:
            self.pipeline.run()
        finally:
            self.ledger.close()
        text = self.log_file.read_text() if self.log_file.exists() else ""
        return [json.loads(line) for line in text.splitlines()]

    def say(self, word: str, machine: str, subject: str = "", **given: Any) -> None:
        """Says something about a machine or one of its sensors."""
        self.operator.say(
            feed=self.feed,
            at=self.now,
            by="ada",
            word=word,
            machine_id=machine,
            kind="sensor" if subject else "machine",
            subject=subject,
            **given,
        )

    def say_of_rule(self, word: str, name: str, why: str = "tried", **asks: Any) -> None:
        """Says something about a rule."""
        self.operator.say(
            feed=self.feed,
            at=self.now,
            by="ada",
            word=word,
            machine_id="",
            kind="rule",
            subject=name,
            text=why,
            rule=json.dumps(asks) if word == "rule" else None,
        )

    def acknowledge(self, text: str | None = None) -> None:
        """Acknowledges the alarm of press-1."""
        self.say("ack", "press-1", event_id=HIGH, revision=9, text=text)

    def said_of_alarms(self) -> list[str]:
        """What was said, without what is said of rows once a minute."""
        return of_alarms(self.said)

    def committed(self) -> tuple[int, dict[str, Any]]:
        """How many words are taken up, by the ledger; and of press-1, what it knows of the machine."""
        mark = self.ledger.words()
        stored = [one for one in self.ledger.states() if (one.stage, one.machine) == ("alarms", "press-1")]
        conditions = stored[0].value if stored else [{}]
        return place_in(mark)[1], conditions[0]


def of_alarms(said: list[str]) -> list[str]:
    """The sentences that are about alarms, and not about what waits for the alarm log."""
    return [line for line in said if line.startswith("alarm") or "of an alarm" in line or "of alarms" in line]


def changes(log: list[dict[str, Any]]) -> list[str]:
    """What changed, one after the other."""
    return [line["change"] for line in log]


def raised(log: list[dict[str, Any]]) -> list[str]:
    """The ids of the alarms that were raised."""
    return [line["event_id"] for line in log if line["change"] == "raised"]


def kept(site: Site) -> RulesKept:
    """What the site's ledger says about rules."""
    text = site.ledger.rules()
    assert text is not None
    return RulesKept.read(text)


def of_rules(site: Site) -> list[str]:
    """What was said to a person about single rules."""
    return [line for line in site.said if line.startswith("rule ")]
