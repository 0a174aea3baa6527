"""Alarms from verdicts, what they tell of, and the delays that are chosen with that: from rows to a fit."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from support.history import write_history
from support.inprocess import run_here

from edge_runtime import load_bundle
from edge_runtime.bundle.metadata import Alarms
from edge_runtime.simulation import SENSORS, Simulator
from trainer.calibration.alarm_counts import JudgedMachine, figures_of, judged_machines
from trainer.calibration.alarm_delays import choose_delays, measure_alarm_delays
from trainer.calibration.alarm_findings import alarm_rows, alarm_sentence
from trainer.calibration.alarm_spans import VerdictRuns, alarm_spans
from trainer.calibration.assess import choose_threshold
from trainer.calibration.weak_faults import weak_faults
from trainer.data.choice import Columns
from trainer.data.split import Split
from trainer.data.stretches import Stretch
from trainer.data.training_data import TrainingData, read_training_data
from trainer.experiment.checkpoint import Checkpoint
from trainer.experiment.plan import Plan, params
from trainer.fitting.fit import fit
from trainer.fitting.recipes import DEFAULT_HOLD, RECIPES
from trainer.fitting.settings import Settings
from trainer.report.tables import alarms_html

if TYPE_CHECKING:
    from collections.abc import Sequence

    from support.commands import Here

SECOND = 10**9
OPTIONS = ("--no-mlflow", "--no-plots")
Spans = list[tuple[int, int, int | None]]


def row_by_row(
    times: Sequence[int], anomalous: Sequence[bool], known: Sequence[bool], on: int, off: int
) -> Spans:
    """The definition of docs/bundle.md, a row at a time; delays in ns."""
    found: Spans = []
    run, up, last = 0, False, None
    for time, is_anomalous, is_known in zip(times, anomalous, known, strict=True):
        if not is_known:
            continue
        if is_anomalous != last:
            run, last = time, is_anomalous
        if is_anomalous and not up and time - run >= on:
            found.append((run, time, None))
            up = True
        elif not is_anomalous and up and time - run >= off:
            found[-1] = (*found[-1][:2], time)
            up = False
    return found


@pytest.mark.parametrize("seed", range(40))
def test_alarms_are_those_of_the_definition(seed: int) -> None:
    random = np.random.default_rng(seed)
    rows = int(random.integers(0, 200))
    times = np.cumsum(random.choice([1, 1, 1, 2, 30], rows)) * SECOND + random.integers(0, 1000, rows)
    stays = random.choice([0.5, 0.8, 0.95])
    anomalous = np.cumsum(random.random(rows) > stays) % 2 == random.integers(0, 2)
    known = random.random(rows) > 0.1
    for on in (0.0, 1.0, 2.5, 7.0, 60.0):
        for off in (0.0, 1.0, 4.0, 30.0):
            wanted = row_by_row(
                times.tolist(), anomalous.tolist(), known.tolist(), round(on * SECOND), round(off * SECOND)
            )
            assert alarm_spans(times, anomalous, on, off, known=known) == wanted


def test_without_delays_each_change_to_anomaly_is_an_alarm() -> None:
    times, anomalous = np.arange(8) * SECOND, np.array([1, 0, 1, 1, 0, 0, 1, 1], np.bool_)
    assert alarm_spans(times, anomalous, 0.0, 0.0) == [
        (0, 0, SECOND),
        (2 * SECOND, 2 * SECOND, 4 * SECOND),
        (6 * SECOND, 6 * SECOND, None),
    ]
    assert alarm_spans(times, anomalous, 1.0, 1.0) == [
        (2 * SECOND, 3 * SECOND, 5 * SECOND),
        (6 * SECOND, 7 * SECOND, None),
    ]
    assert alarm_spans(times, anomalous, 0.0, 2.0) == [(0, 0, None)]
    assert alarm_spans(times[:0], anomalous[:0], 0.0, 0.0) == []


def test_the_peak_is_that_of_the_rows_until_the_alarm_returned() -> None:
    severity = np.array([0.1, 2.0, 5.0, 0.3, 9.0, 0.2, 0.2, 0.2, 3.0])
    anomalous = np.array([0, 1, 1, 0, 1, 0, 0, 0, 1], np.bool_)
    runs = VerdictRuns(np.arange(9) * SECOND, anomalous)
    assert runs.alarms(0, 0).peaks(severity, runs.anomalous).tolist() == [5.0, 9.0, 3.0]
    assert runs.alarms(0, 2).peaks(severity, runs.anomalous).tolist() == [9.0, 3.0]
    assert runs.alarms(1, 0).peaks(severity, runs.anomalous).tolist() == [5.0]
    assert runs.alarms(60, 0).peaks(severity, runs.anomalous).tolist() == []


def machine(
    rows: int, flagged: Sequence[tuple[int, int]], faults: Sequence[tuple[int, int]] = (), *, name: str = "m"
) -> JudgedMachine:
    """Rows a second apart, anomalous and faulty from the first to before the second row of each pair."""
    anomalous, normal = np.zeros(rows, np.bool_), np.ones(rows, np.bool_)
    for start, stop in flagged:
        anomalous[start:stop] = True
    for start, stop in faults:
        normal[start:stop] = False
    events = tuple(Stretch(name, start * SECOND, (stop - 1) * SECOND) for start, stop in faults)
    severity = np.where(anomalous, 1.0 + np.arange(rows) / rows, 0.5)
    times = np.arange(rows, dtype=np.int64) * SECOND
    return JudgedMachine(name, VerdictRuns(times, anomalous), severity, normal, rows / 86_400, events)


def test_figures_count_false_alarms_and_faults() -> None:
    flagged = [(50, 52), (200, 210), (215, 220), (380, 390), (600, 604), (700, 720), (900, 1000)]
    found = figures_of([machine(1000, flagged, [(190, 230), (400, 430), (710, 760), (990, 1000)])], 0, 0)
    # Those at 50 and 600; that at 380 begins less than 30 s before a fault, and that at 900 more.
    assert found.false_alarms == 3
    assert found.a_day == pytest.approx(3 * 86.4)
    assert found.alarms.tolist() == [2, 1, 1, 0]
    assert found.found.tolist() == [True, True, True, False]
    np.testing.assert_array_equal(found.delays_s, [10.0, 0.0, 0.0, np.nan])
    np.testing.assert_array_equal(found.up_s, [np.nan, np.nan, np.nan, 90.0])
    assert found.since_before.tolist() == [False, False, False, True]
    assert found.single == pytest.approx(2 / 3)
    assert found.delay_s == 0.0
    assert found.peaks.tolist() == pytest.approx([1.209, 1.219, 1.389, 1.719])


def test_figures_with_delays_lose_what_is_too_short_and_join_what_is_near() -> None:
    one = machine(1000, [(50, 52), (200, 210), (215, 220), (600, 601)], [(190, 230), (600, 601)])
    found = figures_of([one], 2.0, 0.0)
    assert (found.false_alarms, found.alarms.tolist(), found.delays_s[0]) == (0, [2, 0], 12.0)
    found = figures_of([one], 0.0, 10.0)
    assert (found.false_alarms, found.alarms.tolist(), found.single) == (1, [1, 1], 1.0)
    two = figures_of([one, replace(one, name="n")], 0.0, 10.0)
    assert (two.false_alarms, two.alarms.tolist(), two.days) == (2, [1, 1, 1, 1], one.days * 2)
    assert figures_of([], 0.0, 0.0).single == 1.0
    assert figures_of([machine(10, [])], 0.0, 0.0).delay_s is None


FAULTS = [(start, start + 60) for start in range(400, 12_400, 400)]
# Each is anomalous with a row in the middle that is not, and there are false alarms of a row in between.
CHATTER = [span for start, _ in FAULTS for span in ((start, start + 40), (start + 43, start + 60))]
SHORT = [(start - 200, start - 199) for start, _ in FAULTS]


def test_rows_that_ring_by_themselves_lengthen_the_on_delay_where_no_fault_is_short() -> None:
    calm, broken = machine(12_400, SHORT), machine(12_400, SHORT + CHATTER, FAULTS)
    assert choose_delays([calm], [broken], 1.0) == (1.0, 3.0)
    assert choose_delays([machine(12_400, SHORT + CHATTER, FAULTS)], [], 1.0) == (1.0, 3.0)


def test_a_fault_of_one_row_keeps_the_on_delay_at_nothing() -> None:
    short = [*FAULTS, (12_390, 12_391)]
    calm = machine(12_400, [*SHORT, *CHATTER, (12_390, 12_391)], short)
    assert choose_delays([calm], [], 1.0)[0] == 0.0
    assert choose_delays([machine(12_400, SHORT)], [calm], 1.0)[0] == 0.0


# With a fault of a row, no on-delay above 0 is possible.
ONE_ROW = (100, 101)


def test_the_off_delay_is_the_shortest_that_ends_chattering_and_false_alarms() -> None:
    calm, broken = machine(12_400, SHORT), machine(12_400, [*CHATTER, ONE_ROW], [ONE_ROW, *FAULTS])
    assert choose_delays([calm], [broken], 1.0) == (0.0, 3.0)
    again = [(start + 20, start + 22) for start, _ in SHORT]
    # Two false alarms 19 rows apart are one with a delay of 20 rows.
    assert choose_delays([machine(12_400, SHORT + again)], [broken], 1.0) == (0.0, 20.0)
    # One pair of them is no more than chance.
    assert choose_delays([machine(12_400, SHORT + again[:1])], [broken], 1.0) == (0.0, 3.0)


def test_with_few_false_alarms_those_of_a_minute_are_one() -> None:
    broken = machine(12_400, [*CHATTER, ONE_ROW], [ONE_ROW, *FAULTS])
    assert choose_delays([machine(12_400, SHORT[:10])], [broken], 1.0) == (0.0, 3.0)
    assert choose_delays([machine(12_400, SHORT[:9])], [broken], 1.0) == (0.0, 60.0)
    assert choose_delays([machine(12_400, [])], [broken], 7.0)[1] == 56.0


def test_an_alarm_that_stays_up_must_not_swallow_the_next_fault() -> None:
    near = [(start, start + 10) for start in range(400, 12_400, 40)]
    flagged = [span for start, _ in near for span in ((start, start + 3), (start + 6, start + 10))]
    broken = machine(12_400, flagged, near)
    assert choose_delays([machine(12_400, SHORT)], [broken], 1.0)[1] == 3.0
    assert choose_delays([machine(12_400, [])], [broken], 1.0) == (0.0, 20.0)
    assert figures_of([broken], 0.0, 20.0).found.all()
    assert not figures_of([broken], 0.0, 30.0).found[1:].any()


def test_delays_are_multiples_of_the_cadence_and_of_five_minutes_at_most() -> None:
    slow = [
        replace(one, runs=VerdictRuns(one.runs.times * 60, one.runs.anomalous), faults=later(one.faults))
        for one in (machine(12_400, SHORT), machine(12_400, SHORT + CHATTER, FAULTS))
    ]
    assert choose_delays(slow[:1], slow[1:], 60.0) == (60.0, 180.0)
    # Three rows of a minute would do, but not within five minutes those that are six rows apart.
    wide = [span for start, _ in FAULTS for span in ((start, start + 40), (start + 46, start + 60))]
    one = machine(12_400, SHORT + wide, FAULTS)
    runs = VerdictRuns(one.runs.times * 60, one.runs.anomalous)
    on, off = choose_delays(slow[:1], [replace(one, runs=runs, faults=later(one.faults))], 60.0)
    assert (on, off) == (60.0, 0.0)


def later(faults: Sequence[Stretch]) -> tuple[Stretch, ...]:
    return tuple(replace(fault, start=fault.start * 60, stop=fault.stop * 60) for fault in faults)


def test_with_few_faults_nothing_shows_that_a_delay_loses_none() -> None:
    calm, broken = machine(12_400, SHORT), machine(12_400, SHORT + CHATTER[:30], FAULTS[:15])
    assert choose_delays([calm], [broken], 1.0) == (0.0, 60.0)
    assert choose_delays([calm], [], 25.0) == (0.0, 50.0)
    assert choose_delays([calm], [], 600.0) == (0.0, 600.0)
    assert choose_delays([calm], [], 1e6) == (0.0, 86_400.0)


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_history(tmp_path_factory.mktemp("history"))


@pytest.fixture(scope="module")
def fitted(history: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    folder = tmp_path_factory.mktemp("fit")
    words = ("edge-train", "fit", "--data", history, "-o", folder, "--recipe", "linear", *OPTIONS)
    done = run_here(tmp_path_factory.mktemp("here"), *words, "--alarm-delays")
    assert done.returncode == 0, done.stderr
    return folder, done.stdout.decode()


def healthy(rows: int, day: int) -> Split:
    block = Simulator("press-1", seed=1, severity=0.0, start_ns=day * 86_400 * SECOND).block(rows)
    values = block.values.astype(np.float32)
    return Split(Path("memory"), block.times, np.full(rows, "press-1"), values, None, None)


def test_weak_faults_are_put_where_it_is_calm() -> None:
    train, val, test = healthy(6000, 1), healthy(3000, 2), healthy(1000, 3)
    data = TrainingData(SENSORS, train, val, test, {}, {}, 1.0)
    detector = fit(data, Settings(**RECIPES["linear"].settings)).detector
    threshold = choose_threshold(val, detector, "percentile", percentile=99.5, hold=DEFAULT_HOLD)
    calm, reach = judged_machines(val, detector, threshold), 120 * SECOND
    found = weak_faults(val, train.normal_values, detector, threshold, calm, reach)
    assert len(found) == 6 * 2 * 3  # kinds of faults, every other one, strengths
    flagged = calm[0].runs.times[calm[0].runs.anomalous]
    assert len(flagged) > 0
    assert sum(len(one.faults) for one in found) > 100
    for one in found:
        starts = np.array([fault.start for fault in one.faults])
        assert (np.diff(starts) >= 360 * SECOND).all()
        for fault in one.faults:
            assert not ((flagged >= fault.start - reach) & (flagged <= fault.stop)).any()
            inside = (one.runs.times >= fault.start) & (one.runs.times <= fault.stop)
            assert (inside.sum(), one.normal[inside].sum()) == (60, 0)
    # A quarter of a fault is found less often than all of it.
    full, half, quarter = (figures_of(found[strength::3], 0, 0).found.mean() for strength in range(3))
    assert full > half > quarter > 0
    short = val.take(np.arange(100))
    assert weak_faults(short, train.normal_values, detector, threshold, calm, reach) == []

    measured = measure_alarm_delays(data, detector, threshold)
    assert measured.injected is not None
    before, after = measured.injected
    assert (before.found & ~after.found).sum() == 0
    assert after.single >= max(before.single, 0.95)
    assert measured.validation[1].false_alarms <= measured.validation[0].false_alarms
    high = measured.alarms.high_severity
    assert high is not None
    assert (after.peaks >= high).mean() == pytest.approx(0.1, abs=0.02)
    assert measured.alarms == Alarms(measured.alarms.on_delay_s, measured.alarms.off_delay_s, high, len(val))
    assert [row[0] for row in alarm_rows(measured.to_dict())] == [
        "false alarms a day, validation",
        "faults found, injected faults",
        "of the others in an alarm before, injected faults",
        "found ones with a single alarm, injected faults",
        "median delay, injected faults",
        "false alarms a day, test",
    ]


def test_what_a_fit_prints_records_and_exports_agrees(history: Path, fitted: tuple[Path, str]) -> None:
    folder, printed = fitted
    checkpoint, data = Checkpoint.load(folder / "checkpoint"), read_training_data(history, Columns())
    measured = measure_alarm_delays(data, checkpoint.detector, checkpoint.threshold)
    metadata = load_bundle(folder / "bundle.onnx").metadata
    assert metadata.needs == ("alarms",)
    assert metadata.alarms == checkpoint.alarms == measured.alarms
    assert measured.alarms.rows == len(data.val)
    recorded = json.loads((folder / "metrics.json").read_text())["alarms"]
    assert recorded == json.loads(json.dumps(measured.to_dict()))
    assert measured.table() in printed
    assert alarm_sentence(measured.alarms) in printed
    rows = alarm_rows(recorded)
    assert rows[0][0] == "false alarms a day, validation"
    assert len(rows) == 2 * (1 + 4)  # of validation and test; there is no room for injected faults
    assert recorded["injected"] is None
    before, after = measured.validation
    assert (after.found | after.since_before)[before.found].all()
    assert measured.metrics["alarms_on_delay_s"] == measured.alarms.on_delay_s
    assert measured.metrics["alarms_val_false_a_day"] == after.a_day


def test_the_report_reads_what_somebody_wrote_there() -> None:
    alarms = Alarms(2.0, 30.0, None, 1234)
    for metrics in ({}, {"alarms": None}, {"alarms": {"validation": 3}}):
        page = alarms_html(alarms, metrics)
        assert "On-delay 2 s, off-delay 30 s; no alarm is high. Chosen on 1,234" in page
        assert "<table>" not in page
    odd = {"validation": {"without": {"faults": 3, "found": "two", "false_alarms_a_day": True}, "with": []}}
    assert alarm_rows(odd) == [
        ("false alarms a day, validation", "-", "-"),
        ("faults found, validation", "-", "-"),
        ("of the others in an alarm before, validation", "-", "-"),
        ("found ones with a single alarm, validation", "-", "-"),
        ("median delay, validation", "-", "-"),
    ]


def test_it_belongs_to_the_recipe_best_and_to_whoever_asks(history: Path, tmp_path: Path, here: Here) -> None:
    assert [name for name, recipe in RECIPES.items() if recipe.alarm_delays] == ["best"]
    words = ("edge-train", "fit", "--data", history, "-o", tmp_path / "fit", "--recipe", "linear", "--quiet")
    assert here(*words, *OPTIONS).returncode == 0
    assert load_bundle(tmp_path / "fit" / "bundle.onnx").metadata.needs == ()
    assert "alarms" not in json.loads((tmp_path / "fit" / "metrics.json").read_text())
    data = read_training_data(history, Columns())
    assert params(data, Plan(output=tmp_path))["alarm_delays"] is False
    assert params(data, Plan(output=tmp_path, alarm_delays=True))["alarm_delays"] is True


def test_a_fleet_has_them_machine_by_machine(history: Path, tmp_path: Path, here: Here) -> None:
    words = ("edge-train", "fleet", "--data", history, "-o", tmp_path / "fleet", "--epochs", 1)
    done = here(*words, "--recipe", "plain", "--alarm-delays")
    assert done.returncode == 0, done.stderr
    for name in ("press-1", "press-2"):
        alarms = load_bundle(tmp_path / "fleet" / name / "bundle.onnx").metadata.alarms
        assert alarms is not None
        recorded = json.loads((tmp_path / "fleet" / name / "metrics.json").read_text())["alarms"]
        assert recorded["off_delay_s"] == alarms.off_delay_s
