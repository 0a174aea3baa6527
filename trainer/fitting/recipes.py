"""Named ways to train, so that nobody has to know every option, and comparisons have names."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from edge_runtime.bundle.metadata import Hold
from trainer.fitting.settings import OF_CHANNELS

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["DEFAULT_HOLD", "DEFAULT_PERCENTILE", "LONGER_HOLD", "RECIPES", "Recipe", "own_recipe"]

# Six rows above the threshold hold an anomaly through the next below, eight through two of them: such as an
# oscillation's zero crossing. Ten hold it through four, where no channel looks back by itself.
DEFAULT_HOLD = Hold(rise=1.0, fall=1.0, cap=8.0, level=5.5)
LONGER_HOLD = Hold(rise=1.0, fall=1.0, cap=10.0, level=5.5)
DEFAULT_PERCENTILE = 99.55


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """What differs from the defaults.

    Attributes:
        what: One line for people.
        settings: Fields of `Settings`.
        percentile: The threshold's, of normal validation rows' scores.
        hold: The verdict's.
        degraded: Whether rows that lack one sensor are judged without it.
        sensor_status: Whether sensors that stand still are found.
        alarm_delays: Whether the bundle says when alarms are raised and return.
    """

    what: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    percentile: float = DEFAULT_PERCENTILE
    hold: Hold = LONGER_HOLD
    degraded: bool = False
    sensor_status: bool = False
    alarm_delays: bool = False

    def beside(self, chosen: Mapping[str, Any]) -> dict[str, Any]:
        """The fields of `Settings` that it sets beside those that somebody chose.

        Who chooses a single channel needs not say that what belongs to several is to be left out.
        """
        single = chosen.get("two_channels") is False
        return {name: value for name, value in self.settings.items() if not (single and name in OF_CHANNELS)}


RECIPES = {
    "best": Recipe(
        what="an autoencoder beside the sensors' plain distances, what lasts of them, what is sudden, with "
        "slow changes of level followed",
        settings={
            "widths": None,
            "noise": 0.1,
            "clamp": 0.25,
            "two_channels": True,
            "lasting": 20,
            "sudden": 0.25,
            "adapt": "day",
        },
        hold=DEFAULT_HOLD,
        degraded=True,
        sensor_status=True,
        alarm_delays=True,
    ),
    "plain": Recipe(
        what="the autoencoder and its mean squared error, row by row, as in a textbook",
        settings={"noise": 0.05, "whiten": False, "smooth": 1},
        percentile=99.0,
        hold=Hold(),
    ),
    "variational": Recipe(
        what="the variational autoencoder, otherwise as best but alone",
        settings={"model": "variational", "differences": True},
    ),
    "window": Recipe(what="the autoencoder shown the last 10 rows", settings={"window": 10}),
    "convolutional": Recipe(
        what="convolutions over the last 9 rows before the autoencoder", settings={"model": "convolutional"}
    ),
    "linear": Recipe(
        what="regressions in closed form: the Mahalanobis distance, with what was to be expected",
        settings={"model": "linear", "scaler": "standard"},
    ),
    "mewma": Recipe(
        what="regressions in closed form and their residuals averaged: small shifts of steady machines",
        settings={"model": "linear", "scaler": "standard", "average": 0.1, "smooth": 1},
    ),
    "autoregression": Recipe(
        what="each sensor from the others and the last 3 rows, residuals averaged: small changes that last",
        settings={
            "model": "linear",
            "scaler": "standard",
            "window": 4,
            "average": 0.1,
            "smooth": 20,
            "cap": False,
        },
    ),
    "pca": Recipe(
        what="principal components, T² and Q, in closed form",
        settings={"model": "pca", "scaler": "standard", "smooth": 1},
    ),
}


def own_recipe(model: str | None) -> str:
    """The recipe to begin with for a model that was named without one."""
    return model if model in RECIPES else "best"
