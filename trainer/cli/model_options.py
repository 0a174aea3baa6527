"""The options that say what is trained: the model, what it is shown, and how its residuals are scored."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from trainer.cli.choices import ModelChoice, ScalerChoice
from trainer.cli.pairs import parse_number, parse_sizes

__all__ = [
    "Adapt",
    "Average",
    "Beta",
    "Cap",
    "Clamp",
    "Components",
    "Differences",
    "Dropout",
    "Floor",
    "Harmonics",
    "Kernels",
    "Lasting",
    "LastingWeight",
    "Members",
    "Model",
    "Noise",
    "Period",
    "Rolling",
    "Scaler",
    "Smooth",
    "Sudden",
    "TwoChannels",
    "Whiten",
    "Widths",
    "Window",
    "model_settings",
]

# Options of these names are fields of `Settings`; one that is not given leaves the recipe's value.
FIELDS = (
    "scaler",
    "model",
    "widths",
    "kernels",
    "beta",
    "components",
    "members",
    "window",
    "differences",
    "rolling",
    "period",
    "harmonics",
    "noise",
    "whiten",
    "smooth",
    "cap",
    "average",
    "dropout",
    "clamp",
    "two_channels",
    "lasting",
    "lasting_weight",
    "sudden",
    "floor",
    "adapt",
)
# What is written for None.
NO_CLAMP, FITTING_WIDTHS = "none", "auto"

Scaler = Annotated[
    ScalerChoice | None,
    typer.Option(help="Method by which readings are scaled. [recipe best: minmax]", show_default=False),
]
Model = Annotated[
    ModelChoice | None,
    typer.Option(
        help="Model that predicts the sensors. The models linear and pca are fitted in "
        "closed form. [recipe best: autoencoder]",
        show_default=False,
    ),
]
Widths = Annotated[
    str | None,
    typer.Option(
        help="Widths of the hidden layers of an autoencoder, such as 64,32,4,32,64. With auto, they are "
        "as wide as 5,064 parameters allow. [recipe best: auto]",
        show_default=False,
    ),
]
Kernels = Annotated[
    str | None,
    typer.Option(
        help="Number of rows that each convolution of a convolutional autoencoder covers. [default: 5,5]",
        show_default=False,
    ),
]
Beta = Annotated[
    float | None,
    typer.Option(
        help="Weight of the divergence term in the loss of a variational autoencoder. [default: 0.0001]",
        show_default=False,
    ),
]
Components = Annotated[
    int | None,
    typer.Option(
        help="Number of principal components of the model pca. [default: enough for 90 % of the variance]",
        show_default=False,
    ),
]
Members = Annotated[
    int | None,
    typer.Option(
        help="Number of networks in the ensemble. The bundle uses the mean of their "
        "outputs. [recipe best: 1]",
        show_default=False,
    ),
]
Window = Annotated[
    int | None,
    typer.Option(
        help="Number of rows that the network sees at once, including the newest. [recipe best: 1]",
        show_default=False,
    ),
]
Differences = Annotated[
    bool | None,
    typer.Option(
        "--differences/--no-differences",
        help="Show the network the change from the previous row. [recipe best: no]",
        show_default=False,
    ),
]
Rolling = Annotated[
    int | None,
    typer.Option(
        help="Number of rows, such as 10, over which a rolling mean and standard deviation"
        " are shown to the network. With 0, they are not shown. [recipe best: 0]",
        show_default=False,
    ),
]
Period = Annotated[
    float | None,
    typer.Option(
        help="Length in seconds of a cycle, counted from midnight UTC, whose phase is "
        "shown to the network: 86400 for the time of day, 60 for a load cycle of one "
        "minute.",
        show_default=False,
    ),
]
Harmonics = Annotated[
    int | None,
    typer.Option(
        help="Number of harmonics (pairs of sine and cosine) that describe the phase of "
        "--period. [default: 3]",
        show_default=False,
    ),
]
Noise = Annotated[
    float | None,
    typer.Option(
        help="Standard deviation of the noise added to the scaled input during training. "
        "With 0, no noise is added. [recipe best: 0.1]",
        show_default=False,
    ),
]
Whiten = Annotated[
    bool | None,
    typer.Option(
        "--whiten/--no-whiten",
        help="Weight residuals by their covariance in normal rows, as two channels always do. "
        "[recipe best: yes]",
        show_default=False,
    ),
]
Smooth = Annotated[
    int | None,
    typer.Option(
        help="Number of rows over which the score is smoothed. With 1, it is not smoothed. [recipe best: 11]",
        show_default=False,
    ),
]
Cap = Annotated[
    bool | None,
    typer.Option(
        "--cap/--no-cap",
        help="Limit how much a single row may add to the smoothed score. [recipe best: yes]",
        show_default=False,
    ),
]
Average = Annotated[
    float | None,
    typer.Option(
        help="Average the residuals exponentially over the last rows. The value is the "
        "weight of the newest row, such as 0.1; for use with --one-channel.",
        show_default=False,
    ),
]
Dropout = Annotated[
    float | None,
    typer.Option(
        help="Share of the hidden units of an autoencoder that are silent in each training step, such as "
        "0.1. [default: 0]",
        show_default=False,
    ),
]
Clamp = Annotated[
    str | None,
    typer.Option(
        metavar="PART|none",
        help="Distance beyond a sensor's training range, as part of that range, from which on the network is "
        "shown the same reading; for use with --scaler minmax. With none, it is shown every reading as it "
        "is. [recipe best: 0.25]",
        show_default=False,
    ),
]
TwoChannels = Annotated[
    bool | None,
    typer.Option(
        "--two-channels/--one-channel",
        help="Judge a row by the sensors' distances from their means as well, not by the residuals of the "
        "model alone. With one channel, what the recipe sets of the others is left out. "
        "[recipe best: two channels]",
        show_default=False,
    ),
]
Lasting = Annotated[
    int | None,
    typer.Option(
        help="Number of rows over whose mean distance rows are judged as well, so that small changes that "
        "last are found; for use with --two-channels. With 0, they are not. [recipe best: 20]",
        show_default=False,
    ),
]
LastingWeight = Annotated[
    float | None,
    typer.Option(
        help="How much that mean counts beside the residuals of the model. [default: 0.35]",
        show_default=False,
    ),
]
Sudden = Annotated[
    float | None,
    typer.Option(
        help="How much a change from one row to the next counts beside the residuals of the model; for use "
        "with --two-channels. With 0, it does not count. [recipe best: 0.25]",
        show_default=False,
    ),
]
Floor = Annotated[
    float | None,
    typer.Option(
        help="Lowest variance that whitening assumes in any direction, as part of the sensors' own variance; "
        "for use with --two-channels. [recipe best: 0.03]",
        show_default=False,
    ),
]
Adapt = Annotated[
    str | None,
    typer.Option(
        metavar="off|day|ROWS",
        help="Number of rows, at least 1,024, over which the gateway follows slow changes of each machine's "
        "level; for use with --two-channels. With day, it is the rows of one day. With off, the levels of "
        "training are kept. [recipe best: day]",
        show_default=False,
    ),
]


def model_settings(ctx: typer.Context) -> dict[str, Any]:
    """Fields of `Settings` that are given by a command's options of this file.

    Raises:
        UsageError: A list of sizes is none, or a number.
    """
    return {name: _value(name, given) for name in FIELDS if (given := ctx.params[name]) is not None}


def _value(name: str, given: Any) -> Any:
    if (name, given) in {("widths", FITTING_WIDTHS), ("clamp", NO_CLAMP)}:
        return None
    if name == "clamp":
        return parse_number(given, "--clamp", f"0.25, or {NO_CLAMP}")
    if name in {"widths", "kernels"}:
        return parse_sizes(given, f"--{name}", FITTING_WIDTHS if name == "widths" else None)
    return given.value if isinstance(given, ModelChoice | ScalerChoice) else given
