"""What a sweep may choose: a table of dimensions, each a field of `Settings` or of the calibration."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from edge_runtime.bundle.metadata import Hold
from trainer.fitting.recipes import DEFAULT_HOLD, DEFAULT_PERCENTILE, LONGER_HOLD, RECIPES, own_recipe
from trainer.fitting.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from optuna import Trial


__all__ = ["HOLDS", "MODELS", "SPACE", "Candidate", "Dimension", "candidate", "starts", "suggest"]

MODELS = ("autoencoder", "variational", "linear", "pca")
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
    Dimension("adapt", ("off", "day"), models=NETWORKS, only=("two_channels", True)),
    Dimension(
        "clamp", (None, 0.0, 0.25, 0.5), models=("autoencoder", "variational"), only=("scaler", "minmax")
    ),
    Dimension("noise", low=0.0, high=0.4, step=0.05, models=NETWORKS),
    Dimension("members", (1, 2, 3), models=NETWORKS),
    Dimension("differences", (False, True), models=("autoencoder", "variational")),
    Dimension("window", (1, 4, 10), models=("linear",)),
    Dimension("whiten", (True, False), only=("two_channels", False)),
    Dimension("smooth", (1, 5, 11, 21, 41)),
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


def starts(models: Sequence[str], *, calibrated: bool) -> list[dict[str, Any]]:
    """Where to begin: the recipe of each kind of model, so that a sweep ends no worse than with that."""
    defaults, found = asdict(Settings()), []
    for model in models:
        recipe = RECIPES[own_recipe(model)]
        known = {**defaults, "percentile": recipe.percentile, "hold": "1,1,10,5.5", **recipe.settings}
        point: dict[str, Any] = {"model": model}
        for dimension in _dimensions(calibrated=calibrated):
            if dimension.takes_part(point):
                point[dimension.name] = _written(
                    dimension.name, known.get(dimension.name, defaults.get(dimension.name))
                )
        found.append(point)
    return found


def _written(name: str, value: Any) -> Any:
    """A field of `Settings` as a dimension has it."""
    if name == "widths":
        return AUTO if value is None else ",".join(map(str, value))
    return value


def _dimensions(*, calibrated: bool) -> list[Dimension]:
    return [dimension for dimension in SPACE if calibrated or dimension.name not in CALIBRATION]
