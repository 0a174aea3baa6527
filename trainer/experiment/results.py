"""What a training run found, for the screen, for metrics.json and as plots."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from math import ceil
from typing import TYPE_CHECKING, Any

import numpy as np

from edge_runtime.errors import counted
from trainer.data.rows import replacing
from trainer.evaluation.figures import NOTHING_COUNTS, UNLABELLED

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from edge_runtime.bundle.metadata import Threshold
    from trainer.calibration.absence import Absences
    from trainer.calibration.alarm_findings import AlarmDelays
    from trainer.calibration.assess import Assessment
    from trainer.calibration.budget import BudgetThreshold
    from trainer.calibration.contamination import Contamination
    from trainer.calibration.expected import ExpectedShare
    from trainer.calibration.standing import Standing
    from trainer.data.split import Split
    from trainer.data.training_data import TrainingData
    from trainer.detector import Detector
    from trainer.fitting.fit import Epoch

__all__ = ["Results", "how_chosen"]

STRETCH_ROWS = 1800
PLOTS = ("training.png", "scores.png", "curves.png", "stretch.png")


def how_chosen(threshold: Threshold) -> str:
    """For people."""
    how = "best F1" if threshold.metric == "f1" else f"{threshold.metric} false alarms a machine"
    if threshold.quantile is not None:
        how = f"percentile {100 * threshold.quantile:g}"
    return f"{how} of {counted(threshold.rows, 'validation row')}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Results:
    """A finished run.

    Attributes:
        output: The folder of everything below.
        bundle: The exported file.
        digest: The bundle's, "sha256:" and 64 digits.
        threshold: When a row is anomalous.
        validation: How the detector did where the threshold was chosen.
        test: How it did on rows that decided nothing.
        history: Every epoch.
        batch_size: Rows of a training step.
        parameters: Number of trained weights.
        seed: Of every random choice.
        run_id: The MLflow run; None where nothing was tracked.
        expected: What part of later normal rows will be flagged; None where validation is too short to say.
        budget: What to expect of a threshold that was chosen by a false-alarm budget; None for another.
        latent_deviation: How uncertain a variational bottleneck is, [bottleneck]; None of another.
        doubts: Sentences on what speaks against the data and the detector.
        contamination: What the scores of training and validation say of their rows; None where nobody asked.
        cleaned_rows: Rows of training that were left out because they seemed to be faults.
        absences: How rows are judged that lack one sensor; None where they are unknown.
        standing: For how long sensors stand still; None where nobody asked.
        alarm_delays: The delays of alarms and what they do; None where nobody asked.
        plots: Whether it is drawn.
    """

    output: Path
    bundle: Path
    digest: str
    threshold: Threshold
    validation: Assessment
    test: Assessment
    history: tuple[Epoch, ...]
    batch_size: int
    parameters: int
    seed: int
    run_id: str | None
    expected: ExpectedShare | None = None
    budget: BudgetThreshold | None = None
    latent_deviation: tuple[float, ...] | None = None
    doubts: tuple[str, ...] = ()
    contamination: Contamination | None = None
    cleaned_rows: int = 0
    absences: Absences | None = None
    standing: Standing | None = None
    alarm_delays: AlarmDelays | None = None
    plots: bool = True

    @property
    def best(self) -> Epoch | None:
        """The epoch whose network was kept; None for a model in closed form."""
        return next((epoch for epoch in reversed(self.history) if epoch.best), None)

    @property
    def promises(self) -> dict[str, float]:
        """The ends of what is expected of later time, by their names."""
        found: dict[str, float] = {}
        for name, interval in (("expected_flagged", self.expected), ("expected_alarms", self.budget)):
            if interval is not None:
                found |= {f"{name}_low": interval.low, f"{name}_high": interval.high}
        return found

    def to_dict(self) -> dict[str, Any]:
        """What metrics.json holds."""
        return {
            "digest": self.digest,
            "seed": self.seed,
            "parameters": self.parameters,
            "batch_size": self.batch_size,
            "epochs": len(self.history),
            "best_epoch": self.best and self.best.number,
            "train_loss": self.best and self.best.train_loss,
            "val_loss": self.best and self.best.val_loss,
            "fit_seconds": round(sum(epoch.seconds for epoch in self.history), 3),
            "latent_deviation": self.latent_deviation,
            "threshold": asdict(self.threshold),
            "expected_flagged": None if self.expected is None else asdict(self.expected),
            "budget": None if self.budget is None else asdict(self.budget),
            "validation": self.validation.to_dict(),
            "test": self.test.to_dict(),
            "contamination": None if self.contamination is None else self.contamination.to_dict(),
            "cleaned_rows": self.cleaned_rows,
            **({} if self.absences is None else {"without_a_sensor": self.absences.to_dict()}),
            **({} if self.standing is None else {"sensor_status": self.standing.to_dict()}),
            **({} if self.alarm_delays is None else {"alarms": self.alarm_delays.to_dict()}),
            "warnings": list(self.doubts),
            "mlflow_run_id": self.run_id,
        }

    def write(self, path: Path) -> None:
        """Writes metrics.json, whole or not at all."""
        text = json.dumps(self.to_dict(), indent=2, allow_nan=False, ensure_ascii=False) + "\n"
        with replacing(path) as stream:
            stream.write(text.encode())

    def draw(self, folder: Path, data: TrainingData, detector: Detector) -> None:
        """Draws the training curve, the scores, ROC and precision-recall, and a scored stretch of test.

        What an earlier fit drew there is gone, even if nothing takes its place or nothing is to be drawn.
        """
        for name in PLOTS:
            (folder / name).unlink(missing_ok=True)
        if not self.plots:
            return
        from trainer.experiment.plots import plot_curves, plot_scores, plot_stretch, plot_training  # noqa: PLC0415 - slow

        if self.history:
            plot_training(folder / "training.png", self.history)
        test, threshold = data.test, self.threshold.value
        rows = test.finite
        if not rows.any():
            return
        labels = None if test.labels is None else test.labels[rows]
        scores = detector.score_table(test.values[rows], test.times[rows], test.machines[rows])
        counted = test.counted[rows]
        scores, labels = scores[counted], None if labels is None else labels[counted]
        if not len(scores):
            return
        plot_scores(folder / "scores.png", scores, labels, threshold)
        if labels is not None and labels.any() and not labels.all():
            plot_curves(folder / "curves.png", scores, labels)
        index = _stretch(test)
        readings = test.values[index]
        score, _, expected = detector.score(readings, times=test.times[index])
        plot_stretch(
            folder / "stretch.png",
            test.times[index],
            readings,
            score,
            expected,
            threshold,
            None if test.labels is None else test.labels[index],
            data.sensors,
            [data.units.get(name, "") for name in data.sensors],
        )

    def table(self) -> str:
        """The end of the command's output."""
        lines = []
        if self.test.evaluation is not None:
            lines += ["Test", self.test.evaluation.table(), ""]
        else:
            lines += ["Test", UNLABELLED if self.test.rows else NOTHING_COUNTS, ""]
        for found in (self.absences, self.standing, self.alarm_delays):
            if found is not None:
                lines += [found.table(), ""]
        best = self.best
        facts = {
            "threshold": f"{self.threshold.value:.6g} ({how_chosen(self.threshold)})",
            "alarms on test": f"{self.test.alarm_rate:.2%} of {self.test.rows:,} rows",
            "best epoch": "not applicable: fitted in closed form"
            if best is None
            else f"{best.number} of {len(self.history)}, validation loss {best.val_loss:.6f}",
            "model": f"{self.parameters:,} parameters, seed {self.seed}",
            "bundle": str(self.bundle),
            "digest": self.digest,
            "checkpoint": str(self.output / "checkpoint"),
            "metrics": str(self.output / "metrics.json"),
            "plots": str(self.output / "plots") if self.plots else "not drawn",
            "MLflow run": self.run_id or "not tracked",
        }
        facts |= self._further_facts()
        width = max(map(len, facts))
        return "\n".join(lines + [f"{name:<{width}}  {text}" for name, text in facts.items()])

    def _further_facts(self) -> dict[str, str]:
        """Lines of the table for what not every run has."""
        facts = {}
        if self.expected is not None:
            facts["expected flags"] = f"{self.expected}, 9 times out of 10 ({self.expected.parts})"
            facts["fewest alarms"] = self.expected.fewest
        if self.budget is not None:
            low, high, days = self.budget.low, self.budget.high, self.budget.machine_days
            far = ", which is rarer than this time can show" if self.budget.extrapolated else ""
            facts["expected alarms"] = (
                f"{low:.0f} to {ceil(high)}, 9 times out of 10 (from {days:.1f} machine-days{far})"
            )
        if self.threshold.debounce is not None:
            facts["debounce"] = f"{self.threshold.debounce} rows above the threshold flag a row"
        if self.threshold.per_machine:
            own = self.threshold.per_machine.values()
            facts["per machine"] = f"{len(own)} with their own threshold, {min(own):.6g} to {max(own):.6g}"
        if self.cleaned_rows:
            facts["cleaned"] = f"{self.cleaned_rows:,} training rows that seemed to be faults were left out"
        if self.latent_deviation is not None:
            facts["uncertainty"] = ", ".join(f"{part:.2f}" for part in self.latent_deviation) + (
                " (standard deviations of the bottleneck; 1 carries no information)"
            )
        skipped = self.validation.not_scored + self.test.not_scored
        if skipped:
            facts["rows left out"] = f"{skipped:,} of validation and test, with missing readings"
        return facts


def _stretch(split: Split) -> NDArray[np.intp]:
    """Half an hour of one machine at 1 Hz, with as many anomalous rows as any such stretch has."""
    index: NDArray[np.intp] = np.flatnonzero(split.finite)
    if split.labels is None or not split.labels[index].any():
        machine = split.machines[index[0]]
    else:
        names, counts = np.unique(split.machines[index][split.labels[index]], return_counts=True)
        machine = names[np.argmax(counts)]
    index = index[split.machines[index] == machine]
    index = index[np.argsort(split.times[index], kind="stable")]
    if split.labels is None or len(index) <= STRETCH_ROWS:
        return index[:STRETCH_ROWS]
    anomalous = np.concatenate([[0], np.cumsum(split.labels[index])])
    start = int(np.argmax(anomalous[STRETCH_ROWS:] - anomalous[:-STRETCH_ROWS]))
    return index[start : start + STRETCH_ROWS]
