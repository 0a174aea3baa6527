"""Which rows and changes of alarms go to a sink, by what it takes and what its settings ask for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from support.alarmed import bundle
from support.alarmsite import rows_of
from support.alarmtargets import some_changes

from edge_runtime.connector import Given
from edge_runtime.engine import alarms
from edge_runtime.engine.alarms import Change
from edge_runtime.engine.engine import Engine
from edge_runtime.errors import UsageError
from edge_runtime.gateway.assembly import make_sinks
from edge_runtime.gateway.settings import load_settings
from edge_runtime.sinks import base
from edge_runtime.sinks.base import ALARMS, ROWS, Only
from edge_runtime.sinks.outlet import FOR_PEOPLE, SUSPENDING, Outlet

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from edge_runtime.records import Results

CHANGES = some_changes()


class Told:
    """A sink that says what it was given."""

    name = "told"

    def __init__(self) -> None:
        self.empty = False

    def encode(self, results: Results) -> bytes:
        return b"" if self.empty else b"%d" % len(results)

    def encode_alarm(self, change: Change) -> bytes:
        return f"{change.change} {change.fields['machine_id']}".encode()


class Showing(Told):
    """One that shows which alarms are open, too."""

    def encode_state(self, machine_id: str, alarms: Sequence[dict[str, Any]]) -> bytes:
        return f"{machine_id}: {', '.join(one['kind'] for one in alarms)}".encode()


def nothing_stands(_machine: str) -> list[dict[str, Any]]:
    return []


def told(outlet: Outlet, changes: Sequence[Change], results: Results | None = None) -> list[str]:
    """What the sink gets."""
    return [payload.decode() for payload, _ in outlet.entries(results, changes, nothing_stands)]


def of(changes: Sequence[Change]) -> list[str]:
    return [f"{one.change} {one.fields['machine_id']}" for one in changes]


def outlet(sink: Any, *takes: str, tells: Any = "all", **only: Any) -> Outlet:
    return Outlet(sink, takes, Only(**only), tells)


@pytest.fixture(scope="module")
def results() -> Results:
    """Rows of three machines."""
    engine = Engine(bundle())
    return engine.feed(rows_of("press-1", 0, 40)).results


def test_words_of_sinks_are_those_of_the_engine() -> None:
    assert (base.PRIORITIES, base.KINDS, base.CHANGES) == (alarms.PRIORITIES, alarms.KINDS, alarms.CHANGES)


def test_rows_alarms_or_both(results: Results) -> None:
    assert told(outlet(Told(), ROWS), CHANGES, results) == ["40"]
    assert told(outlet(Told(), ALARMS), CHANGES, results) == of(CHANGES)
    assert told(outlet(Told(), ROWS, ALARMS), CHANGES, results) == ["40", *of(CHANGES)]
    assert told(outlet(Told(), ROWS, ALARMS), [], None) == []


def test_each_change_counts_as_one_and_a_block_as_its_rows(results: Results) -> None:
    entries = list(outlet(Told(), ROWS, ALARMS).entries(results, CHANGES, nothing_stands))
    assert [count for _, count in entries] == [40] + [1] * len(CHANGES)


def test_who_keeps_a_record_gets_all_and_a_person_what_a_person_has_to_know() -> None:
    suspended = [one for one in CHANGES if not one.told]
    assert {one.change for one in suspended} >= set(SUSPENDING)
    assert told(outlet(Told(), ALARMS, tells="all"), CHANGES) == of(CHANGES)
    untold = [one for one in suspended if one.change not in SUSPENDING]
    assert told(outlet(Told(), ALARMS, tells="told"), CHANGES) == of([o for o in CHANGES if o not in untold])
    for_people = [one for one in CHANGES if one.told and one.change in FOR_PEOPLE]
    assert {"raised", "returned", "unshelved", "in service"} <= {one.change for one in for_people}
    assert told(outlet(Told(), ALARMS, tells="people"), CHANGES) == of(for_people)


def test_a_person_does_not_hear_of_an_alarm_that_is_shelved() -> None:
    raised = next(one for one in CHANGES if one.change == "raised")
    quiet = Change("raised", raised.time, told=False, fields=raised.fields)
    for tells in ("told", "people"):
        assert told(outlet(Told(), ALARMS, tells=tells), [quiet]) == []
        assert told(outlet(Told(), ALARMS, tells=tells, changes=("raised",)), [quiet]) == []


def test_settings_name_machines_kinds_priorities_and_changes() -> None:
    cases: list[tuple[dict[str, Any], Any]] = [
        ({"machines": ("press-[12]",)}, lambda c: c.fields["machine_id"] in ("press-1", "press-2")),
        ({"kinds": ("sensor",)}, lambda c: c.fields["kind"] == "sensor"),
        ({"priority": "medium"}, lambda c: c.fields["priority"] != "low"),
        ({"priority": "high"}, lambda c: c.fields["priority"] == "high"),
        ({"changes": ("acknowledged", "comment")}, lambda c: c.change in ("acknowledged", "comment")),
        (
            {"machines": ("press-1",), "changes": ("raised",)},
            lambda c: c.fields["machine_id"] == "press-1" and c.change == "raised",
        ),
    ]
    for only, fits in cases:
        wanted = [one for one in CHANGES if fits(one)]
        assert 0 < len(wanted) < len(CHANGES), only
        assert told(outlet(Told(), ALARMS, **only), CHANGES) == of(wanted), only


def test_rows_that_do_not_go_there_are_counted(results: Results) -> None:
    some = outlet(Told(), ROWS, every=4)
    assert told(some, [], results) == ["10"]
    assert some.left_out == 30
    nobody = outlet(Told(), ROWS, machines=("saw",))
    assert told(nobody, [], results) == []
    assert nobody.left_out == 40
    refuses = Told()
    refuses.empty = True
    itself = outlet(refuses, ROWS)
    assert told(itself, [], results) == []
    assert itself.left_out == 40


def test_a_machine_is_shown_when_it_is_heard_first_and_when_its_alarms_change(results: Results) -> None:
    stands = {"press-1": [{"kind": "machine", "machine_id": "press-1", "priority": "high"}]}

    def shown(outlet: Outlet, changes: Sequence[Change], rows: Results | None) -> list[str]:
        found = outlet.entries(rows, changes, lambda machine: stands.get(machine, []))
        return [payload.decode() for payload, _ in found]

    one = outlet(Showing(), ALARMS, changes=("raised",), machines=("press-*",))
    assert shown(one, [], results) == ["press-1: machine"]
    assert shown(one, [], results) == []
    acknowledged = next(change for change in CHANGES if change.change == "acknowledged")
    assert acknowledged.fields["machine_id"] == "press-1"
    assert shown(one, [acknowledged], None) == ["press-1: machine"]
    stands.clear()
    assert shown(one, [acknowledged], None) == ["press-1: "]


def test_what_was_open_at_the_start_is_shown_even_if_the_machine_is_silent(results: Results) -> None:
    stands = [{"kind": "sensor", "machine_id": "saw", "priority": "low", "event_id": "a", "active": True}]
    one = outlet(Showing(), ALARMS)
    one.begin(stands)
    entries = one.entries(results, [], lambda machine: stands if machine == "saw" else [])
    assert [payload for payload, _ in entries] == [b"press-1: ", b"saw: sensor"]
    # A state has the alarms alone that would go there.
    high = outlet(Showing(), ALARMS, priority="high")
    high.begin(stands)
    assert [payload for payload, _ in high.entries(None, [], lambda _: stands)] == [b"saw: "]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            '[stdout]\ntakes = ["alarm"]',
            "the sink stdout: it does not take 'alarm'; it is one of: rows, alarms",
        ),
        ("[stdout]\ntakes = []", "takes must name at least one"),
        ('[stdout]\ntakes = ["rows", "rows"]', "takes must name at least one, and each once"),
        (
            '[stdout]\nonly.priority = "urgent"',
            "[stdout] only.priority: 'urgent' is no priority; it is one of: low, medium, high",
        ),
        ('[stdout.only]\nrows = "some"', "'some' is no choice of rows; it is one of: all, changes, alarms"),
        ("[stdout]\nonly.every = 0", "every must be 1 or more"),
        ("[stdout]\nonly.around_s = -1", "around_s must be 0 to a day"),
        ('[stdout]\nonly.kinds = ["machines"]', "'machines' is no kind of alarm"),
        ('[stdout]\nonly.changes = ["rised"]', "'rised' is no change of an alarm"),
    ],
)
def test_what_is_wrong_is_said(tmp_path: Path, text: str, words: str) -> None:
    file = tmp_path / "c.toml"
    file.write_text(f"{text}\n")
    with pytest.raises(UsageError) as found:
        make_sinks(load_settings(file, {}), bundle(), print)
    assert words in str(found.value).replace(" (hint: ", "; ")


class Earlier:
    """A sink of another package, written for an earlier version."""

    name = "told"

    def encode_alarms(self, changes: Sequence[Change]) -> bytes:
        return b"%d" % len(changes)


@pytest.mark.parametrize(("made", "fits"), [(Told, True), (Earlier, False)])
def test_a_sink_that_cannot_take_alarms_is_refused_before_there_is_one(made: Any, *, fits: bool) -> None:
    kind = base.SinkKind(
        name="told",
        summary="",
        guarantee="",
        tables={},
        make=lambda _given, _verdicts: made(),
        takes=(ALARMS,),
    )
    verdicts = base.Verdicts(sensors=(), digest="", report=lambda _: None)
    given = Given({})
    if fits:
        assert kind.made(given, verdicts).name == "told"
        return
    with pytest.raises(UsageError, match="takes alarms, but has no encode_alarm"):
        kind.made(given, verdicts)


def test_rows_that_were_kept_for_long_go_in_several_payloads(
    results: Results, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edge_runtime.sinks.outlet.MAX_ROWS", 15)
    thinned = outlet(Told(), ROWS, machines=("press-*",))
    found = list(thinned.entries(results, (), nothing_stands))
    assert found == [(b"15", 15), (b"15", 15), (b"10", 10)]
    assert thinned.left_out == 0
    assert list(outlet(Told(), ROWS).entries(results, (), nothing_stands)) == [(b"40", 40)]
