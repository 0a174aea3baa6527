"""What may be chosen of a model: each kind names those of these options that it has."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["DEFAULT_BETA", "DEFAULT_KERNELS", "DEFAULT_WIDTHS", "ModelOptions"]

DEFAULT_WIDTHS = (64, 32, 4, 32, 64)
DEFAULT_KERNELS = (5, 5)
DEFAULT_BETA = 1e-4


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelOptions:
    """Options of the models.

    Attributes:
        widths: An autoencoder's hidden widths; the narrowest is the bottleneck.
        kernels: Rows of each convolution of a convolutional autoencoder.
        beta: Weight of a variational autoencoder's divergence.
        components: Principal components of "pca"; None for as many as hold 90 % of the variance.
        dropout: Share of an autoencoder's hidden units that are silent in a step of training, below 1.
    """

    widths: tuple[int, ...] = DEFAULT_WIDTHS
    kernels: tuple[int, ...] = DEFAULT_KERNELS
    beta: float = DEFAULT_BETA
    components: int | None = None
    dropout: float = 0.0
