"""The trials of a sweep in a SQLite file: what Optuna knows, and how a sweep is gone on with.

The sampler is the tree-structured Parzen estimator (Bergstra et al., 2011, "Algorithms for hyper-parameter
optimization"). It is seeded anew for every trial, by the number of trials before it, so that a sweep that was
stopped and gone on with tries the same as one that was not.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from math import isnan, nan
from typing import TYPE_CHECKING, Any

from edge_runtime.errors import InputError, UsageError
from trainer.sweep.results import Tried
from trainer.sweep.space import Start, starts, suggest

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import optuna

    from trainer.sweep.objective import Measured

__all__ = ["Asked", "Trials"]

FILE = "trials.db"
# Of random trials, those that the sweep began with among them, before the sampler learns from any.
RANDOM_TRIALS = 10
MIN_FOR_IMPORTANCE = 10
TERMS, RUN, ERROR, SECONDS = "terms", "mlflow_run_id", "error", "seconds"
RECIPE, PARAMETERS, DRAWS = "recipe", "parameters", "draws"


@dataclass(frozen=True, slots=True)
class Asked:
    """A trial that begins.

    Attributes:
        trial: Optuna's.
        recipe: Name of the recipe that it tries as it is; None for a choice of parameters.
        parameters: What it tries, by name.
    """

    trial: optuna.Trial
    recipe: str | None
    parameters: dict[str, Any]


class Trials:
    """Every trial of a sweep.

    Args:
        folder: The sweep's, which is there.
        terms: What figures depend on, as JSON-ready values: a sweep is gone on with under the same alone.
        models: Kinds of model to choose from.
        calibrated: Whether the calibration is chosen too.
        seed: Of every choice.
        resume: Whether to go on with the sweep that is there.

    Raises:
        UsageError: There is a sweep and it is not to be gone on with, there is none, or its terms are others.
        InputError: The file is none of Optuna's.
    """

    def __init__(
        self,
        folder: Path,
        terms: Mapping[str, Any],
        *,
        models: Sequence[str],
        calibrated: bool,
        seed: int,
        resume: bool,
    ) -> None:
        self._models, self._calibrated, self._seed = tuple(models), calibrated, seed
        path = folder / FILE
        if path.exists() != resume:
            raise UsageError(
                "there is no sweep to resume" if resume else "a sweep exists already",
                where=str(folder),
                hint="leave out --resume"
                if resume
                else "continue it with --resume, or name another folder with -o",
            )
        self._study = _open(path)
        self._starts = starts(self._models, calibrated=calibrated)
        if resume:
            self._same(terms, folder)
            self._clear()
        else:
            self._study.set_user_attr(TERMS, dict(terms))

    @property
    def tried(self) -> tuple[Tried, ...]:
        """The trials that ended, well or not, in order."""
        return tuple(_tried(number, trial) for number, trial in enumerate(self._ended(), start=1))

    @property
    def run_id(self) -> str | None:
        """The MLflow run of the sweep; None for none yet."""
        found = self._study.user_attrs.get(RUN)
        return None if found is None else str(found)

    @run_id.setter
    def run_id(self, run_id: str | None) -> None:
        self._study.set_user_attr(RUN, run_id)

    def begin(self) -> Asked:
        """The next trial, and what it is to try: the recipes first."""
        import numpy as np  # noqa: PLC0415
        from optuna.samplers import TPESampler  # noqa: PLC0415

        position = len(self._ended())
        own = int(np.random.SeedSequence([self._seed, position]).generate_state(1)[0])
        self._study.sampler = TPESampler(n_startup_trials=RANDOM_TRIALS, seed=own)
        if position < len(self._starts):
            return self._begin_with(self._starts[position])
        trial = self._study.ask()
        return Asked(trial, None, suggest(trial, self._models, calibrated=self._calibrated))

    def _begin_with(self, start: Start) -> Asked:
        if start.inside:
            self._study.enqueue_trial(dict(start.parameters))
        trial = self._study.ask()
        if start.inside:
            suggest(trial, self._models, calibrated=self._calibrated)
        trial.set_user_attr(RECIPE, start.recipe)
        trial.set_user_attr(PARAMETERS, dict(start.parameters))
        return Asked(trial, start.recipe, dict(start.parameters))

    def end(self, trial: optuna.Trial, found: Measured | str, seconds: float) -> None:
        """Keeps a trial's figure and its draws, or why it has none."""
        from optuna.trial import TrialState  # noqa: PLC0415

        trial.set_user_attr(SECONDS, round(seconds, 3))
        if isinstance(found, str):
            trial.set_user_attr(ERROR, found)
            self._study.tell(trial, state=TrialState.FAIL)
        else:
            draws = [None if isnan(draw) else round(draw, 6) for draw in found.draws.tolist()]
            trial.set_user_attr(DRAWS, draws)
            self._study.tell(trial, found.figure)

    def break_off(self, trial: optuna.Trial) -> None:
        """Drops a trial that was interrupted: the next one tries the same again."""
        from optuna.trial import TrialState  # noqa: PLC0415

        self._study.tell(trial, state=TrialState.FAIL)

    def importance(self, kind: str) -> dict[str, dict[str, float]]:
        """Parameter to its part in what the figures differ by, the largest first.

        By functional ANOVA (Hutter, Hoos and Leyton-Brown, 2014, "An efficient approach for assessing
        hyperparameter importance"): under "all" among all trials, of what all kinds of model have, and under
        this kind among its own. What has too few trials is left out.
        """
        found = {}
        # A recipe outside the space says nothing of what the space's parameters are worth.
        complete = [trial for trial in self._ended() if trial.value is not None and trial.params]
        for name, group in (
            ("all", complete),
            (kind, [trial for trial in complete if trial.params["model"] == kind]),
        ):
            if len(group) >= MIN_FOR_IMPORTANCE and len({trial.value for trial in group}) > 1:
                found[name] = self._importance(group)
        return found

    def _importance(self, group: list[optuna.trial.FrozenTrial]) -> dict[str, float]:
        import optuna  # noqa: PLC0415
        from optuna.importance import FanovaImportanceEvaluator, get_param_importances  # noqa: PLC0415

        alone = optuna.create_study(direction="maximize")
        alone.add_trials(group)
        evaluator = FanovaImportanceEvaluator(seed=self._seed % 2**32)
        parts = get_param_importances(alone, evaluator=evaluator)
        return {name: round(float(part), 4) for name, part in parts.items()}

    def _ended(self) -> list[optuna.trial.FrozenTrial]:
        """Those that have a figure or an error, in order."""
        from optuna.trial import TrialState  # noqa: PLC0415

        return [
            trial
            for trial in self._study.get_trials(deepcopy=False)
            if trial.state is TrialState.COMPLETE
            or (trial.state is TrialState.FAIL and ERROR in trial.user_attrs)
        ]

    def _same(self, terms: Mapping[str, Any], folder: Path) -> None:
        before = self._study.user_attrs.get(TERMS, {})
        for name, value in terms.items():
            if before.get(name) != value:
                raise UsageError(
                    f"the sweep was started with {name} {before.get(name)}, not {value}",
                    where=str(folder),
                    hint="continue with the original options and data, or name another folder with -o",
                )

    def _clear(self) -> None:
        """Drops what was running when the program died."""
        from optuna.trial import TrialState  # noqa: PLC0415

        for trial in self._study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
            self._study.tell(trial.number, state=TrialState.FAIL)


