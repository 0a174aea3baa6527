"""A network's layers as nodes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from torch import nn

from edge_runtime.errors import ExportError

if TYPE_CHECKING:
    from export.builder import Builder
    from trainer.models.base import Network

__all__ = ["write_network"]


def write_network(graph: Builder, network: Network, shown: str) -> str:
    """The network's nodes, of an ensemble the mean of its members'.

    Args:
        graph: Where they go.
        network: Its chains hold linear and convolutional layers and ReLU.
        shown: Name of what it is shown, [rows, inputs] or [history + rows, inputs].

    Returns:
        The name of what it reproduces, [rows, sensors].

    Raises:
        ExportError: A layer is of another type.
    """
    chains = getattr(network, "chains", None)
    if not chains or not all(isinstance(chain, nn.Sequential) for chain in chains):
        raise ExportError(f"cannot write a network of type {type(network).__name__} as a graph")
    if len(chains) == 1:
        return _chain(graph, chains[0], shown, "")
    total = _chain(graph, chains[0], shown, "member0.")
    for index, chain in enumerate(chains[1:], 1):
        total = graph.node("Add", f"sum{index}", total, _chain(graph, chain, shown, f"member{index}."))
    part = graph.constant("member_share", np.asarray(1.0 / len(chains), np.float32))
    return graph.node("Mul", "reproduced", total, part)


def _chain(graph: Builder, layers: nn.Sequential, shown: str, prefix: str) -> str:
    value, convolved = shown, False
    for index, layer in enumerate(layers):
        name = f"{prefix}layer{index}"
        if isinstance(layer, nn.Conv1d):
            if not convolved:
                turned = graph.node("Transpose", f"{name}.turned", value, perm=[1, 0])
                value = graph.node("Unsqueeze", f"{name}.series", turned, graph.axes("batch_axis", 0))
            convolved = True
            weight = graph.constant(f"{name}.weight", layer.weight.detach().numpy())
            bias = _bias(graph, name, layer)
            value = graph.node("Conv", name, value, weight, bias, kernel_shape=[layer.kernel_size[0]])
        elif isinstance(layer, nn.Linear):
            if convolved:
                flat = graph.node("Squeeze", f"{name}.flat", value, graph.axes("batch_axis", 0))
                value, convolved = graph.node("Transpose", f"{name}.rows", flat, perm=[1, 0]), False
            # PyTorch keeps [outputs, inputs]; turned here once rather than by the runtime at every load.
            weight = graph.constant(f"{name}.weight", layer.weight.detach().numpy().T)
            value = graph.node("Gemm", name, value, weight, _bias(graph, name, layer))
        elif isinstance(layer, nn.ReLU):
            value = graph.node("Relu", name, value)
        else:
            raise ExportError(f"cannot write a layer of type {type(layer).__name__} as a graph")
    return value


def _bias(graph: Builder, name: str, layer: nn.Linear | nn.Conv1d) -> str:
    if layer.bias is None:
        raise ExportError(f"cannot write a layer of type {type(layer).__name__} without bias as a graph")
    return graph.constant(f"{name}.bias", layer.bias.detach().numpy())
