"""A trained detector beside simple ones, on the same test rows."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from edge_runtime.errors import TrainingError
from trainer.calibration.assess import assess
from trainer.data.rows import replacing
from trainer.evaluation.baselines import DEFAULT_LIMITS, FITTED, AlwaysAnomaly, FixedLimits
from trainer.evaluation.evaluate import Evaluation, evaluate
from trainer.evaluation.figures import NO_ANOMALIES, NOTHING_COUNTS, UNLABELLED
from trainer.experiment.provenance import data_digest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from trainer.data.training_data import TrainingData
    from trainer.evaluation.baselines import Baseline
    from trainer.experiment.checkpoint import Checkpoint
    from trainer.tracking import NoTracker, Tracker

__all__ = ["compare", "comparison_cells", "comparison_note", "comparison_table", "record", "write_figures"]

FIGURES = {
    "F1": "f1",
    "precision": "precision",
    "recall": "recall",
    "ROC AUC": "roc_auc",
    "avg prec": "average_precision",
    "VUS-PR": "vus_pr",
}


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


def comparison_cells(found: Mapping[str, Evaluation]) -> tuple[list[str], dict[str, list[str]]]:
    """The columns' names, and each method's cells; "-" where a figure is undefined.

    Without labels, or labelled anomalies, what is flagged is all that is known.
    """
    if not any(evaluation.has_anomalies for evaluation in found.values()):
        return _cells_without_anomalies(found)
    rows = {}
    for name, evaluation in found.items():
        figures = evaluation.metrics()
        cells = [f"{figures[key]:.3f}" if key in figures else "-" for key in FIGURES.values()]
        cells.insert(1, evaluation.interval("f1") or "-")
        events = evaluation.events
        cells += (
            ["-", "-"]
            if events is None
            else [f"{events.found}/{events.injected}", f"{events.false_alarms_per_day:.1f}"]
        )
        rows[name] = cells
    first, *others = FIGURES
    return [first, "90 % interval", *others, "events", "false a day"], rows


def _cells_without_anomalies(found: Mapping[str, Evaluation]) -> tuple[list[str], dict[str, list[str]]]:
    rows = {}
    for name, evaluation in found.items():
        events = evaluation.events
        rows[name] = [f"{evaluation.alarm_rate:.2%}"]
        rows[name] += [] if events is None else [f"{events.false_alarms_per_day:.1f}"]
    labelled = any(evaluation.labelled for evaluation in found.values())
    return (["flagged", "false a day"] if labelled else ["flagged"]), rows


def comparison_note(found: Mapping[str, Evaluation]) -> str:
    """What a comparison cannot know, for people; empty where there are labelled anomalies."""
    if any(evaluation.has_anomalies for evaluation in found.values()):
        return ""
    return NO_ANOMALIES if any(evaluation.labelled for evaluation in found.values()) else UNLABELLED


def comparison_table(found: Mapping[str, Evaluation]) -> str:
    """For people: one line a method, and a note where labels are missing."""
    columns, rows = comparison_cells(found)
    table = [columns, *rows.values()]
    widths = [max(map(len, cells)) + 2 for cells in zip(*table, strict=True)]
    names = ["method", *rows]
    width = max(map(len, names))
    lines = [
        f"{name:<{width}}" + "".join(f"{cell:>{w}}" for cell, w in zip(cells, widths, strict=True))
        for name, cells in zip(names, table, strict=True)
    ]
    return "\n".join([*lines, *filter(None, [comparison_note(found)])])


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
    yield AlwaysAnomaly()
    if set(data.sensors) & set(DEFAULT_LIMITS):
        yield FixedLimits(data.sensors)
    for kind in FITTED:
        on_method(kind.name)
        yield kind.fit(data.train.normal_values, data.val.normal_values, quantile)
