"""What a sweep may choose: a table of dimensions, each a field of `Settings` or of the calibration."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from edge_runtime.bundle.metadata import Hold
from trainer.fitting.recipes import DEFAULT_HOLD, DEFAULT_PERCENTILE, LONGER_HOLD, RECIPES, own_recipe
from trainer.fitting.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from optuna import Trial


__all__ = [
    "HOLDS",
    "MODELS",
    "SPACE",
    "Candidate",
    "Dimension",
    "Start",
    "candidate",
    "default_recipe",
    "recipe_candidate",
    "starts",
    "suggest",
]

DEFAULT_RECIPE = own_recipe(None)
# The kinds of model that recipes have.
MODELS = tuple(dict.fromkeys(Settings(**recipe.settings).model for recipe in RECIPES.values()))
NETWORKS = ("autoencoder", "variational", "convolutional")
# As --hold takes them.
HOLDS = {
    "none": Hold(),
    "1,1,4,1.5": Hold(1.0, 1.0, 4.0, 1.5),
    "1,1,8,5.5": DEFAULT_HOLD,
    "1,1,10,5.5": LONGER_HOLD,
    "1,0.5,10,5.5": Hold(1.0, 0.5, 10.0, 5.5),
}
CALIBRATION = ("percentile", "hold")
AUTO = "auto"  # As --widths takes it, for None.


@dataclass(frozen=True, slots=True)
class Dimension:
    """One thing to choose.

    Attributes:
        name: A field of `Settings`, or of the calibration: percentile, hold.
        options: What it may be, in values that JSON knows; empty for a range.
        low: Least of the range.
        high: Greatest.
        step: Of the range.
        models: The kinds of model that have it; empty for all.
        only: A dimension before it, and the choice there with which alone it is one; None for always.
    """

    name: str
    options: tuple[str | float | bool | None, ...] = ()
    low: float = 0.0
    high: float = 0.0
    step: float = 0.0
    models: tuple[str, ...] = ()
    only: tuple[str, str | bool] | None = None

    def takes_part(self, chosen: Mapping[str, Any]) -> bool:
        """Whether it is to be chosen, after what was chosen before it."""
        if self.models and chosen["model"] not in self.models:
            return False
        if self.only is None:
            return True
        name, value = self.only
        return bool(chosen.get(name, Settings.__dataclass_fields__[name].default) == value)

    def has(self, value: Any) -> bool:
        """Whether it is one of the options, or lies in the range."""
        if self.options:
            return any(value == option and type(value) is type(option) for option in self.options)
        steps = (value - self.low) / self.step if isinstance(value, float) else math.nan
        return self.low <= value <= self.high and math.isclose(steps, round(steps), abs_tol=1e-6)

    def suggest(self, trial: Trial) -> Any:
        """What Optuna would try next."""
        if self.options:
            return trial.suggest_categorical(self.name, self.options)
        return round(trial.suggest_float(self.name, self.low, self.high, step=self.step), 6)


SPACE = (
    Dimension("scaler", ("minmax", "standard")),
    Dimension(
        "widths",
        (AUTO, "16,2,16", "32,4,32", "64,8,64", "64,32,4,32,64", "64,32,8,32,64", "128,64,4,64,128"),
        models=NETWORKS,
    ),
    Dimension("two_channels", (True, False), models=NETWORKS),
    Dimension("lasting", (0, 20), models=NETWORKS, only=("two_channels", True)),
    Dimension("sudden", (0.0, 0.25), models=NETWORKS, only=("two_channels", True)),
    Dimension("adapt", ("off", "day"), models=NETWORKS, only=("two_channels", True)),
    Dimension(
        "clamp", (None, 0.0, 0.25, 0.5), models=("autoencoder", "variational"), only=("scaler", "minmax")
    ),
    Dimension("noise", low=0.0, high=0.4, step=0.05, models=NETWORKS),
    Dimension("members", (1, 2, 3), models=NETWORKS),
    Dimension("differences", (False, True), models=("autoencoder", "variational")),
    Dimension("window", (1, 4, 10), models=("linear",)),
    Dimension("window", (1, 4, 10), models=("autoencoder",), only=("two_channels", False)),
    Dimension("whiten", (True, False), only=("two_channels", False)),
    Dimension("smooth", (1, 5, 11, 20, 41)),
    Dimension("cap", (True, False)),
    Dimension("average", (None, 0.05, 0.1, 0.2, 0.4), only=("two_channels", False)),
    # What ranks rows does not depend on these two, so they are chosen only where verdicts are compared.
    Dimension("percentile", low=98.5, high=99.95, step=0.05),
    Dimension("hold", tuple(HOLDS)),
)


@dataclass(frozen=True, slots=True)
class Candidate:
    """One way to train and to calibrate.

    Attributes:
        settings: How to train.
        percentile: The threshold's, of normal validation rows' scores.
        hold: The verdict's.
    """

    settings: Settings
    percentile: float = DEFAULT_PERCENTILE
    hold: Hold = DEFAULT_HOLD


def suggest(trial: Trial, models: Sequence[str], *, calibrated: bool) -> dict[str, Any]:
    """Draws one point of the space.

    Args:
        trial: Optuna's.
        models: Kinds of model to choose from.
        calibrated: Whether the calibration is to be chosen too.
    """
    chosen = {"model": trial.suggest_categorical("model", tuple(models))}
    for dimension in _dimensions(calibrated=calibrated):
        if dimension.takes_part(chosen):
            chosen[dimension.name] = dimension.suggest(trial)
    return chosen


def candidate(chosen: Mapping[str, Any], base: Settings) -> Candidate:
    """What a point of the space stands for.

    Args:
        chosen: As `suggest` gives it.
        base: Everything that the space leaves open.
    """
    fields = {name: value for name, value in chosen.items() if name not in CALIBRATION}
    if "widths" in fields:
        widths = fields["widths"]
        fields["widths"] = None if widths == AUTO else tuple(int(width) for width in widths.split(","))
    return Candidate(
        replace(base, **fields),
        chosen.get("percentile", DEFAULT_PERCENTILE),
        HOLDS[chosen["hold"]] if "hold" in chosen else DEFAULT_HOLD,
    )


def recipe_candidate(recipe: str, base: Settings) -> Candidate:
    """A recipe as `edge-train fit --recipe` trains it.

    Args:
        recipe: Its name.
        base: Everything that the recipe leaves open.
    """
    how = RECIPES[recipe]
    return Candidate(replace(base, **how.settings), how.percentile, how.hold)


def default_recipe(models: Sequence[str]) -> str:
    """The recipe that `edge-train fit` takes, or would with the first of these kinds of model."""
    default = RECIPES[DEFAULT_RECIPE].settings
    return DEFAULT_RECIPE if Settings(**default).model in models else own_recipe(models[0])


@dataclass(frozen=True, slots=True)
class Start:
    """A recipe to begin with.

    Attributes:
        recipe: Its name.
        parameters: What it sets, by name.
        inside: Whether these are a point of the space, from which the choice of further trials can learn.
    """

    recipe: str
    parameters: Mapping[str, Any]
    inside: bool


def starts(models: Sequence[str], *, calibrated: bool) -> list[Start]:
    """Where to begin: all recipes of these kinds of model, the default one first.

    Args:
        models: Kinds of model to choose from.
        calibrated: Whether the calibration is to be chosen too.
    """
    default = default_recipe(models)
    names = [default, *(name for name in RECIPES if name != default)]
    return [
        _start(name, calibrated=calibrated)
        for name in names
        if Settings(**RECIPES[name].settings).model in models
    ]


def _start(name: str, *, calibrated: bool) -> Start:
    way = recipe_candidate(name, Settings())
    settings = asdict(way.settings)
    hold = next((text for text, hold in HOLDS.items() if hold == way.hold), None)
    known = {**settings, "percentile": way.percentile, "hold": hold}
    point: dict[str, Any] = {"model": way.settings.model}
    for dimension in _dimensions(calibrated=calibrated):
        if dimension.takes_part(point):
            point[dimension.name] = _written(dimension.name, known[dimension.name])
            if not dimension.has(point[dimension.name]):
                return Start(name, {"model": way.settings.model, **RECIPES[name].settings}, inside=False)
    if candidate(point, Settings()).settings != way.settings:
        return Start(name, {"model": way.settings.model, **RECIPES[name].settings}, inside=False)
    return Start(name, point, inside=True)


def _written(name: str, value: Any) -> Any:
    """A field of `Settings` as a dimension has it."""
    if name == "widths":
        return AUTO if value is None else ",".join(map(str, value))
    return value


def _dimensions(*, calibrated: bool) -> list[Dimension]:
    return [dimension for dimension in SPACE if calibrated or dimension.name not in CALIBRATION]
