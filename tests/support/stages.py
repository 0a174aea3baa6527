"""Stages of the engine, as a ledger would see them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from edge_runtime.engine.stage import Stage

__all__ = ["hand_over", "taken"]


def taken(stage: Stage) -> dict[str, Any]:
    """What changed, machine by machine, through JSON; None for a state that is to be taken away."""
    found: dict[str, Any] = json.loads(json.dumps({name: stage.state(name) for name in stage.changed()}))
    return found


def hand_over(first: Stage, second: Stage) -> None:
    """One stage goes on from the other's states."""
    for machine, state in taken(first).items():
        if state is not None:
            second.restore(machine, state, first.version)
