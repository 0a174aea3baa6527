"""The options that say how to train, shared by fit, fleet and sweep."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from trainer.cli.choices import DeviceChoice, RecipeChoice

if TYPE_CHECKING:
    from pathlib import Path

__all__ = [
    "BatchSize",
    "Cadence",
    "ClipNorm",
    "Device",
    "Epochs",
    "LearningRate",
    "Patience",
    "Quiet",
    "Recipe",
    "Seed",
    "Stride",
    "WeightDecay",
    "need_data",
    "need_torch",
    "training_settings",
]

# Options of these names are fields of `Settings`.
FIELDS = (
    "epochs",
    "batch_size",
    "learning_rate",
    "patience",
    "device",
    "seed",
    "weight_decay",
    "clip_norm",
    "stride",
)

Recipe = Annotated[
    RecipeChoice | None,
    typer.Option(
        help="Recipe that sets the options below; their help states the values of the "
        "recipe best. [default: the recipe with the name of --model if there is one, "
        "else best]",
        show_default=False,
    ),
]
Epochs = Annotated[int, typer.Option(help="Maximum number of passes over the training rows.")]
BatchSize = Annotated[
    int | None,
    typer.Option(
        help="Number of rows in a training step. [default: 256, doubled until an epoch has"
        " at most 200 steps]",
        show_default=False,
    ),
]
LearningRate = Annotated[float, typer.Option(help="Initial learning rate of AdamW.")]
Patience = Annotated[
    int,
    typer.Option(
        help="Number of epochs without a 0.2 % improvement in validation loss after which training stops."
    ),
]
Device = Annotated[
    DeviceChoice, typer.Option(help="Device for training. With auto, a GPU is used if PyTorch finds one.")
]
Seed = Annotated[int, typer.Option(help="Seed of every random choice. The same seed gives the same result.")]
Cadence = Annotated[
    float | None,
    typer.Option(
        help="Time between two rows of a machine, in seconds. [default: the cadence of the data]",
        show_default=False,
    ),
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print errors and warnings only.")]
WeightDecay = Annotated[float, typer.Option(help="Weight decay of AdamW.")]
ClipNorm = Annotated[
    float,
    typer.Option(help="Norm to which a longer gradient is clipped. With 0, gradients are not clipped."),
]
Stride = Annotated[
    int,
    typer.Option(
        help="Number of rows from one training row, or window, of a machine to the next. With 1, all normal "
        "rows are learnt from."
    ),
]


def training_settings(ctx: typer.Context) -> dict[str, Any]:
    """Fields of `Settings` that a command's options of this file give."""
    return {name: _plain(ctx.params[name]) for name in FIELDS if name in ctx.params}


def _plain(value: Any) -> Any:
    return value.value if isinstance(value, DeviceChoice) else value


def need_data(folder: Path) -> None:
    """Refuses a folder that is not there, before anything is imported.

    Raises:
        UsageError: It is not there.
    """
    from edge_runtime.errors import UsageError

    if not folder.is_dir():
        raise UsageError(
            "no such folder", where=f"--data {folder}", hint="create it with 'edge-train prepare'"
        )


def need_torch(what: str = "training") -> None:
    """Says which extra is missing before anything is read.

    Raises:
        MissingExtraError: PyTorch or pandas is not installed.
    """
    from edge_runtime.errors import MissingExtraError

    try:
        import pandas  # noqa: F401, ICN001
        import torch  # noqa: F401
    except ImportError:
        raise MissingExtraError(what, "workstation") from None
