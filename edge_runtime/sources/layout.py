"""The table `[data]`: what a machine is called whose rows do not say so."""

from __future__ import annotations

from dataclasses import dataclass

from edge_runtime.config import setting

__all__ = ["DefaultMachine"]


@dataclass(frozen=True, slots=True)
class DefaultMachine:
    """What a machine is called that does not say so."""

    machine: str = setting("machine", "Id of a machine whose rows do not name one.")
