"""What each network of a stack is shown: its own rows, in batches of equal size, filled up with nothing."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["Batch", "StackBatches"]


@dataclass(frozen=True, slots=True)
class Batch:
    """A step of the first networks; overwritten by the next.

    Attributes:
        shown: [some networks, batch, inputs] scaled, with noise.
        wanted: [some networks, batch, sensors] without.
        real: [some networks, batch, 1] 1 where there is a row, 0 where it is filled up.
        rows: [some networks] how many there are; 0 only where a network further on has more.
    """

    shown: torch.Tensor
    wanted: torch.Tensor
    real: torch.Tensor
    rows: torch.Tensor


class StackBatches:
    """Batches of the rows of many networks, step by step.

    A step reaches as far into the stack as there is a network that still has rows, so those with the most are
    best put first. Order and noise depend on the seed, the epoch and, the order, the number of rows, but not
    on who else is in the stack.

    Args:
        rows: [rows, inputs] scaled of each network.
        sensors: The first columns, which are wanted back.
        batch_size: Rows of a step.
        noise: [inputs] standard deviations.
    """

    def __init__(
        self, rows: Sequence[torch.Tensor], sensors: int, batch_size: int, noise: torch.Tensor
    ) -> None:
        self._device = noise.device
        self._sensors, self._batch_size, self._noise = sensors, batch_size, noise
        # The last row is what batches are filled up with.
        self._rows = torch.cat([*rows, rows[0].new_zeros(1, rows[0].shape[1])]).to(self._device)
        self._counts = [len(part) for part in rows]
        self._starts = np.concatenate([[0], np.cumsum(self._counts)[:-1]]).tolist()
        self._places = torch.arange(batch_size, device=self._device)
        self.keep(list(range(len(rows))))

    @property
    def counts(self) -> torch.Tensor:
        """[networks] rows of each."""
        return torch.tensor(self._counts, dtype=torch.float64, device=self._device)

    def keep(self, networks: Sequence[int]) -> None:
        """Leaves only these, in this order."""
        self._counts = [self._counts[i] for i in networks]
        self._starts = [self._starts[i] for i in networks]
        steps = math.ceil(max(self._counts) / self._batch_size)
        # [steps, networks] rows of each step
        self._valid = torch.stack(
            [
                torch.tensor([count - step * self._batch_size for count in self._counts])
                for step in range(steps)
            ]
        ).clamp_(0, self._batch_size)
        places = torch.arange(1, len(networks) + 1)
        self._active = ((self._valid > 0) * places).amax(1).tolist()
        self._valid = self._valid.to(self._device)
        shape = (len(networks), self._batch_size, self._rows.shape[1])
        self._wanted = self._rows.new_empty(shape)
        self._shown = torch.empty_like(self._wanted)

    def ordered(self) -> list[torch.Tensor]:
        """The rows' numbers as they are, for `steps`."""
        return [torch.arange(count) for count in sorted(set(self._counts))]

    def shuffled(self, generators: dict[int, torch.Generator], seed: int) -> list[torch.Tensor]:
        """In a new random order, one for each number of rows, whose generators are made when missing."""
        orders = []
        for count in sorted(set(self._counts)):
            if count not in generators:
                generators[count] = torch.Generator().manual_seed(seed)
            orders.append(torch.randperm(count, generator=generators[count]))
        return orders

    def steps(self, orders: Sequence[torch.Tensor], noise_seed: int) -> Iterator[Batch]:
        """Step after step of a pass over the rows.

        Args:
            orders: As `ordered` or `shuffled` gave them.
            noise_seed: Of the noise.
        """
        index = self._index(orders)
        generator = torch.Generator(self._device).manual_seed(noise_seed)
        drawn = self._rows.new_empty(self._wanted.shape[1:])
        columns = self._rows.shape[1]
        for step, count in enumerate(self._active):
            wanted, shown = self._wanted[:count], self._shown[:count]
            torch.index_select(self._rows, 0, index[step, :count].reshape(-1), out=wanted.view(-1, columns))
            drawn.normal_(generator=generator).mul_(self._noise)
            torch.add(wanted, drawn, out=shown)
            valid = self._valid[step, :count]
            real = (self._places < valid[:, None]).to(shown.dtype).unsqueeze(2)
            yield Batch(shown, wanted[..., : self._sensors], real, valid)

    def _index(self, orders: Sequence[torch.Tensor]) -> torch.Tensor:
        """[steps, networks, batch] rows to show."""
        filler = len(self._rows) - 1
        steps = len(self._active)
        by_count = {
            len(order): torch.nn.functional.pad(
                order, (0, steps * self._batch_size - len(order)), value=filler
            ).view(steps, self._batch_size)
            for order in orders
        }
        padded = torch.stack([by_count[count] for count in self._counts], 1)
        starts = torch.tensor(self._starts)[:, None]
        return torch.where(padded == filler, padded, padded + starts).to(self._device)
