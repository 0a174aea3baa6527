"""What the trainer says of a missing sensor: its regression, its threshold, and what is lost without it."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from sklearn.linear_model import LinearRegression
from sklearn.metrics import roc_auc_score
from support.history import write_history

from edge_runtime import Engine, Readings, load_bundle
from edge_runtime.errors import UsageError
from edge_runtime.scoring.filling import Filling
from trainer.calibration.absence import calibrate_absences
from trainer.calibration.filled import piece
from trainer.calibration.regressions import regressions
from trainer.data.choice import Columns
from trainer.data.split import Split
from trainer.data.training_data import TrainingData, read_training_data
from trainer.experiment.checkpoint import Checkpoint
from trainer.experiment.plan import Plan, refuse_options, sensors
from trainer.experiment.run import run_fit
from trainer.fitting.fit import Settings
from trainer.fitting.recipes import RECIPES
from trainer.tracking import NoTracker

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray
    from support.commands import Here

    from trainer.experiment.results import Results

NAMES = ("temperature", "vibration", "pressure", "power")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_history(tmp_path_factory.mktemp("history"))


@pytest.fixture(scope="module")
def data(folder: Path) -> TrainingData:
    return read_training_data(folder, Columns())


def plan(output: Path, **options: Any) -> Plan:
    best = Settings(epochs=3, **RECIPES["best"].settings)
    return Plan(**{"output": output, "settings": best, "degraded": True, "plots": False, **options})


class Recorder(NoTracker):
    """Keeps the figures."""

    def __init__(self) -> None:
        super().__init__()
        self.metrics: dict[str, float] = {}

    def log_metrics(self, metrics: Any) -> None:
        self.metrics |= metrics


@pytest.fixture(scope="module")
def recorder() -> Recorder:
    return Recorder()


@pytest.fixture(scope="module")
def told() -> list[tuple[int, int]]:
    return []


@pytest.fixture(scope="module")
def results(
    data: TrainingData,
    tmp_path_factory: pytest.TempPathFactory,
    recorder: Recorder,
    told: list[tuple[int, int]],
) -> Results:
    output = tmp_path_factory.mktemp("fit")
    return run_fit(data, plan(output), recorder, on_sensor=lambda done, every: told.append((done, every)))


def correlated(rows: int = 5000) -> NDArray[np.float32]:
    """Two sensors with something in common, their sum, a constant, and one that nothing tells of."""
    random = np.random.default_rng(2)
    first, second, noise, alone = random.normal(size=(4, rows))
    columns = [1e5 + 3 * first, 20 + second + first, 0.01 * noise, np.full(rows, 7.0), alone - 4]
    columns[2] += 2 * first - second
    return np.column_stack(columns).astype(np.float32)


def test_regressions_foretell_as_well_as_least_squares() -> None:
    values = correlated()
    exact = values.astype(np.float64)
    for place, absence in enumerate(regressions(values)):
        others = np.delete(np.arange(5), place)
        least = LinearRegression().fit(exact[:, others], exact[:, place]).predict(exact[:, others])
        found = exact @ absence.coefficients + absence.intercept
        ours, theirs = (float(np.std(exact[:, place] - each)) for each in (found, least))
        assert ours <= 1.01 * theirs + 0.01 * exact[:, place].std(), place
        assert absence.coefficients[place] == 0
        assert found.mean() == pytest.approx(exact[:, place].mean())
    assert regressions(values)[3].coefficients == (0.0,) * 5
    assert regressions(values)[3].intercept == 7


def test_copies_of_a_sensor_do_not_blow_coefficients_up() -> None:
    random = np.random.default_rng(3)
    base = random.normal(size=(3000, 1)).astype(np.float32)
    values = np.hstack([base, base, base + np.float32(1e-6) * random.normal(size=(3000, 1)), -base]).astype(
        np.float32
    )
    for place, absence in enumerate(regressions(values)):
        assert np.abs(absence.coefficients).max() < 1
        found = values.astype(np.float64) @ absence.coefficients + absence.intercept
        np.testing.assert_allclose(found, values[:, place], atol=1e-3)


def test_what_nothing_tells_of_is_filled_by_its_mean() -> None:
    values = np.random.default_rng(4).normal(5, 2, (200_000, 3)).astype(np.float32)
    for place, absence in enumerate(regressions(values)):
        assert np.abs(absence.coefficients).max() < 0.01
        assert absence.intercept == pytest.approx(values[:, place].mean(dtype=float), abs=0.1)


def test_a_threshold_is_what_the_rule_gives_on_validation_with_the_sensor_filled(
    data: TrainingData, results: Results
) -> None:
    checkpoint = Checkpoint.load(results.output / "checkpoint")
    found, threshold = checkpoint.degraded, checkpoint.threshold
    assert found is not None
    assert threshold.quantile is not None
    val, filling = data.val, Filling(found.absent, checkpoint.sensors)
    rows = np.lexsort((val.times, val.machines))
    rows = rows[val.finite[rows]]
    normal, detector = val.normal[rows], checkpoint.detector

    def scores(values: NDArray[np.float32]) -> NDArray[np.float32]:
        return detector.score_table(values, val.times[rows], val.machines[rows])

    margin = threshold.value / np.percentile(
        scores(val.values[rows])[normal].astype(float), 100 * threshold.quantile
    )
    assert margin > 1.05  # validation is short
    for place, absence in enumerate(found.absent):
        filled = scores(filling.fill(val.values[rows], np.full(len(rows), place)))
        wanted = margin * np.percentile(filled[normal].astype(float), 100 * threshold.quantile)
        assert absence.threshold == pytest.approx(wanted, rel=1e-6)
    assert found.rows == normal.sum()
    assert len({absence.threshold for absence in found.absent} | {threshold.value}) == 5


def test_losses_are_of_labelled_validation_and_test_rows(data: TrainingData, results: Results) -> None:
    absences, bundle = results.absences, load_bundle(results.bundle)
    assert absences is not None
    found = bundle.metadata.degraded
    assert found is not None
    assert (found.measured_on, found.absent) == ("labels", absences.degraded.absent)
    filling, detector = (
        Filling(found.absent, bundle.metadata.sensors),
        Checkpoint.load(results.output / "checkpoint").detector,
    )

    def auc(split: Split, place: int | None = None) -> float:
        values = split.values
        if place is not None:
            values = filling.fill(values, np.full(len(split), place))
        assert split.labels is not None
        return float(roc_auc_score(split.labels, detector.score_table(values, split.times, split.machines)))

    assert found.auc == pytest.approx(auc(data.val), abs=1e-9)
    assert absences.test_auc == pytest.approx(auc(data.test), abs=1e-9)
    for place, absence in enumerate(found.absent):
        assert absence.auc_loss == pytest.approx(auc(data.val) - auc(data.val, place), abs=1e-9)
        assert absences.test_absent[place] == pytest.approx(auc(data.test, place), abs=1e-9)
    assert max(absence.auc_loss or 0 for absence in found.absent) > 0.01


def test_a_gateway_judges_rows_without_a_sensor_as_calibrated(data: TrainingData, results: Results) -> None:
    bundle, checkpoint = load_bundle(results.bundle), Checkpoint.load(results.output / "checkpoint")
    found = checkpoint.degraded
    assert found is not None
    test, place = data.test, 2
    order = np.argsort(test.times, kind="stable")
    values, times, machines = test.values[order].copy(), test.times[order], test.machines[order]
    filled = Filling(found.absent, checkpoint.sensors).fill(values, np.full(len(values), place))
    scores = checkpoint.detector.score_table(filled, times, machines)
    values[:, place] = np.nan
    judged = Engine(bundle).feed(Readings(machines, times, values))
    assert set(judged.degraded) == {NAMES[place]}
    np.testing.assert_allclose(judged.score, scores, rtol=2e-3, atol=1e-5)
    np.testing.assert_allclose(judged.severity, scores / found.absent[place].threshold, rtol=2e-3, atol=1e-5)


def test_it_is_printed_recorded_and_shown(
    results: Results, recorder: Recorder, told: list[tuple[int, int]]
) -> None:
    absences = results.absences
    assert absences is not None
    assert told == [(1, 4), (2, 4), (3, 4), (4, 4)]
    table = results.table()
    start = table.splitlines().index("Without a sensor")
    lines = table.splitlines()[start + 1 : start + 8]
    assert lines[0].split() == ["sensor", "threshold", "expected", "loss", "AUC", "on", "test", "loss"]
    assert lines[1].split() == ["none", f"{absences.test_auc:.3f}"]
    for line, name, absence in zip(lines[2:6], NAMES, absences.degraded.absent, strict=True):
        cells = line.split()
        assert cells[:3] == [name, f"{absence.threshold:.5g}", f"{absence.auc_loss:.3f}"]
    assert lines[6] == "Expected loss: of AUC on the labelled rows of validation."
    document = json.loads((results.output / "metrics.json").read_text())["without_a_sensor"]
    assert document["sensors"]["power"]["threshold"] == absences.degraded.absent[3].threshold
    assert recorder.metrics["expected_auc_loss_without_power"] == absences.degraded.absent[3].auc_loss
    assert absences.test_auc is not None
    assert absences.test_absent[3] is not None
    lost = absences.test_auc - absences.test_absent[3]
    assert recorder.metrics["test_auc_loss_without_power"] == pytest.approx(lost)


def unlabelled(data: TrainingData) -> TrainingData:
    return replace(
        data,
        val=replace(data.val.take(data.val.normal), labels=None, kinds=None),
        test=replace(data.test, labels=None, kinds=None),
    )


def test_without_labels_the_loss_is_of_faults_in_the_other_sensors(
    data: TrainingData, results: Results
) -> None:
    checkpoint = Checkpoint.load(results.output / "checkpoint")
    absences = calibrate_absences(
        unlabelled(data), checkpoint.detector, checkpoint.threshold, checkpoint.sensors
    )
    assert absences is not None
    found = absences.degraded
    assert found.measured_on == "injected"
    assert found.auc is not None
    assert 0.7 < found.auc < 1
    losses = [absence.auc_loss for absence in found.absent]
    assert all(loss is not None and -0.05 < loss < 0.3 for loss in losses)
    assert len(set(losses)) == 4
    assert absences.test_auc is None
    assert absences.test_absent == (None,) * 4
    assert "injected into the other sensors" in absences.table()
    assert not any(name.startswith("test_") for name in absences.metrics)


@pytest.mark.parametrize("rows", [50, 190])
def test_without_room_for_faults_in_two_sensors_the_loss_is_unknown(
    data: TrainingData, results: Results, rows: int
) -> None:
    checkpoint = Checkpoint.load(results.output / "checkpoint")
    short = unlabelled(data)
    short = replace(short, val=short.val.take(np.arange(rows)))
    absences = calibrate_absences(short, checkpoint.detector, checkpoint.threshold, checkpoint.sensors)
    assert absences is not None
    assert absences.degraded.measured_on is None
    assert absences.degraded.auc is None
    assert {absence.auc_loss for absence in absences.degraded.absent} == {None}
    assert "Expected loss: unknown" in absences.table()


def test_a_threshold_above_every_normal_row_is_not_passed_by_one_through_the_filling_alone(
    data: TrainingData, results: Results
) -> None:
    checkpoint = Checkpoint.load(results.output / "checkpoint")
    val, detector = unlabelled(data).val, checkpoint.detector
    highest = float(detector.score_table(val.values, val.times, val.machines).max())
    high = replace(checkpoint.threshold, value=1.5 * highest, method="best_f1", quantile=None)
    absences = calibrate_absences(unlabelled(data), detector, high, checkpoint.sensors)
    assert absences is not None
    filling = Filling(absences.degraded.absent, checkpoint.sensors)
    for place, absence in enumerate(absences.degraded.absent):
        filled = filling.fill(val.values, np.full(len(val), place))
        top = float(detector.score_table(filled, val.times, val.machines).max())
        assert absence.threshold == pytest.approx(1.5 * top, rel=1e-5)


def test_a_piece_is_the_last_one_of_each_machine_or_the_one_with_anomalies(tmp_path: Path) -> None:
    times = np.tile(np.arange(100), 2) * 10**9
    machines = np.repeat(["b", "a"], 100)
    values = np.arange(400, dtype=np.float32).reshape(200, 2)
    values[150, 0] = np.nan
    labels = np.zeros(200, np.bool_)
    labels[130:140] = labels[20] = True
    early = Split(tmp_path, times, machines, values, labels, None)
    late = replace(early, labels=labels | (np.arange(200) == 195))
    unlabelled = replace(early, labels=None)
    for split in (late, unlabelled):
        found = piece(split, 40)
        assert found.machines.tolist() == ["a"] * 19 + ["b"] * 20
        assert (found.times // 10**9).tolist() == [*range(81, 100), *range(80, 100)]
    found = piece(early, 40)
    assert found.machines.tolist() == ["a"] * 19 + ["b"] * 20
    assert (np.diff(found.times[:19]) == 10**9).all()
    assert found.labels is not None
    assert (found.labels[:19].sum(), found.labels[19:].sum()) == (10, 1)
    assert len(piece(early, 1000)) == 199


def test_it_belongs_to_the_recipe_best_and_to_whoever_asks(folder: Path, tmp_path: Path, here: Here) -> None:
    assert [name for name, recipe in RECIPES.items() if recipe.degraded] == ["best"]
    needs = {}
    for name, options in {
        "linear": ("--recipe", "linear"),
        "asked": ("--recipe", "linear", "--degraded"),
        "one": ("--recipe", "linear", "--degraded", "--sensor", "power"),
        "not": ("--epochs", 1, "--no-degraded"),
        "best": ("--epochs", 1),
    }.items():
        words = ("edge-train", "fit", "--data", folder, "-o", tmp_path / name, "--no-mlflow", "--no-plots")
        done = here(*words, *options)
        assert done.returncode == 0, done.stderr
        needs[name] = load_bundle(tmp_path / name / "bundle.onnx").metadata.needs
        assert ("Without a sensor" in str(done.stdout)) == ("degraded" in needs[name])
    assert needs == {
        "linear": (),
        "asked": ("degraded",),
        "one": (),
        "not": ("alarms", "baseline", "sensor_status"),
        "best": ("alarms", "baseline", "degraded", "sensor_status"),
    }
    page = tmp_path / "page.html"
    report = here("edge-train", "report", "--data", folder, "--fit", tmp_path / "best", "-o", page)
    assert report.returncode == 0, report.stderr
    text = page.read_text()
    metrics = json.loads((tmp_path / "best" / "metrics.json").read_text())["without_a_sensor"]
    assert '<section id="without">' in text
    assert f"{metrics['sensors']['pressure']['threshold']:.5g}" in text
    assert f"{metrics['sensors']['pressure']['test_auc']:.3f}" in text
    recorded = json.loads((tmp_path / "best" / "metrics.json").read_text())["alarms"]
    section = text[text.index('<section id="alarms">') :].partition("</section>")[0]
    assert f"off-delay {recorded['off_delay_s']:g} s" in section
    assert f">{recorded['validation']['with']['false_alarms_a_day']:.1f}<" in section
    standing = json.loads((tmp_path / "best" / "metrics.json").read_text())["sensor_status"]
    section = text[text.index('<section id="status">') :].partition("</section>")[0]
    assert "<h2>Sensor status</h2>" in section
    for name in NAMES:
        own = standing["sensors"][name]
        row = section[section.index(f"<td>{name}</td>") :].partition("</tr>")[0]
        cells = (f">{own['longest_run']:,}<", f">{own['flat_rows']:,} rows<", f">{own['test_flat_rows']:,}<")
        assert [cell for cell in cells if cell not in row] == []


def test_a_fleet_has_it_for_the_asking(folder: Path, tmp_path: Path, here: Here) -> None:
    done = here(
        *("edge-train", "fleet", "--data", folder, "-o", tmp_path / "fleet", "--epochs", 1, "--degraded")
    )
    assert done.returncode == 0, done.stderr
    bundles = sorted((tmp_path / "fleet").glob("*/bundle.onnx"))
    assert len(bundles) == 2
    assert {load_bundle(path).metadata.needs for path in bundles} == {("baseline", "degraded")}


def test_a_sensor_called_so_is_refused_before_training(data: TrainingData, tmp_path: Path) -> None:
    renamed = replace(data, sensors=("degraded", *NAMES[1:]))
    with pytest.raises(UsageError, match="a sensor is called 'degraded'") as caught:
        refuse_options(renamed, plan(tmp_path))
    assert "--no-degraded" in str(caught.value.hint)
    refuse_options(renamed, plan(tmp_path, degraded=False))
    assert sensors(renamed, plan(tmp_path))[0].name == "degraded"
