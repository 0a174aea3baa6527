"""Where a source goes on: what its batches carry, the ledger stores, and the next process gives back."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

__all__ = ["Checkpoint"]


@dataclass(slots=True)
class Checkpoint:
    """Where a source goes on.

    A source that goes on machine by machine names in a batch those that this batch moved, so that a commit
    costs what is in it, however many machines there are. What is given back to it has all of them.

    Attributes:
        text: Of the source as a whole, such as JSON.
        machines: Machine to what is its own, JSON-ready; None for one of which nothing is known any more.
    """

    text: str
    machines: dict[str, Any] = field(default_factory=dict)

    def on_top_of(self, earlier: Checkpoint | None) -> Checkpoint:
        """The earlier one, moved on by this one in place; a copy of this one where there is none."""
        if earlier is None:
            return Checkpoint(self.text, dict(self.machines))
        earlier.text = self.text
        earlier.machines.update(self.machines)
        return earlier
