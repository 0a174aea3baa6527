"""A trained detector beside simple ones, on the same test rows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge_runtime.errors import TrainingError
from trainer.assess import assess
from trainer.baselines import DEFAULT_LIMITS, FITTED, AlwaysAnomaly, FixedLimits
from trainer.evaluate import evaluate

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from trainer.baselines import Baseline
    from trainer.checkpoint import Checkpoint
    from trainer.data import TrainingData
    from trainer.evaluate import Evaluation

__all__ = ["compare", "comparison_cells", "comparison_table"]

FIGURES = {
    "F1": "f1",
    "precision": "precision",
    "recall": "recall",
    "ROC AUC": "roc_auc",
    "avg prec": "average_precision",
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
        TrainingError: The test rows have no labels, or a detector was trained for other sensors.
    """
    test = data.test
    if test.labels is None:
        raise TrainingError(
            "there is nothing to compare with", where=str(test.path), mend="label the test rows"
        )
    found: dict[str, Evaluation] = {}
    for name, checkpoint in checkpoints.items():
        on_method(name)
        sensors = tuple(sensor.name for sensor in checkpoint.sensors)
        if sensors != data.sensors:
            raise TrainingError(
                f"trained for {', '.join(sensors)}, the data has {', '.join(data.sensors)}", where=name
            )
        evaluation = assess(test, checkpoint.detector, checkpoint.threshold).evaluation
        if evaluation is not None:
            found[name] = evaluation
    for baseline in _baselines(data, quantile, on_method):
        scores = baseline.score(test.values)
        found[baseline.name] = evaluate(
            scores, baseline.threshold, test.labels, test.kinds, test.times, test.machines
        )
    return found


def comparison_cells(found: Mapping[str, Evaluation]) -> tuple[list[str], dict[str, list[str]]]:
    """The columns' names, and each method's cells; "-" where a figure is undefined."""
    rows = {}
    for name, evaluation in found.items():
        figures = evaluation.metrics()
        cells = [f"{figures[key]:.3f}" if key in figures else "-" for key in FIGURES.values()]
        events = evaluation.events
        if events is not None:
            cells += [f"{events.found}/{events.injected}", f"{events.false_alarms_per_day:.1f}"]
        rows[name] = cells
    return [*FIGURES, "events", "false a day"], rows


def comparison_table(found: Mapping[str, Evaluation]) -> str:
    """For people: one line a method."""
    columns, rows = comparison_cells(found)
    width = max(len("method"), *map(len, found))
    lines = [f"{'method':<{width}}" + "".join(f"{name:>11}" for name in columns)]
    lines += [f"{name:<{width}}" + "".join(f"{cell:>11}" for cell in cells) for name, cells in rows.items()]
    return "\n".join(lines)


def _baselines(data: TrainingData, quantile: float, on_method: Callable[[str], None]) -> Iterator[Baseline]:
    yield AlwaysAnomaly()
    if set(data.sensors) & set(DEFAULT_LIMITS):
        yield FixedLimits(data.sensors)
    for kind in FITTED:
        on_method(kind.name)
        yield kind.fit(data.train.normal_values, data.val.normal_values, quantile)