def _tried(number: int, trial: optuna.trial.FrozenTrial) -> Tried:
    parameters = trial.params or trial.user_attrs.get(PARAMETERS, {})
    return Tried(
        number,
        trial.value,
        {name: round(v, 6) if isinstance(v, float) else v for name, v in parameters.items()},
        trial.user_attrs[SECONDS],
        trial.user_attrs.get(ERROR),
        recipe=trial.user_attrs.get(RECIPE),
        draws=tuple(nan if draw is None else draw for draw in trial.user_attrs.get(DRAWS, ())),
    )


def _open(path: Path) -> optuna.Study:
    import optuna  # noqa: PLC0415
    from optuna.storages import RDBStorage  # noqa: PLC0415
    from sqlalchemy.exc import SQLAlchemyError  # noqa: PLC0415

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    for name in ("alembic", "sqlalchemy"):
        logging.getLogger(name).setLevel(logging.WARNING)
    try:
        return optuna.create_study(
            storage=RDBStorage(f"sqlite:///{path}"),
            study_name="sweep",
            direction="maximize",
            load_if_exists=True,
        )
    except (SQLAlchemyError, RuntimeError) as error:
        raise InputError(
            f"cannot be used as the trials of a sweep ({str(error).splitlines()[0][:200]})",
            where=str(path),
            hint="start over in another folder with -o",
        ) from None
