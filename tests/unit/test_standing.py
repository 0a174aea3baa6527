"""For how long sensors stand still in normal rows, from when on they are flat, and how a fit says so."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest
from support.commands import assert_one_clear_line
from support.history import write_history

from edge_runtime import Engine, Readings, load_bundle
from edge_runtime.bundle.metadata import Sensor, SensorLimit, SensorStatus
from edge_runtime.errors import UsageError
from edge_runtime.simulation import SENSORS
from trainer.calibration.standing import Standing, longest_run, measure_standing
from trainer.data.choice import Columns
from trainer.data.split import Split
from trainer.data.training_data import TrainingData, read_training_data
from trainer.experiment.checkpoint import Checkpoint
from trainer.experiment.plan import Plan, params, refuse_options
from trainer.fitting.recipes import RECIPES
from trainer.fitting.settings import Settings
from trainer.report.tables import standing_html

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray
    from support.commands import Here

SECOND = 10**9
OPTIONS = ("--no-mlflow", "--no-plots", "--quiet")


def by_definition(column: NDArray[np.float32], within: float) -> int:
    """A reading that is farther than that from the first one of its run begins the next run."""
    readings, first, longest = column.tolist(), 0, 0
    for row, reading in enumerate(readings):
        if abs(reading - readings[first]) > within:
            first = row
        longest = max(longest, row - first + 1)
    return longest


def split(*columns: ArrayLike, machines: Sequence[str] | None = None) -> Split:
    """A table with these sensors, a row a second of each machine."""
    values = np.column_stack([np.asarray(column, np.float32) for column in columns])
    names = np.array(["m"] * len(values) if machines is None else machines)
    times = np.arange(len(values)) * SECOND
    return Split(Path("table.csv"), times, names, values, None, None)


def tables(train: Split, val: Split | None = None, test: Split | None = None) -> TrainingData:
    names = tuple(f"s{i}" for i in range(train.values.shape[1]))
    few = train.take(np.arange(0))
    return TrainingData(names, train, few if val is None else val, few if test is None else test, {}, {}, 1.0)


def noise(rows: int = 3000, seed: int = 0) -> NDArray[np.float32]:
    return np.random.default_rng(seed).normal(50, 1, rows).astype(np.float32)


def restless(rows: int = 3000, seed: int = 0) -> NDArray[np.float32]:
    """Noise of which no reading is near the one before it."""
    return (noise(rows, seed) + 20 * (np.arange(rows) % 2)).astype(np.float32)


def only(found: Standing) -> tuple[int, SensorLimit]:
    return found.longest[0], found.status.limits[0]


def test_the_longest_run_is_that_of_the_definition() -> None:
    random = np.random.default_rng(7)
    found = set()
    for _ in range(400):
        digit = 10.0 ** random.integers(-3, 4)
        steps = random.integers(-2, 3, random.integers(1, 300)) * (random.uniform(size=1) < 0.8)
        kinds = (np.cumsum(steps), steps, np.repeat(steps, 7))
        column = (random.choice([0, 1e5]) + digit * kinds[random.integers(3)]).astype(np.float32)
        within = float(digit * random.choice([0, 0.5, 1, 2.5, 4]))
        found.add(longest_run(column, within))
        assert longest_run(column, within) == by_definition(column, within)
    assert len(found) > 50


def test_a_rounded_sensor_may_move_by_a_digit_and_is_flat_after_three_times_its_longest_run() -> None:
    column = noise().round(1)
    longest, limit = only(measure_standing(tables(split(column))))
    assert limit.within == pytest.approx(0.25, rel=1e-3)
    assert longest == by_definition(column, limit.within) >= 4
    assert limit.flat_rows == 3 * longest
    assert limit.max_rate is None


def test_a_noisy_sensor_stands_still_in_a_part_of_its_step() -> None:
    column = noise()
    longest, limit = only(measure_standing(tables(split(column))))
    assert limit.within == pytest.approx(0.05 * np.median(np.abs(np.diff(column))), rel=1e-6)
    assert longest == by_definition(column, limit.within)
    assert (longest, limit.flat_rows) == (4, 12)


def test_no_sensor_is_flat_before_its_tenth_reading() -> None:
    longest, limit = only(measure_standing(tables(split(restless()))))
    assert (longest, limit.flat_rows) == (1, 10)


def test_a_constant_one_may_stand_still_as_may_one_that_changes_seldom() -> None:
    seldom = np.arange(3000) // 500 % 2
    found = measure_standing(tables(split(np.full(3000, 7.0), seldom, restless())))
    assert found.longest[:2] == (3000, 500)
    assert [limit.flat_rows for limit in found.status.limits] == [None, None, 10]
    assert found.status.limits[0].within == 0


def test_of_one_with_few_values_only_equal_readings_stand_still() -> None:
    lengths = np.random.default_rng(5).integers(10, 26, 200)
    valve = np.repeat(np.arange(200) % 2, lengths)
    longest, limit = only(measure_standing(tables(split(valve))))
    assert limit.within == 0.5
    assert longest == lengths.max()
    assert limit.flat_rows == 3 * longest


@pytest.mark.parametrize("order", ["machine by machine", "in turns", "in disorder"])
def test_machines_and_tables_do_not_join_runs(order: str) -> None:
    parts = [noise(1000, seed) for seed in range(3)]
    parts[0][-20:] = parts[1][:15] = parts[1][-12:] = parts[2][:14] = 50.25
    train = split(np.concatenate(parts[:2]), machines=["a"] * 1000 + ["b"] * 1000)
    train = replace(train, times=np.tile(np.arange(1000) * SECOND, 2))
    places = np.arange(2000)
    if order == "in turns":
        places = places.reshape(2, 1000).T.ravel()
    elif order == "in disorder":
        places = np.random.default_rng(0).permutation(2000)
    val = split(parts[2], machines=["b"] * 1000)
    found = measure_standing(tables(train.take(places), val))
    assert only(found)[0] == 20
    assert only(found)[1].flat_rows == 60
    assert found.status.rows == 3000
    assert only(measure_standing(tables(val, train.take(places)))) == only(found)


def test_neither_anomalous_nor_ignored_rows_count() -> None:
    column = noise()
    column[1000:1050] = column[2000:2050] = 50.25
    table, marked = split(column), np.zeros(3000, np.bool_)
    assert only(measure_standing(tables(table)))[0] == 50
    marked[1000:1050] = True
    assert only(measure_standing(tables(replace(table, labels=marked))))[0] == 50
    ignored = np.roll(marked, 1000)
    found = measure_standing(tables(replace(table, labels=marked, ignored=ignored)))
    assert only(found)[0] < 4
    assert found.status.rows == 2900


def test_rows_in_which_another_sensor_is_missing_count() -> None:
    steady, other = np.repeat(noise(100), 20), noise(2000, 1)
    whole = measure_standing(tables(split(steady, other)))
    other[np.arange(2000) % 5 > 0] = np.nan
    found = measure_standing(tables(split(steady, other)))
    assert whole.longest[0] == found.longest[0] >= 20
    assert found.status.limits[0] == whole.status.limits[0]
    steady[::3] = np.nan
    own = measure_standing(tables(split(steady, noise(2000, 1)))).longest[0]
    assert own == by_definition(steady[~np.isnan(steady)], whole.status.limits[0].within)


def test_flat_rows_of_test_are_counted_machine_by_machine() -> None:
    train = noise()
    test, machines = noise(400, 1), ["a", "b"] * 200
    test[100:200:2] = 50.25  # 50 rows of a
    test[301:341:2] = 50.25  # 20 rows of b
    test[305] = np.nan
    found = measure_standing(tables(split(train), None, split(test, machines=machines)))
    assert only(found)[1].flat_rows == 12
    assert found.test_flat == (39 + 8,)
    assert found.test_rows == 400


def test_rates_alone_make_no_sensor_flat() -> None:
    data = tables(split(restless(), restless(seed=1)), None, split(np.full(50, 7.0), restless(50)))
    found = measure_standing(data, flat=False, max_rates={"s1": 0.5})
    assert [(limit.flat_rows, limit.max_rate) for limit in found.status.limits] == [(None, None), (None, 0.5)]
    assert found.test_flat == (0, 0)
    both = measure_standing(data, max_rates={"s1": 0.5})
    assert [(limit.flat_rows, limit.max_rate) for limit in both.status.limits] == [(10, None), (10, 0.5)]
    assert both.test_flat == (41, 0)


def test_without_a_normal_row_every_sensor_may_stand_still() -> None:
    table = replace(split(noise(100)), labels=np.ones(100, np.bool_))
    found = measure_standing(tables(table, None, split(np.full(100, 50.0))))
    assert only(found) == (0, SensorLimit(None, 0.0, None))
    assert (found.test_flat, found.status.rows) == ((0,), 0)


def test_a_limit_that_many_normal_rows_exceed_is_doubted() -> None:
    one, other = restless(4000, 2), noise(4000, 3)
    one[3000:3050] = one[3000]
    train, val, test = (split(one[a:b], other[a:b]) for a, b in ((0, 1500), (1500, 2500), (2500, 4000)))
    data = tables(train, val, test)
    fine = measure_standing(data, max_rates={"s1": 100.0})
    assert (fine.test_flat, fine.test_steep) == ((41, 0), (0, 0))
    assert [doubt.partition(";")[0] for doubt in fine.doubts] == [
        "s0: 41 of 1,500 normal test rows are flat, and would not be used"
    ]
    wrong = measure_standing(data, flat=False, max_rates={"s1": 0.05})
    assert wrong.test_flat == (0, 0)
    assert wrong.test_steep[1] > 100
    (doubt,) = wrong.doubts
    assert doubt.startswith(f"s1: {wrong.test_steep[1]:,} of 1,500 normal test rows are too steep")
    assert "--max-rate" in doubt
    labelled = replace(data, test=replace(data.test, labels=np.ones(1500, np.bool_)))
    assert measure_standing(labelled, max_rates={"s1": 0.05}).doubts == ()


def test_the_table_of_the_report_holds_what_the_bundle_and_the_metrics_say() -> None:
    status = SensorStatus((SensorLimit(1500, 0.25, 2.5), SensorLimit(None, 0.5, None)), 70_000)
    found = Standing(("a<b", "valve"), status, (500, 4000), (1234, 0), (0, 56), 9000)
    sensors = [Sensor("a<b", "°C", None, (0.0, 1.0)), Sensor("valve", "", None, (0.0, 1.0))]

    def cells(metrics: dict[str, Any]) -> list[list[str]]:
        page = standing_html(sensors, status, metrics)
        assert "in 70,000 normal rows" in page
        return [re.findall(r"<td[^>]*>(.*?)</td>", row) for row in page.split("<tr>")[2:]]

    assert cells({"sensor_status": found.to_dict()}) == [
        ["a&lt;b", "500", "1,500 rows", "0.25 °C", "2.5 °C a second", "1,234", "0"],
        ["valve", "4,000", "may stand still", "0.5", "-", "0", "56"],
    ]
    for unreadable in ({}, {"sensor_status": None}, {"sensor_status": {"sensors": {"valve": "?"}}}):
        assert [[row[1], *row[5:]] for row in cells(unreadable)] == [["-", "-", "-"]] * 2


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = write_history(tmp_path_factory.mktemp("history"))
    test = pd.read_csv(folder / "test.csv")
    test.loc[400:459, "pressure"] = 50.0
    test.to_csv(folder / "test.csv", index=False)
    return folder


def renamed(history: Path, folder: Path) -> Path:
    folder.mkdir()
    for path in history.glob("*.csv"):
        text = path.read_text().replace("vibration", "sensor_status", 1)
        (folder / path.name).write_text(text)
    return folder


def test_what_a_fit_prints_records_and_exports_agrees(history: Path, tmp_path: Path, here: Here) -> None:
    words = ("edge-train", "fit", "--data", history, "-o", tmp_path / "fit", "--recipe", "linear")
    rates = ("--max-rate", "power=5000", "--max-rate", "temperature = 2.5")
    done = here(*words, "--sensor-status", *rates, "--no-mlflow", "--no-plots")
    assert done.returncode == 0, done.stderr
    data = read_training_data(history, Columns())
    measured = measure_standing(data, max_rates={"power": 5000.0, "temperature": 2.5})
    bundle = load_bundle(tmp_path / "fit" / "bundle.onnx")
    assert bundle.metadata.needs == ("sensor_status",)
    assert bundle.metadata.sensor_status == measured.status
    assert Checkpoint.load(tmp_path / "fit" / "checkpoint").sensor_status == measured.status
    document = json.loads((tmp_path / "fit" / "metrics.json").read_text())["sensor_status"]
    assert document == measured.to_dict()
    assert measured.test_flat[2] >= 40
    lines = done.stdout.decode().splitlines()
    start = lines.index("Sensor status")
    assert " ".join(lines[start + 1].split()).endswith("max rate flat on test too steep")
    found = zip(
        *(measured.status.limits, measured.longest, measured.test_flat, measured.test_steep), strict=True
    )
    for line, (limit, longest, flat, steep) in zip(lines[start + 2 : start + 6], found, strict=True):
        name, *cells = line.split()
        rate = {"power": "5000", "temperature": "2.5"}.get(name, "-")
        begins = "-" if limit.flat_rows is None else str(limit.flat_rows)
        assert cells == [str(longest), begins, f"{limit.within:.3g}", rate, str(flat), str(steep)]
    assert [line.split()[0] for line in lines[start + 2 : start + 6]] == list(SENSORS)
    assert lines[start + 6].startswith("Runs are of rows")

    test = data.test.take(np.lexsort((data.test.times, data.test.machines)))
    judged = Engine(bundle).feed(Readings(test.machines, test.times, test.values))
    count = [sum(row.get(name) == "failure: flat" for row in judged.sensor_status) for name in SENSORS]
    assert count == list(measured.test_flat)


def test_it_belongs_to_the_recipe_best_and_to_whoever_asks(history: Path, tmp_path: Path, here: Here) -> None:
    assert [name for name, recipe in RECIPES.items() if recipe.sensor_status] == ["best"]
    found = {}
    for name, options in {
        "not": ("--epochs", 1, "--no-degraded", "--no-sensor-status"),
        "plain": ("--epochs", 1, "--recipe", "plain"),
        "rates": ("--recipe", "linear", "--max-rate", "power=1e3"),
    }.items():
        done = here("edge-train", "fit", "--data", history, "-o", tmp_path / name, *OPTIONS, *options)
        assert done.returncode == 0, done.stderr
        found[name] = load_bundle(tmp_path / name / "bundle.onnx").metadata
        metrics = json.loads((tmp_path / name / "metrics.json").read_text())
        assert ("sensor_status" in metrics) == (name == "rates")
        assert (tmp_path / name / "checkpoint" / "sensor_status.json").exists() == (name == "rates")
    assert {name: metadata.needs for name, metadata in found.items()} == {
        "not": ("alarms", "baseline"),
        "plain": (),
        "rates": ("sensor_status",),
    }
    status = found["rates"].sensor_status
    assert status is not None
    assert [limit.flat_rows for limit in status.limits] == [None] * 4
    assert [limit.max_rate for limit in status.limits] == [None, None, None, 1000.0]


def test_an_mlflow_run_names_the_choice(history: Path, tmp_path: Path) -> None:
    data, rates = read_training_data(history, Columns()), {"power": 5e3, "pressure": 0.25}
    plan = Plan(output=tmp_path, settings=Settings(epochs=1), sensor_status=True, max_rates=rates)
    found = params(data, plan)
    assert (found["sensor_status"], found["max_rates"]) == (True, "power=5000,pressure=0.25")


@pytest.mark.parametrize(
    ("rates", "words"),
    [
        (["power"], ("--max-rate", "'power' is not SENSOR=VALUE", "write it like temperature=0.5")),
        (["power="], ("'power=' is not SENSOR=VALUE",)),
        (["=3"], ("'=3' is not SENSOR=VALUE",)),
        (["power=fast"], ("--max-rate", "fast")),
        (["power=0"], ("'0' is not a rate", "write a number above zero, such as 0.5")),
        (["power=-1"], ("'-1' is not a rate",)),
        (["power=inf"], ("--max-rate", "inf")),
        (["power=nan"], ("--max-rate", "nan")),
        (["power=1e39"], ("'1e39' is not a rate",)),
        (["power=1", "power=2"], ("'power' is given twice",)),
        (["speed=1"], ("'speed' is not a sensor", "the sensors are temperature, vibration, pressure, power")),
    ],
)
def test_wrong_rates_are_refused_before_training(
    history: Path, tmp_path: Path, here: Here, rates: list[str], words: tuple[str, ...]
) -> None:
    options = [word for rate in rates for word in ("--max-rate", rate)]
    done = here("edge-train", "fit", "--data", history, "-o", tmp_path / "fit", *OPTIONS, *options)
    assert_one_clear_line(done, 2, *words)
    assert not (tmp_path / "fit").exists()


def test_a_sensor_called_so_is_refused_with_a_hint_that_works(
    history: Path, tmp_path: Path, here: Here
) -> None:
    data = renamed(history, tmp_path / "data")
    words = ("edge-train", "fit", "--data", data, "-o", tmp_path / "fit", *OPTIONS)
    hints = ("a sensor is called 'sensor_status'", "--sensor-status", "--no-sensor-status", "--max-rate")
    assert_one_clear_line(here(*words), 2, *hints)
    linear = (*words, "--recipe", "linear")
    assert_one_clear_line(here(*linear, "--max-rate", "power=1"), 2, *hints)
    fleet = ("edge-train", "fleet", "--data", data, "-o", tmp_path / "fleet", "--quiet", "--sensor-status")
    assert_one_clear_line(here(*fleet), 2, *hints)
    assert here(*linear, "--no-sensor-status").returncode == 0
    assert "sensor_status" in load_bundle(tmp_path / "fit" / "bundle.onnx").metadata.sensor_names
    plan = Plan(output=tmp_path, settings=Settings(epochs=1))
    refuse_options(read_training_data(data, Columns()), plan)
    with pytest.raises(UsageError, match="a sensor is called 'sensor_status'"):
        refuse_options(read_training_data(data, Columns()), replace(plan, sensor_status=True))


def test_a_fleet_has_it_for_the_asking_machine_by_machine(history: Path, tmp_path: Path, here: Here) -> None:
    output = tmp_path / "fleet"
    done = here("edge-train", "fleet", "--data", history, "-o", output, "--epochs", 1, "--sensor-status")
    assert done.returncode == 0, done.stderr
    found = {path.parent.name: load_bundle(path).metadata for path in output.glob("*/bundle.onnx")}
    assert sorted(found) == ["press-1", "press-2"]
    for name, metadata in found.items():
        own = read_training_data(history, Columns(machines=(name,)))
        assert metadata.sensor_status == measure_standing(own).status
        assert "sensor_status" in json.loads((output / name / "metrics.json").read_text())
