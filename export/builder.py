"""Nodes and constants of a graph, and the parts of its state."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from onnx import TensorProto, helper, numpy_helper

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray
    from onnx import NodeProto

__all__ = ["Builder", "State"]

END = np.iinfo(np.int64).max


class Builder:
    """Nodes and constants, in the order in which they are added."""

    def __init__(self) -> None:
        self.nodes: list[NodeProto] = []
        self.constants: list[TensorProto] = []

    def constant(self, name: str, value: NDArray[Any]) -> str:
        """Adds a constant; returns its name."""
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def shared(self, name: str, value: NDArray[Any]) -> str:
        """A constant that several parts use: added once."""
        return name if any(known.name == name for known in self.constants) else self.constant(name, value)

    def node(self, operator: str, output: str, *inputs: str, **attributes: Any) -> str:
        """Adds a node with one output, after which it is named; returns that."""
        self.nodes.append(helper.make_node(operator, list(inputs), [output], name=output, **attributes))
        return output

    def axes(self, name: str, *axes: int) -> str:
        """A shared constant of axes."""
        return self.shared(name, np.asarray(axes, np.int64))

    def slice(self, output: str, value: str, start: int, stop: int = END) -> str:
        """These rows of [rows, columns]."""
        first = self.shared(f"row_{start}", np.asarray([start], np.int64))
        last = self.shared("end" if stop == END else f"row_{stop}", np.asarray([stop], np.int64))
        return self.node("Slice", output, value, first, last, self.axes("row_axis", 0))

    def columns(self, output: str, value: str, start: int, stop: int) -> str:
        """These columns of [rows, columns]."""
        ends = (self.axes(f"column_{place}", place) for place in (start, stop))
        return self.node("Slice", output, value, *ends, self.axes("sensor_axis", 1))

    def image(self, output: str, value: str) -> str:
        """[rows, columns] as an image of one channel, [1, 1, rows, columns]."""
        return self.node("Unsqueeze", output, value, self.axes("image_axes", 0, 1))

    def rows(self, output: str, image: str) -> str:
        """The inverse of `image`."""
        return self.node("Squeeze", output, image, self.axes("image_axes", 0, 1))


class State:
    """The input `state` in parts, and what becomes of each in `state_out`.

    Args:
        graph: Where the nodes go.
        rows: Part to its number of rows, in order.
    """

    def __init__(self, graph: Builder, rows: Mapping[str, int]) -> None:
        self._graph = graph
        self._rows = dict(rows)
        self._out: list[str] = []

    def before(self, part: str) -> str:
        """A part of what the last call handed on."""
        if len(self._rows) == 1:
            return "state"
        names = list(self._rows)
        start = sum(self._rows[name] for name in names[: names.index(part)])
        return self._graph.slice(f"{part}_before", "state", start, start + self._rows[part])

    def keep_last(self, part: str, series: str) -> None:
        """Hands on the last rows of a series as this part."""
        name = "state_out" if len(self._rows) == 1 else f"{part}_after"
        self._out.append(self._graph.slice(name, series, -self._rows[part]))

    def keep(self, value: str) -> None:
        """Hands on a value as the next part."""
        self._out.append(value)

    def finish(self) -> None:
        """Puts the parts together; they were kept in their order."""
        if len(self._out) > 1:
            self._graph.node("Concat", "state_out", *self._out, axis=0)
