"""Many small networks as one: their weights in one tensor, a layer of all of them in one product."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import torch
from torch import nn

from trainer.models.autoencoder import SensorAutoencoder

if TYPE_CHECKING:
    from trainer.models.base import Architecture

    Layer = tuple[torch.Tensor, torch.Tensor]

__all__ = ["NetworkStack"]


class NetworkStack:
    """Autoencoders of one architecture, side by side, with one start.

    A product over the stack is one of each network's own matrices, so each gets what it would get alone, but
    for rounding. The gradient is written out: there are few operations, and none of them needs new memory.

    Args:
        start: What every network is at first.
        networks: How many.
        batch_size: Rows that each is shown at a time.
        device: Where it computes.

    Attributes:
        weights: [networks, parameters] float32.
        gradients: The same shape, as `backward` leaves them.
    """

    def __init__(self, start: SensorAutoencoder, networks: int, batch_size: int, device: str) -> None:
        self._architecture = start.architecture
        self._sizes = _sizes(self._architecture)
        self._batch_size = batch_size
        self.weights = _flat(start).to(device).repeat(networks, 1)
        self._allocate()

    def __len__(self) -> int:
        return len(self.weights)

    def keep(self, networks: torch.Tensor) -> None:
        """Leaves only these, in this order; they are renumbered."""
        self.weights = self.weights[networks]
        self._allocate()

    def forward(self, shown: torch.Tensor, weights: torch.Tensor | None = None) -> torch.Tensor:
        """What the first networks make of their rows; overwritten by the next call.

        Args:
            shown: [some networks, batch, inputs] scaled.
            weights: Instead of the stack's own, of the same shape.

        Returns:
            [some networks, batch, sensors] scaled.
        """
        count = len(shown)
        layers = self._layers(self.weights if weights is None else weights, count)
        value = self._values[0] = shown
        for number, (weight, bias) in enumerate(layers, 1):
            output = self._outputs[number - 1][:count]
            torch.baddbmm(bias, value, weight, out=output)
            value = self._values[number] = output.relu_() if number < len(layers) else output
        return value

    def backward(self, gradient: torch.Tensor) -> torch.Tensor:
        """The gradient of the loss by the weights, from that by the last `forward`'s result.

        Args:
            gradient: [some networks, batch, sensors].

        Returns:
            [some networks, parameters], a part of `gradients`.
        """
        count = len(gradient)
        layers, slots = self._layers(self.weights, count), self._layers(self.gradients, count)
        for number in reversed(range(len(layers))):
            value, (weight_slot, bias_slot) = self._values[number], slots[number]
            torch.sum(gradient, 1, keepdim=True, out=bias_slot)
            # Into memory of its own first: a product cannot be written into parts of the rows all at once.
            product = self._products[number][:count]
            if self._sizes[number] <= self._sizes[number + 1]:
                torch.bmm(value.transpose(1, 2), gradient, out=product)
            else:
                torch.bmm(gradient.transpose(1, 2), value, out=product)
                product = product.transpose(1, 2)
            weight_slot.copy_(product)
            if number:
                before = self._before[self._sizes[number], number % 2][:count]
                torch.bmm(gradient, layers[number][0].transpose(1, 2), out=before)
                # Through ReLU, in place: nothing where it let nothing through.
                torch.ops.aten.threshold_backward.grad_input(before, value, 0, grad_input=before)
                gradient = before
        return self.gradients[:count]

    def network(self, weights: torch.Tensor) -> SensorAutoencoder:
        """A network of its own with these weights, [parameters], in evaluation mode."""
        made = SensorAutoencoder.of(self._architecture)
        at = 0
        with torch.no_grad():
            for layer in _linear(made):
                for tensor in (layer.weight.T if _is_wide(layer) else layer.weight, layer.bias):
                    tensor.copy_(weights[at : at + tensor.numel()].view(tensor.shape))
                    at += tensor.numel()
        return made.eval()

    def _allocate(self) -> None:
        """The memory of every intermediate result, used again at each step."""
        self.gradients = torch.zeros_like(self.weights)
        shape = (len(self.weights), self._batch_size)
        self._outputs = [self.weights.new_empty((*shape, size)) for size in self._sizes[1:]]
        # What one layer was given is used up once the layer before it has been given its own.
        self._before = {
            (size, number % 2): self.weights.new_empty((*shape, size))
            for number, size in enumerate(self._sizes[1:-1], 1)
        }
        self._products = [
            self.weights.new_empty((len(self.weights), *sorted(pair))) for pair in pairwise(self._sizes)
        ]
        self._values = [self.weights] * len(self._sizes)
        self._known: dict[tuple[int, int], list[Layer]] = {}

    def _layers(self, flat: torch.Tensor, count: int) -> list[Layer]:
        """Weight, [count, inputs, outputs], and bias, [count, 1, outputs], of each layer, as views.

        The shorter side lies first in memory: products of such thin matrices take half as long.
        """
        known = self._known.get((flat.data_ptr(), count))
        if known is not None:
            return known
        layers, at = [], 0
        for inputs, outputs in pairwise(self._sizes):
            part = flat[:count, at : at + inputs * outputs]
            at += inputs * outputs
            if inputs <= outputs:
                weight = part.view(count, inputs, outputs)
            else:
                weight = part.view(count, outputs, inputs).transpose(1, 2)
            layers.append((weight, flat[:count, at : at + outputs].view(count, 1, outputs)))
            at += outputs
        self._known[flat.data_ptr(), count] = layers
        return layers


def _sizes(architecture: Architecture) -> tuple[int, ...]:
    inputs = architecture.inputs or architecture.sensors
    return (inputs, *architecture.widths, architecture.sensors)


def _linear(network: SensorAutoencoder) -> list[nn.Linear]:
    return [layer for layer in network.layers if isinstance(layer, nn.Linear)]


def _is_wide(layer: nn.Linear) -> bool:
    return layer.in_features <= layer.out_features


@torch.no_grad()
def _flat(network: SensorAutoencoder) -> torch.Tensor:
    """[parameters] in the order in which the stack has them."""
    parts = []
    for layer in _linear(network):
        weight = layer.weight.T if _is_wide(layer) else layer.weight
        parts += [weight.reshape(-1), layer.bias]
    return torch.cat(parts)
