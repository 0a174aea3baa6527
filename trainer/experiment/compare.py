"""A trained detector beside simple ones, on the same test rows."""

from __future__ import annotations

import json
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from edge_runtime.errors import TrainingError
from trainer.calibration.assess import assess
from trainer.data.rows import replacing
from trainer.evaluation.baselines import DEFAULT_LIMITS, FITTED, FixedLimits
from trainer.evaluation.chance import SHIFTS
from trainer.evaluation.evaluate import Evaluation, evaluate
from trainer.evaluation.figures import NO_ANOMALIES, NOTHING_COUNTS, UNLABELLED
from trainer.evaluation.wording import ABOUT, FOUND, JOINED, MINUTES, UP_BEFORE
from trainer.experiment.provenance import data_digest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from trainer.data.training_data import TrainingData
    from trainer.evaluation.baselines import Baseline
    from trainer.experiment.checkpoint import Checkpoint
    from trainer.tracking import NoTracker, Tracker

__all__ = [
    "Figures",
    "compare",
    "comparison_figures",
    "comparison_notes",
    "comparison_table",
    "record",
    "write_figures",
]

OF_ROWS = {
    "F1": "f1",
    "precision": "precision",
    "recall": "recall",
    "ROC AUC": "roc_auc",
    "avg prec": "average_precision",
    "VUS-PR": "vus_pr",
    "random F1": "f1_of_random_alarms",
    "random prec": "precision_of_random_alarms",
}
EVENT_COLUMNS = [
    *("normal flagged", "minutes a day", "alarms", "precision", "false a day"),
    *("events", "random", "up before", "delay"),
]
RANDOM = f"random: what the same alarms find at random times, the mean of {SHIFTS} trials"


@dataclass(frozen=True, slots=True)
class Figures:
    """A table of a comparison, for people.

    Attributes:
        title: Of what the figures are; empty where there is but one table.
        columns: The columns' names, without that of the method.
        rows: Method to its cells; "-" where a figure is undefined.
    """

    title: str
    columns: list[str]
    rows: dict[str, list[str]]


def compare(
    data: TrainingData,
    checkpoints: Mapping[str, Checkpoint],
    quantile: float,
    on_method: Callable[[str], None] = lambda _name: None,
) -> dict[str, Evaluation]:
    """Evaluates detectors and baselines on the test rows.

    Args:
        data: Baselines are fitted on its normal training rows; their thresholds come from validation.
        checkpoints: Name to trained detector, each with its own threshold.
        quantile: Of the normal validation rows' scores, for the baselines' thresholds.
        on_method: Called with each method's name before it is evaluated.

    Raises:
        TrainingError: A detector was trained for other sensors, or no test row counts.
    """
    test = data.test
    if not (test.finite & test.counted).any():
        raise TrainingError(NOTHING_COUNTS, where=str(test.path), hint="take other test rows")
    found: dict[str, Evaluation] = {}
    for name, checkpoint in checkpoints.items():
        on_method(name)
        sensors = tuple(sensor.name for sensor in checkpoint.sensors)
        if sensors != data.sensors:
            raise TrainingError(
                f"trained for {', '.join(sensors)}, the data has {', '.join(data.sensors)}", where=name
            )
        assessment = assess(test, checkpoint.detector, checkpoint.threshold)
        found[name] = assessment.evaluation or Evaluation(
            rows=assessment.rows,
            unknown=assessment.not_scored,
            flagged=round(assessment.alarm_rate * assessment.rows),
            labelled=False,
            recall_by_kind={},
        )
    test = test if test.ignored is None else test.take(test.counted)
    for baseline in _baselines(data, quantile, on_method):
        scores = baseline.score(test.values)
        found[baseline.name] = evaluate(
            scores, baseline.threshold, test.labels, test.kinds, test.times, test.machines
        )
    return found


def comparison_figures(found: Mapping[str, Evaluation]) -> list[Figures]:
    """Every method's figures of rows, and those of alarms and events.

    Without labels, or labelled anomalies, what is flagged is all that is known.
    """
    evaluations = found.items()
    if not any(evaluation.labelled for evaluation in found.values()):
        return [Figures("", ["flagged"], {name: [f"{one.alarm_rate:.2%}"] for name, one in evaluations})]
    if not any(evaluation.has_anomalies for evaluation in found.values()):
        rows = {
            name: [
                f"{one.alarm_rate:.2%}",
                _cell(one, "alarm_minutes_per_day", ",.1f"),
                _cell(one, "alarms", ",.0f"),
                _cell(one, "false_alarms_per_day", ".1f"),
            ]
            for name, one in evaluations
        }
        return [Figures("", ["flagged", "minutes a day", "alarms", "false a day"], rows)]
    first, *others = OF_ROWS
    of_rows = {}
    for name, one in evaluations:
        of_rows[name] = [_cell(one, key, ".3f") for key in OF_ROWS.values()]
        of_rows[name].insert(1, one.interval("f1") or "-")
    return [
        Figures("Rows", [first, "90 % interval", *others], of_rows),
        Figures("Alarms and events", EVENT_COLUMNS, {name: _event_cells(one) for name, one in evaluations}),
    ]


