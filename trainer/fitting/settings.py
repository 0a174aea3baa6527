"""How to train: every choice that decides what comes out, checked together."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Literal

from edge_runtime.errors import UsageError, listed, printable
from trainer.detector.features import InputFeatures
from trainer.models.base import SHOWN, ClosedFormModel
from trainer.models.options import ModelOptions
from trainer.models.registry import KINDS

if TYPE_CHECKING:
    from trainer.detector.scaler import ScalerKind

__all__ = ["OF_CHANNELS", "Settings"]

Device = Literal["auto", "cpu", "cuda"]
MAX_SMOOTHED = 1024
MAX_MEMBERS = 32
MAX_KERNEL = 64
MAX_WEIGHT = 10.0
# What there is only beside two channels.
OF_CHANNELS = ("adapt", "lasting", "lasting_weight", "sudden", "floor")
# A baseline that followed faster would be no slow one: it advances every 64 rows, 16 times over its horizon.
LEAST_HORIZON, MAX_HORIZON = 1024, 10**9
DAY_S = 86_400.0
# What a kind of model may lack without a word: the recipes and the defaults set these for all of them.
SHARED = frozenset({"members", "noise"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings(ModelOptions):
    """How to train.

    Attributes:
        epochs: At most so many passes over the training rows.
        batch_size: Rows of a step; None lets `fitting_batch_size` choose.
        learning_rate: AdamW's first; halved whenever the validation loss stalls for half the patience.
        patience: Epochs without a validation loss lower by 0.2 % after which to stop.
        seed: Of every random choice.
        device: "cpu", "cuda", or "auto" for a GPU if PyTorch can use one.
        scaler: Kind of the scaler.
        model: Kind of the model, one of the registry's.
        weight_decay: AdamW's, a step of learning rate 1.
        clip_norm: A gradient that is longer is shortened to this; 0 for as it is.
        stride: Of the normal training rows of a machine, each so many-th is learnt from.
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
        clamp: How far beyond the training range, in parts of it, the network is shown a reading as it is;
            None for however far.
        two_channels: Whether rows are judged by the sensors' plain distances, too, and not by the network's
            residuals alone.
        lasting: With two channels, rows of a third one, the mean distance over the last rows, in which small
            changes that last stand out; 0 for no such channel.
        lasting_weight: How much that counts beside the network's channel.
        sudden: With two channels, how much a further one counts beside the network's: what each sensor's
            distance differs from what usually remains of its last one; 0 for no such channel.
        floor: With two channels, the least variance that the whitening grants any direction, in parts of the
            sensors' own.
        adapt: With two channels, over which time each machine's levels are followed: "off", "day" for a day
            but at least 1,024 rows, or a number of rows.

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
    model: str = "autoencoder"
    weight_decay: float = 0.01
    clip_norm: float = 1.0
    stride: int = 1
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
    clamp: float | None = None
    two_channels: bool = False
    floor: float = 0.03
    lasting: int = 0
    lasting_weight: float = 0.35
    sudden: float = 0.0
    adapt: str = "off"

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
            ("--dropout", self.dropout, 0 <= self.dropout < 1),
            ("--weight-decay", self.weight_decay, 0 <= self.weight_decay < math.inf),
            ("--clip-norm", self.clip_norm, 0 <= self.clip_norm < math.inf),
            ("--stride", self.stride, self.stride >= 1),
            ("--model", self.model, self.model in KINDS),
            ("--members", self.members, 1 <= self.members <= MAX_MEMBERS),
            ("--clamp", self.clamp, self.clamp is None or 0 <= self.clamp < math.inf),
            ("--floor", self.floor, 0 < self.floor <= 1),
            ("--lasting", self.lasting, self.lasting == 0 or 2 <= self.lasting <= MAX_SMOOTHED),  # noqa: PLR2004
            ("--lasting-weight", self.lasting_weight, 0 < self.lasting_weight <= MAX_WEIGHT),
            ("--sudden", self.sudden, 0 <= self.sudden <= MAX_WEIGHT),
        ):
            if not fine:
                raise UsageError(f"{value} is out of range", where=option)
        self._check_together()

    def _check_together(self) -> None:
        """What does not go with what."""
        kind = KINDS[self.model]
        if issubclass(kind, ClosedFormModel) and self.members > 1:
            raise UsageError(
                f"a {self.model} model involves no randomness that an ensemble could average out",
                where="--members",
            )
        named = frozenset().union(*(each.options for each in KINDS.values())) - SHARED
        for field in fields(self):
            name = field.name
            if name in named - kind.options and getattr(self, name) != field.default:
                raise UsageError(self._lacks(name), where=f"--{name.replace('_', '-')}", hint=_has(name))

        self._check_channels()
        if self.clamp is not None and self.scaler != "minmax":
            raise UsageError("requires the scaler minmax", where="--clamp", hint="add --scaler minmax")
        if self.period is None and self.harmonics != Settings.__dataclass_fields__["harmonics"].default:
            raise UsageError("requires --period", where="--harmonics")

    def _check_channels(self) -> None:
        """What goes with two channels alone, and what does not."""
        single = "add --one-channel"
        if self.two_channels and not self.whiten:
            raise UsageError("two channels are always whitened", where="--no-whiten", hint=single)
        if self.two_channels and self.average is not None:
            raise UsageError("requires a single channel", where="--average", hint=single)
        for name in OF_CHANNELS:
            given = getattr(self, name) != Settings.__dataclass_fields__[name].default
            if given and not self.two_channels:
                option = f"--{name.replace('_', '-')}"
                raise UsageError("requires two channels", where=option, hint="add --two-channels")
        if (
            self.lasting_weight != Settings.__dataclass_fields__["lasting_weight"].default
            and not self.lasting
        ):
            raise UsageError("requires --lasting", where="--lasting-weight", hint="add --lasting 20")
        self.horizon_rows(1.0)

    def _lacks(self, option: str) -> str:
        if option not in SHOWN:
            return f"a {self.model} model has no such option"
        others = sorted(KINDS[self.model].options & SHOWN)
        shown = f"only the rows and --{' or --'.join(others)}" if others else "only the rows themselves"
        return f"a {self.model} model is shown {shown}"

    def horizon_rows(self, cadence_seconds: float) -> float | None:
        """Rows over which a machine's levels are followed; None where they are not.

        Args:
            cadence_seconds: Time between two rows.

        Raises:
            UsageError: `adapt` is neither a word nor a number of rows, or too small a number.
        """
        if self.adapt == "off":
            return None
        if self.adapt == "day":
            return max(float(LEAST_HORIZON), DAY_S / cadence_seconds)
        digits = re.fullmatch(r"0*([0-9]{1,10})", self.adapt)
        if digits is None or not LEAST_HORIZON <= int(digits[1]) <= MAX_HORIZON:
            raise UsageError(
                f"'{printable(self.adapt)}' is neither off, nor day, nor "
                f"{LEAST_HORIZON:,} to {MAX_HORIZON:,} rows",
                where="--adapt",
            )
        return float(digits[1])

    def features(self, sensors: int) -> InputFeatures:
        """What the network is shown of so many sensors."""
        return InputFeatures(
            sensors=sensors,
            window=self.window,
            differences=self.differences,
            rolling=self.rolling,
            period=self.period,
            harmonics=self.harmonics,
            clamp=self.clamp,
        )


def _has(option: str) -> str:
    """Which kinds of model have an option."""
    kinds = [f"--model {name}" for name, kind in KINDS.items() if option in kind.options]
    return f"leave it out; it is for {listed(kinds)}"
