"""The graph of a bundle, written by hand: what `trainer.detector.Detector` computes, node for node.

Written rather than traced, so that the nodes have names, nothing is in it that the gate does not know, and
equal weights give equal bytes whatever version of PyTorch trained them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from onnx import TensorProto, helper, numpy_helper
from torch import nn

from edge_runtime.bundle.metadata import METADATA_KEY
from edge_runtime.errors import ExportError
from edge_runtime.version import __version__
from trainer.detector import TINY

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from onnx import ModelProto, NodeProto

    from trainer.averaging import ResidualAverage
    from trainer.detector import Detector
    from trainer.smoothing import ScoreSmoothing

__all__ = ["IR_VERSION", "OPSET", "build_model"]

# What ONNX Runtime 1.18, the oldest that a gateway may have, loads with room to spare.
OPSET = 17
IR_VERSION = 8


class _Builder:
    """Nodes and constants, in the order in which they are added."""

    def __init__(self) -> None:
        self.nodes: list[NodeProto] = []
        self.constants: list[TensorProto] = []

    def constant(self, name: str, value: NDArray[Any]) -> str:
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def shared(self, name: str, value: NDArray[Any]) -> str:
        """A constant that several parts use: added once."""
        return name if any(known.name == name for known in self.constants) else self.constant(name, value)

    def node(self, operator: str, output: str, *inputs: str, **attributes: Any) -> str:
        self.nodes.append(helper.make_node(operator, list(inputs), [output], name=output, **attributes))
        return output


def build_model(detector: Detector, metadata: str) -> ModelProto:
    """A detector as an ONNX model.

    Args:
        detector: Scaler and trained network.
        metadata: The document to embed.

    Raises:
        ExportError: The network holds a layer that this cannot write.
    """
    graph = _Builder()
    offset = graph.constant("scaler.offset", detector.scaler.offset)
    scale = graph.constant("scaler.scale", detector.scaler.scale)
    sensors = len(detector.scaler.offset)
    # Subtraction first and in float32, as in training. Folding the scaler into the first layer would save two
    # nodes and lose every digit of a small movement around a large offset.
    centred = graph.node("Sub", "centred", "readings", offset)
    scaled = graph.node("Div", "scaled", centred, scale)
    reproduced = _network(graph, detector.network, scaled)
    residual = graph.node("Sub", "residual", scaled, reproduced)
    state_parts: list[str] = []
    if detector.average is not None:
        alone = detector.smoothing is None
        residual = _averaged(graph, detector.average, residual, state_parts, alone=alone)
    if (whitening := detector.whitening) is not None:
        centre = graph.constant("whitening.centre", whitening.centre)
        about = graph.node("Sub", "residual_about_centre", residual, centre)
        matrix = graph.constant("whitening.matrix", whitening.matrix)
        residual = graph.node("MatMul", "white", about, matrix)
    squared = graph.node("Mul", "squared", residual, residual)
    share = graph.constant("share", np.asarray(1.0 / sensors, np.float32))
    sensor_axis = graph.constant("sensor_axis", np.asarray([1], np.int64))
    if detector.smoothing is None:
        errors = graph.node("Mul", "errors", squared, share)
    else:
        own = graph.node("Mul", "own_errors", squared, share)
        errors = _smoothed(
            graph, detector.smoothing, own, sensor_axis, state_parts, averaged=detector.state_rows[0]
        )
    if len(state_parts) > 1:
        graph.node("Concat", "state_out", *state_parts, axis=0)
    graph.node("ReduceSum", "score", errors, sensor_axis, keepdims=0)
    unscaled = graph.node("Mul", "unscaled", reproduced, scale)
    graph.node("Add", "expected", unscaled, offset)

    def tensor(name: str, *shape: str | int) -> Any:
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, list(shape))

    shape = detector.state_shape
    model = helper.make_model(
        helper.make_graph(
            graph.nodes,
            "edge_detect",
            [tensor("readings", "rows", sensors), *([tensor("state", *shape)] if shape else [])],
            [
                tensor("score", "rows"),
                tensor("errors", "rows", sensors),
                tensor("expected", "rows", sensors),
                *([tensor("state_out", *shape)] if shape else []),
            ],
            graph.constants,
        ),
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name="edge-detect",
        producer_version=__version__,
    )
    helper.set_model_props(model, {METADATA_KEY: metadata})
    return model


def _averaged(
    graph: _Builder, average: ResidualAverage, residual: str, state_parts: list[str], *, alone: bool
) -> str:
    """The residuals' weighted mean over the last rows."""
    rows = average.rows
    before = "state" if alone else _state_rows(graph, "averaged", 0, rows - 1)
    series = graph.node("Concat", "residual_series", before, residual, axis=0)
    state_parts.append(_last_rows(graph, "" if alone else "averaged", series, rows - 1))
    image_axes = _image_axes(graph)
    image = graph.node("Unsqueeze", "residual_image", series, image_axes)
    kernel = graph.constant("average.kernel", average.weights.reshape(1, 1, rows, 1))
    averaged = graph.node("Conv", "average_image", image, kernel, kernel_shape=[rows, 1])
    return graph.node("Squeeze", "average_residual", averaged, image_axes)