def _event_cells(evaluation: Evaluation) -> list[str]:
    events = evaluation.events
    return [
        _cell(evaluation, "false_alarm_rate", ".2%"),
        _cell(evaluation, "alarm_minutes_per_day", ",.1f"),
        _cell(evaluation, "alarms", ",.0f"),
        _cell(evaluation, "alarm_precision", ".3f"),
        _cell(evaluation, "false_alarms_per_day", ".1f"),
        "-" if events is None else f"{events.found}/{events.injected}",
        _cell(evaluation, "events_found_by_random_alarms", ".1f"),
        _cell(evaluation, "events_in_alarm_since_before", ".0f"),
        "-" if events is None or events.delays_s is None else f"{events.delays_s.median:.0f} s",
    ]


def _cell(evaluation: Evaluation, figure: str, form: str) -> str:
    figures = evaluation.metrics()
    return format(figures[figure], form) if figure in figures else "-"


def comparison_notes(found: Mapping[str, Evaluation]) -> list[str]:
    """Sentences on what a comparison's figures mean, and what it cannot know."""
    if not any(evaluation.labelled for evaluation in found.values()):
        return [UNLABELLED]
    minutes = [f"minutes a day: in alarm, {MINUTES}", f"alarms: {JOINED}"]
    if not any(evaluation.has_anomalies for evaluation in found.values()):
        return [NO_ANOMALIES, *minutes]
    one = next(evaluation for evaluation in found.values() if evaluation.has_anomalies)
    return [
        *minutes,
        f"precision: the part of the alarms that {ABOUT}; false: the others",
        f"events: found where {FOUND}",
        f"up before: {UP_BEFORE}",
        "delay: from an event's start to that alarm, the median of those that were found",
        RANDOM,
        one.always_line,
    ]


def comparison_table(found: Mapping[str, Evaluation]) -> str:
    """For people: one line a method in each table, and notes."""
    parts = [_lines(figures) for figures in comparison_figures(found)]
    return "\n\n".join(["\n".join(lines) for lines in [*parts, comparison_notes(found)]])


def _lines(figures: Figures) -> list[str]:
    table = [figures.columns, *figures.rows.values()]
    widths = [max(map(len, cells)) + 2 for cells in zip(*table, strict=True)]
    names = ["method", *figures.rows]
    width = max(map(len, names))
    return [figures.title] * bool(figures.title) + [
        f"{name:<{width}}" + "".join(f"{cell:>{w}}" for cell, w in zip(cells, widths, strict=True))
        for name, cells in zip(names, table, strict=True)
    ]


def write_figures(found: Mapping[str, Evaluation], path: Path) -> None:
    """Writes every figure of every method as JSON, whole or not at all."""
    figures = {name: evaluation.to_dict() for name, evaluation in found.items()}
    with replacing(path) as stream:
        stream.write((json.dumps(figures, indent=2, allow_nan=False) + "\n").encode())


def record(
    found: Mapping[str, Evaluation], tracker: Tracker | NoTracker, *, data: TrainingData, percentile: float
) -> None:
    """Puts a comparison into a tracker's run: METHOD.FIGURE as metrics, the table and the JSON as artifacts.

    Args:
        found: As `compare` gave it.
        tracker: Whose run it goes into.
        data: What was compared on.
        percentile: Of the simple detectors' thresholds.
    """
    tracker.log_params(
        {
            "data_digest": data_digest((data.train, data.val, data.test)),
            "sensors": ",".join(data.sensors),
            "methods": ",".join(found),
            "percentile": percentile,
            "test_rows": len(data.test),
        }
    )
    tracker.log_metrics(
        {
            f"{name}.{figure}": value
            for name, evaluation in found.items()
            for figure, value in {**evaluation.metrics(), "alarm_rate": evaluation.alarm_rate}.items()
        }
    )
    with tempfile.TemporaryDirectory() as folder:
        table, figures = Path(folder) / "comparison.txt", Path(folder) / "comparison.json"
        table.write_text(comparison_table(found) + "\n", encoding="utf-8")
        write_figures(found, figures)
        tracker.log_file(table)
        tracker.log_file(figures)


def _baselines(data: TrainingData, quantile: float, on_method: Callable[[str], None]) -> Iterator[Baseline]:
    if set(data.sensors) & set(DEFAULT_LIMITS):
        yield FixedLimits(data.sensors)
    for kind in FITTED:
        on_method(kind.name)
        yield kind.fit(data.train.normal_values, data.val.normal_values, quantile)
