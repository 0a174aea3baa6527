"""The page: every section in order, in one file that loads nothing."""

from __future__ import annotations

from dataclasses import dataclass, field
from html import escape
from importlib.resources import files
from string import Template
from typing import TYPE_CHECKING

import numpy as np

from edge_runtime.errors import counted
from edge_runtime.version import __version__
from trainer.calibration.assess import assess
from trainer.calibration.debounce import ScoredRows
from trainer.experiment.compare import compare
from trainer.experiment.plots import curves_figure, scores_figure
from trainer.report.alarm_rate import NormalRows, foretold
from trainer.report.figures import (
    calibration_figure,
    finding_figure,
    stretch_figure,
    stretch_to_show,
)
from trainer.report.findings import alarms, false_findings, missed_findings
from trainer.report.scored import Scored, score_split
from trainer.report.svg import inline_svg
from trainer.report.tables import (
    absences_html,
    alarms_html,
    budget_table,
    comparison_html,
    findings_table,
    moment,
    standing_html,
)
from trainer.report.timeline import strip_figures
from trainer.report.verdict import origin_html, verdict_html

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from matplotlib.figure import Figure

    from edge_runtime.bundle.metadata import Sensor
    from trainer.calibration.peaks import ScoreSeries
    from trainer.data.training_data import TrainingData
    from trainer.experiment.checkpoint import Checkpoint
    from trainer.report.findings import Finding
    from trainer.report.run import Run

__all__ = ["build_page"]

QUANTILE = 0.996
WORST = 4
MAX_MACHINES = 48
PAGE = Template("""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>$title</title>
<style>
$style</style>
</head>
<body>
<h1>$title</h1>
<nav>$nav</nav>
$body
<footer><p>edge-train $version</p></footer>
</body>
</html>
""")


@dataclass(slots=True)
class _Page:
    """The sections so far."""

    sections: list[tuple[str, str, str]] = field(default_factory=list)
    plots: int = 0

    def add(self, name: str, title: str, *parts: str) -> None:
        """A section, under this id."""
        self.sections.append((name, title, "\n".join(part for part in parts if part)))

    def plot(self, figure: Figure, caption: str, *, narrow: bool = False) -> str:
        """A plot with its caption, which is plain text."""
        self.plots += 1
        svg = inline_svg(figure, self.plots)
        size = ' class="narrow"' if narrow else ""
        below = f'<figcaption id="caption{self.plots}">{escape(caption)}</figcaption>'
        return f"<figure{size}>{svg}{below}</figure>"

    def html(self, title: str) -> str:
        """The whole page."""
        return PAGE.substitute(
            title=escape(title),
            style=files("trainer.report").joinpath("page.css").read_text(encoding="utf-8"),
            nav="".join(f'<a href="#{name}">{escape(head)}</a>' for name, head, _ in self.sections),
            body="\n".join(
                f'<section id="{name}">\n<h2>{escape(head)}</h2>\n{body}\n</section>'
                for name, head, body in self.sections
            ),
            version=__version__,
        )


def build_page(run: Run, data: TrainingData, on_step: Callable[[str], None] = lambda _step: None) -> str:
    """The report of a run on the data's test rows, as one HTML page.

    Args:
        run: What was trained.
        data: The sensors must be the run's, in its order.
        on_step: Called with what is done next.

    Raises:
        TrainingError: No test or validation row can be scored.
    """
    checkpoint, page = run.checkpoint, _Page()
    detector, threshold, sensors = checkpoint.detector, checkpoint.threshold, checkpoint.sensors
    on_step("scores")
    test, validation = (score_split(split, detector, threshold) for split in (data.test, data.val))
    assessment = assess(data.test, detector, threshold)
    page.add("verdict", "Verdict", verdict_html(run, data, assessment))
    if assessment.evaluation is not None:
        _comparison(page, data, checkpoint, on_step)
    on_step("plots")
    _timeline(page, test)
    _stretch(page, test, sensors)
    finite = np.isfinite(test.scores) & test.counted
    scores, labels = test.scores[finite], None if test.labels is None else test.labels[finite]
    figure = scores_figure(scores, labels, threshold.value)
    page.add("scores", "Scores", page.plot(figure, "Score distribution of the test rows", narrow=True))
    if labels is not None and labels.any() and not labels.all():
        caption = "ROC and precision-recall of the test rows' scores, before the hold"
        page.add("curves", "Curves", page.plot(curves_figure(scores, labels), caption, narrow=True))
    _findings(page, test, sensors)
    if checkpoint.degraded is not None:
        note = (
            "<p>A row that lacks one sensor is judged without it: the reading is filled by a regression on "
            "the others, and the threshold is one of its own.</p>"
        )
        shown = absences_html(sensors, checkpoint.degraded, run.metrics)
        page.add("without", "Without a sensor", note, shown)
    if checkpoint.sensor_status is not None:
        note = "<p>A gateway leaves out a sensor that stands still or jumps; this page does not.</p>"
        shown = standing_html(sensors, checkpoint.sensor_status, run.metrics)
        page.add("status", "Sensor status", note, shown)
    if checkpoint.alarms is not None:
        page.add("alarms", "Alarms", alarms_html(checkpoint.alarms, run.metrics))
    on_step("alarm budget")
    training = ScoredRows.of(data.train, detector).series(None)
    _calibration(page, training, validation, test, threshold.value, checkpoint.provenance.seed)
    page.add("origin", "Provenance", origin_html(run, data))
    return page.html(f"Detector report: {run.name}")


