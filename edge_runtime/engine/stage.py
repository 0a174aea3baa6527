"""What a stage of the engine declares: its name, whose state it keeps, how that is stored and restored."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["ANY_BUNDLE", "Stage", "StageState"]

ANY_BUNDLE = "-"


class StageState(NamedTuple):
    """One stage's state of one machine, as the ledger stores it.

    Attributes:
        owner: The digest of the bundle that the state belongs to; `ANY_BUNDLE` for a machine's own.
        stage: The stage's name.
        machine: The machine's id.
        version: Of the value's layout.
        value: JSON-ready; None for that of a machine that was never seen, which need not be stored.
    """

    owner: str
    stage: str
    machine: str
    version: int
    value: Any


class Stage(Protocol):
    """A step on a row's way to its verdict that remembers something of each machine.

    Attributes:
        name: Of the stage; no two have the same.
        version: Rises when the layout of its states changes.
        belongs: To the "bundle" when another bundle cannot go on from its states; else to the "machine".
        machine_bytes: Memory that it takes for a machine, at most.
    """

    name: str
    version: int
    belongs: Literal["bundle", "machine"]
    machine_bytes: int

    def changed(self) -> Iterable[str]:
        """The machines whose state changed since the last call."""
        ...

    def state(self, machine: str) -> Any:
        """A machine's state, JSON-ready; None for that of a machine that was never seen."""
        ...

    def restore(self, machine: str, value: Any, version: int) -> None:
        """Goes on from what `state` gave, in this version or an earlier one.

        Raises:
            ValueError, TypeError: The value is not a state of this stage.
        """
        ...
