"""AdamW for each network of a stack, at its own rate, and the moving average of its weights."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch.optim.adamw import adamw

from trainer.fitting.training import AVERAGING

if TYPE_CHECKING:
    from trainer.fitting.settings import Settings
    from trainer.fleet.stack import NetworkStack

__all__ = ["StackOptimizer"]

# As PyTorch's own.
BETAS = (0.9, 0.999)
EPSILON = 1e-8
CLIP_EPSILON = 1e-6


class StackOptimizer:
    """What `train_network` does after a gradient: clips it, takes a step, averages the weights.

    AdamW (Loshchilov and Hutter, 2019, "Decoupled weight decay regularization") works number by number, so
    it takes the networks of one learning rate at once, each a tensor with a number of steps of its own.

    Args:
        stack: The networks.
        settings: How to train.

    Attributes:
        rates: Of each network, its learning rate.
        averages: [networks, parameters] averaged weights.
    """

    def __init__(self, stack: NetworkStack, settings: Settings) -> None:
        self._stack = stack
        self.rates = [settings.learning_rate] * len(stack)
        self._decay, self._clip_norm = settings.weight_decay, settings.clip_norm
        self.averages = stack.weights.clone()
        self._steps = torch.zeros(len(stack), device=stack.weights.device)
        self._moments = [torch.zeros_like(stack.weights) for _ in BETAS]
        self._split()

    def keep(self, networks: torch.Tensor) -> None:
        """Leaves only these, in this order; the stack has done so before."""
        self.rates = [self.rates[i] for i in networks.tolist()]
        self.averages, self._steps = self.averages[networks], self._steps[networks]
        self._moments = [moment[networks] for moment in self._moments]
        self._split()

    def step(self, count: int) -> None:
        """A step of the first networks by the stack's gradients, which it changes.

        Args:
            count: How many of the networks.
        """
        gradients = self._stack.gradients[:count]
        if self._clip_norm:
            norms = torch.linalg.vector_norm(gradients, dim=1, keepdim=True)
            gradients.mul_((self._clip_norm / (norms + CLIP_EPSILON)).clamp_(max=1.0))

        # Far in the first steps, so that the start is soon forgotten.
        done = self._steps[:count, None]
        towards = 1 - torch.clamp((1 + done) / (10 + done), max=AVERAGING)
        towards[done == 0] = 1.0

        rates = self.rates[:count]
        for rate in set(rates):
            mine = [i for i, other in enumerate(rates) if other == rate]
            weights, slopes, first, second, steps = ([part[i] for i in mine] for part in self._parts)
            adamw(
                weights,
                slopes,
                first,
                second,
                [],
                steps,
                fused=True,
                amsgrad=False,
                beta1=BETAS[0],
                beta2=BETAS[1],
                lr=rate,
                weight_decay=self._decay,
                eps=EPSILON,
                maximize=False,
            )
        self.averages[:count].lerp_(self._stack.weights[:count], towards)

    def _split(self) -> None:
        """Each network's own weights, gradients, moments and number of steps, as views."""
        parts = (self._stack.weights, self._stack.gradients, *self._moments, self._steps)
        self._parts = [list(part.unbind()) for part in parts]