def _state_rows(graph: _Builder, part: str, start: int, stop: int) -> str:
    """These rows of the state."""
    return graph.node(
        "Slice",
        f"{part}_state",
        "state",
        graph.constant(f"{part}_state_start", np.asarray([start], np.int64)),
        graph.constant(f"{part}_state_stop", np.asarray([stop], np.int64)),
        _row_axis(graph),
    )


def _last_rows(graph: _Builder, part: str, series: str, rows: int) -> str:
    """The part of the state that is handed on: all of it when it has no name."""
    name = f"{part}_state_out".lstrip("_")
    start = graph.constant(f"{name}_start", np.asarray([-rows], np.int64))
    stop = graph.shared("end", np.asarray([np.iinfo(np.int64).max], np.int64))
    return graph.node("Slice", name, series, start, stop, _row_axis(graph))


def _row_axis(graph: _Builder) -> str:
    return graph.shared("row_axis", np.asarray([0], np.int64))


def _image_axes(graph: _Builder) -> str:
    return graph.shared("image_axes", np.asarray([0, 1], np.int64))


def _smoothed(
    graph: _Builder,
    smoothing: ScoreSmoothing,
    own_errors: str,
    sensor_axis: str,
    state_parts: list[str],
    *,
    averaged: int,
) -> str:
    """The errors, held up by the last rows' capped mean: `trainer.detector`, node for node."""
    smoothed = smoothing.rows - 1
    tiny = graph.constant("tiny", np.asarray(TINY, np.float32))
    cap = graph.constant("smoothing.cap", np.asarray(smoothing.cap, np.float32))
    one = graph.constant("one", np.asarray(1.0, np.float32))
    own = graph.node("ReduceSum", "own_score", own_errors, sensor_axis, keepdims=1)
    part = graph.node("Div", "cap_over_own", cap, graph.node("Add", "own_and_tiny", own, tiny))
    capped = graph.node("Mul", "capped", own_errors, graph.node("Min", "kept_part", part, one))
    before = "state" if not averaged else _state_rows(graph, "smoothed", averaged, averaged + smoothed)
    series = graph.node("Concat", "series", before, capped, axis=0)
    state_parts.append(_last_rows(graph, "smoothed" if averaged else "", series, smoothed))
    image_axes = _image_axes(graph)
    image = graph.node("Unsqueeze", "series_image", series, image_axes)
    pooled = graph.node("AveragePool", "mean_image", image, kernel_shape=[smoothing.rows, 1])
    mean = graph.node("Squeeze", "mean", pooled, image_axes)
    held = graph.node("ReduceSum", "held", mean, sensor_axis, keepdims=1)
    above = graph.node("Relu", "held_above_own", graph.node("Sub", "held_less_own", held, own))
    raised = graph.node("Div", "raised_part", above, graph.node("Add", "held_and_tiny", held, tiny))
    return graph.node("Add", "errors", own_errors, graph.node("Mul", "raised", mean, raised))


def _network(graph: _Builder, network: nn.Module, scaled: str) -> str:
    """A chain of linear layers and activations: one Gemm a layer."""
    layers = getattr(network, "layers", None)
    if not isinstance(layers, nn.Sequential):
        raise ExportError(f"cannot write a network of type {type(network).__name__} as a graph")
    value = scaled
    for index, layer in enumerate(layers):
        if isinstance(layer, nn.Linear):
            # PyTorch keeps [outputs, inputs]; turned here once rather than by the runtime at every load.
            weight = graph.constant(f"layer{index}.weight", layer.weight.detach().numpy().T)
            bias = graph.constant(f"layer{index}.bias", layer.bias.detach().numpy())
            value = graph.node("Gemm", f"layer{index}", value, weight, bias)
        elif isinstance(layer, nn.ReLU):
            value = graph.node("Relu", f"layer{index}", value)
        else:
            raise ExportError(f"cannot write a layer of type {type(layer).__name__} as a graph")
    return value
