"""What each operator makes of the rows that flow into it; what is not certain raises `MixedError`."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from edge_runtime.bundle.flows import (
    ALWAYS,
    Flow,
    MixedError,
    Node,
    broadcast,
    from_end,
    place_of,
    together,
    turned,
    without,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["RULES"]

FAR = 1 << 31  # beyond the end of any axis, as an end of a slice


def _elementwise(node: Node) -> Flow:
    return broadcast(node.inputs)


def _transpose(node: Node) -> Flow:
    (flow,) = node.inputs
    return turned(flow, node.lists.get("perm", list(range(len(flow.shape)))[::-1]))


def _product(first: Flow, second: Flow) -> Flow:
    """[…, m, k] times […, k, n]."""
    if min(len(first.shape), len(second.shape)) < 2:  # noqa: PLR2004
        raise MixedError("multiplies what is no matrix")
    if from_end(first) == -1 or from_end(second) == -2 or first.shape[-1] != second.shape[-2]:  # noqa: PLR2004
        raise MixedError("sums over rows, or over sizes that do not fit")
    one = replace(first, shape=(*first.shape[:-1], 1))
    other = replace(second, shape=(*second.shape[:-2], 1, second.shape[-1]))
    return broadcast([one, other])


def _gemm(node: Node) -> Flow:
    first, second, *bias = node.inputs
    one, other = (
        turned(flow, (1, 0)) if node.numbers.get(name) else flow
        for flow, name in ((first, "transA"), (second, "transB"))
    )
    found = _product(one, other)
    whole = broadcast([found, *bias])
    if whole.shape != found.shape or whole.axis != found.axis:
        raise MixedError("adds what is larger than the product")
    return whole


def _reduce_sum(node: Node) -> Flow:
    axes = node.constants[1] if len(node.inputs) > 1 else []
    if not axes and node.numbers.get("noop_with_empty_axes"):
        return node.inputs[0]
    return _reduced(node, axes, "sums over rows")


def _reduce_min(node: Node) -> Flow:
    return _reduced(node, node.lists.get("axes"), "takes the lowest of several rows")


def _reduced(node: Node, axes: Sequence[int] | None, over_rows: str) -> Flow:
    """One value for all along these axes, or along every axis where none is named."""
    flow, rank = node.inputs[0], len(node.inputs[0].shape)
    gone = {place_of(axis, rank) for axis in axes or range(rank)}
    if flow.axis in gone:
        raise MixedError(over_rows)
    if node.numbers.get("keepdims", 1):
        return replace(flow, shape=tuple(1 if i in gone else size for i, size in enumerate(flow.shape)))
    return without(flow, gone)


def _softmax(node: Node) -> Flow:
    (flow,) = node.inputs
    if flow.axis == place_of(node.numbers.get("axis", -1), len(flow.shape)):
        raise MixedError("weighs rows against each other")
    return flow


def _squeeze(node: Node) -> Flow:
    flow, axes = node.inputs[0], node.constants[1] if len(node.inputs) > 1 else None
    squeezed = {place_of(axis, len(flow.shape)) for axis in axes or ()}
    if not axes or flow.axis in squeezed or any(flow.shape[axis] != 1 for axis in squeezed):
        raise MixedError("drops rows, or an axis that is not of size 1")
    return without(flow, squeezed)


def _unsqueeze(node: Node) -> Flow:
    flow, axes = node.inputs[0], node.constants[1] or []
    rank = len(flow.shape) + len(axes)
    new = {place_of(axis, rank) for axis in axes}
    kept = [i for i in range(rank) if i not in new]
    sizes = dict(zip(kept, flow.shape, strict=True))
    axis = None if flow.axis is None else kept[flow.axis]
    return replace(flow, shape=tuple(sizes.get(i, 1) for i in range(rank)), axis=axis)


def _concat(node: Node) -> Flow:
    flows, rank = node.inputs, len(node.inputs[0].shape)
    along = place_of(node.numbers["axis"], rank)
    rests = {(flow.shape[:along], flow.shape[along + 1 :], len(flow.shape)) for flow in flows}
    if len(rests) > 1:
        raise MixedError("joins sizes that do not fit")
    size = sum(flow.shape[along] for flow in flows)
    shape = (*flows[0].shape[:along], size, *flows[0].shape[along + 1 :])
    rows = [flow for flow in flows if flow.axis is not None]
    if not rows or rows[0].axis != along:
        if any(flow.axis != flows[0].axis for flow in flows):
            raise MixedError("joins rows with what is none")
        return together(flows, shape, flows[0].axis)
    if len(rows) > 1 or not node.remembers:
        raise MixedError("joins rows along their own axis")
    before = sum(flow.shape[along] for flow in flows[: flows.index(rows[0])])
    others = [flow for flow in flows if flow is not rows[0]]
    return together([replace(rows[0], ahead=rows[0].ahead - before), *others], shape, along)


def _slice(node: Node) -> Flow:
    flow, rank = node.inputs[0], len(node.inputs[0].shape)
    starts, ends, axes, steps = ([*node.constants[1:], None, None])[:4]
    if starts is None or ends is None or any(step != 1 for step in steps or ()):
        raise MixedError("takes steps")
    for start, end, axis in zip(starts, ends, range(len(starts)) if axes is None else axes, strict=True):
        place = place_of(axis, rank)
        if place == flow.axis:
            flow = _some_rows(flow, start, end, remembers=node.remembers)
        else:
            size = len(range(flow.shape[place])[slice(start, end)])
            flow = replace(flow, shape=(*flow.shape[:place], size, *flow.shape[place + 1 :]))
    return flow


def _some_rows(flow: Flow, start: int, end: int, *, remembers: bool) -> Flow:
    """A slice along the rows that takes as many in a call of any length."""
    axis = flow.axis or 0
    more = flow.shape[axis]
    least = more + 1  # in a call of one row

    def sized(size: int) -> tuple[int, ...]:
        return (*flow.shape[:axis], size, *flow.shape[axis + 1 :])

    if not remembers:
        raise MixedError("takes some rows and leaves others")
    if start >= 0 and (end >= FAR or end < 0):
        left = more - start + min(0, end)
        if left + 1 >= 0 and start <= least:
            return Flow(sized(left), axis, flow.ahead + start)
    elif start >= 0 and start <= end <= least:
        return Flow(sized(end - start), None, end - 1 + flow.ahead)
    elif start < 0 and -start <= least and (end >= FAR or start <= end < 0):
        return Flow(sized((0 if end >= FAR else end) - start), None, ALWAYS)
    raise MixedError("takes another number of rows in a call of another length")


def _windows(node: Node) -> Flow:
    """Conv and AveragePool, without padding: each place sees a window."""
    flow, sizes = node.inputs[0], node.lists["kernel_shape"]
    shape, channels = list(flow.shape), flow.shape[1]
    if len(shape) != len(sizes) + 2 or flow.axis == 1:
        raise MixedError("takes rows for channels")
    if node.kind == "Conv":
        weight = node.inputs[1]
        if weight.axis is not None or weight.shape[1:] != (channels, *sizes):
            raise MixedError("has weights that do not fit")
        if any(bias.axis is not None for bias in node.inputs[2:]):
            raise MixedError("adds rows to channels")
        shape[1] = weight.shape[0]
    ahead = flow.ahead
    for place, size in enumerate(sizes, 2):
        shape[place] -= size - 1
        if place == flow.axis and size > 1:
            ahead += size - 1
            if not node.remembers or shape[place] < 0:
                raise MixedError("sees several rows at once")
        elif shape[place] < (0 if place == flow.axis else 1):
            raise MixedError("has a window that does not fit")
    seen = [replace(flow, ahead=ahead), *node.inputs[1:]]
    return together(seen, tuple(shape), flow.axis)


def _mat_mul(node: Node) -> Flow:
    return _product(*node.inputs)


RULES: dict[str, Callable[[Node], Flow]] = {
    **dict.fromkeys(
        (
            *("Abs", "Add", "Clip", "Cos", "Div", "Exp", "Log", "Max", "Min", "Mod", "Mul", "Relu"),
            *("Sigmoid", "Sin", "Sqrt", "Sub", "Tanh"),
        ),
        _elementwise,
    ),
    "AveragePool": _windows,
    "Concat": _concat,
    "Conv": _windows,
    "Gemm": _gemm,
    "MatMul": _mat_mul,
    "ReduceMin": _reduce_min,
    "ReduceSum": _reduce_sum,
    "Slice": _slice,
    "Softmax": _softmax,
    "Squeeze": _squeeze,
    "Transpose": _transpose,
    "Unsqueeze": _unsqueeze,
}
