"""How to train: every choice that decides what comes out, checked together."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from edge_runtime.errors import UsageError
from trainer.detector.features import InputFeatures
from trainer.models.autoencoder import DEFAULT_WIDTHS
from trainer.models.convolutional import DEFAULT_KERNELS
from trainer.models.variational import DEFAULT_BETA

if TYPE_CHECKING:
    from trainer.detector.scaler import ScalerKind

__all__ = ["ModelKind", "Settings"]

ModelKind = Literal["autoencoder", "variational", "convolutional", "linear", "pca"]
Device = Literal["auto", "cpu", "cuda"]
CLOSED_FORM = ("linear", "pca")
MAX_SMOOTHED = 1024
MAX_MEMBERS = 32
MAX_KERNEL = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How to train.

    Attributes:
        epochs: At most so many passes over the training rows.
        batch_size: Rows of a step; None lets `fitting_batch_size` choose.
        learning_rate: AdamW's first; halved whenever the validation loss stalls for half the patience.
        patience: Epochs without a validation loss lower by 0.2 % after which to stop.
        seed: Of every random choice.
        device: "cpu", "cuda", or "auto" for a GPU if PyTorch can use one.
        scaler: Kind of the scaler.
        model: "autoencoder", "variational" or "convolutional"; or one in closed form, "linear" or "pca".
        widths: An autoencoder's hidden widths.
        kernels: Rows of each convolution of a convolutional one.
        beta: Weight of a variational one's divergence.
        components: Of "pca"; None for as many as hold 90 % of the variance.
        members: Networks whose mean counts, each from a start of its own.
        window: Rows that the network is shown whole, the newest among them.
        differences: Whether it is shown the change since the row before.
        rolling: Rows over which it is shown mean and standard deviation; 0 for neither.
        period: Seconds, counted from midnight UTC, of whose phase it is shown sines and cosines; None for
            no phase.
        harmonics: How many of them.
        noise: Standard deviation of the noise on the network's scaled input; its goal stays without. Learning
            to undo it keeps a network with a wide bottleneck from learning to copy.
        whiten: Whether residuals are weighed by their covariance in normal rows.
        smooth: Rows over which the score is smoothed; 1 for none.
        cap: Whether what one row may add to the smoothed score is bounded, by what normal rows reach: then a
            spike is over at once. Without it, what lasts is held for as long as the smoothing goes back.
        average: Weight of the newest row in the residuals' moving average; None for no average.

    Raises:
        UsageError: A value is out of range.
    """

    epochs: int = 100
    batch_size: int | None = None
    learning_rate: float = 1e-3
    patience: int = 10
    seed: int = 0
    device: Device = "auto"
    scaler: ScalerKind = "minmax"
    model: ModelKind = "autoencoder"
    widths: tuple[int, ...] = DEFAULT_WIDTHS
    kernels: tuple[int, ...] = DEFAULT_KERNELS
    beta: float = DEFAULT_BETA
    components: int | None = None
    members: int = 1
    window: int = 1
    differences: bool = False
    rolling: int = 0
    period: float | None = None
    harmonics: int = 3
    noise: float = 0.15
    whiten: bool = True
    smooth: int = 11
    cap: bool = True
    average: float | None = None

    def __post_init__(self) -> None:
        for option, value, fine in (
            ("--epochs", self.epochs, self.epochs >= 1),
            ("--batch-size", self.batch_size, self.batch_size is None or self.batch_size >= 1),
            ("--learning-rate", self.learning_rate, 0 < self.learning_rate < math.inf),
            ("--patience", self.patience, self.patience >= 1),
            ("--seed", self.seed, 0 <= self.seed < 2**63),
            ("--noise", self.noise, 0 <= self.noise < math.inf),
            ("--smooth", self.smooth, 1 <= self.smooth <= MAX_SMOOTHED),
            ("--kernels", self.kernels, all(1 <= rows <= MAX_KERNEL for rows in self.kernels)),
            ("--beta", self.beta, 0 <= self.beta < math.inf),
            ("--components", self.components, self.components is None or self.components >= 1),
            ("--members", self.members, 1 <= self.members <= MAX_MEMBERS),
        ):
            if not fine:
                raise UsageError(f"{value} is out of range", where=option)
        self._check_together()

    def _check_together(self) -> None:
        """What does not go with what."""
        shown_more = not self.features(1).is_plain
        if self.model in CLOSED_FORM and self.members > 1:
            raise UsageError(
                f"a {self.model} model involves no randomness that an ensemble could average out",
                where="--members",
            )
        if self.model in {"convolutional", "pca"} and shown_more:
            raise UsageError(
                f"a {self.model} model is shown only the rows themselves",
                where="--model",
                hint="leave out --window, --differences, --rolling and --period",
            )
        if self.model == "linear" and (self.differences or self.rolling):
            raise UsageError(
                "a linear model would read each sensor off its own change or mean",
                where="--model",
                hint="use --window, which shows it the previous rows",
            )

    def features(self, sensors: int) -> InputFeatures:
        """What the network is shown of so many sensors."""
        return InputFeatures(
            sensors=sensors,
            window=self.window,
            differences=self.differences,
            rolling=self.rolling,
            period=self.period,
            harmonics=self.harmonics,
        )
