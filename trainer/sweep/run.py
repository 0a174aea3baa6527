"""One sweep from data to the best detector: trials, each a run in MLflow, and a normal fit at the end."""

from __future__ import annotations

import hashlib
import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Protocol

from edge_runtime.bundle.needs import COLUMN, STATUS_COLUMN
from edge_runtime.errors import TrainingError, UsageError, counted
from trainer.experiment.exporter import find_exporter, make_folder
from trainer.experiment.plan import Plan
from trainer.experiment.provenance import data_digest
from trainer.experiment.run import run_fit
from trainer.fitting.fit import Epoch, Settings, fit
from trainer.fitting.recipes import RECIPES, own_recipe
from trainer.sweep.objective import choose_objective
from trainer.sweep.results import SweepResults, Tried
from trainer.sweep.space import HOLDS, MODELS, SPACE, candidate, default_recipe, recipe_candidate
from trainer.sweep.trials import Trials

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from trainer.data.training_data import TrainingData
    from trainer.experiment.results import Results
    from trainer.sweep.objective import GoalName, Measured, Objective
    from trainer.sweep.space import Candidate
    from trainer.sweep.trials import Asked
    from trainer.tracking import NoTracker, Tracker

__all__ = ["SweepPlan", "Track", "Watcher", "run_sweep"]


