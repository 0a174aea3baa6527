"""Values that options choose from, as names; what they stand for is imported when it is needed."""

from __future__ import annotations

from enum import StrEnum

__all__ = ["DeviceChoice", "ModelChoice", "RecipeChoice", "ScalerChoice", "ThresholdChoice"]


class ScalerChoice(StrEnum):
    """How readings are scaled."""

    MINMAX = "minmax"
    STANDARD = "standard"


class DeviceChoice(StrEnum):
    """What trains."""

    AUTO = "auto"
    CPU = "cpu"
    CUDA = "cuda"


class ModelChoice(StrEnum):
    """What predicts the sensors: the kinds of `trainer.models.registry`."""

    AUTOENCODER = "autoencoder"
    VARIATIONAL = "variational"
    CONVOLUTIONAL = "convolutional"
    LINEAR = "linear"
    PCA = "pca"


class RecipeChoice(StrEnum):
    """A named way to train: those of `trainer.fitting.recipes`."""

    BEST = "best"
    PLAIN = "plain"
    VARIATIONAL = "variational"
    WINDOW = "window"
    CONVOLUTIONAL = "convolutional"
    LINEAR = "linear"
    MEWMA = "mewma"
    AUTOREGRESSION = "autoregression"
    PCA = "pca"


class ThresholdChoice(StrEnum):
    """How the threshold is chosen."""

    PERCENTILE = "percentile"
    BEST_F1 = "best-f1"
