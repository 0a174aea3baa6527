"""What a stage of the engine declares: its name, whose state it keeps, how that is stored and restored.

And how many machines an engine may remember, so that no bundle and no feed makes its memory grow without end.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, Literal, NamedTuple, Protocol, TypeVar

from edge_runtime.errors import BundleError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

__all__ = ["ANY_BUNDLE", "KNOWN_MB", "STATE_MB", "Asleep", "Stage", "StageState", "bounded", "more_than_mb"]

ANY_BUNDLE = "-"
# A gateway's, unless it is configured otherwise.
STATE_MB = 256
# Without a number of machines, `STATE_MB` is for what the bundle has to remember of them. What the engine
# itself knows of each, such as its last times, is the same for every bundle, and histories of a hundred
# thousand machines must go through.
KNOWN_MB = 2048
MB = 1e6


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


S = TypeVar("S", bound=Stage)


class Asleep(Generic[S]):
    """A stage that has nothing to remember of most machines: it is made, and its code imported, when it has.

    Args:
        name: The stage's name.
        version: Its version.
        make: Makes it.

    Attributes:
        stage: The stage, once it is awake.
        machine_bytes: 0: it is no part of what machines are bounded by, since it remembers few of them.
    """

    belongs: Literal["bundle", "machine"] = "machine"
    machine_bytes = 0

    def __init__(self, name: str, version: int, make: Callable[[], S]) -> None:
        self.name = name
        self.version = version
        self.stage: S | None = None
        self._make = make

    def awake(self) -> S:
        """The stage, made if it was not there."""
        if self.stage is None:
            self.stage = self._make()
        return self.stage

    def changed(self) -> Iterable[str]:
        """As `Stage.changed`."""
        return () if self.stage is None else self.stage.changed()

    def state(self, machine: str) -> Any:
        """As `Stage.state`."""
        return None if self.stage is None else self.stage.state(machine)

    def restore(self, machine: str, value: Any, version: int) -> None:
        """As `Stage.restore`."""
        self.awake().restore(machine, value, version)


def bounded(
    stages: Sequence[Stage], machines: int | None, state_mb: float, engines: int, *, where: str
) -> int:
    """The number of machines that an engine may remember.

    Args:
        stages: Each says what a machine takes in it.
        machines: As many as are wanted, whose states must fit into `state_mb`; None for as many as fit.
        state_mb: MB of 10^6 bytes.
        engines: How many share it.
        where: What to call the bundle in an error.

    Raises:
        BundleError: The states of so many machines, or of a single one, may take more.
    """
    known, of_bundle = (_bytes(stages, belongs) for belongs in ("machine", "bundle"))
    if machines is None:
        most = min(state_mb * MB / max(1, of_bundle), max(KNOWN_MB, state_mb) * MB / max(1, known))
        if most < 1:
            raise BundleError(
                f"the state of one machine may take {of_bundle / MB:,.0f} MB, and there are {state_mb:,g} MB "
                "for all",
                where=where,
                hint="do not use it, or raise state_mb",
            )
        return max(1, int(most / engines))
    megabytes = machines * (known + of_bundle) / MB
    if megabytes > state_mb:
        raise BundleError(
            f"the states of {machines:,} machines may take {megabytes:,.0f} MB, and state_mb is "
            f"{state_mb:,g}",
            where=where,
            hint="lower max_machines or raise state_mb in [run]",
        )
    return machines


def more_than_mb(stages: Sequence[Stage], state_mb: float) -> float:
    """What `state_mb` has to exceed for more machines than `bounded` allows."""
    by_bundle = state_mb / max(1, _bytes(stages, "bundle"))
    by_known = max(KNOWN_MB, state_mb) / max(1, _bytes(stages, "machine"))
    return state_mb if by_bundle <= by_known else max(KNOWN_MB, state_mb)


def _bytes(stages: Sequence[Stage], belongs: str) -> int:
    return sum(stage.machine_bytes for stage in stages if stage.belongs == belongs)
