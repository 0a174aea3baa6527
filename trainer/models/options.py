"""What may be chosen of a model: each kind names those of these options that it has."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

__all__ = [
    "DEFAULT_BETA",
    "DEFAULT_KERNELS",
    "DEFAULT_WIDTHS",
    "MOST_PARAMETERS",
    "ModelOptions",
    "fitting_widths",
]

DEFAULT_WIDTHS = (64, 32, 4, 32, 64)
MOST_PARAMETERS = 5_064
DEFAULT_KERNELS = (5, 5)
DEFAULT_BETA = 1e-4


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelOptions:
    """Options of the models.

    Attributes:
        widths: An autoencoder's hidden widths; the narrowest is the bottleneck. None for as wide as the
            parameters of the one for four sensors, `MOST_PARAMETERS`, allow.
        kernels: Rows of each convolution of a convolutional autoencoder.
        beta: Weight of a variational autoencoder's divergence.
        components: Principal components of "pca"; None for as many as hold 90 % of the variance.
        dropout: Share of an autoencoder's hidden units that are silent in a step of training, below 1.
    """

    widths: tuple[int, ...] | None = DEFAULT_WIDTHS
    kernels: tuple[int, ...] = DEFAULT_KERNELS
    beta: float = DEFAULT_BETA
    components: int | None = None
    dropout: float = 0.0


def fitting_widths(sensors: int, inputs: int) -> tuple[int, ...]:
    """The widest layers, narrowing to half and to 4, that `MOST_PARAMETERS` allow; at least 2 units.

    Args:
        sensors: Number of outputs.
        inputs: Number of inputs.
    """

    def widths(widest: int) -> tuple[int, ...]:
        half = max(1, min(32, round(widest / 2)))
        return (widest, half, 4, half, widest)

    def parameters(widest: int) -> int:
        return sum((one + 1) * other for one, other in pairwise((inputs, *widths(widest), sensors)))

    widest = 2
    while parameters(widest + 1) <= MOST_PARAMETERS:
        widest += 1
    return widths(widest)
