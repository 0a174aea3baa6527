"""What a program of one's own may feed the engine, and what it is told where it may not."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from support.bundles import make_bundle

from edge_runtime import Engine, Readings, load_bundle
from edge_runtime.errors import EdgeDetectError, InputError, SensorMismatchError
from edge_runtime.sinks.rows import json_lines

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from edge_runtime import Bundle

ROW = [60.0, 1.2, 47.0, 250.0]
SENSORS = ["temperature", "vibration", "pressure", "power"]
SECOND = 10**9
MORNING = 1_769_846_400 * SECOND  # 2026-01-31T08:00:00Z


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return load_bundle(make_bundle(tmp_path_factory.mktemp("bundle"), train=50))


@pytest.fixture
def engine(loaded: Bundle) -> Engine:
    return Engine(loaded)


def structured(rows: int) -> Any:
    kinds = [("time", "datetime64[s]"), ("machine_id", "U8"), *((name, "f8") for name in SENSORS)]
    table = np.zeros(rows, np.dtype(kinds))
    table["time"] = np.datetime64("2026-01-31T08:00:00") + np.arange(rows)
    table["machine_id"] = [f"press-{i % 2 + 1}" for i in range(rows)]
    for name, value in zip(SENSORS, ROW, strict=True):
        table[name] = value
    return table


def columns(rows: int) -> dict[str, Any]:
    table = structured(rows)
    return {name: table[name].tolist() for name in table.dtype.names or ()}


FORMS: dict[str, Callable[[], tuple[Any, dict[str, Any]]]] = {
    "lists": lambda: ([ROW] * 4, {"machine_id": ["press-1", "press-2"] * 2, "time": list(range(4))}),
    "array": lambda: (np.array([ROW] * 4), {"machine_id": np.array(["press-1", "press-2"] * 2)}),
    "integers": lambda: (np.array([[60, 1, 47, 250]] * 4), {"time": np.arange(4, dtype=np.uint32)}),
    "table": lambda: (structured(4), {}),
    "records": lambda: (pd.DataFrame(columns(4)).to_records(index=False), {}),
    "columns": lambda: (columns(4), {}),
    "frame": lambda: (pd.DataFrame(columns(4))[[*reversed(SENSORS), "time", "machine_id"]], {}),
    "indexed frame": lambda: (pd.DataFrame(columns(4)).set_index("time"), {}),
    "arrow": lambda: (pa.table(columns(4)), {}),
    "readings": lambda: (Readings(["press-1"] * 4, range(4), [ROW] * 4), {}),
}


# Forms whose rows have no times or machines of their own.
PLAIN = ("lists", "array", "integers", "readings")


@pytest.mark.parametrize("form", FORMS)
def test_every_form_is_judged_and_gives_a_row_for_each(engine: Engine, form: str) -> None:
    rows, options = FORMS[form]()
    judged = engine.feed(rows, **options)
    assert len(judged) == 4
    assert set(judged.verdicts) <= {"normal", "anomaly"}
    assert judged.reasons == [""] * 4
    assert judged.score.shape == judged.severity.shape == judged.expected["power"].shape == (4,)
    assert list(judged.errors) == list(judged.expected) == SENSORS
    np.testing.assert_allclose(sum(judged.errors.values()), judged.score, rtol=1e-5)


def test_all_forms_of_the_same_rows_give_the_same(loaded: Bundle) -> None:
    found = [Engine(loaded).feed(FORMS[form]()[0]).rows() for form in FORMS if form not in PLAIN]
    assert all(each == found[0] for each in found)
    assert len(found) == 6
    assert [row["machine_id"] for row in found[0]] == ["press-1", "press-2"] * 2
    assert [row["time"] for row in found[0]][::3] == ["2026-01-31T08:00:00Z", "2026-01-31T08:00:03Z"]


def test_rows_are_those_of_the_json_lines(loaded: Bundle) -> None:
    values = np.array([ROW, [90, 1.2, 47, 250], [np.nan, 1, 1, 1]], np.float32)
    judged = Engine(loaded).feed(values, machine_id="press-1", time=np.arange(3) * SECOND)
    lines = json_lines(judged.results, tuple(SENSORS)).splitlines()
    assert judged.rows() == [json.loads(line) for line in lines]
    assert judged.verdicts == ["normal", "anomaly", "unknown"]
    assert repr(judged) == "<Judged: 1 normal, 1 anomaly, 1 unknown>"


@pytest.mark.parametrize(
    "time",
    [
        MORNING,
        np.int64(MORNING),
        "2026-01-31T08:00:00Z",
        "2026-01-31 08:00:00",
        "2026-01-31T09:00:00+01:00",
        datetime(2026, 1, 31, 8, tzinfo=UTC),
        datetime(2026, 1, 31, 8),  # noqa: DTZ001 - UTC where no zone is given
        datetime(2026, 1, 31, 9, tzinfo=timezone(timedelta(hours=1))),
        np.datetime64("2026-01-31T08:00:00"),
        np.datetime64("2026-01-31T08:00:00.000000000"),
        pd.Timestamp("2026-01-31T08:00:00Z"),
        [np.datetime64("2026-01-31T08", "h")],
        pd.to_datetime(["2026-01-31T08:00:00"]),
        pd.to_datetime(["2026-01-31T09:00:00+01:00"]),
        pd.Series(["2026-01-31T08:00:00"], index=[7]),
    ],
    ids=repr,
)
def test_times_are_taken_as_people_have_them(engine: Engine, time: object) -> None:
    assert engine.feed(ROW, time=time).results.readings.times.tolist() == [MORNING]


@pytest.mark.parametrize(
    "time",
    [
        None,
        "soon",
        "now",
        "-5m",
        3.5,
        "1769846400",
        b"2026",
        np.datetime64("NaT"),
        np.datetime64("3000"),
    ],
    ids=repr,
)
def test_what_is_no_time_is_said(engine: Engine, time: object) -> None:
    with pytest.raises(InputError, match="time|year"):
        engine.feed([ROW, ROW], time=[MORNING, time])
    assert engine.changes() == []


def test_without_times_rows_follow_one_another_at_the_cadence(engine: Engine) -> None:
    engine.feed([ROW, ROW], machine_id="b", time=[MORNING, MORNING + SECOND])
    judged = engine.feed([ROW] * 4, machine_id=["a", "b", "a", "b"])
    assert judged.results.readings.times.tolist() == [0, MORNING + 2 * SECOND, SECOND, MORNING + 3 * SECOND]
    assert judged.verdicts == ["normal"] * 4
    assert engine.feed(ROW, machine_id="a").results.readings.times.tolist() == [2 * SECOND]


def test_a_model_that_asks_for_the_time_of_the_day_needs_times(tmp_path: Path) -> None:
    engine = Engine(load_bundle(make_bundle(tmp_path, shown={"period": 60.0, "window": 2})))
    with pytest.raises(InputError, match="time of the day; give time="):
        engine.feed(ROW)
    assert engine.feed(ROW, time=MORNING).reasons == [""]


@pytest.mark.parametrize(
    ("rows", "options", "kind", "words"),
    [
        ([ROW[:3]], {}, SensorMismatchError, r"shape \(1, 3\), but the bundle takes 4 sensors; give rows"),
        ([[ROW]], {}, SensorMismatchError, r"shape \(1, 1, 4\)"),
        (7.0, {}, SensorMismatchError, r"shape \(\)"),
        ({"power": [2.0]}, {}, SensorMismatchError, "no column temperature, vib.*; its columns are power"),
        ([["60", "1", "47", "250"]], {}, InputError, "not all are numbers"),
        ([ROW, ROW[:2]], {}, InputError, "not all are numbers"),
        ({**{key: [1.0] for key in SENSORS}, "power": [1.0, 2.0]}, {}, InputError, "different lengths"),
        ([ROW] * 3, {"machine_id": ["a", "b"]}, InputError, "2 of machine_id, but 3 rows; give one, or"),
        ([ROW] * 3, {"time": [1, 2]}, InputError, "2 of time, but 3 rows"),
        ([ROW] * 2, {"time": [[1, 2]]}, InputError, "time has the shape"),
        ([ROW] * 2, {"machine_id": np.array([["a", "b"]])}, InputError, "machine_id has the shape"),
        ([ROW] * 2, {"machine_id": ["a", None]}, InputError, "None is not a machine's id"),
        ([ROW], {"machine_id": (str(i) for i in range(1))}, InputError, "generator.* is not a machine's id"),
        (pd.Series(ROW, index=SENSORS), {}, InputError, "a row with names of its own; give a table"),
        (np.empty((0, 3)), {}, SensorMismatchError, r"shape \(0, 3\)"),
        ([["60", 1.2, 47, None]], {}, InputError, "not all are numbers"),
        ([[10**400, 1, 1, 1]], {}, InputError, "not all are numbers"),
        ({**{key: [1.0] for key in SENSORS}, "power": ["x"]}, {}, InputError, "power: not all are numbers"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_said(
    engine: Engine, rows: Any, options: dict[str, Any], kind: type[EdgeDetectError], words: str
) -> None:
    with pytest.raises(kind, match=words):
        engine.feed(rows, **options)


def test_machines_ids_may_be_bytes_and_numbers(engine: Engine) -> None:
    for given, wanted in ((b"press-1", "press-1"), (np.array(["p"], "S5"), "p"), (7, "7"), (np.int8(7), "7")):
        judged = engine.feed(ROW, machine_id=given)
        assert judged.results.readings.machines.tolist() == [wanted]


def test_what_is_masked_is_missing_and_arrays_may_be_used_again(engine: Engine) -> None:
    masked = np.ma.array([ROW, ROW], mask=[[False] * 4, [True, False, False, False]])
    assert engine.feed(masked).reasons == ["", "missing"]
    buffer = np.array([ROW], np.float32)
    judged = engine.feed(buffer)
    buffer[:] = 0
    assert judged.rows()[0]["readings"]["power"] == 250.0


def test_what_failed_may_be_fed_again(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(engine._graph, "score", failing)
        with pytest.raises(MemoryError):
            engine.feed([ROW, ROW], time=[1, 2])
    assert engine.feed([ROW, ROW], time=[1, 2]).reasons == ["", ""]


def failing(*_: object) -> None:
    raise MemoryError


def test_readings_bring_machines_and_times_of_their_own(engine: Engine) -> None:
    with pytest.raises(TypeError, match="of their own"):
        engine.feed(Readings(["m"], [0], [ROW]), machine_id="m")


def test_missing_readings_may_be_none_and_no_rows_are_no_rows(engine: Engine) -> None:
    assert engine.feed([60.0, None, 47.0, 250.0]).reasons == ["missing"]
    assert engine.feed([60.0, 1e300, 47.0, 250.0]).reasons == ["not finite"]
    assert engine.feed([]).rows() == []
    assert engine.feed(np.empty((0, 4))).verdicts == []


def test_readings_are_made_of_what_is_near_and_refuse_what_is_not() -> None:
    near = Readings(["p"], np.array(["2026-01-31T08:00:00"], "datetime64[s]"), [ROW])
    assert near.values.dtype == np.dtype(np.float32)
    assert near.times.tolist() == [MORNING]
    assert Readings([7], [1], [ROW]).machines.tolist() == ["7"]
    for times in ([0.5], ["1"], [np.datetime64("NaT")], np.array([2**63], np.uint64)):
        with pytest.raises(InputError, match="time"):
            Readings(["p"], times, [ROW])
    with pytest.raises(InputError, match="shapes do not fit"):
        Readings(["p", "q"], [1], [ROW])
    with pytest.raises(InputError, match="not all are numbers"):
        Readings(["p"], [1], [["60", "1", "2", "3"]])


def test_the_engines_earlier_name_still_works_and_says_so(loaded: Bundle) -> None:
    from edge_runtime import Scorer  # noqa: PLC0415 - type: ignore

    with pytest.warns(DeprecationWarning, match="Engine"):
        scorer = Scorer(loaded)
    readings = Readings(["p"], [0], [ROW])
    assert scorer.score(readings).verdicts.tolist() == [0]
    assert scorer.score(readings).verdicts.tolist() == [2]
