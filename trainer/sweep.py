"""Sweeps: many ways to train on the same data, compared on validation alone.

The earlier half of each machine's validation rows gives a trial's threshold, the later half its F1. Where
nobody has labelled anomalies there, faults of single sensors are put into the later half.
"""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from edge_runtime.bundle.metadata import Hold
from edge_runtime.errors import EdgeDetectError, MissingExtraError, TrainingError, UsageError
from trainer.assess import assess, choose_threshold
from trainer.fit import Settings, fit
from trainer.injected import inject
from trainer.recipes import DEFAULT_HOLD
from trainer.sweep_results import Sweep, Trial

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from trainer.data import Split, TrainingData
    from trainer.tracking import NoTracker, Tracker

__all__ = ["HOLDS", "SweepPlan", "best_settings", "run_sweep"]

WIDTHS = {
    "wide": (96, 48, 4, 48, 96),
    "usual": (64, 32, 4, 32, 64),
    "slim": (32, 16, 4, 16, 32),
    "narrow": (32, 16, 2, 16, 32),
}
HOLDS = {"usual": DEFAULT_HOLD, "none": Hold()}
NETWORKS = ("autoencoder", "variational", "convolutional")
# Fewer than this say nothing of what mattered.
LEAST_FOR_IMPORTANCE = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepPlan:
    """How long to search.

    Attributes:
        output: Folder of sweep.db and sweep.json.
        trials: At most so many, those of an earlier sweep that is resumed among them.
        timeout_s: No new trial is begun after so many seconds; None for no limit.
        epochs: Of each trial, at most.
        seed: Of the search and of every trial.
        resume: Whether to go on with the sweep in this folder.

    Raises:
        UsageError: A value is out of range.
    """

    output: Path
    trials: int = 20
    timeout_s: float | None = None
    epochs: int = 40
    seed: int = 0
    resume: bool = False

    def __post_init__(self) -> None:
        for option, value in (("--trials", self.trials), ("--epochs", self.epochs)):
            if value < 1:
                raise UsageError(f"{value} is out of range", where=option)


def run_sweep(
    data: TrainingData,
    plan: SweepPlan,
    child: Callable[[str], Tracker | NoTracker],
    on_trial: Callable[[Trial, float | None], None] = lambda _trial, _best: None,
) -> Sweep:
    """Searches with a tree-structured Parzen estimator (Bergstra et al., 2011), as Optuna has it.

    An interrupt ends the search, and what was found until then is returned.

    Args:
        data: Its test split is not looked at.
        plan: How long.
        child: Makes the tracker of a trial by its name.
        on_trial: Called after each trial with it and the best F1 so far.

    Raises:
        UsageError: The folder holds a sweep already, or none to resume.
        TrainingError: Validation is too short, or every trial failed.
    """
    optuna = _optuna()
    earlier, later, injected = _halves(data)
    choosing, judging = replace(data, val=earlier), later
    study = _study(optuna, plan)
    trials = [_past(past) for past in study.trials if past.user_attrs.get("trial")]

    def objective(trial: Any) -> float:
        settings, percentile, hold = _choose(trial)
        with child(f"trial-{trial.number}") as tracker:
            tracker.log_params({**settings, "percentile": percentile, "hold": hold})
            started = time.monotonic()
            error, f1 = None, None
            try:
                fitted = fit(data, Settings(**settings, epochs=plan.epochs, seed=plan.seed))
                threshold = choose_threshold(
                    choosing.val, fitted.detector, "percentile", percentile=percentile, hold=HOLDS[hold]
                )
                evaluation = assess(judging, fitted.detector, threshold).evaluation
                f1 = None if evaluation is None else evaluation.f1
                if evaluation is not None:
                    tracker.log_metrics(evaluation.metrics())
            except EdgeDetectError as caught:
                error = str(caught)
                tracker.set_tag("error", error)
            tracker.log_metrics({"seconds": time.monotonic() - started})
        done = Trial(
            number=trial.number, f1=f1, settings=settings, percentile=percentile, hold=hold, error=error
        )
        trial.set_user_attr("trial", asdict(done))
        trials.append(done)
        on_trial(done, max((t.f1 for t in trials if t.f1 is not None), default=None))
        return f1 or 0.0

    left, interrupted = plan.trials - len(trials), False
    if left > 0:
        try:
            study.optimize(objective, n_trials=left, timeout=plan.timeout_s)
        except KeyboardInterrupt:
            interrupted = True
    sweep = Sweep(
        trials=trials,
        importance=_importance(optuna, study, trials),
        injected=injected,
        interrupted=interrupted,
    )
    if not sweep.ranked:
        raise TrainingError(
            "every trial failed" if trials else "no trial came to its end",
            where=str(plan.output),
            mend=trials[-1].error if trials else "give it more time",
        )
    return sweep


