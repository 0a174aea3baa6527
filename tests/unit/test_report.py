"""`edge-train report`: one page about a run, complete, true to the data, harmless whatever that holds."""

from __future__ import annotations

import json
import re
import shlex
from dataclasses import replace
from html import escape, unescape
from html.parser import HTMLParser
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import numpy as np
import pytest
from support.commands import assert_one_clear_line
from support.history import write_history
from typer.testing import CliRunner

from edge_runtime.errors import InputError, TrainingError, UsageError
from trainer.calibration.assess import assess
from trainer.cli import app
from trainer.data.choice import Columns
from trainer.data.split import Split
from trainer.data.stretches import ALARM_JOIN_NS, stretches
from trainer.data.training_data import TrainingData, read_training_data
from trainer.experiment.plan import Plan
from trainer.experiment.run import run_fit
from trainer.fitting.fit import Settings
from trainer.report import Run, build_page
from trainer.report.alarm_rate import NormalRows, foretold
from trainer.report.findings import alarms, false_findings, missed_findings
from trainer.report.scored import score_split
from trainer.report.timeline import peaks
from trainer.report.verdict import verdict_html
from trainer.tracking import NoTracker

if TYPE_CHECKING:
    from pathlib import Path

    from support.commands import Here

SECOND = 10**9
LABELLED = [
    "verdict",
    "comparison",
    "timeline",
    "sensors",
    "scores",
    "curves",
    "findings",
    "budget",
    "origin",
]
UNLABELLED = [name for name in LABELLED if name not in {"comparison", "curves"}]
EMPTY = {"meta", "br", "img", "link", "input"}
EVIL = "<script>alert(1)</script>"
# The last would be a formula to matplotlib, and a broken one.
EVIL_NAMES = (EVIL, '"><img src=http://evil.example/x onerror=y>', r"$\frac$ & \evil{")


