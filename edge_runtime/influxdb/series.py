"""Which series a database's rows came from, where a machine may have several."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

__all__ = ["SeriesOf", "SeriesTags"]


@dataclass(frozen=True, slots=True)
class SeriesOf:
    """Which series each row came from, where a machine may have several.

    Attributes:
        tags: The series' other tags' values, a tuple a series; a list that grows while an answer is read,
            shared by its blocks.
        codes: [rows] places in it.
    """

    tags: list[tuple[str, ...]]
    codes: NDArray[np.intp]

    @property
    def ranks(self) -> NDArray[np.intp]:
        """[rows] the series' places in the order of their tags."""
        used, places = np.unique(self.codes, return_inverse=True)
        order = sorted(range(len(used)), key=lambda place: self.tags[used[place]])
        ranks = np.empty(len(order), np.intp)
        ranks[order] = np.arange(len(order))
        return ranks[places]


class SeriesTags:
    """The series that an answer's rows came from, collected block by block.

    Args:
        names: The tags that tell them apart; none where it does not matter.
    """

    def __init__(self, names: tuple[str, ...]) -> None:
        self._names = names
        self._tags: list[tuple[str, ...]] = []
        self._places: dict[tuple[Any, ...], int] = {}

    def of(self, column: Callable[[str], Sequence[Any]]) -> SeriesOf | None:
        """The series of a block's rows, given a tag's values in them; None where it does not matter."""
        if not self._names:
            return None
        keys = list(zip(*map(column, self._names), strict=True))
        for key in dict.fromkeys(keys):
            if key not in self._places:
                self._places[key] = len(self._tags)
                self._tags.append(tuple(str(value or "") for value in key))
        return SeriesOf(self._tags, np.fromiter(map(self._places.__getitem__, keys), np.intp, len(keys)))
