"""AdamW for each network of a stack, at its own rate, and the moving average of its weights."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from trainer.training import AVERAGING, CLIP_NORM

if TYPE_CHECKING:
    from trainer.fleet.stack import NetworkStack

__all__ = ["StackOptimizer"]

# As PyTorch's own.
BETAS = (0.9, 0.999)
EPSILON = 1e-8
DECAY = 0.01
CLIP_EPSILON = 1e-6


class StackOptimizer:
    """What `train_network` does after a gradient: clips it, takes a step, averages the weights.

    AdamW (Loshchilov and Hutter, 2019, "Decoupled weight decay regularization") works number by number, so
    on a stack it does to each network what it would do to that one alone.

    Args:
        stack: The networks.
        learning_rate: The first, of each.

    Attributes:
        rates: [networks] learning rates.
        averages: [networks, parameters] averaged weights.
    """

    def __init__(self, stack: NetworkStack, learning_rate: float) -> None:
        self._stack = stack
        weights = stack.weights
        self.rates = torch.full((len(stack),), learning_rate, dtype=torch.float64, device=weights.device)
        self.averages = weights.clone()
        self._steps = torch.zeros(len(stack), dtype=torch.float64, device=weights.device)
        self._first, self._second = torch.zeros_like(weights), torch.zeros_like(weights)
        self._scratch = torch.empty_like(weights)

    def keep(self, networks: torch.Tensor) -> None:
        """Leaves only these, in this order; the stack has done so before."""
        self.rates, self._steps = self.rates[networks], self._steps[networks]
        self.averages = self.averages[networks]
        self._first, self._second = self._first[networks], self._second[networks]
        self._scratch = torch.empty_like(self._first)

    def step(self, gradients: torch.Tensor) -> None:
        """A step of the first networks by their gradients, [some networks, parameters], which it changes."""
        count = len(gradients)
        norms = torch.linalg.vector_norm(gradients, dim=1, keepdim=True)
        gradients.mul_((CLIP_NORM / (norms + CLIP_EPSILON)).clamp_(max=1.0))

        done, rates = self._steps[:count, None], self.rates[:count, None]
        step_sizes = rates / (1 - BETAS[0] ** (done + 1))
        roots = (1 - BETAS[1] ** (done + 1)).sqrt()
        # Far in the first steps, so that the start is soon forgotten.
        towards = 1 - torch.clamp((1 + done) / (10 + done), max=AVERAGING)
        towards[done == 0] = 1.0
        self._steps[:count] += 1

        weights = self._stack.weights[:count]
        first, second, scratch = (part[:count] for part in (self._first, self._second, self._scratch))
        first.lerp_(gradients, 1 - BETAS[0])
        second.mul_(BETAS[1]).addcmul_(gradients, gradients, value=1 - BETAS[1])
        torch.sqrt(second, out=scratch).div_(roots.float()).add_(EPSILON)
        torch.div(first, scratch, out=scratch).mul_(step_sizes.float())
        weights.mul_((1 - rates * DECAY).float()).sub_(scratch)
        self.averages[:count].lerp_(weights, towards.float())
