"""What a running feed says about alarms, and when it says no more: shelvings, floods, no ledger."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from support.alarmed import FAULTS, HIGH, LOW, START, bundle
from support.alarmsite import DAY, SECOND, Script, Site, changes, of_alarms, rows_of

from edge_runtime.engine.engine import Engine
from edge_runtime.gateway.alarming import MAX_LINES, Alarming
from edge_runtime.gateway.pipeline import Pipeline
from edge_runtime.records import Readings

if TYPE_CHECKING:
    from pathlib import Path

    from edge_runtime.records import Results


def test_a_shelving_ends_by_the_clock_and_what_is_shelved_is_logged_and_not_said(tmp_path: Path) -> None:
    found = []
    until = START + DAY + 100 * SECOND

    def later(seconds: int) -> None:
        found.append("shelved" in site.committed()[1])
        site.now += seconds * SECOND

    site = Site(
        tmp_path,
        lambda: site.say("shelve", "press-1", until=until, text="is known"),
        None,
        rows_of("press-1"),
        *(lambda: later(99), None, lambda: later(1), None, lambda: later(0)),
        None,
    )
    log = site()
    assert found == [True, True, False]
    assert changes(log) == ["raised", "unshelved"]
    assert [line["shelved_until"] is None for line in log] == [False, True]
    (said,) = site.said
    assert said.startswith(f"alarm {HIGH} is no longer shelved: press-1, machine, active since ")


def test_a_shelving_that_ended_while_nothing_ran_ends_at_the_start(tmp_path: Path) -> None:
    first = Site(tmp_path, rows_of("press-1"))
    first.then(lambda: first.say("shelve", "press-1", until=first.now + SECOND, text="x"), None)
    assert changes(first()) == ["raised", "shelved"]
    again = Site(tmp_path)
    again.now += 3600 * SECOND
    assert changes(again()) == ["raised", "shelved", "unshelved"]


def test_a_flood_is_cut_and_one_sentence_says_how_many_more_there_were(tmp_path: Path) -> None:
    plant = [rows_of("press-1", name=f"press-{number:02}") for number in range(27)]
    site = Site(tmp_path, Readings.joined(plant), *[None] * 120)
    assert len(site()) == 27  # none is missing where it counts
    said = site.said_of_alarms()
    assert [line.split()[0] for line in said[:-1]] == ["alarm"] * MAX_LINES
    more = "7 more changes of alarms in the last minute; `edge-detect alarms list` shows what is open"
    assert said[-1] == more


def test_after_a_flood_alarms_are_said_again(tmp_path: Path) -> None:
    plant = [rows_of("press-1", name=f"press-{number:02}") for number in range(21)]
    late = rows_of("press-3", name="late")
    site = Site(tmp_path, Readings.joined(plant), *[None] * 60, late)
    site()
    said = site.said_of_alarms()
    assert len(said) == MAX_LINES + 2
    assert said[-2].startswith("1 more change of an alarm in the last minute; ")
    assert said[-1].startswith("alarm ")
    assert ": late, sensor power, low priority, failure: missing, since " in said[-1]


class Nowhere:
    """A direct sink."""

    name = "nowhere"

    def check(self) -> None: ...
    def resume(self, position: str | None, waiting: Any) -> None: ...
    def position(self) -> str | None: ...
    def close(self) -> None: ...
    def deliver(self, payloads: Any) -> None: ...

    def encode(self, _results: Results) -> bytes:
        return b""


def test_without_a_ledger_alarms_are_said_all_the_same() -> None:
    said: list[str] = []
    engine = Engine(bundle(), alarms=True)
    plant = [rows_of("press-1", name=f"other-{number:02}") for number in range(20)]
    source = Script(*[rows_of(machine) for machine in FAULTS], Readings.joined(plant), *[None] * 100)
    pipeline = Pipeline(
        source,
        engine,
        direct=[Nowhere()],
        report=said.append,
        make_alarming=lambda: Alarming(engine, said.append, lambda: source.seconds, lambda: START, None, ""),
        clock=lambda: source.seconds,
    )
    pipeline.run()
    assert [line.split(",")[0] for line in said[:1]] == [f"alarm {HIGH} raised: press-1"]
    assert any(line.startswith(f"alarm {LOW} raised: press-3, sensor power, low priority") for line in said)
    assert any(" has returned to normal: press-2" in line for line in said)
    # And it names no command, which would have nothing to show.
    assert of_alarms(said)[-1] == "4 more changes of alarms in the last minute"
    assert len(of_alarms(said)) == MAX_LINES + 1
