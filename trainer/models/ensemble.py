"""Several networks of one kind as one: each sensor is expected where their mean says."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

from trainer.models.base import Architecture, Network

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Ensemble"]


class Ensemble(Network):
    """The mean of its members, which differ by what chance started and showed them with.

    Args:
        members: Networks of one architecture, at least 2.
    """

    def __init__(self, members: Sequence[Network]) -> None:
        super().__init__()
        first = members[0].architecture
        self.architecture = Architecture(
            first.kind, first.sensors, first.widths, first.inputs, first.kernels, len(members)
        )
        self.history = members[0].history
        self.members = nn.ModuleList(members)

    @property
    def chains(self) -> list[nn.Sequential]:
        """The layers of each member, whose outputs are averaged."""
        return [member.layers for member in self.members if isinstance(member, Network)]

    def forward(self, shown: torch.Tensor) -> torch.Tensor:
        """Reproduces scaled rows as the members do."""
        total: torch.Tensor = sum(member(shown) for member in self.members)
        return total * (1.0 / len(self.members))
