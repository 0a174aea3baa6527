"""The kinds of model, one file each, and a network from its architecture."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from edge_runtime.errors import TrainingError
from trainer.models.autoencoder import SensorAutoencoder
from trainer.models.convolutional import ConvolutionalAutoencoder
from trainer.models.ensemble import Ensemble
from trainer.models.linear import LinearModel
from trainer.models.pca import PcaModel
from trainer.models.variational import VariationalAutoencoder

if TYPE_CHECKING:
    from trainer.models.base import Architecture, ModelKind, Network

__all__ = ["KINDS", "build", "kind_of"]

KINDS: dict[str, type[ModelKind]] = {
    kind.kind: kind
    for kind in (
        SensorAutoencoder,
        VariationalAutoencoder,
        ConvolutionalAutoencoder,
        LinearModel,
        PcaModel,
    )
}


def kind_of(name: str) -> type[ModelKind]:
    """The kind of model of this name.

    Raises:
        TrainingError: There is none.
    """
    if name not in KINDS:
        raise TrainingError(f"no model of kind '{name}'", hint=f"choose one of {', '.join(sorted(KINDS))}")
    return KINDS[name]


def build(architecture: Architecture) -> Network:
    """A freshly initialised network of this architecture.

    Raises:
        TrainingError: Its kind is not known.
    """
    kind = kind_of(architecture.kind)
    if architecture.members > 1:
        one = replace(architecture, members=1)
        return Ensemble([build(one) for _ in range(architecture.members)])
    return kind.of(architecture)