def _comparison(
    page: _Page, data: TrainingData, checkpoint: Checkpoint, on_step: Callable[[str], None]
) -> None:
    percentile = 100 * (checkpoint.threshold.quantile or QUANTILE)
    found = compare(data, {"this run": checkpoint}, percentile, on_method=on_step)
    note = (
        f"<p>On the same test rows. The simple detectors are fitted on the normal training rows; their "
        f"thresholds are percentile {percentile:g} of their scores on normal validation rows.</p>"
    )
    page.add("comparison", "Beside simple detectors", note, comparison_html(found))


def _timeline(page: _Page, test: Scored) -> None:
    machines = [str(machine) for machine in np.unique(test.machines)]
    left_out = len(machines) - MAX_MACHINES
    if left_out > 0:
        flagged = {m: int(test.flagged[test.of(m)].sum()) for m in machines}
        machines = sorted(sorted(machines, key=lambda m: -flagged[m])[:MAX_MACHINES])
    shaded = "" if test.labels is None else "; labelled events shaded"
    caption = f"Score over threshold, the highest of each stretch of time; flagged rows in red{shaded}"
    plots = [page.plot(figure, caption) for figure in strip_figures(test, machines)]
    note = f"<p>Left out: {counted(left_out, 'machine')} with fewer flagged rows.</p>" if left_out > 0 else ""
    page.add("timeline", "Timeline of the test", note, *plots)


def _stretch(page: _Page, test: Scored, sensors: Sequence[Sensor]) -> None:
    stretch = stretch_to_show(test)
    what = "around the highest score"
    if test.events:
        what = f"with an event{f' ({stretch.kind})' if stretch.kind else ''}"
    caption = (
        f"{stretch.machine} at {moment(stretch.start)} UTC, {what}: each sensor's part of the score below"
    )
    page.add("sensors", "Sensor by sensor", page.plot(stretch_figure(test, stretch, sensors), caption))


def _findings(page: _Page, test: Scored, sensors: Sequence[Sensor]) -> None:
    def shown(heading: str, found: Sequence[Finding], none: str) -> str:
        if not found:
            return f"<h3>{heading}</h3>\n<p>{none}</p>"
        plots = []
        for one in found[:WORST]:
            where = f"{one.stretch.machine} at {moment(one.stretch.start)} UTC"
            caption = f"{where}, {one.severity:.3g} times the threshold"
            plots.append(page.plot(finding_figure(test, one, sensors), caption))
        head = f"<h3>{heading} ({len(found):,})</h3>"
        return f'{head}\n{findings_table(found, test, sensors)}\n<div class="pair">{"".join(plots)}</div>'

    if test.labels is None:
        page.add("findings", "Alarms to look at", shown("Alarms", alarms(test), "Nothing was flagged."))
        return
    none = "Every labelled event was found." if test.events else "No event is labelled."
    if test.unseen:
        none = "Every labelled event that could be scored was found."
    missed = shown("Missed events", missed_findings(test), none)
    if test.unseen:
        missed += f"\n<p>And {counted(test.unseen, 'event')} of which every row lacks a reading.</p>"
    wrong = shown("False alarms", false_findings(test), "There were no false alarms.")
    page.add("findings", "Misses and false alarms to look at", missed, wrong)


def _calibration(
    page: _Page, training: ScoreSeries, validation: Scored, test: Scored, threshold: float, seed: int
) -> None:
    splits = {"validation": NormalRows.of(validation), "test": NormalRows.of(test)}
    budgets = foretold(splits["validation"], seed, training)
    note = (
        "<p>How often the normal rows would have raised an alarm at each threshold, and what peaks over "
        "threshold on validation predicts for three budgets, more widely where training speaks for it. "
        "Rows above the threshold that are neighbours, or no further than a minute apart, are one alarm, "
        "before the hold. Rows within half a minute of an event are left out: an alarm there is about the "
        "event. Dotted: one alarm in all of that time; rarer events have not been observed.</p>"
    )
    unlabelled = [
        name for name, split in (("validation", validation), ("test", test)) if split.labels is None
    ]
    doubt = (
        f'<p class="note">Without labels every row of {" and ".join(unlabelled)} is treated as normal.</p>'
    )
    figure = calibration_figure(splits, budgets, threshold)
    page.add(
        "budget",
        "Alarm budget",
        note,
        doubt if unlabelled else "",
        page.plot(figure, "Alarms a machine and day against the threshold", narrow=True),
        budget_table(budgets, splits),
    )
