"""Rows' labels out of the cells of their own columns."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from edge_runtime.mapping.roles import Role, RoleOf
from trainer.data.label_words import ANOMALOUS
from trainer.data.tables import text_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pandas as pd
    from numpy.typing import NDArray

    from trainer.data.label_words import Meaning

__all__ = ["OwnLabels", "RowLabels", "kinds_of", "states_of"]


class RowLabels(Protocol):
    """Tells the labels of rows by some of their cells.

    Attributes:
        columns: The files' columns that it needs, as text.
        roles: What these columns are for, as far as they are nothing else.
    """

    columns: tuple[str, ...]
    roles: tuple[RoleOf, ...]

    def begin(self) -> None:
        """Forgets what was counted, as all rows are read again."""
        ...

    def of(self, cells: Mapping[str, pd.Series[Any]]) -> tuple[NDArray[np.uint8], NDArray[np.str_]]:
        """States and kinds of a page's rows.

        Args:
            cells: Column to its cells; a column of kinds may be missing.

        Returns:
            [rows] `NORMAL`, `ANOMALOUS` or `IGNORED`; and [rows] what kind of anomaly, "" where unknown.
        """
        ...

    def end(self) -> None:
        """Called after the last row.

        Raises:
            InputError: Most rows have no label.
        """
        ...

    def warnings(self) -> list[str]:
        """What to know of the rows, in sentences for people."""
        ...

    def describe(self) -> dict[str, Any]:
        """Where labels come from, as JSON-ready values."""
        ...


class OwnLabels:
    """Labels in the files' own columns; a row is normal if all of its columns say so.

    Args:
        meanings: How each column is read.
        kind: The column of kinds; None for none.
        described: Where labels come from, as JSON-ready values.
    """

    def __init__(self, meanings: Sequence[Meaning], kind: str | None, described: Mapping[str, Any]) -> None:
        self._meanings = tuple(meanings)
        self._kind = kind
        self._described = dict(described)
        labels = tuple(meaning.column for meaning in meanings)
        self.columns = (*labels, *filter(None, [kind]))
        why = "its values tell normal rows from others"
        self.roles = tuple(RoleOf(name, Role.LABEL, why) for name in labels)

    def begin(self) -> None:
        """Nothing is counted."""

    def of(self, cells: Mapping[str, pd.Series[Any]]) -> tuple[NDArray[np.uint8], NDArray[np.str_]]:
        """States and kinds of a page's rows."""
        states = states_of(self._meanings, cells)
        return states, kinds_of(states, cells.get(self._kind) if self._kind else None)

    def end(self) -> None:
        """Nothing was counted."""

    def warnings(self) -> list[str]:
        """Nothing: what labels mean is a remark of theirs."""
        return []

    def describe(self) -> dict[str, Any]:
        """Where labels come from."""
        return dict(self._described)


def states_of(meanings: Sequence[Meaning], cells: Mapping[str, pd.Series[Any]]) -> NDArray[np.uint8]:
    """[rows] states: ignored if one column says so, else anomalous if one says so, else normal."""
    # They are numbered in this order.
    states: NDArray[np.uint8] = np.max(
        [meaning.states(cells[meaning.column]) for meaning in meanings], axis=0
    )
    return states


def kinds_of(states: NDArray[np.uint8], kinds: pd.Series[Any] | None) -> NDArray[np.str_]:
    """[rows] what kind of anomaly; "" where a row is none, or nobody says of which kind."""
    if kinds is None:
        return np.full(len(states), "")
    return np.where(states == ANOMALOUS, text_of(kinds), "")
