"""How rows flow through a graph: what is known of a tensor when the number of rows is not.

Every shape is worked out with that number left open. An axis of rows has `rows + more` entries; entry number
i depends on rows up to i + `ahead` and, in a model with memory, on the first one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = [
    "ALWAYS",
    "NEVER",
    "Flow",
    "MixedError",
    "Node",
    "broadcast",
    "from_end",
    "place_of",
    "together",
    "turned",
    "without",
]

NEVER, ALWAYS = -math.inf, math.inf


@dataclass(frozen=True, slots=True)
class Flow:
    """What is known of a tensor.

    Attributes:
        shape: Its sizes; of the axis of rows, how many more than rows there are.
        axis: Which one is that of rows; None for none.
        ahead: With such an axis, by how much the newest row that an entry depends on is ahead of it. Without,
            the number of that row: `NEVER` for none, `ALWAYS` for the call's last.
    """

    shape: tuple[int, ...]
    axis: int | None = None
    ahead: float = NEVER


@dataclass(frozen=True, slots=True)
class Node:
    """A node of the graph, read."""

    kind: str
    inputs: tuple[Flow, ...]
    constants: tuple[list[int] | None, ...]
    numbers: dict[str, int]
    lists: dict[str, list[int]]
    remembers: bool


class MixedError(Exception):
    """Why a node is refused: what comes after its operator's name."""


def together(flows: Sequence[Flow], shape: tuple[int, ...], axis: int | None) -> Flow:
    """What a tensor made of others, entry by entry, depends on."""
    if axis is None:
        return Flow(shape, None, max(flow.ahead for flow in flows))
    ahead = max(flow.ahead for flow in flows if flow.axis is not None)
    # A row beyond the first that all entries are shown would be a later one to some.
    shown = max([flow.ahead for flow in flows if flow.axis is None], default=NEVER)
    return Flow(shape, axis, ahead if shown <= 0 else ALWAYS)


def broadcast(flows: Sequence[Flow]) -> Flow:
    """Tensors of one shape, where a size of 1 goes with every other."""
    rank = max(len(flow.shape) for flow in flows)
    sizes: list[int] = []
    axes: list[int] = []
    for place in range(-rank, 0):
        at = [(flow.shape[place], from_end(flow) == place) for flow in flows if len(flow.shape) >= -place]
        wide = {size for size in at if size != (1, False)}
        if len(wide) > 1:
            raise MixedError("puts rows beside others, or sizes that do not fit")
        size, is_rows = next(iter(wide), (1, False))
        sizes.append(size)
        axes += [place + rank] * is_rows
    if len(axes) > 1:
        raise MixedError("combines every row with every other")
    return together(flows, tuple(sizes), axes[0] if axes else None)


def from_end(flow: Flow) -> int | None:
    """Its axis of rows, counted from the last."""
    return None if flow.axis is None else flow.axis - len(flow.shape)


def turned(flow: Flow, perm: Sequence[int]) -> Flow:
    """With its axes in another order."""
    if sorted(perm) != list(range(len(flow.shape))):
        raise MixedError("does not name each axis once")
    axis = None if flow.axis is None else list(perm).index(flow.axis)
    return replace(flow, shape=tuple(flow.shape[place] for place in perm), axis=axis)


def place_of(axis: int, rank: int) -> int:
    """An axis by its number from the first."""
    if not -rank <= axis < rank:
        raise MixedError("names an axis that is not there")
    return axis % rank


def without(flow: Flow, axes: set[int]) -> Flow:
    """Without axes of size 1, or that were summed."""
    kept = [i for i in range(len(flow.shape)) if i not in axes]
    axis = None if flow.axis is None else kept.index(flow.axis)
    return replace(flow, shape=tuple(flow.shape[i] for i in kept), axis=axis)
