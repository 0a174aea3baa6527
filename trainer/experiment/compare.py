"""A trained detector beside simple ones, on the same test rows."""

from __future__ import annotations

import json
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from edge_runtime.errors import TrainingError
from trainer.calibration.assess import judge
from trainer.calibration.treatment import ALIKE, Treated, Treatment, held_limits
from trainer.data.rows import replacing
from trainer.evaluation.baselines import FITTED, FixedLimits
from trainer.evaluation.evaluate import Evaluation, evaluate
from trainer.evaluation.figures import NOTHING_COUNTS
from trainer.evaluation.intervals import f1_difference
from trainer.experiment.comparison import Added, Comparison, comparison_table
from trainer.experiment.provenance import data_digest
from trainer.fitting.recipes import DEFAULT_HOLD
from trainer.fitting.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    import numpy as np
    from numpy.typing import NDArray

    from trainer.data.split import Split
    from trainer.data.training_data import TrainingData
    from trainer.experiment.checkpoint import Checkpoint
    from trainer.tracking import NoTracker, Tracker

__all__ = ["compare", "record", "write_figures"]

# What the default recipe has of it, where no detector says.
DEFAULT = Treatment(smooth=Settings().smooth, hold=DEFAULT_HOLD)


@dataclass(slots=True)
class _Methods:
    """What was evaluated on the test rows so far.

    Attributes:
        test: The rows that count.
        found: Method to its figures.
        flags: Method to [rows] which rows are flagged.
    """

    test: Split
    found: dict[str, Evaluation] = field(default_factory=dict)
    flags: dict[str, NDArray[np.bool_]] = field(default_factory=dict)

    def add(self, name: str, scores: NDArray[np.float64], flagged: NDArray[np.bool_]) -> None:
        """A method's [rows] scores, NaN for none, and which rows it flagged."""
        test = self.test
        self.found[name] = evaluate(
            scores, 0.0, test.labels, test.kinds, test.times, test.machines, verdicts=flagged
        )
        self.flags[name] = flagged

    def added(self, name: str) -> Added | None:
        """What a method adds to the best simple one that is treated alike; None without anomalies."""
        alike = {other: one.f1 for other, one in self.found.items() if other.endswith(ALIKE)}
        own, test = self.found[name].f1, self.test
        known = {other: f1 for other, f1 in alike.items() if f1 is not None}
        if own is None or not known or test.labels is None:
            return None
        best = max(known, key=lambda other: known[other])
        rows = test.finite
        low, high = f1_difference(
            self.flags[name][rows],
            self.flags[best][rows],
            test.labels[rows],
            test.times[rows],
            test.machines[rows],
        )
        return Added(name, best, own - known[best], low, high)


def compare(
    data: TrainingData,
    checkpoints: Mapping[str, Checkpoint],
    percentile: float,
    limits: Mapping[str, tuple[float, float]] | None = None,
    on_method: Callable[[str], None] = lambda _name: None,
) -> Comparison:
    """Evaluates detectors and simple ones on the test rows.

    Each simple one is there twice: as one would write it, with nothing but a threshold; and with the
    smoothing, margin, debounce, hold and phase of the first detector, or of the default recipe if there is
    none.

    Args:
        data: The simple ones are fitted on its normal training rows; their thresholds come from validation.
        checkpoints: Name to trained detector, each with its own threshold.
        percentile: Of the normal validation rows' scores, for the simple ones' thresholds.
        limits: Sensor to its lowest and highest allowed reading; None for no row of fixed limits.
        on_method: Called with each method's name before it is evaluated.

    Raises:
        TrainingError: A detector was trained for other sensors, no test row counts, or none of the sensors
            has a limit.
    """
    test = data.test
    if not (test.finite & test.counted).any():
        raise TrainingError(NOTHING_COUNTS, where=str(test.path), hint="take other test rows")
    counted, treatment = test.counted, DEFAULT
    methods = _Methods(test.take(counted))
    for place, (name, checkpoint) in enumerate(checkpoints.items()):
        on_method(name)
        sensors = tuple(sensor.name for sensor in checkpoint.sensors)
        if sensors != data.sensors:
            raise TrainingError(
                f"trained for {', '.join(sensors)}, the data has {', '.join(data.sensors)}", where=name
            )
        scores, flagged = judge(test, checkpoint.detector, checkpoint.threshold)
        methods.add(name, scores[counted], flagged[counted])
        if place == 0:
            treatment = Treatment.of(checkpoint.parts, checkpoint.threshold)
    left_out: dict[str, str] = {}
    if limits is not None:
        detector = FixedLimits(data.sensors, limits)
        scores = detector.score(methods.test)
        methods.add(detector.name, scores, scores > detector.threshold)
        methods.add(f"{detector.name}{ALIKE}", scores, held_limits(detector, treatment, methods.test))
    for name, scores, flagged in _simple(data, methods.test, percentile, treatment, left_out, on_method):
        methods.add(name, scores, flagged)
    return Comparison(
        methods.found,
        treatment.described(),
        next(iter(checkpoints), None),
        left_out,
        [added for name in checkpoints if (added := methods.added(name)) is not None],
    )


def _simple(
    data: TrainingData,
    test: Split,
    percentile: float,
    treatment: Treatment,
    left_out: dict[str, str],
    on_method: Callable[[str], None],
) -> Iterator[tuple[str, NDArray[np.float64], NDArray[np.bool_]]]:
    """Each simple detector as it is, and treated, with its scores and which rows it flags.

    Those that these rows do not allow are put aside with the reason.

    Raises:
        TrainingError: They allow none.
    """
    for kind in FITTED:
        on_method(kind.name)
        try:
            plain = kind.fit(data.train, data.val, percentile / 100)
            treated = Treated.fit(kind, data.train, data.val, percentile, treatment, plain)
        except TrainingError as error:
            left_out[kind.name] = error.what
            if len(left_out) == len(FITTED):
                raise
            continue
        scores = plain.score(test)
        yield plain.name, scores, scores > plain.threshold
        yield treated.name, *treated.judge(test)


def write_figures(found: Comparison, path: Path) -> None:
    """Writes every figure of every method as JSON, whole or not at all."""
    with replacing(path) as stream:
        stream.write((json.dumps(found.to_dict(), indent=2, allow_nan=False) + "\n").encode())


def record(found: Comparison, tracker: Tracker | NoTracker, *, data: TrainingData, percentile: float) -> None:
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
            "methods": ",".join(found.methods),
            "percentile": percentile,
            "test_rows": len(data.test),
        }
    )
    tracker.log_metrics(
        {
            f"{name}.{figure}": value
            for name, evaluation in found.methods.items()
            for figure, value in {**evaluation.metrics(), "alarm_rate": evaluation.alarm_rate}.items()
        }
    )
    with tempfile.TemporaryDirectory() as folder:
        table, figures = Path(folder) / "comparison.txt", Path(folder) / "comparison.json"
        table.write_text(comparison_table(found) + "\n", encoding="utf-8")
        write_figures(found, figures)
        tracker.log_file(table)
        tracker.log_file(figures)