class Track(Protocol):
    """Makes the tracker of one run."""

    def __call__(
        self, name: str, *, parent: str | None = None, again: str | None = None
    ) -> Tracker | NoTracker:
        """As for `Tracker`."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepPlan:
    """What to try, and for how long.

    Attributes:
        output: Folder of trials.db, sweep.json and best/.
        settings: What the trials have in common.
        models: Kinds of model to choose from.
        trials: How many in all, those before a resumption among them.
        timeout: Seconds after which no trial is begun; None for no limit. The first is always begun.
        goal: What to make large; "auto" goes by whether validation is labelled.
        resume: Whether to go on with the sweep in the folder.
        revision: Of the code, as `git_revision` finds it.
        register: Name under which to register the best fit; None for no registration.
        plots: Whether to draw the best fit.
    """

    output: Path
    settings: Settings = field(default_factory=Settings)
    models: tuple[str, ...] = MODELS
    trials: int = 20
    timeout: float | None = None
    goal: GoalName = "auto"
    resume: bool = False
    revision: str | None = None
    register: str | None = None
    plots: bool = True

    def __post_init__(self) -> None:
        if self.trials < 1:
            raise UsageError(f"{self.trials} is out of range", where="--trials")
        if self.timeout is not None and not self.timeout > 0:
            raise UsageError("the timeout is zero", where="--timeout")
        if not self.models or len(set(self.models)) < len(self.models):
            raise UsageError("name each kind once", where="--model")


@dataclass(frozen=True, slots=True)
class Watcher:
    """Who is told how far it is.

    Attributes:
        on_trial: Called after each trial, with the best so far; None while there is none.
        on_epoch: Called after each epoch of a trial, with its number; number 0 is the final fit.
        clock: Monotonic seconds.
    """

    on_trial: Callable[[Tried, Tried | None], None] = lambda _trial, _best: None
    on_epoch: Callable[[int, Epoch], None] = lambda _number, _epoch: None
    clock: Callable[[], float] = time.monotonic


class _FailedTrial(Exception):  # noqa: N818 - it ends one trial, not the sweep
    """A trial that cannot be trained; its run is marked as failed."""


def run_sweep(data: TrainingData, plan: SweepPlan, track: Track, watcher: Watcher) -> SweepResults:
    """Tries the recipes and further settings, then trains the best of them as `edge-train fit` would.

    A trial that is not better than the default recipe beyond the uncertainty of the objective is not taken:
    then the default recipe is trained.

    What is kept after every trial is enough to go on from there. An interruption by the keyboard ends the
    sweep, and the results say so.

    Args:
        data: As `read_training_data` gave it; the test split is looked at by the final fit alone.
        plan: What to try.
        track: Makes the trackers: of the sweep, and of each run under it.
        watcher: Who is told how far it is.

    Raises:
        UsageError: The folder holds another sweep, or none to go on with.
        TrainingError: No trial could be trained, or the data does not allow it.
    """
    find_exporter()
    objective = choose_objective(data, plan.goal)
    make_folder(plan.output)
    terms = _terms(data, plan, objective)
    trials = Trials(
        plan.output,
        terms,
        models=plan.models,
        calibrated=objective.calibrated,
        seed=plan.settings.seed,
        resume=plan.resume,
    )
    with track("sweep", again=trials.run_id) as tracker:
        if trials.run_id != tracker.run_id:
            tracker.log_params(terms)
            trials.run_id = tracker.run_id
        sweep = _Sweep(data, plan, objective, terms, trials, track, watcher, tracker.run_id)
        try:
            sweep.try_all()
            results = replace(sweep.results(), fit=sweep.fit_best())
        except KeyboardInterrupt:
            results = replace(sweep.results(), interrupted=True)
        chosen = results.chosen
        if chosen is not None:
            results = replace(results, importance=trials.importance(chosen.parameters["model"]))
            tracker.log_metrics({objective.name: chosen.figure or 0.0, "trials": len(results.tried)})
        results.write(plan.output / "sweep.json")
        tracker.log_file(plan.output / "sweep.json")
    return results


@dataclass(frozen=True, slots=True)
class _Sweep:
    data: TrainingData
    plan: SweepPlan
    objective: Objective
    terms: dict[str, Any]
    trials: Trials
    track: Track
    watcher: Watcher
    run_id: str | None

    def results(self) -> SweepResults:
        """So far."""
        return SweepResults(
            output=self.plan.output,
            objective=self.objective.name,
            what=self.objective.what,
            terms=self.terms,
            tried=self.trials.tried,
            default=default_recipe(self.plan.models),
        )

    def try_all(self) -> None:
        """Trials until there are as many as planned, or the time is over."""
        watcher, timeout = self.watcher, self.plan.timeout
        began, first = watcher.clock(), len(self.trials.tried) + 1
        for number in range(first, self.plan.trials + 1):
            start = watcher.clock()
            if number > first and timeout is not None and start - began >= timeout:
                return
            asked = self.trials.begin()
            try:
                found = self._try_one(number, asked)
            except (KeyboardInterrupt, SystemExit):  # the latter by another signal
                self.trials.break_off(asked.trial)
                raise
            self.trials.end(asked.trial, found, watcher.clock() - start)
            results = self.results()
            watcher.on_trial(results.tried[-1], results.best)

    def fit_best(self) -> Results:
        """The best settings, or the default ones, trained and exported as by `edge-train fit`."""
        best = self.results().chosen
        if best is None:
            raise TrainingError(
                f"none of {counted(len(self.trials.tried), 'trial')} could be trained",
                where=str(self.plan.output),
                hint="see the reasons above, and try one of them with 'edge-train fit'",
            )
        way = self._way(best.recipe, best.parameters)
        # What `edge-train fit` adds to the options that train the same.
        how = RECIPES[best.recipe or own_recipe(way.settings.model)]
        plan = Plan(
            output=self.plan.output / "best",
            settings=way.settings,
            percentile=way.percentile,
            hold=way.hold,
            degraded=how.degraded and COLUMN not in self.data.sensors,
            sensor_status=how.sensor_status and STATUS_COLUMN not in self.data.sensors,
            alarm_delays=how.alarm_delays,
            recipe=best.recipe or "sweep",
            revision=self.plan.revision,
            register=self.plan.register,
            plots=self.plan.plots,
        )
        with self.track("best", parent=self.run_id) as tracker:
            return run_fit(self.data, plan, tracker, lambda epoch: self.watcher.on_epoch(0, epoch))

    def _try_one(self, number: int, asked: Asked) -> Measured | str:
        """A trial's figure, or why it has none."""
        recipe = {} if asked.recipe is None else {"recipe": asked.recipe}
        try:
            with self.track(f"trial {number}", parent=self.run_id) as tracker:
                tracker.log_params({**recipe, **asked.parameters})
                found = self._measure(number, asked)
                tracker.log_metrics({self.objective.name: found.figure})
        except _FailedTrial as failure:
            return str(failure)
        return found

    def _measure(self, number: int, asked: Asked) -> Measured:
        try:
            way = self._way(asked.recipe, asked.parameters)
            fitted = fit(self.data, way.settings, lambda epoch: self.watcher.on_epoch(number, epoch))
            return self.objective.measure(fitted.detector, way)
        except (TrainingError, UsageError) as error:
            raise _FailedTrial(str(error)) from None

    def _way(self, recipe: str | None, parameters: Mapping[str, Any]) -> Candidate:
        """How to train and to calibrate: a recipe as it is, or a choice of parameters."""
        if recipe is not None:
            return recipe_candidate(recipe, self.plan.settings)
        return candidate(parameters, self.plan.settings)


def _terms(data: TrainingData, plan: SweepPlan, objective: Objective) -> dict[str, Any]:
    """What figures depend on, apart from what is tried."""
    settings = plan.settings
    return {
        "data": data_digest((data.train, data.val)),
        "sensors": ",".join(data.sensors),
        "objective": objective.name,
        "models": ",".join(plan.models),
        "seed": settings.seed,
        "epochs": settings.epochs,
        "batch_size": settings.batch_size,
        "learning_rate": settings.learning_rate,
        "patience": settings.patience,
        "space": hashlib.sha256(repr((SPACE, HOLDS, RECIPES)).encode()).hexdigest()[:16],
    }