class Reader(HTMLParser):
    """Reads a page: its elements with their attributes, its ids, and whether every element is closed."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.text = ""
        self.feed(page)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_startendtag(tag, attrs)
        if tag not in EMPTY:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data

    @property
    def sections(self) -> list[str]:
        return [attributes["id"] for tag, attributes in self.elements if tag == "section"]


def trained(data: TrainingData, folder: Path) -> Run:
    plan = Plan(output=folder, settings=Settings(epochs=3), plots=False)
    run_fit(data, plan, NoTracker())
    return Run.load(folder)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> TrainingData:
    return read_training_data(write_history(tmp_path_factory.mktemp("history")), Columns())


@pytest.fixture(scope="module")
def run(data: TrainingData, tmp_path_factory: pytest.TempPathFactory) -> Run:
    return trained(data, tmp_path_factory.mktemp("press-fit"))


@pytest.fixture(scope="module")
def page(run: Run, data: TrainingData) -> str:
    return build_page(run, data)


def without_labels(split: Split) -> Split:
    return replace(split, labels=None, kinds=None)


def assert_loads_nothing(page: str) -> None:
    read = Reader(page)
    for tag, attributes in read.elements:
        assert tag not in {"script", "link", "img", "iframe", "object", "embed", "image", "foreignobject"}
        for name, value in attributes.items():
            assert not name.startswith("on"), (tag, name)
            assert name not in {"src", "srcset", "action"}, (tag, name)
            if name.endswith("href"):
                assert value.startswith("#"), value
    # Text may say anything; styles and attributes may point nowhere but into the page.
    markup = "".join(re.findall(r"<[^>]*>", page)) + page[page.index("<style>") : page.index("</style>")]
    assert "http:" not in markup
    assert "https:" not in markup
    assert "@import" not in markup
    assert all(target.startswith("#") for target in re.findall(r"url\(([^)]*)\)", markup))


def test_the_page_holds_every_section_and_loads_nothing(page: str) -> None:
    assert Reader(page).sections == LABELLED
    assert_loads_nothing(page)
    assert "default-src 'none'" in page


def test_every_plot_is_well_formed_and_its_ids_are_its_own(page: str) -> None:
    plots = re.findall(r"<svg.*?</svg>", page, re.DOTALL)
    assert len(plots) >= 5
    for plot in plots:
        ET.fromstring(plot)  # noqa: S314 - our own
    read = Reader(page)
    ids = [attributes["id"] for _, attributes in read.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    used = {a["href"][1:] for _, a in read.elements if a.get("href", "").startswith("#")}
    used |= set(re.findall(r"url\(#([^)]*)\)", page))
    assert used <= set(ids)


def test_every_colour_follows_the_page_into_the_dark(page: str) -> None:
    plots = "".join(re.findall(r"<svg.*?</svg>", page, re.DOTALL))
    painted = set(re.findall(r"(?:fill|stroke): ([^;\"]+)", plots))
    assert {colour for colour in painted if not colour.startswith("var(--")} <= {"none"}
    style = page[page.index("<style>") : page.index("</style>")]
    light, dark = style.split("prefers-color-scheme: dark")
    for name in re.findall(r"var\((--\w+)\)", "".join(painted)):
        assert f"{name}:" in light
        assert f"{name}:" in dark


def test_the_figures_are_those_of_the_evaluation(page: str, run: Run, data: TrainingData) -> None:
    evaluation = assess(data.test, run.checkpoint.detector, run.checkpoint.threshold).evaluation
    assert evaluation is not None
    assert evaluation.events is not None
    text = Reader(page).text
    events = evaluation.events
    assert f"F1{evaluation.f1:.3f}" in text
    assert f"ROC AUC{evaluation.roc_auc:.3f}" in text
    assert f"events found{events.found} of {events.injected}" in text
    assert f"{events.false_alarms:,} in {events.machine_days:.3g} machine-days" in text
    assert f"alarm minutes a day{events.alarm_minutes_per_day:,.1f}of one machine's normal time" in text
    assert f"normal rows flagged{events.false_alarm_rate:.2%}" in text
    assert f"alarm precision{events.alarm_precision:.3f}" in text
    for line in evaluation.beside():
        assert line in text
    assert len(evaluation.beside()) == 2
    assert run.metrics["digest"] in text
    assert run.checkpoint.provenance.data_digest in text
    assert "Isolation Forest" in text


@pytest.mark.parametrize("factor", [0.2, 1.0, 2.0, 30.0])
def test_misses_and_false_alarms_are_as_many_as_the_evaluation_counts(
    run: Run, data: TrainingData, factor: float
) -> None:
    threshold = replace(run.checkpoint.threshold, value=run.checkpoint.threshold.value * factor)
    scored = score_split(data.test, run.checkpoint.detector, threshold)
    evaluation = assess(data.test, run.checkpoint.detector, threshold).evaluation
    assert evaluation is not None
    events = evaluation.events
    assert events is not None
    missed, wrong = missed_findings(scored), false_findings(scored)
    assert len(missed) == events.injected - events.found
    assert len(wrong) == events.false_alarms
    assert (factor < 1) == bool(wrong)
    # A low threshold's alarm is up before a drift is labelled, which is no finding; a high one's never comes.
    silent = [one for one in missed if not one.note]
    assert (factor > 10) == bool(silent)
    assert all(one.severity <= 1 for one in silent)
    assert len(missed) - len(silent) == events.in_alarm_since_before
    assert (factor < 1) <= bool(events.in_alarm_since_before)
    assert [one.severity for one in wrong] == sorted((one.severity for one in wrong), reverse=True)
    for one in missed + wrong:
        rows = scored.within(one.stretch)
        assert scored.severity[rows].max() == one.severity
        assert rows.start <= one.peak < rows.stop
        assert set(scored.machines[rows]) == {one.stretch.machine}


def test_an_alarm_that_is_always_up_is_seen_in_the_tiles(run: Run, data: TrainingData) -> None:
    checkpoint = replace(run.checkpoint, threshold=replace(run.checkpoint.threshold, value=1e-12))
    assessment = assess(data.test, checkpoint.detector, checkpoint.threshold)
    assert assessment.evaluation is not None
    assert assessment.evaluation.events is not None
    injected = assessment.evaluation.events.injected
    text = Reader(verdict_html(replace(run, checkpoint=checkpoint), data, assessment)).text
    assert f"events found0 of {injected}" in text
    assert f"{injected} missed as the alarm was up since before" in text
    assert "alarm minutes a day1,440.0" in text
    assert "normal rows flagged100.00%" in text


def test_events_of_which_no_row_could_be_scored_are_told_of(run: Run, data: TrainingData) -> None:
    scored = score_split(data.test, run.checkpoint.detector, run.checkpoint.threshold)
    gone = min(scored.events, key=lambda event: event.stop - event.start)
    values, test = data.test.values.copy(), data.test
    rows = (test.machines == gone.machine) & (test.times >= gone.start) & (test.times <= gone.stop)
    values[rows, 0] = np.nan
    holed = replace(data, test=replace(test, values=values))
    again = score_split(holed.test, run.checkpoint.detector, run.checkpoint.threshold)
    assert (len(again.events), again.unseen) == (len(scored.events) - 1, 1)
    evaluation = assess(holed.test, run.checkpoint.detector, run.checkpoint.threshold).evaluation
    assert evaluation is not None
    assert evaluation.events is not None
    assert evaluation.events.injected == len(scored.events)
    assert len(missed_findings(again)) == evaluation.events.injected - evaluation.events.found - 1
    assert "And 1 event of which every row lacks a reading." in Reader(build_page(run, holed)).text


def test_the_top_sensor_is_the_one_that_is_off(run: Run, data: TrainingData) -> None:
    values = data.test.values.copy()
    quiet = np.flatnonzero(~data.test.labels)[500] if data.test.labels is not None else 0
    values[quiet, 1] *= 20
    test = without_labels(replace(data.test, values=values))
    scored = score_split(test, run.checkpoint.detector, run.checkpoint.threshold)
    worst = alarms(scored)[0]
    assert data.sensors[worst.sensor] == "vibration"
    assert scored.times[worst.peak] == data.test.times[quiet]
    assert worst.actual == pytest.approx(values[quiet, 1])
    assert worst.expected < worst.actual / 2


def scored_rate(run: Run, data: TrainingData) -> float:
    return assess(data.test, run.checkpoint.detector, run.checkpoint.threshold).alarm_rate


def test_without_labels_it_says_so_and_lists_every_alarm(run: Run, data: TrainingData) -> None:
    bare = replace(data, test=without_labels(data.test), val=without_labels(data.val))
    page = build_page(run, bare)
    read = Reader(page)
    assert read.sections == UNLABELLED
    assert_loads_nothing(page)
    assert "Unlabelled: only the rate of alarms is known" in read.text
    flagged = f"{100 * scored_rate(run, bare):.2f}%"
    assert flagged in read.text
    assert "every row of validation and test is treated as normal" in read.text
    scored = score_split(bare.test, run.checkpoint.detector, run.checkpoint.threshold)
    assert f"Alarms ({len(alarms(scored))})" in read.text


def hostile(split: Split) -> Split:
    machines = np.where(split.machines == "press-1", EVIL, EVIL_NAMES[1])
    assert split.kinds is not None
    return replace(split, machines=machines, kinds=np.where(split.kinds == "", "", EVIL))


def test_names_from_the_data_are_text_and_nothing_else(run: Run, data: TrainingData) -> None:
    names = (data.sensors[0], *EVIL_NAMES)
    train, val, test = (hostile(split) for split in (data.train, data.val, data.test))
    data = replace(data, sensors=names, train=train, val=val, test=test)
    checkpoint = run.checkpoint
    # A high threshold misses events, so that their kinds and sensors come into the tables and plots.
    threshold = replace(checkpoint.threshold, value=checkpoint.threshold.value * 30)
    sensors = tuple(
        replace(sensor, name=name, unit=EVIL) for sensor, name in zip(checkpoint.sensors, names, strict=True)
    )
    checkpoint = replace(checkpoint, threshold=threshold, sensors=sensors)
    run = Run(EVIL, checkpoint, {"digest": EVIL})
    page = build_page(run, data)
    assert_loads_nothing(page)
    assert "<script" not in page.lower()
    assert escape(EVIL) in page
    text = Reader(page).text
    for name in EVIL_NAMES:
        assert name in text
    assert unescape(page).count(EVIL) > 10


@pytest.mark.parametrize(("rows", "anomalous"), [(slice(0, 1), False), (slice(0, 3), True)])
def test_a_test_of_hardly_any_rows_of_one_class_gives_a_page(
    run: Run, data: TrainingData, rows: slice, *, anomalous: bool
) -> None:
    whole = data.test
    test = Split(
        whole.path, whole.times[rows], whole.machines[rows], whole.values[rows],
        np.full(len(whole.times[rows]), anomalous), None,
    )  # fmt: skip
    page = build_page(run, replace(data, test=test))
    assert Reader(page).sections == [name for name in LABELLED if name != "curves"]
    assert ("No test row is labelled anomalous: only the rate of false alarms is known" in page) != anomalous
    assert ("flagged rows that are anomalous" in page) == anomalous


def test_data_other_than_it_was_trained_with_is_said(run: Run, data: TrainingData, tmp_path: Path) -> None:
    other = read_training_data(write_history(tmp_path / "other", test=1600), Columns())
    for folder, says in ((data, False), (other, True)):
        test = assess(folder.test, run.checkpoint.detector, run.checkpoint.threshold)
        assert ("not those that the detector was trained with" in verdict_html(run, folder, test)) == says


def test_a_spike_of_one_row_is_in_the_strip() -> None:
    times = np.arange(100_000, dtype=np.int64) * SECOND
    values = np.random.default_rng(0).uniform(0, 1, len(times))
    values[[0, 61_234, 99_999]] = 50.0, 70.0, 60.0
    when, highest = peaks(times, values, 500, 10.0 * SECOND)
    assert len(when) == 500
    assert np.all(np.diff(when) > 0)
    for row in (0, 61_234, 99_999):
        assert highest[when == times[row]] == values[row]


def test_a_hole_in_the_data_breaks_the_line() -> None:
    times = np.concatenate([np.arange(5), np.arange(100, 105)]).astype(np.int64) * SECOND
    when, highest = peaks(times, np.ones(10), 500, 10.0 * SECOND)
    assert np.flatnonzero(np.isnan(highest)).tolist() == [5]
    assert times[4] < when[5] < times[5]


def normal_rows(days: float, seed: int) -> NormalRows:
    """Smoothed noise of one machine at 0.1 Hz."""
    rows = int(days * 8640)
    noise = np.random.default_rng(seed).gamma(1.5, 1.0, rows + 4)
    times = np.arange(rows, dtype=np.int64) * 10 * SECOND
    return NormalRows(np.convolve(noise, np.ones(5) / 5, "valid"), times, np.full(rows, "m"), days)


def test_alarms_are_counted_as_the_evaluation_joins_them() -> None:
    rows = normal_rows(1.0, 0)
    for threshold in np.quantile(rows.scores, [0.5, 0.9, 0.99, 0.999]):
        above = rows.scores > threshold
        expected = len(stretches(rows.times, rows.machines, above, join_ns=ALARM_JOIN_NS))
        assert rows.alarms(float(threshold)) == expected
        assert rows.rate(float(threshold)) == expected
    assert rows.alarms(float(rows.scores.max())) == 0


def test_an_alarm_does_not_go_over_from_one_machine_to_another() -> None:
    times = np.array([0, 10, 5, 15], np.int64) * SECOND
    rows = NormalRows(np.full(4, 2.0), times, np.array(["a", "a", "b", "b"]), 1.0)
    assert rows.alarms(1.0) == 2


def test_what_is_foretold_rises_with_a_smaller_budget_and_what_is_not_promised_says_why() -> None:
    found = foretold(normal_rows(8.0, 1), seed=0)
    daily, weekly, monthly = (one.threshold for one in found)
    assert daily is not None
    assert weekly is not None
    assert daily.value < weekly.value
    assert monthly is None
    assert "8 machine-days of validation cannot promise 1/month" in found[2].why_not
    low, high = found[0].interval_per_day
    assert low <= 1 <= high
    too_few = foretold(normal_rows(0.01, 1), seed=0)
    assert [one.threshold for one in too_few] == [None] * 3
    assert "too few" in too_few[0].why_not


def test_rows_beside_an_event_are_no_normal_rows(run: Run, data: TrainingData) -> None:
    scored = score_split(data.test, run.checkpoint.detector, run.checkpoint.threshold)
    rows = NormalRows.of(scored)
    assert 0 < len(rows.scores) < int((~scored.labels).sum() if scored.labels is not None else 0)
    for event in scored.events:
        own = rows.times[rows.machines == event.machine]
        assert not ((own >= event.start - 30 * SECOND) & (own <= event.stop + 30 * SECOND)).any()


def test_what_cannot_be_read_is_said(run: Run, data: TrainingData, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such folder"):
        Run.load(tmp_path / "none")
    with pytest.raises(TrainingError, match="not a checkpoint"):
        Run.load(tmp_path)
    run.checkpoint.save(tmp_path / "checkpoint")
    assert Run.load(tmp_path).metrics == {}
    (tmp_path / "metrics.json").write_text("[]")
    with pytest.raises(InputError, match="not a JSON object"):
        Run.load(tmp_path)
    empty = replace(data.test, values=np.full_like(data.test.values, np.nan))
    with pytest.raises(TrainingError, match="every row lacks at least one reading"):
        build_page(run, replace(data, test=empty))


def test_a_fit_names_the_command_and_the_command_writes_the_page(tmp_path: Path) -> None:
    folder = write_history(tmp_path / "my history", train=2000, val=1000, test=1000)
    output = tmp_path / "fit"
    fit = ("--data", folder, "-o", output, "--epochs", 1, "--no-mlflow", "--no-plots")
    options = (*fit, "--machine-column", "machine_id")
    fitted = CliRunner().invoke(app, ["fit", *map(str, options)])
    assert fitted.exit_code == 0, fitted.output
    named = fitted.stdout.splitlines()[-1].partition(": ")[2]
    words = shlex.split(named)
    assert words[:2] == ["edge-train", "report"]
    assert words[-2:] == ["--machine-column", "machine_id"]
    done = CliRunner().invoke(app, words[1:])
    assert done.exit_code == 0, done.output
    path = tmp_path / "fit" / "report.html"
    assert str(path) in done.stdout
    page = path.read_text(encoding="utf-8")
    assert Reader(page).sections == [*LABELLED[:7], "without", "status", "alarms", *LABELLED[7:]]
    digest = json.loads((tmp_path / "fit" / "metrics.json").read_text())["digest"]
    assert digest in page


def test_a_folder_that_is_not_there_is_one_clear_line(here: Here, tmp_path: Path) -> None:
    done = here("edge-train", "report", "--data", "x", "--fit", "y")
    assert_one_clear_line(done, 2, "--data x", "no such folder")
    done = here("edge-train", "report", "--data", tmp_path, "--fit", "y")
    assert_one_clear_line(done, 2, "--fit y", "no such folder")
