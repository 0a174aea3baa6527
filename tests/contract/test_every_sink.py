"""Every sink that takes rows, held to one contract: each row once in the end, whatever came again."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import pytest
from support.feeds import MACHINES
from support.targets import DIGEST, SENSORS, TARGETS, some_results, target_of
from support.thirdparty import SINK, sink_kind

from edge_runtime.errors import SinkUnavailableError
from edge_runtime.records import Readings, Reason, Results, Verdict
from edge_runtime.sinks.base import ROWS
from edge_runtime.sinks.registry import SINKS

if TYPE_CHECKING:
    from pathlib import Path

    from support.targets import Target

# Those that take alarms have a contract of their own: test_every_alarm_sink.py.
NAMES = [*(name for name in SINKS.names() if ROWS in SINKS.get(name).takes), SINK]
SECOND = 1_000_000_000

pytestmark = pytest.mark.timeout(600)


@pytest.fixture(scope="module")
def results(bundle: Path) -> Results:
    return some_results(bundle)


@pytest.fixture(params=NAMES)
def target(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Target:
    """Where the sink delivers to; a sink without a target fails here."""
    kind = target_of(request.param)
    return kind(sink_kind(request.param, tmp_path, monkeypatch), tmp_path, monkeypatch, request)


def later(results: Results) -> Results:
    """The same rows, a minute later."""
    readings = results.readings
    moved = Readings(readings.machines, readings.times + 60 * SECOND, readings.values)
    return Results(moved, results.scores, results.severity, results.verdicts, results.reasons)


def keys(results: Results) -> list[tuple[str, int]]:
    """Machine and time of each row."""
    return sorted(zip(results.readings.machines.tolist(), results.readings.times.tolist(), strict=True))


def found(target: Target) -> list[tuple[str, int]]:
    """The same of what arrived."""
    return sorted((row["machine_id"], row["time"]) for row in target.rows())


def test_a_sink_without_a_target_is_told_where_to_add_one() -> None:
    with pytest.raises(AssertionError, match="add a target for it to TARGETS in tests/support/targets.py"):
        target_of("nobody")
    assert set(TARGETS) == set(NAMES)  # and none is left of a sink that went away


def test_a_row_arrives_with_all_that_is_known_of_it(target: Target, results: Results) -> None:
    assert {Verdict(code).label for code in results.verdicts.tolist()} == {"normal", "anomaly", "unknown"}
    sink = target.open()
    assert sink.name == target.kind.name
    sink.check()
    sink.resume(None, [])
    sink.deliver([sink.encode(results)])
    if target.direct:  # it is there before anything is closed
        assert found(target) == keys(results)
    sink.close()
    arrived = {(row["machine_id"], row["time"]): row for row in target.rows()}
    assert len(target.rows()) == len(arrived) == 6
    for i, (machine, moment) in enumerate(
        zip(results.readings.machines.tolist(), results.readings.times.tolist(), strict=True)
    ):
        row = arrived[machine, moment]
        assert row["verdict"] == Verdict(results.verdicts[i]).label
        assert (row.get("reason") or "") == Reason(results.reasons[i]).label
        wanted = numbers(results, i)
        if not target.readings:
            assert not [key for key in row if key.startswith("reading_")]
            wanted = {key: value for key, value in wanted.items() if not key.startswith("reading_")}
        assert {key: row.get(key) for key in wanted} == pytest.approx(wanted)
    if "bundle" in arrived[machine, moment]:
        assert {row["bundle"] for row in target.rows()} == {DIGEST.removeprefix("sha256:")[:12]}


def numbers(results: Results, i: int) -> dict[str, float | None]:
    """The numbers of a row; None for what is none."""
    scores = results.scores
    values: dict[str, Any] = {"score": scores.score[i], "severity": results.severity[i]}
    for j, sensor in enumerate(SENSORS):
        values[f"reading_{sensor}"] = results.readings.values[i, j]
        values[f"expected_{sensor}"] = scores.expected[i, j]
        values[f"error_{sensor}"] = scores.errors[i, j]
    return {key: None if math.isnan(value) else float(value) for key, value in values.items()}


def test_an_unknown_row_says_why_and_has_no_number_that_is_none(target: Target, results: Results) -> None:
    sink = target.open()
    sink.resume(None, [])
    sink.deliver([sink.encode(results)])
    sink.close()
    (unknown,) = [row for row in target.rows() if row["verdict"] == "unknown"]
    assert unknown["machine_id"] == MACHINES[1]
    assert unknown["reason"] == "missing"
    assert [unknown.get(key) for key in ("score", "severity", "error_power")] == [None] * 3
    for row in target.rows():
        assert all(math.isfinite(value) for value in row.values() if isinstance(value, float))


def test_what_was_delivered_just_before_a_crash_is_not_there_twice(target: Target, results: Results) -> None:
    late = later(results)
    first = target.open()
    first.resume(None, [])
    first.deliver([first.encode(results)])
    known = first.position()
    assert (known is not None) is target.undoes
    first.deliver([first.encode(late)])  # and here the power goes: nobody was told
    first.close()
    second = target.open()
    second.resume(known, [second.encode(late)])
    if target.undoes:
        assert found(target) == keys(results)
    second.deliver([second.encode(late)])
    second.close()
    twice = keys(late) if target.direct else []  # what was printed cannot be undone
    assert found(target) == sorted([*keys(results), *keys(late), *twice])


def test_several_payloads_at_once_are_all_there(target: Target, results: Results) -> None:
    sink = target.open()
    sink.resume(None, [])
    sink.deliver([sink.encode(results), sink.encode(later(results))])
    sink.deliver([])
    sink.close()
    assert found(target) == sorted([*keys(results), *keys(later(results))])
    assert {row["verdict"] for row in target.rows()} == {"normal", "anomaly", "unknown"}


def test_closing_twice_is_harmless_and_another_one_goes_on(target: Target, results: Results) -> None:
    first = target.open()
    first.resume(None, [])
    first.deliver([first.encode(results)])
    known = first.position()
    first.close()
    first.close()
    second = target.open()
    second.check()
    second.resume(known, [])
    second.deliver([second.encode(later(results))])
    second.close()
    assert found(target) == sorted([*keys(results), *keys(later(results))])


def test_direct_is_what_the_kind_says(target: Target) -> None:
    assert target.kind.direct is target.direct
    assert (target.away() is None) is target.direct


def test_a_place_that_takes_nothing_now_is_tried_again_later(target: Target, results: Results) -> None:
    document = target.away()
    if document is None:
        assert target.kind.direct
        return
    sink = target.open(document)
    with pytest.raises(SinkUnavailableError):
        sink.deliver([sink.encode(results)])
    sink.close()


def test_a_sink_that_cannot_work_says_so_by_an_error_of_this_project(target: Target) -> None:
    wrong = {}
    for label, (error, make) in target.broken().items():
        try:
            make().check()
        except error as found:
            assert found.what  # noqa: PT017 - each of them, by name
        except Exception as found:  # noqa: BLE001 - whatever it is, it is wrong
            wrong[label] = f"{type(found).__name__} instead of {error.__name__}: {found}"
        else:
            wrong[label] = "nothing was wrong"
    assert wrong == {}
