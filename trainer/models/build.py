"""A network from its architecture."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from edge_runtime.errors import TrainingError
from trainer.models.autoencoder import SensorAutoencoder
from trainer.models.convolutional import ConvolutionalAutoencoder
from trainer.models.ensemble import Ensemble
from trainer.models.linear import LinearModel
from trainer.models.pca import PcaModel
from trainer.models.variational import VariationalAutoencoder

if TYPE_CHECKING:
    from trainer.models.base import Architecture, Network

__all__ = ["build"]

KINDS: dict[str, Any] = {
    kind.kind: kind
    for kind in (
        SensorAutoencoder,
        VariationalAutoencoder,
        ConvolutionalAutoencoder,
        LinearModel,
        PcaModel,
    )
}


def build(architecture: Architecture) -> Network:
    """A freshly initialised network of this architecture.

    Raises:
        TrainingError: Its kind is not known.
    """
    if architecture.kind not in KINDS:
        raise TrainingError(
            f"no model of kind '{architecture.kind}'", hint=f"choose one of {', '.join(sorted(KINDS))}"
        )
    if architecture.members > 1:
        one = replace(architecture, members=1)
        return Ensemble([build(one) for _ in range(architecture.members)])
    made: Network = KINDS[architecture.kind].of(architecture)
    return made
