"""The graph of a bundle, written by hand: what `trainer.detector.Detector` computes, node for node.

Written rather than traced, so that the nodes have names, nothing is in it that the gate does not know, and
equal weights give equal bytes whatever version of PyTorch trained them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from onnx import TensorProto, helper

from edge_runtime.bundle.metadata import METADATA_KEY
from edge_runtime.version import __version__
from export.builder import Builder, State
from export.fusion import write_fusion
from export.layers import write_network
from export.memory import write_average, write_features, write_history, write_smoothing

if TYPE_CHECKING:
    from onnx import ModelProto

    from trainer.detector import Detector

__all__ = ["IR_VERSION", "OPSET", "build_model"]

# What ONNX Runtime 1.18, the oldest that a gateway may have, loads with room to spare.
OPSET = 17
IR_VERSION = 8


def build_model(detector: Detector, metadata: str) -> ModelProto:
    """A detector as an ONNX model.

    Args:
        detector: Scaler and trained network.
        metadata: The document to embed.

    Raises:
        ExportError: The network holds a layer that this cannot write.
    """
    graph = Builder()
    state = State(graph, detector.state_rows)
    offset = graph.constant("scaler.offset", detector.scaler.offset)
    scale = graph.constant("scaler.scale", detector.scaler.scale)
    sensors = len(detector.scaler.offset)
    # Subtraction first and in float32, as in training. Folding the scaler into the first layer would save two
    # nodes and lose every digit of a small movement around a large offset.
    centred = graph.node("Sub", "centred", "readings", offset)
    scaled = graph.node("Div", "scaled", centred, scale)
    shown = write_history(graph, state, scaled, sensors) if detector.history else scaled
    if detector.features is not None:
        shown = write_features(graph, detector.features, shown)
    reproduced = write_network(graph, detector.network, shown)
    if detector.fusion is not None:
        reproduced = write_fusion(
            graph,
            state,
            detector.fusion.channels,
            detector.smoothing,
            scaled,
            reproduced,
            baseline=detector.baseline is not None,
        )
    else:
        _write_errors(graph, state, detector, scaled, reproduced)
    state.finish()
    if detector.fusion is None:
        graph.node("ReduceSum", "score", "errors", graph.axes("sensor_axis", 1), keepdims=0)
        unscaled = graph.node("Mul", "unscaled", reproduced, scale)
        graph.node("Add", "expected", unscaled, offset)
    else:
        by_sensor = graph.constant("scaler.matrix", np.diag(detector.scaler.scale))
        graph.node("Gemm", "expected", reproduced, by_sensor, offset)
    return _model(graph, detector, metadata)


def _write_errors(graph: Builder, state: State, detector: Detector, scaled: str, reproduced: str) -> None:
    """The errors of a single channel, averaged, weighed and smoothed if they are."""
    residual = graph.node("Sub", "residual", scaled, reproduced)
    if detector.average is not None:
        residual = write_average(graph, state, detector.average, residual)
    if (whitening := detector.whitening) is not None:
        centre = graph.constant("whitening.centre", whitening.centre)
        about = graph.node("Sub", "residual_about_centre", residual, centre)
        matrix = graph.constant("whitening.matrix", whitening.matrix)
        residual = graph.node("MatMul", "white", about, matrix)
    squared = graph.node("Mul", "squared", residual, residual)
    share = graph.constant("share", np.asarray(1.0 / len(detector.scaler.offset), np.float32))
    sensor_axis = graph.axes("sensor_axis", 1)
    own = graph.node("Mul", "errors" if detector.smoothing is None else "own_errors", squared, share)
    if detector.smoothing is not None:
        write_smoothing(graph, state, detector.smoothing, own, sensor_axis)


def _model(graph: Builder, detector: Detector, metadata: str) -> ModelProto:
    """The graph with its inputs and outputs, and the document."""
    sensors = len(detector.scaler.offset)

    def tensor(name: str, *shape: str | int) -> Any:
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, list(shape))

    shape = detector.state_shape
    inputs = [tensor("readings", "rows", sensors)]
    outputs = [
        tensor("score", "rows"),
        tensor("errors", "rows", sensors),
        tensor("expected", "rows", sensors),
    ]
    if shape is not None:
        inputs.append(tensor("state", *shape))
        outputs.append(tensor("state_out", *shape))
    if detector.asks_for_time:
        inputs.append(tensor("time_of_day", "rows"))
    if (baseline := detector.baseline) is not None:
        inputs += [tensor(name, 1, len(baseline.spread)) for name in ("baseline", "bound")]
        outputs.append(tensor("residuals", "rows", len(baseline.spread)))
    model = helper.make_model(
        helper.make_graph(graph.nodes, "edge_detect", inputs, outputs, graph.constants),
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name="edge-detect",
        producer_version=__version__,
    )
    helper.set_model_props(model, {METADATA_KEY: metadata})
    return model