def best_settings(sweep: Sweep, *, epochs: int, seed: int) -> Settings:
    """Those of the best trial, for a fit of its own."""
    return Settings(**_tuples(sweep.ranked[0].settings), epochs=epochs, seed=seed)


def _choose(trial: Any) -> tuple[dict[str, Any], float, str]:
    """What a trial tries: `Settings`, percentile, and the name of a hold."""
    model = trial.suggest_categorical("model", [*NETWORKS, "linear", "pca"])
    chosen: dict[str, Any] = {
        "model": model,
        "scaler": trial.suggest_categorical("scaler", ["minmax", "standard"]),
        "whiten": trial.suggest_categorical("whiten", [True, False]),
        "smooth": trial.suggest_categorical("smooth", [1, 5, 11, 20]),
        "cap": trial.suggest_categorical("cap", [True, False]),
        "average": trial.suggest_categorical("average", [None, 0.3, 0.1]),
    }
    if model in NETWORKS:
        chosen["widths"] = WIDTHS[trial.suggest_categorical("widths", list(WIDTHS))]
        chosen["noise"] = round(trial.suggest_float("noise", 0.02, 0.8, log=True), 3)
        chosen["members"] = trial.suggest_int("members", 1, 2)
    if model in {"autoencoder", "variational"}:
        chosen["differences"] = trial.suggest_categorical("differences", [False, True])
    if model == "linear":
        chosen["window"] = trial.suggest_categorical("window", [1, 2, 4])
    percentile = trial.suggest_categorical("percentile", [99.0, 99.5, 99.7, 99.9])
    return chosen, percentile, trial.suggest_categorical("hold", list(HOLDS))


def _halves(data: TrainingData) -> tuple[Split, Split, bool]:
    """The earlier and the later half of validation, and whether the later one's faults are made."""
    val = data.val
    later = np.zeros(len(val), np.bool_)
    for machine in np.unique(val.machines):
        rows = np.flatnonzero(val.machines == machine)
        rows = rows[np.argsort(val.times[rows], kind="stable")]
        later[rows[len(rows) // 2 :]] = True
    first, second = _part(val, ~later), _part(val, later)
    if second.labels is not None and second.labels.any() and not second.labels.all():
        return first, second, False
    return first, inject(second, data.train.normal_values, None).split, True


def _part(split: Split, rows: Any) -> Split:
    return replace(
        split,
        times=split.times[rows],
        machines=split.machines[rows],
        values=split.values[rows],
        labels=None if split.labels is None else split.labels[rows],
        kinds=None if split.kinds is None else split.kinds[rows],
    )


def _study(optuna: Any, plan: SweepPlan) -> Any:
    path = plan.output / "sweep.db"
    plan.output.mkdir(parents=True, exist_ok=True)
    if path.exists() and not plan.resume:
        raise UsageError(
            "there is a sweep in it already",
            where=str(plan.output),
            mend="go on with --resume, or name another",
        )
    if plan.resume and not path.exists():
        raise UsageError("there is no sweep in it to resume", where=str(plan.output))
    return optuna.create_study(
        direction="maximize",
        sampler=optuna.samplers.TPESampler(seed=plan.seed, n_startup_trials=8),
        storage=f"sqlite:///{path}",
        study_name="sweep",
        load_if_exists=True,
    )


def _past(trial: Any) -> Trial:
    known = trial.user_attrs["trial"]
    return Trial(**{**known, "settings": _tuples(known["settings"])})


def _tuples(settings: dict[str, Any]) -> dict[str, Any]:
    return {name: tuple(value) if isinstance(value, list) else value for name, value in settings.items()}


def _importance(optuna: Any, study: Any, trials: list[Trial]) -> dict[str, float]:
    if sum(trial.f1 is not None for trial in trials) < LEAST_FOR_IMPORTANCE:
        return {}
    found = optuna.importance.get_param_importances(study)
    return {name: round(float(part), 4) for name, part in found.items()}


def _optuna() -> Any:
    try:
        import optuna  # noqa: PLC0415
    except ImportError:
        raise MissingExtraError("a sweep", "workstation") from None
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna
